"""Shared fixtures. Real data and weights: HEATKP_DATA and HEATKP_WEIGHTS, or skipped."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from heatkp.cli import main

torch.set_num_threads(1)

TINY = [
    "--set", "data.train_count=24", "--set", "data.val_count=12", "--set", "data.size=[64,64]",
    "--set", "data.workers=0", "--set", "model.encoder=tu-mobilenetv3_small_050",
    "--set", "model.stride=4", "--batch-size", "8", "--epochs", "2",
]  # fmt: skip
"""Flags of a training that takes seconds."""


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        pytest.skip(f"{variable} names no folder: this test needs real files")
    return Path(value)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    return _folder("HEATKP_DATA")


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    return _folder("HEATKP_WEIGHTS")


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where photos are cached while tests run, in commands that tests start too."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["HEATKP_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parent.parent


def heatkp(*arguments: object) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small finished run."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    result = heatkp("train", *TINY, "--head", "softargmax", "--out", run)
    assert result.exit_code == 0, result.output
    return run


@pytest.fixture
def run_copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the small run that a test may spoil."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def write_imm(folder: Path, people: int = 5, views: int = 2, count: int = 58) -> Path:
    """A folder in the IMM database's form, with noise for photos."""
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
