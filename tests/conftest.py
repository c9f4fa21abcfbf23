"""Shared fixtures. Real data and weights: HEATKP_DATA and HEATKP_WEIGHTS, or skipped."""

from __future__ import annotations

import os

# Two processes of tests share the cores; those that tests start would take all of them each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import re
import resource
import runpy
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from heatkp import registry
from heatkp.cli import main
from heatkp.data.readers import read
from heatkp.errors import DataError
from heatkp.viz import run_figures

torch.set_num_threads(1)
# How long an example takes says more about the machine's load than about the code.
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("heatkp", calm, max_examples=50)
settings.register_profile("thorough", calm, max_examples=1000)
settings.load_profile("heatkp")

TINY = [
    "--set", "data.train_count=24", "--set", "data.val_count=12", "--set", "data.size=[64,64]",
    "--set", "data.workers=0", "--set", "model.architecture=plain_unet",
    "--set", "model.options={widths: [8, 16]}", "--set", "model.stride=4", "--batch-size", "8",
    "--epochs", "2",
]  # fmt: skip
"""Flags of a training that takes seconds."""

ENCODER = [
    "--set", "model.architecture=unet", "--set", "model.options={}",
    "--set", "model.encoder=tu-mobilenetv3_small_050",
]  # fmt: skip
"""Added to `TINY`: a network with an encoder as users train it, which takes twice as long."""

FINDER = [
    "--set", "data.workers=0", "--set", "data.cache=none", "--set", "data.size=[32,32]",
    "--set", "model.encoder=tu-mobilenetv3_small_050", "--set", "finder.size=96",
    "--batch-size", "4",
    "--set", "finder.max_objects=3",
]  # fmt: skip
"""Flags of a training of a finder that takes seconds."""


LONGEST = ("test_export.py", "test_pages.py", "test_training.py", "test_sweep.py")

# Runtimes and converters ended a process that had run thousands of other tests before, twice in
# three runs of all: test_export.py runs these tests in a process of their own.
collect_ignore = [] if os.environ.get("HEATKP_EXPORT_TESTS") else ["export"]


@pytest.fixture(autouse=True)
def registries_of_heatkp() -> Iterator[None]:
    """What a test registers is forgotten at its end. What heatkp loads of its own meanwhile stays,
    since its modules are not run again."""
    every = [found for found in vars(registry).values() if isinstance(found, registry.Registry)]
    before = [dict(each._loaded) for each in every]
    yield
    for each, known in zip(every, before, strict=True):
        own = {n: v for n, v in each._loaded.items() if v[1].startswith(f"{each.module}.")}
        each._loaded = known | own


draw_figures = run_figures.draw


@pytest.fixture(scope="session", autouse=True)
def without_figures() -> Iterator[None]:
    """Half of the time of a small training goes into the images that it draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_figures, "draw", lambda *_, **__: [])
        yield


@contextmanager
def figures_drawn() -> Iterator[None]:
    """Trainings in here draw their figures, as they do outside of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_figures, "draw", draw_figures)
        yield


@pytest.fixture
def figures() -> Iterator[None]:
    """For tests of what trainings draw."""
    with figures_drawn():
        yield


def scratch(factory):
    """A test's own folder, the same for all examples of hypothesis: below a folder of all tests'
    files, readers would look through all of them."""
    name = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2].removesuffix(" (call)")
    folder = factory.getbasetemp() / "scratch" / re.sub(r"\W+", "-", name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: (*LONGEST, item.path.name).index(item.path.name))


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        pytest.skip(f"{variable} names no folder: this test needs real files")
    return Path(value)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    return _folder("HEATKP_DATA")


@pytest.fixture(scope="session")
def formats_folder(data_folder: Path) -> Path:
    """Tiny samples of many tools' formats, beside the data."""
    folder = data_folder.parent / "formats"
    if not folder.is_dir():
        pytest.skip("there are no samples of formats beside HEATKP_DATA")
    return folder


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    return _folder("HEATKP_WEIGHTS")


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parent.parent


def heatkp(*arguments: object) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(main, [str(a) for a in arguments])


