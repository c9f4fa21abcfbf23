"""What `heatkp viz points`, `augmentation` and `filters` show."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heatkp import coordinates as co
from heatkp.config import Augmentation
from heatkp.data.dataset import KeypointDataset
from heatkp.data.samples import Sample
from heatkp.data.transforms import Framing, random_affine
from heatkp.evaluation.metrics import Errors, summarise
from heatkp.models import create_model
from heatkp.skeletons import FACE68, Skeleton
from heatkp.viz import augmentation, filters
from heatkp.viz.points import compare_points, mean_face_by

FOUR = Skeleton("four", ("l", "r", "m", "n"), pairs=((0, 1),), normalisers={"eyes": ((0,), (1,))})


def errors_of(n=6, boxes=True):
    rng = np.random.default_rng(2)
    truth = rng.uniform(10, 60, (n, 4, 2))
    found = truth + rng.normal(0, 2, truth.shape)
    labelled = np.ones((n, 4), bool)
    labelled[0, 0] = labelled[1, 2] = False
    edges = np.concatenate([truth.min(1) - 2, truth.max(1) + 5], 1)
    same = np.stack([co.scaling(1, 1)] * n)
    return Errors(found, truth, same, labelled, edges if boxes else edges * np.nan, (64, 64))


@pytest.mark.parametrize(
    ("normaliser", "boxes", "images"),
    [("eyes", True, 5), ("box-diagonal", True, 6), ("points-diagonal", False, 6)],
)
def test_errors_on_the_mean_face_are_the_metrics(normaliser, boxes, images):
    errors = errors_of(boxes=boxes)
    points, radii, count = mean_face_by(errors, FOUR, normaliser)
    expected = [p["nme"][normaliser] for p in summarise(errors, FOUR)["points"]]
    np.testing.assert_allclose(radii, expected)
    assert count == images
    if normaliser == "eyes":  # about their middle, in units of their distance
        np.testing.assert_allclose(points[0], -points[1], atol=1e-12)


def test_the_mean_face_knows_no_place_and_size():
    errors = errors_of()
    moved = replace(
        errors,
        image_points=3 * errors.image_points + 100,
        image_truth=3 * errors.image_truth + 100,
        boxes=3 * errors.boxes + 100,
    )
    for normaliser in ("eyes", "box-diagonal"):
        for one, other in zip(
            mean_face_by(errors, FOUR, normaliser), mean_face_by(moved, FOUR, normaliser)
        ):
            np.testing.assert_allclose(one, other)


def test_faces_side_by_side(tmp_path):
    found = {f"run_{i}": (errors_of(3 + i), FOUR) for i in range(5)}
    compare_points(found, "eyes", tmp_path / "a.png")
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] == pytest.approx(110 * 15.2, abs=2)


@given(st.integers(0, 2**32), st.floats(0, 170), st.floats(0, 0.5))
def test_words_say_what_was_done(seed, rotation, scale):
    settings = Augmentation(flip=0.5, rotation=rotation, scale=scale, shift=0.2, shear=0)
    change, flipped = random_affine(np.random.default_rng(seed), settings, (64, 48))
    rng = np.random.default_rng(seed)
    angle, zoom = rng.uniform(-1, 1) * rotation, (1 - scale) ** rng.uniform(-1, 1)
    plain = co.box_to_frame((3, 4, 200, 100), 64, 48)
    words = augmentation.change_words(plain, co.compose(plain, change))
    assert words.startswith("FLIPPED") == flipped
    assert float(words.split("turned ")[1].split("°")[0]) == pytest.approx(angle, abs=0.51)
    assert float(words.split("x ")[1]) == pytest.approx(zoom, abs=0.006)


def test_joined_pairs():
    joined = augmentation.joined_pairs(FACE68)
    assert len(joined) == 5 and set(joined) <= set(FACE68.pairs)
    assert augmentation.joined_pairs(FOUR) == [(0, 1)]
    assert augmentation.joined_pairs(FACE68.subset([33])) == []


@pytest.mark.parametrize("skeleton", [FOUR, replace(FOUR, pairs=())])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_augmentation_sheet(tmp_path, flip, skeleton):
    rng = np.random.default_rng(0)
    points = np.array([[40, 10], [5, 10], [20, 70], [20, 30]], np.float32)
    visible = np.array([2, 1, 2, 0], np.uint8)
    image = rng.integers(0, 255, (48, 48, 3), np.uint8)
    samples = [Sample(lambda: image, points, visible, id=f"{i}$") for i in range(2)]
    framing, settings = Framing((32, 32)), Augmentation(flip=flip, shift=0.3)
    sets = [KeypointDataset(samples, skeleton, framing, augmentation=a) for a in (None, settings)]
    path = tmp_path / "a.png"
    assert augmentation.augmentation_sheet(*sets, [1, 0], 3, path) == 6 * flip
    assert cv2.imread(str(path)).shape[1] == pytest.approx(110 * 4 * 2.3, abs=2)


def test_filter_tiles():
    weight = np.zeros((3, 3, 2, 2))
    weight[0, 0, 0, 1], weight[0, 2, 1, 1], weight[1] = 2.0, -1.0, -0.5
    tiles, words = filters.filter_tiles(weight, colour=True)
    assert tiles.shape == (3, 2, 2, 3) and "colour" in words
    assert tiles[0, 0, 1].tolist() == [1, 0.5, 0.5] and tiles[0, 1, 1].tolist() == [0.5, 0.5, 0.25]
    assert (tiles[1] == 0).all() and (tiles[2] == 0.5).all()
    tiles, words = filters.filter_tiles(weight, colour=False)
    assert "means over their 3 inputs" in words
    np.testing.assert_allclose(tiles[0, 0, 1], 1)  # mean 2/3, the largest
    np.testing.assert_allclose(tiles[0, 1, 1], 0.25)
    assert "means" not in filters.filter_tiles(weight[:, :1], False)[1]


@pytest.mark.parametrize("channels", [1, 3])
def test_convolutions_in_the_order_of_running(tmp_path, channels):
    model = create_model("kl", points=2, size=(40, 32), channels=channels,
                         encoder="tu-mobilenetv3_small_050").eval()  # fmt: skip
    found = filters.convolutions(model)
    first, last = found[0], found[-1]
    assert first.name.endswith("conv_stem") and first.size == (32, 16)  # padded to 64 x 32
    assert first.colour == (channels == 3) and not any(c.colour for c in found[1:])
    assert last.name == "map_layer.convolution" and last.layer is model.map_layer.convolution
    assert last.words.startswith("2 filters 3x3 on ")
    image = torch.randint(0, 256, (channels, 32, 40), dtype=torch.uint8)
    (given,) = filters.answers(model, first.layer, [image])
    with torch.no_grad():
        expected = first.layer(model.prepare(image[None], model.multiple))[0]
    np.testing.assert_allclose(given, expected.numpy(), atol=1e-5)
    single = next(c for c in found if c.layer.kernel_size == (1, 1))
    for convolution, images in ((first, [("$a", image)]), (single, []), (last, [])):
        filters.filters_page(model, convolution, "run_$", images, tmp_path / "a.png")
        assert cv2.imread(str(tmp_path / "a.png")).shape[1] == pytest.approx(1144, abs=2)
        (tmp_path / "a.png").unlink()
    assert not list(tmp_path.iterdir())
