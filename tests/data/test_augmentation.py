"""Normal distributions, angles from a list, zoom one way, boxes cut at the image's edges."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp import coordinates as co
from heatkp.config import Augmentation, Data, parse_settings
from heatkp.data.dataset import KeypointDataset
from heatkp.data.loading import load_data
from heatkp.data.module import KeypointDataModule
from heatkp.data.samples import KeypointData, Sample
from heatkp.data.transforms import Framing, jittered, random_affine, reach, warp
from heatkp.errors import DataError, SettingsError
from heatkp.skeletons import Skeleton

PAIR = Skeleton("pair", ("left", "right"), pairs=((0, 1),))
STILL = {"flip": 0, "rotation": 0, "scale": 0, "shift": 0, "photometric": 0, "grey": 0,
         "occlusion": 0}  # fmt: skip
SIZE = (240, 180)


def drawn(count=1500, **values):
    """Angles (degrees), zooms and shifts (pixels) of random affines."""
    settings = Augmentation(**{**STILL, **values})
    rng = np.random.default_rng(0)
    matrices = np.stack([random_affine(rng, settings, SIZE)[0] for _ in range(count)])
    linear = matrices[:, :, :2]
    centre = (np.asarray(SIZE) - 1) / 2
    shifts = np.stack([co.apply(m, centre) for m in matrices]) - centre
    angles = np.rad2deg(np.arctan2(linear[:, 0, 1], linear[:, 0, 0]))
    return angles, np.sqrt(np.linalg.det(linear)), shifts


def test_normal_distributions():
    """System A's: 7.5 degrees and 10 pixels, at most three times as much."""
    angles, zooms, shifts = drawn(rotation=7.5, shift=[10 / 240, 10 / 180], distribution="normal")
    assert angles.std() == pytest.approx(7.5, rel=0.06) and abs(angles.mean()) < 0.7
    assert shifts.std(0) == pytest.approx([10, 10], rel=0.06)
    assert 15 < np.abs(angles).max() <= 22.5 + 1e-9 and np.abs(shifts).max() <= 30 + 1e-9
    assert np.allclose(zooms, 1)
    assert np.mean(np.abs(angles) < 7.5) == pytest.approx(0.683, abs=0.04)


def test_uniform_distributions_have_their_own_limits():
    angles, _, shifts = drawn(rotation=10, shift=[0.1, 0.0])
    assert np.abs(angles).max() <= 10 and angles.std() == pytest.approx(10 / 3**0.5, rel=0.06)
    assert np.abs(shifts[:, 0]).max() <= 24 and np.allclose(shifts[:, 1], 0)


def test_angles_from_a_list():
    angles, _, _ = drawn(300, angles=[-15, -5, 0, 5, 15], rotation=90)
    found, counts = np.unique(np.round(angles, 6) + 0.0, return_counts=True)
    assert found.tolist() == [-15, -5, 0, 5, 15] and counts.min() > 30


@pytest.mark.parametrize(("zoom", "low", "high"), [
    ("out", 0.8, 1.0), ("in", 1.0, 1.25), ("both", 0.8, 1.25),
])  # fmt: skip
def test_zoom_one_way(zoom, low, high):
    _, zooms, _ = drawn(300, scale=0.2, zoom=zoom)
    assert low - 1e-9 <= zooms.min() < low + 0.02 and high - 0.02 < zooms.max() <= high + 1e-9


