from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp import coordinates as co
from heatkp.config import Augmentation, Settings
from heatkp.data.dataset import EpochSampler, KeypointDataset, to_tensor
from heatkp.data.drawn import drawn_sample
from heatkp.data.loading import load_data
from heatkp.data.module import KeypointDataModule
from heatkp.data.samples import Sample, as_rgb, read_image
from heatkp.data.transforms import Framing, random_affine, shrink, shrink_factor, warp
from heatkp.errors import DataError
from heatkp.skeletons import FACE68, Skeleton

PAIR = Skeleton("pair", ("left", "right"), pairs=((0, 1),))


def blob(size, centre, sigma):
    """An image of one Gaussian spot, brightest at `centre`."""
    y, x = np.mgrid[: size[1], : size[0]]
    spot = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * sigma**2))
    return np.repeat(np.round(250 * spot).astype(np.uint8)[:, :, None], 3, axis=2)


def centroid(image):
    weight = image.astype(float)
    weight = weight if weight.ndim == 2 else weight[..., 0]
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_shrinking_moves_points_with_the_picture(factor):
    image = blob((203, 151), (101.3, 77.8), 8.0)
    small, matrix = shrink(image, factor)
    assert small.shape[:2] == (-(-151 // factor), -(-203 // factor))
    assert np.allclose(co.apply(matrix, [101.3, 77.8]), centroid(small), atol=0.02)


@pytest.mark.parametrize("zoom", [0.13, 0.4, 1.0, 1.7])
def test_warped_picture_and_points_agree(zoom):
    image = blob((240, 200), (117.4, 96.7), 9.0)
    matrix = co.compose(
        co.translation(-117, -96), co.rotation(23), co.shearing(0.05, 0.0),
        co.scaling(zoom, zoom), co.translation(60, 60),
    )  # fmt: skip
    small, shrinking = shrink(image, shrink_factor(matrix))
    seen = warp(small, co.compose(co.invert(shrinking), matrix), (121, 121))
    assert np.allclose(centroid(seen), co.apply(matrix, [117.4, 96.7]), atol=0.05)


@given(st.integers(0, 10_000), st.tuples(st.integers(16, 300), st.integers(16, 300)))
def test_random_affines_stay_within_their_settings(seed, size):
    settings = Augmentation(flip=0.5, rotation=20, scale=0.2, shift=0.1, shear=0.0)
    matrix, flipped = random_affine(np.random.default_rng(seed), settings, size)
    linear = matrix[:, :2]
    zoom = np.sqrt(abs(np.linalg.det(linear)))
    assert 0.8 - 1e-9 <= zoom <= 1 / 0.8 + 1e-9
    assert (np.linalg.det(linear) < 0) == flipped
    angle = np.rad2deg(np.arctan2(linear[1, 0], linear[1, 1]))
    assert abs(angle) <= 20 + 1e-6
    centre = (np.array(size) - 1) / 2
    assert (np.abs(co.apply(matrix, centre) - centre) <= 0.1 * np.array(size) + 1e-6).all()


def test_no_augmentation_is_the_identity():
    none = Augmentation(flip=0, rotation=0, scale=0, shift=0, shear=0)
    matrix, flipped = random_affine(np.random.default_rng(0), none, (64, 48))
    assert np.allclose(matrix, np.eye(3)[:2]) and not flipped


def test_framing_keeps_the_aspect_by_widening():
    region = Framing((100, 100)).region((200, 100), None)
    assert np.allclose(region, [-0.5, -50.5, 199.5, 149.5])
    stretched = Framing((100, 100), keep_aspect=False).region((200, 100), None)
    assert np.allclose(stretched, co.image_box(200, 100))
    boxed = Framing((50, 50), box_scale=2.0).region((200, 100), [10, 20, 30, 40])
    assert np.allclose(boxed, [0, 10, 40, 50])
    assert np.allclose(Framing((50, 50), box_scale=2.0).region((200, 100), None), 
                       Framing((50, 50)).region((200, 100), None))  # fmt: skip


def spots(size=(80, 60)):
    """Two spots: the subject's left one, on the right of the image, is the brighter."""
    left, right = (55.0, 30.0), (22.0, 28.0)
    image = np.maximum(blob(size, left, 2.0), blob(size, right, 2.0) // 2)
    points = np.array([left, right], np.float32)
    return Sample(lambda: image, points, [2, 1], id="spots")


@pytest.mark.parametrize("epoch", range(8))
def test_labels_change_sides_with_the_picture(epoch):
    """Whatever the augmentation, point 0 lies on the bright spot and point 1 on the dim one."""
    geometric = Augmentation(photometric=0, blur=0, noise=0, occlusion=0, rotation=10, shift=0.0)
    dataset = KeypointDataset([spots()], PAIR, Framing((80, 60)), augmentation=geometric)
    item = dataset[(epoch, 0)]
    picture = item["image"].numpy()[0].astype(float)
    mirrored = np.linalg.det(item["matrix"].numpy()[:, :2]) < 0
    values = [picture[round(float(y)), round(float(x))] for x, y in item["points"]]
    # a mirrored image has its left and right named anew
    bright, dim = (1, 0) if mirrored else (0, 1)
    assert values[bright] > 200 and 80 < values[dim] < 140
    assert item["visibility"].tolist() == ([1, 2] if mirrored else [2, 1])
    assert item["points"][0, 0] > item["points"][1, 0]


def test_flips_happen_about_half_the_time():
    dataset = KeypointDataset([spots()], PAIR, Framing((80, 60)), augmentation=Augmentation())
    dets = [np.linalg.det(dataset[(e, 0)]["matrix"].numpy()[:, :2]) for e in range(60)]
    assert 15 < sum(d < 0 for d in dets) < 45


def test_points_are_neither_dropped_nor_reordered():
    """Points far outside stay in their place, NaN where not labelled."""
    points = np.array([[500.0, 500.0], [np.nan, np.nan], [3.0, 4.0]], np.float32)
    sample = Sample(spots().image, points, [2, 0, 2], id="s")
    skeleton = Skeleton("three", ("a", "b", "c"))
    dataset = KeypointDataset([sample], skeleton, Framing((80, 60)), augmentation=Augmentation())
    for epoch in range(5):
        item = dataset[(epoch, 0)]
        back = co.apply(co.invert(item["matrix"].numpy()), item["points"].numpy())
        assert np.allclose(back[[0, 2]], points[[0, 2]], atol=1e-2)
        assert np.isnan(back[1]).all()


def test_items_depend_on_seed_epoch_and_index_only():
    samples = [drawn_sample(0, i, FACE68) for i in range(2)]

    def made(seed):
        return KeypointDataset(
            samples, FACE68, Framing((64, 64)), augmentation=Augmentation(), seed=seed
        )  # fmt: skip

    first, second = made(0), made(0)
    second[(3, 0)]
    for key in [(0, 0), (0, 1), (5, 1)]:
        a, b = first[key], second[key]
        assert (a["image"] == b["image"]).all() and (a["points"] == b["points"]).all()
    assert (first[(0, 0)]["points"] != first[(1, 0)]["points"]).any()
    assert (first[(0, 0)]["points"] != made(1)[(0, 0)]["points"]).any()


def test_sampler():
    sampler = EpochSampler(10, seed=3)
    first = list(sampler)
    assert sorted(i for _, i in first) == list(range(10)) and first == list(sampler)
    sampler.set_epoch(1)
    assert {e for e, _ in sampler} == {1} and [i for _, i in sampler] != [i for _, i in first]


def test_grey_and_formats():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert (as_rgb(grey) == grey[:, :, None]).all()
    assert as_rgb(np.zeros((3, 4, 4), np.uint8)).shape == (3, 4, 3)
    assert to_tensor(as_rgb(grey), grey=True).shape == (1, 3, 4)
    for bad in (grey.astype(float), np.zeros((3, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)):
        with pytest.raises(DataError, match="an image"):
            as_rgb(bad)


def test_reading_pictures(tmp_path):
    for content in (b"", b"nonsense"):
        path = tmp_path / "x.jpg"
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"x\.jpg is not an image"):
            read_image(path)
    with pytest.raises(DataError, match="does not exist"):
        read_image(tmp_path / "y.jpg")


def test_loaders_send_uint8_and_survive_workers():
    settings = Settings.model_validate(
        {"data": {"train_count": 6, "val_count": 4, "workers": 1, "size": [64, 48]},
         "trainer": {"batch_size": 2}}
    )  # fmt: skip
    module = KeypointDataModule(settings, load_data(settings.data))
    batches = list(module.train_dataloader())
    assert len(batches) == 3 and batches[0]["image"].dtype.is_floating_point is False
    assert batches[0]["image"].shape == (2, 3, 48, 64)
    assert [len(b["index"]) for b in module.val_dataloader()] == [2, 2]


def test_labelled_points_must_be_finite():
    with pytest.raises(DataError, match="point 1 is labelled but its coordinate is not finite"):
        Sample(spots().image, [[1, 2], [np.nan, 1]], [2, 2], id="s")  # fmt: skip
