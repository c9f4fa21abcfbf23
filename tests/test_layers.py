"""Imports run one way, and the command line starts without torch."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

ORDER = [
    {"errors", "coordinates", "files", "limits", "locks", "registry", "text"},
    {"sides", "skeletons"},
    {"heatmaps", "config"},
    {"data", "models"},
    {"engine"},
    {"runs"},
    {"export"},
    {"evaluation", "hub"},
    {"tracking"},
    {"inference", "viz", "kaggle"},
    {"checking", "bench"},
    {"training"},
    {"sweeps", "api", "ray"},
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


def modules(root):
    """Every module of heatkp by name, with its file."""
    found = {}
    for path in sorted((root / "heatkp").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def statements(node, types):
    """The nodes below one; those that only a type checker runs where `types`."""
    for child in ast.iter_child_nodes(node):
        if not types and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from (n for other in child.orelse for n in [other, *statements(other, types)])
            continue
        yield child
        yield from statements(child, types)


def imports(files, types):
    """What each module imports of heatkp, inside functions too."""
    graph = {}
    for name, path in files.items():
        graph[name] = set()
        for node in statements(ast.parse(path.read_text()), types):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.level, f"{path}: relative import"
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    graph[name].add(inner if inner in files else node.module)
            elif isinstance(node, ast.Import):
                graph[name].update(alias.name for alias in node.names)
        graph[name] &= files.keys() - {name}
    return graph


def cycles(graph):
    """Cycles that imports form, one for each place where one closes."""
    found, done = [], set()

    def visit(name, way):
        if name in way:
            found.append([*way[way.index(name) :], name])
        elif name not in done:
            for other in sorted(graph[name]):
                visit(other, [*way, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return found


def test_cycles_are_found():
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": set()}
    assert cycles(graph) == [["b", "c", "b"]]


def test_imports_form_no_cycle(root):
    graph = imports(modules(root), types=False)
    assert sum(map(len, graph.values())) > 500
    assert cycles(graph) == []


TYPES_ONLY = {
    frozenset(names)
    for names in [
        # A head's own type is in a network, and a network's type in what a head is given.
        {"heatkp.models.heads._base", "heatkp.models.dense", "heatkp.models.heads"},
        # A package that gives names of its modules on first use, and constants to all of them.
        {"heatkp.sweeps", "heatkp.sweeps.sweep"},
    ]
}
"""Cycles within a folder that only a type checker sees."""


def test_types_form_no_cycle_within_a_folder(root):
    files = modules(root)
    graph = imports(files, types=True)
    for package in {name.split(".")[1] for name in files if "." in name}:
        inner = {n: v for n, v in graph.items() if n.split(".")[1:2] == [package]}
        for cycle in cycles({n: v & inner.keys() for n, v in inner.items()}):
            assert frozenset(cycle) in TYPES_ONLY, " -> ".join(cycle)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["train"],
        ["eval"],
        ["predict"],
        ["push"],
        ["report"],
        ["score"],
        ["sweep"],
        ["data"],
        ["data", "synth"],
        ["data", "info"],
        ["data", "convert"],
        ["data", "split"],
        ["data", "merge"],
        ["data", "subset"],
        ["data", "check"],
        ["data", "suggest"],
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
