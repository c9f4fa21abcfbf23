"""Running what documents show: their blocks in order, each command in small form."""

from __future__ import annotations

import ast
import io
import json
import re
import shlex
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import cv2
import yaml

import heatkp as library
from heatkp.config import Settings, load_settings
from tests.conftest import ENCODER, TINY, heatkp, write_image

ROOT = Path(__file__).parents[2]
PAGES = tuple(sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
STARTED = "First model in five minutes"
"""Pages that name this one begin with what its commands leave."""
OURS = ("heatkp", "pip", "pytest", "mkdocs")
"""Commands that documents show; only the first is run by these tests, the others by .ci/run."""


LOOKS = {
    ("data", "info", "faces"),
    ("eval", "runs/mine"),
    ("report", "runs/mine"),
}
"""Commands of several pages, of what those have alike."""


class Block(NamedTuple):
    """A fenced block, the text since the block before it, and the number of its first line."""

    language: str
    text: str
    before: str
    line: int


def blocks(path: Path) -> list[Block]:
    """All fenced blocks of a document."""
    text = path.read_text(encoding="utf-8")
    found, end = [], 0
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(match[1], match[2], text[end : match.start()], line))
        end = match.end()
    return found


def commands(text: str) -> list[list[str]]:
    """The words of each command of a block."""
    lines = text.replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines for part in line.split(" && ")]
    return [words for part in parts if (words := shlex.split(part, comments=True))]


def without(arguments: list[str], option: str) -> list[str]:
    """Arguments without an option and its value."""
    while option in arguments:
        place = arguments.index(option)
        arguments = arguments[:place] + arguments[place + 2 :]
    return arguments


def shortened(arguments: list[str]) -> list[str]:
    """The same command, small: a training of seconds on however many samples there are."""
    arguments = [str(ROOT / a) if a.startswith("configs/") else a for a in arguments]
    if any(a.endswith("from_face68.yaml") for a in arguments):  # another encoder would not do
        arguments += ["--epochs", "1", "--set", "data.size=[64, 64]", "--set", "data.workers=0"]
    elif arguments[0] == "train" and "--resume" not in arguments:
        # Processes take half a minute to start: tests/training/test_processes.py has them.
        arguments = [word.replace("trainer.devices=2", "trainer.devices=1") for word in arguments]
        arguments = [*without(without(arguments, "--epochs"), "--batch-size"), *TINY[:-2]]
        arguments += ["--epochs", "1"]
        if "--task" in arguments:
            arguments += ["--set", "finder.size=96"]
        if "--config" in arguments:
            arguments += [*ENCODER, "--set", "data.size=[64, 48]"]
            arguments += ["--set", "model.encoder_weights=none", "--set", "data.train_limit=24"]
    if "--resume" in arguments and "--epochs" in arguments:
        arguments[arguments.index("--epochs") + 1] = "2"
    if arguments == ["viz-heatmaps", "runs/mine"]:  # a sheet of 68 maps takes seconds
        arguments += ["--samples", "1"]
    if arguments[0] == "export":  # ONNX and OpenVINO take half a minute each; tests/export has them
        arguments = ["torch" if word in ("onnx", "openvino") else word for word in arguments]
        arguments = without(without(arguments, "--precision"), "--tolerance")
    if arguments[0] == "bench":  # each network and batch takes processes of its own
        arguments = [*arguments[:2], "--batches", "1"]
    if "--runtime" in arguments:
        arguments[arguments.index("--runtime") + 1] = "torch"
    if arguments[0] == "sweep" and "--show" not in arguments:
        arguments = [*without(arguments, "--trials"), "--trials", "1"]
        for setting in ("trainer.epochs=1", "data.workers=0", "data.size=[64, 48]",
                        "model.encoder=tu-mobilenetv3_small_050"):  # fmt: skip
            arguments += ["--set", setting]
    if "synth" in arguments:
        count = int(arguments[arguments.index("--n") + 1])
        arguments[arguments.index("--n") + 1] = str(min(count, 20))
        if "--size" not in arguments:
            arguments[-1:-1] = ["--size", "64"]
    return arguments


@dataclass
class Kept:
    """What commands left that other pages have, too: made once, then copied."""

    folder: Path
    made: dict[tuple[str, ...], Path] = field(default_factory=dict)
    looked: set[tuple[str, ...]] = field(default_factory=set)

    def run(self, arguments: list[str]) -> None:
        """A command, or a copy of what it left before; those that only look at what all pages
        have alike are run once."""
        out = self._out(arguments)
        key = tuple(word for word in arguments if word != str(out))
        if key in self.looked:
            return
        if key in LOOKS:
            self.looked.add(key)
        if out is not None and key in self.made:
            shutil.copytree(self.made[key], out)
            return
        result = heatkp(*arguments)
        assert result.exit_code == 0, f"{shlex.join(arguments)}\n{result.output}"
        if out is not None:
            self.made[key] = self.folder / str(len(self.made))
            shutil.copytree(out, self.made[key])

    @staticmethod
    def _out(arguments: list[str]) -> Path | None:
        """Where drawn faces, trainings on those alone, and exports are written; None for the
        rest."""
        if arguments[:2] == ["data", "synth"]:
            return Path(arguments[-1])
        if arguments[0] == "export" and "--out" in arguments:
            return Path(arguments[arguments.index("--out") + 1])
        plain = not any(word.startswith(("model.init", "model.transfer")) for word in arguments)
        faces = "--data" in arguments and arguments[arguments.index("--data") + 1] == "faces"
        if arguments[0] == "train" and faces and plain and "--out" in arguments:
            return Path(arguments[arguments.index("--out") + 1])
        return None


