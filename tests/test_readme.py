"""Every command and snippet that the README shows is run, in its order, in one folder."""

from __future__ import annotations

import os
import re
import shlex

import pytest

from tests.conftest import TINY, heatkp


def blocks(root, language):
    text = (root / "README.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(root):
    lines = "\n".join(blocks(root, "bash")).replace("\\\n", " ").splitlines()
    inline = re.findall(r"`(heatkp train --resume [^`]*)`", (root / "README.md").read_text())
    return [part.strip() for line in [*lines, *inline] for part in line.split("&&") if part.strip()]


def shortened(arguments, root):
    """The same command, small: a training of seconds on however many samples there are."""
    arguments = [str(root / a) if a.startswith("configs/") else a for a in arguments]
    if arguments[0] == "train" and "--resume" not in arguments:
        arguments += TINY
        if "--config" in arguments:
            arguments += ["--set", "model.options={}", "--set", "data.size=[64, 48]"]
    if "synth" in arguments:
        arguments[arguments.index("--n") + 1] = "20"
    return arguments


def test_readme_commands_and_snippets(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    real = os.environ.get("HEATKP_DATA")
    ran = 0
    for command in commands(root):
        words = shlex.split(command, comments=True)
        if words[0] != "heatkp":
            assert words[0] in ("pip", "pytest"), command
            continue
        if "--config" in words and not real:
            continue
        result = heatkp(*shortened(words[1:], root))
        if "--resume" in words:
            assert "is finished" in result.output or not real
            continue
        assert result.exit_code == 0, f"{command}\n{result.output}"
        ran += 1
    assert ran >= 5
    for snippet in blocks(root, "python"):
        exec(compile(snippet, "README.md", "exec"), {})
    if not real:
        pytest.skip("HEATKP_DATA is not set: the commands on real photos were not run")


def test_configs_in_the_readme_exist(root):
    named = set(re.findall(r"configs/[\w/]+\.yaml", (root / "README.md").read_text()))
    assert named and all((root / name).is_file() for name in named)