class Ended(NamedTuple):
    """How a script ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run_script(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Runs a script of the repository in this process: most of what one takes is imports."""

    def run(name: str, *arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        monkeypatch.syspath_prepend((root / name).parent)
        capsys.readouterr()
        code, said = 0, ""
        try:
            runpy.run_path(str(root / name), run_name="__main__")
        except SystemExit as end:
            if not isinstance(end.code, int | None):
                said = str(end.code)
            code = 1 if said else end.code or 0
        return Ended(code, *map(str.__add__, capsys.readouterr(), ("", said)))

    return run


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files that this process writes may have so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small finished run."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    with figures_drawn():
        result = heatkp("train", *TINY, "--head", "softargmax", "--out", run)
    assert result.exit_code == 0, result.output
    return run


@pytest.fixture(scope="session")
def crowds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small images of one to three drawn faces."""
    folder = tmp_path_factory.mktemp("data") / "crowds"
    made = heatkp("data", "synth", "--n", 8, "--size", 160, "--objects", "1-3", folder)
    assert made.exit_code == 0 and "--task finder+points" in made.output, made.output
    return folder


@pytest.fixture(scope="session")
def both(crowds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a finder and points, both hardly trained; the finder takes what is not sure."""
    run = tmp_path_factory.mktemp("runs") / "both"
    with figures_drawn():
        done = heatkp(
            "train", *FINDER, "--data", crowds, "--task", "finder+points", "--epochs", 1,
            "--set", "finder.min_score=0.0", "--set", "finder.max_objects=3", "--out", run,
        )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "finder of input 96, 1 epochs; head softargmax" in done.output
    assert "finder: found" in done.output and "validation images" in done.output
    return run


@pytest.fixture
def run_copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the small run that a test may spoil."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def write_imm(folder: Path, people: int = 5, views: int = 2, count: int = 58) -> Path:
    """A folder in the IMM database's form, with noise for images."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for person in range(1, people + 1):
        for view in range(1, views + 1):
            stem = f"{person:02d}-{view}m"
            cv2.imwrite(str(folder / f"{stem}.jpg"), rng.integers(0, 255, (48, 64, 3), np.uint8))
            points = rng.uniform(0.2, 0.8, (count, 2))
            lines = ["# a comment", str(count), ""]
            lines += [f"0 \t4 \t{x:.8f} \t{y:.8f} \t{i} \t0 \t1" for i, (x, y) in enumerate(points)]
            (folder / f"{stem}.asf").write_text("\n".join([*lines, "# host image", f"{stem}.jpg"]))
    return folder


def write_image(path: Path, width: int = 64, height: int = 48, seed: int = 0) -> Path:
    """An image of noise; other seeds give other images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    assert cv2.imwrite(str(path), noise)
    return path


def imglab_text(
    images: Iterable[tuple[str, Iterable[Mapping[str, Any]]]], double: bool = False
) -> str:
    """imglab's XML: names of images, each with boxes as dictionaries of attributes and `parts`.

    Pretty-printed with single quotes as dlib writes it, or on one line with double quotes.
    """
    end = "" if double else "\n"

    def tag(name: str, attributes: Mapping[str, Any], close: str = "") -> str:
        text = "".join(f" {key}={quoteattr(str(v))}" for key, v in attributes.items())
        if not double:
            text = text.replace('"', "'") if "'" not in text else text
        return f"<{name}{text}{close}>{end}"

    parts = ["<?xml version='1.0' encoding='UTF-8'?>\n<dataset>", end, "<images>", end]
    for name, boxes in images:
        parts.append(tag("image", {"file": name}))
        for box in boxes:
            parts.append(tag("box", {k: v for k, v in box.items() if k != "parts"}))
            for part, (x, y) in box.get("parts", {}).items():
                parts.append(tag("part", {"name": part, "x": x, "y": y}, "/"))
            parts.append("</box>" + end)
        parts.append("</image>" + end)
    return "".join([*parts, "</images>", end, "</dataset>"])


def box_of(left: float, top: float, width: float, height: float, **more: Any) -> dict[str, Any]:
    """A box for `imglab_text`."""
    return {"top": top, "left": left, "width": width, "height": height, **more}


def faulty_faces(folder: Path) -> Path:
    """An imglab file with points outside, an equal, a broken and two missing images."""
    write_image(folder / "a_1.png", 60, 40)
    write_image(folder / "a_2.png", 60, 40)
    write_image(folder / "b.png", 20, 20, seed=1)
    (folder / "broken.png").write_bytes(b"not a picture")

    def square(**parts: tuple[float, float]) -> dict[str, Any]:  # edges 9.5 and 29.5
        return box_of(10, 10, 20, 20, parts=parts)

    wide = box_of(30, 10, 20, 10, parts={"p": (39.5, 14.5), "q": (39.5, 21.9)})
    small = box_of(0, 0, 10, 10, parts={"p": (4.5, 4.5), "q": (10.9, 4.5), "r": (21, 30)})
    images = [
        ("a_1.png", [square(p=(10, 10), q=(20, 20), r=(29.5, 29.5)), wide]),
        ("a_2.png", [square()]),
        ("b.png", [small]),
        ("broken.png", [square(p=(10, 10), q=(12, 10))]),
        ("gone_1.png", [square(p=(10, 10), q=(40, 20))]),
        ("gone_2.png", [square(p=(10, 10), q=(11, 11), r=(12, 12))]),
    ]
    path = folder / "faces.xml"
    path.write_text(imglab_text(images))
    return path


@st.composite
def damaged(draw: st.DrawFn, text: str) -> bytes:
    """Any bytes, or a file's text of which one piece is replaced."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.binary(max_size=200))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 30)))
    new = draw(st.one_of(st.text(max_size=10), st.sampled_from(["nan", "1e999", '"', ",", "\0"])))
    return (text[:start] + new + text[end:]).encode("utf-8", "surrogatepass")


def reads_or_refuses(path: Path, content: bytes, format: str) -> None:
    """Whatever a file holds, it is read, or refused with a `DataError` that is not empty."""
    path.write_bytes(content)
    try:
        read(path, format, strict=False)
    except DataError as error:
        assert str(error)
