"""Which boxes are of use; box policy: region, jitter, retries, samples left out; its counts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp import coordinates as co
from heatkp.config import Augmentation, Data, Settings
from heatkp.data.boxes import LARGEST, box_error, other_form
from heatkp.data.dataset import KeypointDataset
from heatkp.data.loading import points_box, split, with_boxes
from heatkp.data.module import KeypointDataModule
from heatkp.data.samples import KeypointData, Sample
from heatkp.data.transforms import Framing, Photometric, jittered, random_affine, reach
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton

PAIR = Skeleton("pair", ("left", "right"), pairs=((0, 1),))
BOX = np.array([40, 30, 80, 70], np.float32)


def face(points=((75.0, 50.0), (45.0, 50.0)), box=BOX, visibility=(2, 2), **more):
    image = np.full((120, 160, 3), 90, np.uint8)
    values = np.array(points, np.float32)
    return Sample(lambda: image, values, visibility, box, id="face", **more)


def test_shift_moves_the_region_by_shares_of_the_box():
    framing = Framing((50, 50), box_scale=2.0, box_shift=(0.1, -0.25))
    assert np.allclose(framing.region((200, 100), [10, 20, 30, 40]), [2, 5, 42, 45])


@given(st.integers(0, 10_000))
def test_jitter_moves_each_edge_by_a_share_of_the_box(seed):
    moved = jittered(np.random.default_rng(seed), [10, 20, 30, 60], 0.1) - [10, 20, 30, 60]
    assert (np.abs(moved) <= [2, 4, 2, 4]).all() and len(set(moved)) == 4


@given(
    st.integers(0, 10_000),
    st.tuples(st.integers(32, 200), st.integers(32, 200)),
    st.floats(0, 180),
    st.tuples(*[st.floats(0, 0.3)] * 4),
    st.floats(0.5, 2.0),
)
def test_reach_holds_whatever_augmentation_brings_in(seed, size, rotation, amounts, box_scale):
    scale, shift, shear, jitter = amounts
    settings = Augmentation(
        rotation=rotation, scale=scale, shift=shift, shear=shear, box_jitter=jitter
    )
    framing = Framing(size, box_scale=box_scale, box_shift=(0.1, -0.2))
    rng = np.random.default_rng(seed)
    box = np.concatenate([[50, 50], 50 + rng.uniform(40, 90, 2)])
    region = framing.region((300, 300), box)
    matrix = framing.matrix((300, 300), jittered(rng, box, jitter))
    matrix = co.compose(matrix, random_affine(rng, settings, size)[0])
    w, h = size
    corners = np.array([[-0.5, -0.5], [w - 0.5, -0.5], [-0.5, h - 0.5], [w - 0.5, h - 0.5]])
    seen = np.abs(co.apply(co.invert(matrix), corners) - (region[:2] + region[2:]) / 2)
    assert (seen <= reach(settings, framing) * (region[2:] - region[:2]) / 2 + 1e-6).all()


def test_reach_of_nothing_is_one():
    none = Augmentation(rotation=0, scale=0, shift=0, shear=0)
    assert reach(none, Framing((50, 80))) == 1.0
    turned = none.model_copy(update={"rotation": 180.0})
    assert math.isclose(reach(turned, Framing((64, 64))), math.sqrt(2))


def items(sample, augmentation, count=40, **framing):
    data = KeypointDataset(
        [sample], PAIR, Framing((64, 64), **framing), augmentation=augmentation
    )  # fmt: skip
    return [data[(epoch, 0)]["points"].numpy() for epoch in range(count)]


def outside(points):
    return ((points < -0.5) | (points > 63.5)).any()


def test_retries_keep_points_inside():
    wild = Augmentation(flip=0, shift=0.4, photometric=0, occlusion=0)
    assert sum(map(outside, items(face(), wild, box_scale=1.0))) > 10
    patient = wild.model_copy(update={"retries": 50})
    assert not any(map(outside, items(face(), patient, box_scale=1.0)))


def test_retries_end_without_augmentation():
    """A point that no geometry brings inside: the plain region is used."""
    sample = face(points=((75.0, 50.0), (500.0, 50.0)))
    patient = Augmentation(rotation=20, shift=0.2, retries=3, photometric=0)
    found = items(sample, patient, box_scale=1.0)
    assert all(np.allclose(p, found[0]) for p in found)
    assert np.allclose(found[0][0], co.apply(Framing((64, 64), 1.0).matrix((1, 1), BOX), [75, 50]))
    hidden = replace(sample, visibility=np.array([2, 0], np.uint8))
    assert not all(np.allclose(p[0], found[0][0]) for p in items(hidden, patient, box_scale=1.0))


def test_box_jitter_moves_points_without_other_augmentation():
    still = Augmentation(flip=0, rotation=0, scale=0, shift=0, photometric=0, occlusion=0)
    plain = items(face(), still, 2, box_scale=1.0)
    assert np.allclose(plain[0], plain[1])
    moved = np.stack(items(face(), still.model_copy(update={"box_jitter": 0.1}), box_scale=1.0))
    assert np.abs(moved - plain[0]).max() < 64 * 0.45 and moved.std(0).min() > 1


def module(samples, **data):
    settings = Settings.model_validate(
        {"data": {"crop": "box", "size": [64, 64], "box_scale": 1.0, **data}}
    )
    made = KeypointDataModule(settings, KeypointData(PAIR, samples, [face()]))
    made.preload()
    return made


def test_points_outside_are_counted_and_kept_or_skipped():
    far = face(points=((200.0, 50.0), (45.0, 50.0)))
    unlabelled = face(points=((np.nan, np.nan), (45.0, 50.0)), visibility=(0, 2))
    kept = module([face(), far, unlabelled])
    assert len(kept.train_set) == 3
    assert len(kept.notes) == 1 and "1 of 5 labelled" in kept.notes[0]
    assert "1 of 3 samples" in kept.notes[0]
    skipped = module([face(), far, unlabelled], skip_outside=True)
    assert len(skipped.train_set) == 2 and "leaves these samples out" in skipped.notes[0]
    assert module([face()]).notes == []
    with pytest.raises(DataError, match="left nothing"):
        module([far], skip_outside=True)


def test_boxes_from_points():
    assert np.allclose(points_box(face(points=((75.0, 50.0), (45.0, 20.0)))), [45, 20, 75, 50])
    assert points_box(face(points=((75.0, 50.0), (75.0, 20.0)))) is None
    assert points_box(face(visibility=(0, 0))) is None
    slanted = ((75.0, 50.0), (45.0, 20.0))
    samples = [face(slanted), face(slanted, box=None), face(box=None, visibility=(0, 0))]
    given_boxes, notes = with_boxes(samples, "given")
    assert np.allclose(given_boxes[0].box, BOX) and np.allclose(
        given_boxes[1].box, [45, 20, 75, 50]
    )
    assert given_boxes[2].box is None
    assert [n[:9] for n in notes] == ["1 samples"[:9]] * 2
    all_points, _ = with_boxes(samples, "points")
    assert np.allclose(all_points[0].box, [45, 20, 75, 50])


@given(st.integers(0, 1000), st.floats(0.1, 0.9))
def test_a_photo_is_never_parted(seed, share):
    samples = [replace(face(), id=f"{i}", source_image=f"image{i // 3}") for i in range(30)]
    train, val = split(samples, Data(validation=share, split_seed=seed))
    assert not {s.source_image for s in train} & {s.source_image for s in val}
    assert len(train) + len(val) == 30 and len(val) == 3 * round(share * 10)


@pytest.mark.parametrize("name", ["grey", "blur", "motion_blur", "noise", "jpeg", "occlusion"])
def test_each_change_of_the_picture_happens(name):
    nothing = {"photometric": 0, "grey": 0, "occlusion": 0}
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    off = Photometric(Augmentation(**nothing))
    assert (off(image, np.random.default_rng(1)) == image).all()
    always = Photometric(Augmentation(**{**nothing, name: 1.0}))
    changed = always(image, np.random.default_rng(1))
    assert changed.shape == image.shape and changed.dtype == np.uint8
    assert (changed != image).mean() > 0.005
    assert (changed == always(image, np.random.default_rng(1))).all()
    if name == "grey":
        assert (changed[..., 0] == changed[..., 1]).all()


@pytest.mark.parametrize("name", ["photometric", "grey", "blur", "motion_blur", "jpeg"])
def test_changes_of_the_picture_leave_points_where_they_are(name):
    """What is bright stays in its place: the points are not moved with it."""
    dot = np.zeros((33, 33, 3), np.uint8)
    dot[12:21, 12:21] = 200
    change = Photometric(Augmentation(**{"photometric": 0, "grey": 0, "occlusion": 0, name: 1.0}))
    rng = np.random.default_rng(0)
    for _ in range(60):
        seen = change(dot, rng).astype(np.float64).sum(2)
        seen -= np.median(seen)
        centre = [np.average(np.arange(33), weights=seen.sum(axis)) for axis in (0, 1)]
        assert np.allclose(centre, 16, atol=0.1), centre


SIDE = st.integers(2, 500)


@given(st.tuples(SIDE, SIDE), st.tuples(*[st.floats(-3, 3)] * 2), st.tuples(*[st.floats(0, 3)] * 2))
def test_boxes_are_of_use_where_they_hold_a_part_of_the_image(size, place, extent):
    """By their overlap, for any box between a pixel and three times the image."""
    extent = np.multiply(extent, size) + 1
    box = np.concatenate([np.multiply(place, size), np.multiply(place, size) + extent])
    seen = np.minimum(box[2:], np.array(size) - 0.5) - np.maximum(box[:2], -0.5)
    assert (box_error(box, size) is None) == bool((seen > 0).all())


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ([39.5, 0, 60, 20], "outside the image, which is 40x30"),
        ([-9, -9, -0.5, 20], "outside"),
        ([5, 5, 5, 20], "no area"),
        ([30, 20, 10, 10], "write 30, 20, 40, 30"),  # as x, y, width, height
        ([0.1, 0.2, 0.5, 0.9], "fractions"),
        ([20, 20, 20.4, 20.6], "smaller than a pixel"),
        ([0, np.nan, 9, 9], "not finite"),
        ([0, 0, np.inf, 9], "not finite"),
        ([0, 0, LARGEST * 40 + 1, 9], "times as large"),
        ([1e300, 0, 1.7e308, 9], "times as large"),
        ([0, 0, 9], "shape"),
        ([[0, 0, 9, 9]], "shape"),
        ("ab", "not numbers"),
        (None, "shape"),
    ],
)
def test_boxes_of_no_use(box, words):
    assert words in box_error(box, (40, 30))


def test_boxes_that_are_just_of_use():
    good = [(39.4, 0, 60, 20), (-9, -9, -0.4, 20), (-300, -300, 90, 90), (3, 3, 4, 3.1)]
    assert [box_error(box, (40, 30)) for box in good] == [None] * 4


def read_as_sizes(corners):
    """What a reader of x, y, width, height makes of numbers."""
    low, extent = np.asarray(corners, float)[:, :2], np.asarray(corners, float)[:, 2:]
    return np.hstack([low, low + extent]) - 0.5


@given(st.integers(0, 10_000), st.integers(5, 40))
def test_corners_in_place_of_sizes_are_recognised(seed, count):
    rng, size = np.random.default_rng(seed), np.array([300, 200])
    low = rng.uniform(0.4, 0.5, (count, 2)) * size  # corners as sizes reach outside, each
    high = low + rng.uniform(0.25, 0.5, (count, 2)) * size
    sizes = np.tile(size, (count, 1)).astype(float)
    form = other_form(read_as_sizes(np.hstack([low, high])), sizes)
    assert form.proven and "x1 - x0" in form.text
    assert other_form(read_as_sizes(np.hstack([low, high - low])), sizes) is None
    assert other_form(read_as_sizes(np.hstack([low, high])), sizes * np.nan) is None
    few = other_form(read_as_sizes([[100, 100, 250, 180]] * 2), sizes[:2])
    assert not few.proven


@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([np.nan, 64.0]))
def test_fractions_are_recognised(seed, count, side):
    boxes = np.random.default_rng(seed).uniform(0.01, 1, (count, 4))
    sizes = np.full((count, 2), side)
    form = other_form(read_as_sizes(boxes), sizes)
    assert form.proven and "fractions" in form.text
    assert (
        other_form(read_as_sizes([*boxes, [0, 0, 40, 40]]), np.full((count + 1, 2), side)) is None
    )


def test_forms_of_good_boxes():
    sizes = np.full((6, 2), 100.0)
    enlarged = [[-5, 20, 60, 60], [60, 10, 60, 60], [10, 60, 50, 60]] * 2  # partly outside
    close_up = [[2, 3, 95, 96]] * 6
    for boxes in (enlarged, close_up):
        assert other_form(read_as_sizes(boxes), sizes) is None
    assert other_form(np.zeros((0, 4)), np.zeros((0, 2))) is None
