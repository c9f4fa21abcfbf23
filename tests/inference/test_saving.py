"""Points on many images into a folder, from Python, as `heatkp predict` does it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import heatkp as library
from heatkp.errors import DataError, SettingsError
from heatkp.inference.saving import save_predictions
from tests.conftest import heatkp, write_image


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        write_image(folder / name)
    return folder


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return library.load_model(tiny_run, device="cpu")


def files(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_it_writes_what_the_command_writes(predictor, tiny_run, photos, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    told = []
    done = save_predictions(
        predictor, photos, ours, ("json", "csv"), model=str(tiny_run), progress=told.append
    )
    result = heatkp("predict", photos, "--model", tiny_run, "--out", theirs, "--device", "cpu",
                    "--format", "json", "--format", "csv")  # fmt: skip
    assert result.exit_code == 0, result.output
    one, two = files(ours), files(theirs)
    summaries = [json.loads(both.pop("summary.json")) for both in (one, two)]
    assert one == two and len(one) == 6
    for summary in summaries:
        del summary["seconds"]
    assert summaries[0] == summaries[1]
    assert (done.images, done.objects, done.complete, told) == (3, 3, True, [1, 2, 3])
    assert {path.name for path in done.written} == {p.name for p in ours.iterdir()}


def test_stopped(predictor, photos, tmp_path):
    done = save_predictions(predictor, photos, tmp_path / "o", batch_size=1, stop=lambda: True)
    assert (done.images, done.complete) == (1, False)
    assert json.loads((tmp_path / "o" / "summary.json").read_text())["complete"] is False


def test_boxes_from_a_function(predictor, photos, tmp_path):
    def boxes(input_image):
        return np.zeros((0, 4)) if input_image.name == "b.png" else np.array([[1.0, 2, 30, 40]])

    done = save_predictions(
        predictor, [photos / "b.png", photos / "c.png"], tmp_path / "o", boxes=boxes,
        boxes_from="mine", drawn=False,
    )  # fmt: skip
    assert (done.images, done.objects, done.without_box) == (1, 1, ["b.png"])
    summary = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert summary["options"]["boxes"] == "mine" and not (tmp_path / "o" / "images").exists()


def test_what_cannot_be_done(predictor, photos, tmp_path):
    for error, images, out, formats in [
        (DataError, tmp_path / "none", tmp_path / "o", ("json",)),
        (SettingsError, photos, photos, ("json",)),
        (SettingsError, photos, photos / "a.png" / "o", ("json",)),
        (SettingsError, photos, None, ("json", "csv")),
    ]:
        with pytest.raises(error):
            save_predictions(predictor, images, out, formats)
    assert not (tmp_path / "o").exists() and len(list(photos.iterdir())) == 3