def matches(expected: str, output: str) -> bool:
    """Whether what was printed is what a document shows, where `...` stands for anything."""
    pieces = [re.escape(" ".join(piece.split())) for piece in expected.split("...")]
    return re.search(r".*".join(pieces).replace(r"\ ", " "), " ".join(output.split())) is not None


class Reader:
    """Does what a document shows, block by block, in the working folder."""

    def __init__(self, file: str, kept: Kept, real: bool) -> None:
        self.file, self.kept, self.real = file, kept, real
        self.names: dict[str, Any] = {}
        self.left_out = 0

    def read(self) -> None:
        for block in blocks(ROOT / self.file):
            getattr(self, f"do_{block.language}")(block)

    def do_bash(self, block: Block) -> None:
        for words in commands(block.text):
            assert words[0] in OURS, f"{self.file}: {words[0]}"
            if words[0] != "heatkp" or words[-1].startswith("--"):
                continue
            if needs_photos(self.file, words) and not self.real:
                self.left_out += 1
                continue
            self.kept.run(shortened(words[1:]))

    def do_console(self, block: Block) -> None:
        """A command and what it prints; such are errors, before anything is done."""
        first, _, expected = block.text.partition("\n")
        words = commands(first.removeprefix("$ "))[0]
        result = heatkp(*words[1:])
        assert result.exit_code in (1, 2), f"{first}\n{result.output}"
        assert matches(expected, result.output), f"{first}\n{result.output}\nnot\n{expected}"

    def do_python(self, block: Block) -> None:
        text = "\n" * (block.line - 1) + block.text
        exec(compile(text, self.file, "exec"), self.names)

    def do_yaml(self, block: Block) -> None:
        """A file, whose name stands before it."""
        name = re.findall(r"`(\w+\.yaml)`|(\w+\.yaml)`", block.before)[-1]
        Path("".join(name)).write_text(block.text)
        if set(yaml.safe_load(block.text)) <= set(Settings.model_fields):
            load_settings("".join(name))

    def do_toml(self, block: Block) -> None:
        assert block.text in (ROOT / "examples/plugin/pyproject.toml").read_text(encoding="utf-8")

    def do_json(self, block: Block) -> None:
        """What lies beside an image in a tar."""
        content = json.loads(block.text)
        write_image(Path("own/a.png"), *content["size"])
        with tarfile.open("own.tar", "w") as tar:
            tar.add("own/a.png", "a.png")
            entry = tarfile.TarInfo("a.json")
            entry.size = len(block.text.encode())
            tar.addfile(entry, io.BytesIO(block.text.encode()))
        labels = library.read_labels("own.tar")
        assert len(labels.samples) == len(content["objects"])

    def do_sh(self, block: Block) -> None:
        """Of shells' own words: tests/test_many_images.py runs these."""
        assert self.file == "docs/many_images.md"

    def do_text(self, block: Block) -> None:
        """Not to be run as it stands."""


def needs_photos(file: str, words: list[str]) -> bool:
    """Whether a command needs real images."""
    configs = [word for word in words if word.startswith("configs/")]
    return file in ("docs/systems.md", "docs/leaderboard.md") or any(
        not word.endswith("/from_face68.yaml") for word in configs
    )


def prepare(place: Path, started: Path) -> None:
    """What pages take for granted: faces and a run, an empty folder, a broken image."""
    (place / "faces").symlink_to(started / "faces")
    shutil.copytree(started / "runs", place / "runs")
    (place / "empty").mkdir()
    first = min((started / "faces" / "images").glob("*.png"))
    (place / "broken.png").write_bytes(first.read_bytes()[:300])


def film(place: Path, started: Path) -> None:
    """A video of 40 frames."""
    first = sorted((started / "faces" / "images").glob("*.png"))
    video = cv2.VideoWriter(str(place / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 64))
    for i in range(40):
        video.write(cv2.imread(str(first[i % len(first)])))
    video.release()


def few(source: Path, target: Path, count: int, points: int = 0) -> None:
    """The first images of an imglab XML file; `points` gives each box so many parts."""
    tree = ElementTree.parse(source)
    images = tree.getroot().find("images")
    assert images is not None
    for image in list(images)[count:]:
        images.remove(image)
    for box in images.iter("box"):
        for i in range(points):
            ElementTree.SubElement(box, "part", name=f"{i:02d}", x=str(90 + i), y=str(99 - i))
    tree.write(target)


def small_data(real: Path, folder: Path) -> Path:
    """Real images in the places that documents and configs/ name, but few faces."""
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
    return folder / "data"


def messages() -> Iterator[str]:
    """All texts in the code; what f-strings put in is `\\0`."""
    for path in sorted((ROOT / "heatkp").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "\0"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