@given(
    st.integers(0, 10_000),
    st.sampled_from(["both", "out", "in"]),
    st.floats(0, 70),
    st.lists(st.floats(-180, 180), max_size=3),
    st.lists(st.floats(0, 0.2), min_size=2, max_size=2),
    st.floats(0, 0.2),
    st.booleans(),
)
def test_reach_holds_what_is_drawn(seed, zoom, rotation, angles, shift, jitter, inside):
    settings = Augmentation(rotation=rotation, angles=angles, shift=shift, scale=0.2, zoom=zoom,
                            distribution="normal", box_jitter=jitter)  # fmt: skip
    framing = Framing((80, 60), 1.3, not inside, inside=inside)
    rng = np.random.default_rng(seed)
    box = np.concatenate([rng.uniform(-20, 50, 2), rng.uniform(60, 140, 2)])
    region = framing.whole_region((120, 100), box)
    matrix = framing.matrix((120, 100), jittered(rng, box, jitter))
    matrix = co.compose(matrix, random_affine(rng, settings, framing.size)[0])
    corners = np.array([[-0.5, -0.5], [79.5, -0.5], [-0.5, 59.5], [79.5, 59.5]])
    seen = np.abs(co.apply(co.invert(matrix), corners) - (region[:2] + region[2:]) / 2)
    assert (seen <= reach(settings, framing) * (region[2:] - region[:2]) / 2 + 1e-6).all()


def test_boxes_are_cut_at_the_edges():
    framing = Framing((50, 40), 1.5, keep_aspect=False, inside=True)
    cut = framing.region((100, 80), [59.5, 9.5, 99.5, 49.5])
    assert np.allclose(cut, [49.5, -0.5, 99.5, 59.5])
    middle = [29.5, 29.5, 49.5, 49.5]
    assert np.allclose(framing.region((100, 80), middle), framing.whole_region((100, 80), middle))
    with pytest.raises(ValueError, match="outside the image"):
        framing.region((100, 80), [200, 10, 240, 50])


def faces(count=3):
    """Noise with a box that reaches over the right edge."""
    rng = np.random.default_rng(1)
    for i in range(count):
        image = np.repeat(rng.integers(0, 255, (100, 140, 1), np.uint8), 3, 2)
        points = np.array([[110.0, 40.0], [130.0, 60.0]], np.float32)
        box = np.array([80 + i, 20, 145, 80], np.float32)
        yield Sample(lambda image=image: image, points, [2, 2], box, id=f"{i}")


def test_cut_boxes_show_the_picture_itself():
    """Whatever jitter does, the input is what the whole image would have given."""
    settings = Augmentation(**{**STILL, "box_jitter": 0.2})
    framing = Framing((64, 64), 1.5, keep_aspect=False, inside=True)
    far = np.array([120, 20, 255, 80], np.float32)  # most of it is cut
    data = KeypointDataset(
        [replace(s, box=far) for s in faces()], PAIR, framing, augmentation=settings
    )
    for key in [(e, i) for e in range(4) for i in range(3)]:
        item = data[key]
        whole = warp(data.samples[key[1]].image(), item["matrix"].numpy(), (64, 64))
        assert np.abs(item["image"].numpy()[0].astype(int) - whole[..., 0]).max() <= 2


def test_points_outside_a_cut_box_are_counted():
    settings = parse_settings({"data": {"crop": "box", "size": [64, 64], "box_inside": True,
                                        "keep_aspect": False, "box_scale": 0.5}})  # fmt: skip
    samples = list(faces())
    module = KeypointDataModule(settings, KeypointData(PAIR, samples, samples))
    module.preload()
    assert "3 of 6 labelled training points, in 3 of 3 samples" in module.notes[0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"data": {"box_inside": True, "crop": "box"}}, "keep_aspect: false"),
        ({"data": {"box_inside": True, "keep_aspect": False}}, "crop: box"),
        ({"augmentation": {"angles": [200]}}, r"augmentation\.angles"),
        ({"augmentation": {"distribution": "gauss"}}, "'uniform' or 'normal'"),
        ({"augmentation": {"shift": [0.1]}}, r"augmentation\.shift"),
        ({"augmentation": {"zoom": "outwards"}}, r"augmentation\.zoom"),
    ],
)
def test_what_is_refused(values, words):
    with pytest.raises(SettingsError, match=words):
        parse_settings(values)


