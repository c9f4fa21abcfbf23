"""Which layout numbered points are: by their shape, never by their number."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.config import Data
from heatkp.data.drawn import drawn_sample
from heatkp.data.layouts import with_layout
from heatkp.data.loading import load_data
from heatkp.data.readers import read
from heatkp.data.readers.pts import write_pts
from heatkp.data.samples import Labels, Sample
from heatkp.errors import SettingsError
from heatkp.skeletons import FACE15, FACE68, named
from heatkp.skeletons.shapes import MEAN_SHAPES, fit
from tests.conftest import heatkp, write_image

FACES = [drawn_sample(3, i, FACE68, 64).points.astype(np.float64) for i in range(12)]
NUMBERS = [str(i) for i in range(68)]


def spine(n=12, seed=0):
    """17 vertebrae of 4 corners each, as in tables of spines."""
    rng = np.random.default_rng(seed)
    vertebra, corner = np.divmod(np.arange(68), 4)
    x = np.where(corner % 2, 8.0, -8.0) + 40
    y = 10 * vertebra + np.where(corner > 1, 7.0, 0.0)
    bend = rng.normal(0, 6, (n, 1)) * np.sin(vertebra / 16 * np.pi)
    return np.stack([x + bend + rng.normal(0, 0.5, (n, 68)), y + rng.normal(0, 0.5, (n, 68))], 2)


def labels(points, names=NUMBERS):
    image = np.zeros((8, 8), np.uint8)
    samples = [Sample(image, p, id=str(i)) for i, p in enumerate(points)]
    return Labels(named("points", names), samples)


def test_a_face_is_one_by_its_shape():
    found = with_layout(labels(FACES))
    assert found.skeleton is FACE68 and len(found.notes) == 1
    assert np.array_equal(found.samples[3].points, np.float32(FACES[3]))
    assert with_layout(labels(FACES[:1])).skeleton is FACE68


def test_in_any_order_of_the_numbers():
    order = np.random.default_rng(0).permutation(68)
    names = [f"point_{i + 1}" for i in order]
    found = with_layout(labels([p[order] for p in FACES], names))
    assert found.skeleton is FACE68
    assert np.array_equal(found.samples[0].points, np.float32(FACES[0]))


@pytest.mark.parametrize("points", [
    spine(), np.random.default_rng(1).normal(size=(9, 68, 2)),
    np.stack([np.arange(68.0), np.arange(68.0)], 1)[None], np.zeros((3, 68, 2)),
    [p[::-1] for p in FACES], [p * (1, -1) for p in FACES], [p * (-1, 1) for p in FACES],
])  # fmt: skip
def test_other_shapes_of_68_points_are_not(points):
    found = with_layout(labels(np.asarray(points)))
    assert found.skeleton.name == "points" and len(found.notes) == 1
    assert found.skeleton.unpaired == tuple(range(68))


def test_upside_down_is_told():
    assert "y_up" in with_layout(labels([p * (1, -1) for p in FACES])).notes[0]
    assert "y_up" not in with_layout(labels(spine())).notes[0]


def test_half_of_the_points_are_enough():
    rng = np.random.default_rng(0)
    some = [np.where(rng.random((68, 1)) < 0.3, np.nan, p) for p in FACES]
    assert with_layout(labels(some)).skeleton is FACE68
    few = [np.where(np.arange(68)[:, None] > 20, np.nan, p) for p in FACES]
    assert with_layout(labels(few)).skeleton.name == "points"


def test_asked_for():
    found = with_layout(labels(spine()), "face68")
    assert found.skeleton is FACE68 and len(found.notes) == 1
    assert with_layout(labels(FACES), "none").skeleton.name == "points"
    with pytest.raises(SettingsError, match="has 15 points, but the labels have 68"):
        with_layout(labels(FACES), "face15")
    names = [f"p{i}" for i in range(15)]
    assert with_layout(labels(np.zeros((1, 15, 2)), names), "face15").skeleton is FACE15


def test_points_called_face_that_are_none_lose_its_pairs():
    names = ["left_paw", "right_paw", *(f"face-{i}" for i in range(68))]
    paws = np.array([[1.0, 2], [60, 3]])
    kept, lost = (
        with_layout(labels([np.vstack([paws, p]) for p in points], names))
        for points in (FACES, spine())
    )
    assert len(kept.skeleton.pairs) == 1 + len(FACE68.pairs)
    assert lost.skeleton.pairs == ((0, 1),) and len(lost.skeleton.unpaired) == 68


@given(st.floats(-180, 180), st.floats(0.01, 1000), st.floats(-1000, 1000), st.integers(0, 11))
def test_fit_is_of_the_shape_alone(angle, scale, shift, index):
    turn = np.exp(1j * np.radians(angle))
    z = (FACES[index] @ [1, 1j]) * turn * scale + shift
    moved = np.stack([z.real, z.imag], 1)
    plain, found = (fit(p[None], MEAN_SHAPES["face68"]) for p in (FACES[index], moved))
    assert found.left == pytest.approx(plain.left, abs=1e-6) and found.good
    assert abs((found.angle - plain.angle - angle + 180) % 360 - 180) < 1e-3
    mirrored = fit((moved * (1, -1))[None], MEAN_SHAPES["face68"], mirrored=True)
    assert mirrored.left == pytest.approx(plain.left, abs=1e-6)


def test_the_table_is_the_mean_of_drawn_faces():
    every = np.stack([drawn_sample(11, i, FACE68, 48).points for i in range(40)])
    assert fit(every, MEAN_SHAPES["face68"]).left < 0.06
    mean = MEAN_SHAPES["face68"]
    assert np.allclose(mean.mean(0), 0, atol=1e-3)
    assert (mean**2).sum(1).mean() == pytest.approx(1, abs=1e-3)


def test_files(tmp_path):
    """.pts, a table and COCO without names."""
    for i, points in enumerate(FACES[:3]):
        picture = write_image(tmp_path / "pts" / f"{i}.png", 64, 64, seed=i)
        write_pts(picture.with_suffix(".pts"), points)
    for i, points in enumerate(spine(3)):
        picture = write_image(tmp_path / "spines" / f"{i}.png", 90, 200, seed=i)
        write_pts(picture.with_suffix(".pts"), points)
    assert read(tmp_path / "pts").skeleton is FACE68
    other = read(tmp_path / "spines").skeleton
    assert other.point_names[::67] == ("point_0", "point_67") and len(other.unpaired) == 68
    asked = load_data(Data(path=str(tmp_path / "spines"), layout="face68"))
    assert asked.skeleton == FACE68
    kept = load_data(Data(path=str(tmp_path / "pts"), layout="none"))
    assert kept.skeleton.name == "points68"
    assert heatkp("data", "synth", tmp_path / "coco", "--n", 3, "--size", 64).exit_code == 0
    path = tmp_path / "coco" / "annotations.json"
    content = json.loads(path.read_text())
    content["categories"][0]["keypoints"] = []
    path.write_text(json.dumps(content))
    assert read(tmp_path / "coco").skeleton is FACE68


def test_a_layout_that_is_none():
    with pytest.raises(ValueError, match="layout 'face67' is none of face68"):
        Data(layout="face67")
