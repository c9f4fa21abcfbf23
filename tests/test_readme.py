"""Every command and snippet that the README shows is run, in its order, in one folder."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest

from heatkp.bench.runtimes import Candidate
from tests.conftest import TINY, heatkp

ON_PHOTOS = {
    "--config", "--kaggle", "score", "--resume", "curves", "error-curve", "--show",
}  # fmt: skip
"""Words of commands that need real images or runs made of them."""


def blocks(root, language, file="README.md"):
    text = (root / file).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(root, file="README.md"):
    lines = "\n".join(blocks(root, "bash", file)).replace("\\\n", " ").splitlines()
    inline = re.findall(r"`(heatkp train --resume [^`]*)`", (root / file).read_text())
    return [part.strip() for line in [*lines, *inline] for part in line.split("&&") if part.strip()]


def shortened(arguments, root):
    """The same command, small: a training of seconds on however many samples there are."""
    arguments = [str(root / a) if a.startswith("configs/") else a for a in arguments]
    if any(a.endswith("from_face68.yaml") for a in arguments):  # another encoder would not do
        arguments += ["--epochs", "1", "--set", "data.size=[64, 64]", "--set", "data.workers=0"]
    elif arguments[0] == "train" and "--resume" not in arguments:
        arguments += [*TINY, "--epochs", "1"]
        if "--config" in arguments:
            arguments += ["--set", "model.options={}", "--set", "data.size=[64, 48]"]
            arguments += ["--set", "model.encoder_weights=none"]
    if arguments[0] == "sweep" and "--show" not in arguments:
        arguments += ["--trials", "1", "--set", "trainer.epochs=1", "--set", "data.workers=0"]
    if "synth" in arguments:
        arguments[arguments.index("--n") + 1] = "20"
    return arguments


def few(source, target, count, points=0):
    """The first images of an imglab XML file; `points` gives each box so many parts."""
    tree = ElementTree.parse(source)
    images = tree.getroot().find("images")
    for image in list(images)[count:]:
        images.remove(image)
    for box in images.iter("box"):
        for i in range(points):
            ElementTree.SubElement(box, "part", name=f"{i:02d}", x=str(90 + i), y=str(99 - i))
    tree.write(target)


def small_data(real, folder):
    """Real images in the places that the README and configs/ name, but few faces."""
    ibug = folder / "data" / "ibug"
    ibug.mkdir(parents=True)
    (folder / "data" / "imm").mkdir()
    for person in range(1, 6):
        for file in (real / "imm").glob(f"{person:02d}-*"):
            (folder / "data" / "imm" / file.name).symlink_to(file)
    for name in ("afw", "helen", "lfpw"):
        (ibug / name).symlink_to(real / "ibug" / name)
    for name, count in (("train", 30), ("test_parsed", 8)):
        few(real / "ibug" / f"labels_ibug_300W_{name}.xml", ibug / f"labels_ibug_300W_{name}.xml",
            count)  # fmt: skip
    few(ibug / "labels_ibug_300W_test_parsed.xml", folder / "labels.xml", 8, points=68)
    return folder / "data"


def test_readme_commands_and_snippets(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    real = os.environ.get("HEATKP_DATA")
    if real:
        monkeypatch.setenv("HEATKP_DATA", str(small_data(Path(real), tmp_path)))
    ran = 0
    for command in commands(root):
        words = shlex.split(command, comments=True)
        if words[0] != "heatkp":
            assert words[0] in ("pip", "pytest"), command
            continue
        on_photos = ON_PHOTOS & set(words)
        if on_photos and not real:
            continue
        result = heatkp(*shortened(words[1:], root))
        if "--resume" in words:
            assert "is finished" in result.output
            continue
        assert result.exit_code == 0, f"{command}\n{result.output}"
        ran += 1
    assert ran >= 5
    for snippet in blocks(root, "python"):
        exec(compile(snippet, "README.md", "exec"), {})
    if not real:
        pytest.skip("HEATKP_DATA is not set: the commands on real images were not run")


def test_configs_in_the_readme_exist(root):
    named = set(re.findall(r"configs/[\w/]+\.yaml", (root / "README.md").read_text()))
    assert named and all((root / name).is_file() for name in named)


def test_commands_of_the_documents(root, tmp_path, monkeypatch):
    """Those of each file in docs/, in its order, in a folder of its own."""
    monkeypatch.setattr("heatkp.bench.runtimes.CANDIDATES", (Candidate("torch"),))
    monkeypatch.setattr("heatkp.bench.runtimes.REPEATS", 2)
    monkeypatch.setenv("HEATKP_CACHE", str(tmp_path / "cache"))
    for file in sorted((root / "docs").glob("*.md")):
        place = tmp_path / file.stem
        place.mkdir()
        monkeypatch.chdir(place)
        told = commands(root, file.relative_to(root))
        assert told, file
        for command in told:
            result = heatkp(*shortened(shlex.split(command)[1:], root))
            assert result.exit_code == 0, f"{command}\n{result.output}"