def test_box_outside_the_picture_is_a_data_error():
    sample = next(faces(1))
    lost = Sample(sample.image, sample.points, sample.visibility, [300, 10, 340, 50],
                  id="lost")  # fmt: skip
    framing = Framing((64, 64), 1.5, keep_aspect=False, inside=True)
    with pytest.raises(DataError, match=r"lost: .*outside the image"):
        KeypointDataset([lost], PAIR, framing)[0]


def test_training_on_a_part():
    whole = load_data(Data(train_count=20, val_count=3))
    part = load_data(Data(train_count=20, val_count=3, train_limit=6))
    other = load_data(Data(train_count=20, val_count=3, train_limit=6, split_seed=1))
    ids = [s.id for s in part.train]
    assert len(ids) == 6 and ids == sorted(ids) and len(part.val) == 3
    assert set(ids) < {s.id for s in whole.train} and ids != [s.id for s in other.train]
    assert part.notes == ("6 of 20 training samples are used (data.train_limit)",)
    assert len(load_data(Data(train_count=20, val_count=3, train_limit=50)).train) == 20


def test_shears_and_shifts_of_both_axes_are_drawn_apart():
    settings = Augmentation(**{**STILL, "shear": 0.2, "shift": 0.1})
    rng = np.random.default_rng(0)
    matrices = np.stack([random_affine(rng, settings, SIZE)[0] for _ in range(1500)])
    middle = (np.asarray(SIZE) - 1) / 2
    shears = np.stack([matrices[:, 0, 1], matrices[:, 1, 0]], 1) / 0.2
    shifts = (co.apply(matrices, np.tile(middle, (1500, 1, 1)))[:, 0] - middle) / (24, 18)
    for values in (shears, shifts):
        assert np.allclose([values.min(0), values.max(0)], [[-1] * 2, [1] * 2], atol=0.02)
        assert np.abs(values.mean(0)).max() < 0.05
        assert abs(np.corrcoef(values.T)[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("values", "framing", "expected"),
    [
        ({"rotation": 10}, {}, math.cos(math.radians(10)) + math.sin(math.radians(10))),
        (
            {"rotation": 10, "distribution": "normal"},
            {},
            math.cos(math.radians(30)) + math.sin(math.radians(30)),
        ),
        ({"rotation": 80}, {}, 2**0.5),
        (
            {"angles": [-20, 5], "rotation": 90},
            {},
            math.cos(math.radians(20)) + math.sin(math.radians(20)),
        ),
        ({"shear": 0.5}, {}, 1.5 / 0.75),
        ({"shear": 1.0}, {}, 1.95 / (1 - 0.95**2)),
        ({"shift": [0.1, 0.2]}, {}, 1.4),
        ({"shift": 0.1, "distribution": "normal"}, {}, 1.6),
        ({"scale": 0.2}, {}, 1.25),
        ({"scale": 0.2, "zoom": "out"}, {}, 1.25),
        ({"scale": 0.2, "zoom": "in"}, {}, 1.0),
        ({"box_jitter": 0.1}, {}, 1.0),
        ({"box_jitter": 0.1}, {"box_scale": 1.0}, 1.4),
        ({"box_jitter": 0.1}, {"box_scale": 0.5}, 1.6),
        ({"box_jitter": 0.1}, {"box_scale": 2.0}, 1.4),
        ({"box_jitter": 0.1}, {"box_scale": 1.0, "box_shift": (0.1, -0.2)}, 1.48),
    ],
)
def test_reach_by_hand(values, framing, expected):
    """No more than is needed, for it decides how much of an image is kept."""
    assert reach(Augmentation(**{**STILL, **values}), Framing((64, 64), **framing)) == (
        pytest.approx(expected)
    )


@pytest.mark.parametrize("box", [[10, 10, 10, 30], [10, 10, 30, 10], [10, 10, 5, 30]])
def test_regions_of_boxes_without_area(box):
    with pytest.raises(ValueError, match="area"):
        Framing((64, 64), box_scale=1.5).region((100, 80), box)
