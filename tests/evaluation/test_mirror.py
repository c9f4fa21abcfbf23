"""How far what is found in mirrored images is from what is found in the images."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from heatkp.data.samples import Sample
from heatkp.errors import DataError
from heatkp.evaluation.mirror import mirror_consistency, mirror_pairs
from heatkp.kaggle.forms import write_submission
from heatkp.skeletons import FACE68, Skeleton

PAIR = Skeleton("pair", ("left", "right", "nose"), pairs=((0, 1),))
NAMES = ("a/one.jpg", "a/one_mirror.jpg", "a/alone.jpg", "b/one_mirror.jpg", "b/one.jpg")
WIDTHS = (100, 100, 90, 60, 60)


def samples_of(names=NAMES, widths=WIDTHS, boxes=None):
    return [
        Sample(
            id=str(i),
            image=partial(np.zeros, (40, width, 3), np.uint8),
            points=np.full((3, 2), np.nan, np.float32),
            visibility=np.zeros(3, np.uint8),
            box=None if boxes is None or boxes[i] is None else np.asarray(boxes[i], np.float32),
            file=Path(name),
        )
        for i, (name, width) in enumerate(zip(names, widths))
    ]


def mirrored(points, width, order=(1, 0, 2)):
    return np.column_stack([width - 1 - points[:, 0], points[:, 1]])[list(order)]


def found_of(order=(1, 0, 2)):
    """What a model without a fault finds in the five images."""
    rng = np.random.default_rng(0)
    one, alone, other = rng.uniform(0, 60, (3, 3, 2))
    return np.stack([one, mirrored(one, 100, order), alone, mirrored(other, 60, order), other])


def test_pairs_are_found_by_folder_and_name():
    assert mirror_pairs(samples_of()) == [(0, 1), (4, 3)]


def test_nothing_differs_between_exact_mirror_images():
    result = mirror_consistency(found_of(), samples_of(), PAIR)
    assert result["pairs"] == 2 and result["box_difference"] is None
    assert result["mean_difference"] == pytest.approx(0, abs=1e-12)
    assert result["mean_distance"] == pytest.approx(0, abs=1e-12)


def test_labels_that_are_not_exchanged_differ():
    result = mirror_consistency(found_of(order=(0, 1, 2)), samples_of(), PAIR)
    assert result["mean_distance"] > 5
    assert result["points"][0]["mean_distance"] > 5 and result["points"][1]["mean_distance"] > 5
    assert result["points"][2]["mean_distance"] == pytest.approx(0, abs=1e-12)


def test_worked_example():
    found = found_of()
    found[1, 0] += (3, 4)  # left in the mirrored copy is the image's right
    result = mirror_consistency(found, samples_of(), PAIR)
    assert result["mean_distance"] == pytest.approx(5 / 6)
    assert result["mean_difference"] == pytest.approx(7 / 12)
    assert [p["name"] for p in result["points"]] == ["left", "right", "nose"]
    assert [p["mean_distance"] for p in result["points"]] == pytest.approx([0, 2.5, 0], abs=1e-9)
    assert result["points"][1]["mean_difference"] == pytest.approx(7 / 4)


def test_boxes():
    boxes = [[10, 5, 30, 25], [69, 5, 89, 25], None, None, [0, 0, 9, 9]]
    assert mirror_consistency(found_of(), samples_of(boxes=boxes), PAIR)["box_difference"] == 0
    boxes[1] = [71, 5, 91, 29]
    result = mirror_consistency(found_of(), samples_of(boxes=boxes), PAIR)
    assert result["box_difference"] == pytest.approx((2 + 2 + 4) / 4)


def test_what_cannot_be_measured():
    with pytest.raises(DataError, match=r"2 .*_mirror\.jpg"):
        mirror_consistency(found_of()[:2], samples_of(("a.jpg", "b_mirror.jpg")), PAIR)
    with pytest.raises(DataError, match=r"a\.jpg"):
        mirror_pairs(samples_of(("a.jpg", "a.jpg", "a_mirror.jpg")))
    with pytest.raises(DataError, match=r"99 x 40.*100 x 40"):
        mirror_consistency(found_of(), samples_of(widths=(100, 99, 90, 60, 60)), PAIR)
    with pytest.raises(DataError, match=r"\(4, 3, 2\).*\(5, 3, 2\)"):
        mirror_consistency(found_of()[:4], samples_of(), PAIR)


def test_script(run_script, tmp_path):
    images = []
    for name, left in (("face.jpg", 20), ("face_mirror.jpg", 22)):
        cv2.imwrite(str(tmp_path / name), np.zeros((48, 64, 3), np.uint8))
        box = f"<box top='10' left='{left}' width='24' height='24'/>"
        images.append(f"<image file='{name}'>{box}</image>")
    labels = tmp_path / "labels.xml"
    labels.write_text(f"<dataset><images>{''.join(images)}</images></dataset>")
    points = np.random.default_rng(0).integers(0, 48, (68, 2)).astype(float)
    other = np.column_stack([63 - points[:, 0], points[:, 1]])[FACE68.flip] + [2, 0]
    write_submission(tmp_path / "a.csv", np.stack([points, other]))
    done = run_script(
        "benchmarks/mirror.py", tmp_path / "a.csv", labels, "--json", tmp_path / "a.json"
    )
    assert done.returncode == 0, done.stderr
    # the copy's box covers pixels 22 ... 45, a mirror image of 18 ... 41 instead of 20 ... 43
    for words in ("1 pairs", "mean |difference|: 1.000", "mean distance: 2.000", "edges: 1.000"):
        assert words in done.stdout
    assert "| 67 | inner_lip_7 | 1.000 | 2.000 |" in done.stdout
    assert json.loads((tmp_path / "a.json").read_text())["mean_distance"] == pytest.approx(2)
    bad = run_script("benchmarks/mirror.py", labels, labels)
    assert bad.returncode == 2 and "Traceback" not in bad.stderr and "header" in bad.stderr
