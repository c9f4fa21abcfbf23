"""Imports run one way, and the command line starts without torch."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

ORDER = [
    {"errors", "coordinates", "files", "registry", "text"},
    {"sides", "skeletons"},
    {"heatmaps", "config"},
    {"data", "models"},
    {"engine"},
    {"runs", "starting", "evaluation"},
    {"inference", "viz"},
    {"training"},
    {"sweeps", "api"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("heatkp"):
            whole = "." not in node.module
            names = [f"heatkp.{a.name}" for a in node.names] if whole else [node.module]
            yield from (n.split(".")[1] for n in names)


def test_imports_run_downwards(root):
    seen = 0
    for path in sorted((root / "heatkp").rglob("*.py")):
        own = path.relative_to(root / "heatkp").parts[0].removesuffix(".py")
        if own in ("__init__", "__main__"):
            continue
        for name in imported(path):
            assert LEVEL[name] <= LEVEL[own], f"{path} imports heatkp.{name}"
            seen += 1
    assert seen > 50


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["train"],
        ["eval"],
        ["predict"],
        ["report"],
        ["score"],
        ["sweep"],
        ["data"],
        ["data", "synth"],
        ["data", "info"],
        ["viz-heatmaps"],
        ["viz"],
        ["viz", "run"],
        ["viz", "curves"],
        ["viz", "error-curve"],
        ["viz", "augmentation"],
        ["viz", "filters"],
        ["viz", "points"],
        ["viz", "head-turn"],
    ],
)
def test_help_needs_no_torch(arguments):
    script = (
        "import sys; from heatkp.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'rich', 'cv2', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout and (not arguments or "Example" in done.stdout or
                                       arguments in (["data"], ["viz"]))  # fmt: skip


def test_no_file_is_too_long(root):
    for path in (root / "heatkp").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path
