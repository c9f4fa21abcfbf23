"""The README's commands are timed on what is committed now, each in a place of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_each_command_has_a_new_clone_and_environment(script, tmp_path, monkeypatch):
    readme = script("readme_commands")
    made = []

    def run(command, **options):
        if command[0] == "git" or "venv" in command:
            place = Path(command[-1])
            assert not place.exists()
            (place / "of").mkdir(parents=True)
            made.append(place)
        else:
            assert options["cwd"] == made[-2] and str(made[-1]) in options["env"]["PATH"]

    monkeypatch.setattr(readme.subprocess, "run", run)
    for which in ("first", "second"):
        assert readme.run(which, tmp_path) >= 0
    assert len(set(made)) == 4
    readme.run("first", tmp_path)  # as with --keep of an earlier day
    assert made[4:] == made[:2]


@pytest.mark.parametrize("which", ["first", "second"])
def test_the_readme_has_both(script, which):
    assert script("readme_commands").command(which).startswith("pip install")
