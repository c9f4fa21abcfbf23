"""Images are mirrored only where it is known what their points become."""

from __future__ import annotations

import json

import numpy as np
import pytest

from heatkp.config import Augmentation, Data
from heatkp.data.dataset import KeypointDataset
from heatkp.data.drawn import drawn_sample
from heatkp.data.loading import load_data
from heatkp.data.transforms import Framing
from heatkp.errors import SettingsError
from heatkp.skeletons import FACE68
from tests.conftest import TINY, heatkp, write_image

FLIPPED = Augmentation(flip=1.0, rotation=0, scale=0, shift=0, photometric=0, grey=0, occlusion=0)


def points(indices, augmentation=FLIPPED):
    samples = [drawn_sample(0, 1, FACE68).take(indices)]
    data = KeypointDataset(
        samples, FACE68.subset(indices), Framing((96, 96)), augmentation=augmentation
    )
    return data[(0, 0)]["points"].numpy()


def test_half_a_pair_is_not_mirrored():
    whole = points(range(68))
    np.testing.assert_allclose(points([36, 45, 33]), whole[[36, 45, 33]])
    assert abs(points([36, 45, 33], None) - whole[[36, 45, 33]]).max() > 3
    np.testing.assert_allclose(points([36, 33]), points([36, 33], None))


def numbered(folder, count=4, names=None):
    names = names or [f"x{i},y{i}" for i in range(count)]
    rows = []
    for i in range(8):
        write_image(folder / f"{i:06d}.png", seed=i)
        rows.append(",".join([f"{i:06d}.png", *(str(10 + 5 * k + i) for k in range(2 * count))]))
    path = folder / "points.csv"
    path.write_text("\n".join([",".join(["image", *names]), *rows]) + "\n")
    return path


def test_numbered_points_are_mirrored_once_pairs_are_given(tmp_path):
    path = str(numbered(tmp_path))
    assert load_data(Data(path=path)).skeleton.unpaired == (0, 1, 2, 3)
    told = load_data(Data(path=path, pairs=[(0, 1)])).skeleton
    assert told.pairs == ((0, 1),) and told.unmirrored is None
    assert load_data(Data(path=path, pairs=[(0, 1)], points=[1, 3])).skeleton.unpaired == (0,)
    assert load_data(Data(path=path, pairs=[])).skeleton.unmirrored is None
    for wrong, words in ([(0, 4)], "no point 4"), ([(0, 1), (1, 2)], "two left-right pairs"):
        with pytest.raises(SettingsError, match=words):
            load_data(Data(path=path, pairs=wrong))


def test_training_says_so_and_the_flip_test_is_refused(tmp_path):
    run = tmp_path / "run"
    path = numbered(tmp_path)
    done = heatkp("train", *TINY, "--epochs", 1, "--data", path, "--out", run)
    text = " ".join(done.output.split())
    assert done.exit_code == 0, done.output
    assert "(augmentation.flip): 4 of 4 points" in text
    photo, out = tmp_path / "000000.png", tmp_path / "out"
    for command in (
        ["eval", run, "--flip-test"],
        ["predict", photo, "--model", run, "--flip-test", "--out", out],
    ):
        refused = heatkp(*command)
        assert refused.exit_code == 2 and "4 of 4 points" in refused.output
    assert not out.exists()


def test_names_of_a_part_of_a_known_layout(tmp_path):
    def skeleton(*indices):
        names = [f"{FACE68.point_names[i]}_{axis}" for i in indices for axis in "xy"]
        return load_data(Data(path=str(numbered(tmp_path, names=names)))).skeleton

    found = skeleton(48, 54, 30, 60)  # corners of the mouth; nothing of them is in face58
    assert found.pairs == ((1, 0),) and found.unpaired == (3,)
    # Here left_eye_0 belongs to right_eye_3, in face58 to right_eye_0.
    assert skeleton(36, 39, 42, 45).unpaired == (0, 1, 2, 3)
    assert skeleton(33, 30, 31, 35).unmirrored is None


def test_68_numbered_coco_points_are_ibugs(tmp_path):
    folder = tmp_path / "faces"
    assert heatkp("data", "synth", folder, "--n", 4, "--size", 64).exit_code == 0
    path = folder / "annotations.json"
    content = json.loads(path.read_text())
    content["categories"][0]["keypoints"] = [str(i + 1) for i in range(68)]
    path.write_text(json.dumps(content))
    assert load_data(Data(path=str(folder))).skeleton == FACE68
