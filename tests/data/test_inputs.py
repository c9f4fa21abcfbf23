"""What a program gives to `predict`: all usual forms, and sentences for the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from heatkp.data.inputs import as_image
from heatkp.errors import DataError
from heatkp.inference.keypoints import Keypoints
from heatkp.skeletons import Skeleton
from tests.inference.fakes import input_image, predictor

IMAGE, POINTS, BOXES = input_image([(60, 70, 50)], (120, 130))
BATCH = np.stack([IMAGE, IMAGE[:, ::-1]])


def tensor(image):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, -3)))


def alpha(image):
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


SAME = {
    "array": IMAGE,
    "alpha": alpha(IMAGE),
    "not contiguous": np.asfortranarray(IMAGE),
    "16 bits": IMAGE.astype(np.uint16) * 257,
    "16 bits, big endian": (IMAGE.astype(np.uint16) * 257).astype(">u2"),
    "float32": (IMAGE / 255).astype(np.float32),
    "float64": IMAGE / 255,
    "float alpha": alpha(IMAGE) / 255,
    "float16": (IMAGE / 255).astype(np.float16),
    "just over 1": np.where(IMAGE == 255, 1 + 1e-4, IMAGE / 255),
    "read only": np.broadcast_to(IMAGE, IMAGE.shape),
    "tensor": tensor(IMAGE),
    "tensor of floats": tensor(IMAGE) / 255,
    "tensor with gradient": (tensor(IMAGE) / 255).requires_grad_(),
    "tensor, half": (tensor(IMAGE) / 255).half(),
    "tensor, double": (tensor(IMAGE) / 255).double(),
    "tensor with alpha": tensor(alpha(IMAGE)),
    "Pillow": Image.fromarray(IMAGE),
    "Pillow, alpha": Image.fromarray(alpha(IMAGE)),
    "Pillow, CMYK": Image.fromarray(IMAGE).convert("CMYK"),
}


@pytest.mark.parametrize("form", SAME)
def test_one_image_in_every_form(form):
    """With the range of the image's own values where it is deep: it holds 20 to 255."""
    seen = as_image(SAME[form], 16).astype(int)
    assert seen.shape == IMAGE.shape and np.abs(seen - IMAGE).max() <= (
        1 if form != "float16" else 2
    )
    (found,) = predictor(intensity=16).predict(SAME[form], BOXES[0])
    assert np.abs(found.points - POINTS[0]).max() < 0.3
    again, other = predictor(intensity=16).predict([SAME[form], IMAGE], [BOXES[0], BOXES])
    assert (again.points == found.points).all() and (again.image, other.image) == (0, 1)


def test_bfloat16_has_fewer_levels():
    seen = as_image((tensor(IMAGE) / 255).bfloat16())
    assert np.abs(seen.astype(int) - IMAGE).max() <= 1


@pytest.mark.parametrize(
    "grey",
    [IMAGE[:, :, 0], IMAGE[:, :, :1], tensor(IMAGE[:, :, :1]), torch.from_numpy(IMAGE[:, :, 0]),
     Image.fromarray(IMAGE[:, :, 0]), IMAGE[:, :, 0] / 255],
    ids=["(H, W)", "(H, W, 1)", "(1, H, W)", "tensor (H, W)", "L", "float (H, W)"],
)  # fmt: skip
def test_grey(grey):
    seen = as_image(grey)
    assert (seen == IMAGE[:, :, :1]).all() and seen.shape == IMAGE.shape


@pytest.mark.parametrize(
    "batch",
    [BATCH, BATCH / 255, tensor(BATCH), tensor(BATCH) / 255, list(BATCH), tuple(BATCH),
     [IMAGE, Image.fromarray(BATCH[1])], [tensor(IMAGE), BATCH[1]]],
    ids=["array", "floats", "tensor", "tensor of floats", "list", "tuple", "mixed", "mixed 2"],
)  # fmt: skip
def test_batches_and_lists(batch):
    first, second = predictor().predict(batch, "image", passes=1)
    assert (first.image, second.image) == (0, 1)
    one, other = (predictor().predict(image, "image", passes=1)[0] for image in BATCH)
    assert np.allclose(first.points, one.points, atol=0.05)
    assert np.allclose(second.points, other.points, atol=0.05)


def test_files_and_iterators(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(IMAGE).save(path)
    single = predictor().predict(path, BOXES)[0].points
    for given_ in (str(path), [path], [str(path)], iter([path]), (p for p in [Path(path)])):
        boxes = BOXES if isinstance(given_, str) else [BOXES]
        assert (predictor().predict(given_, boxes)[0].points == single).all()
    assert predictor().predict([], "image") == []


def test_what_is_in_memory_is_not_turned(tmp_path):
    """Points are of the object's own pixels; those of a file are of it upright."""
    exif = Image.Exif()
    exif[0x112] = 6
    path = tmp_path / "a.png"
    Image.fromarray(IMAGE).save(path, exif=exif)
    with Image.open(path) as image:
        assert (as_image(image) == IMAGE).all()
    assert as_image(path).shape == (120, 130, 3)


def test_transparent_and_deep_in_memory():
    clear = alpha(IMAGE)
    clear[:, :60, 3] = 0
    for form in (clear, tensor(clear), Image.fromarray(clear), clear / 255):
        seen = as_image(form)
        assert (seen[:, :60] == 255).all() and (seen[:, 60:] == IMAGE[:, 60:]).all()
    deep = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for way in ("range", 12):
        for form in (deep, Image.fromarray(deep), deep[:, :, None], torch.from_numpy(deep)):
            assert len(np.unique(as_image(form, way))) == 256
    real = Image.fromarray(np.linspace(-5, 700, 64, dtype=np.float32).reshape(8, 8))
    assert np.ptp(as_image(real)) == 255


REFUSED = {
    "number": 5,
    "nothing": None,
    "bytes": b"abc",
    "mapping": {"image": IMAGE},
    "list of numbers": [[1, 2], [3, 4]],
    "list with None": [IMAGE, None],
    "batch in a list": [BATCH],
    "floats to 255": IMAGE.astype(float),
    "normalised": (IMAGE / 255 - 0.45) / 0.22,
    "tensor of floats to 255": tensor(IMAGE).float(),
    "NaN": np.full((5, 5), np.nan),
    "infinite": np.full((5, 5), np.inf),
    "int64": IMAGE.astype(int),
    "int32": IMAGE.astype(np.int32),
    "bool": IMAGE > 9,
    "complex": IMAGE.astype(complex),
    "objects": IMAGE.astype(object),
    "text": np.array([["a", "b"]]),
    "channels first": np.moveaxis(IMAGE, 2, 0),
    "channels last in a tensor": torch.from_numpy(IMAGE),
    "two channels": IMAGE[:, :, :2],
    "five axes": BATCH[None],
    "one axis": np.zeros(5, np.uint8),
    "number as array": np.uint8(5) * np.ones((), np.uint8),
    "empty": np.zeros((0, 5, 3), np.uint8),
    "tensor of one axis": torch.zeros(4),
    "tensor of int64": tensor(IMAGE).long(),
    "sparse tensor": (tensor(IMAGE) / 255).to_sparse(),
    "tensor without values": torch.zeros(3, 5, 5, device="meta"),
    "Pillow, empty": Image.new("RGB", (0, 5)),
    "missing file": "no/such/file.png",
}


@pytest.mark.parametrize("what", REFUSED)
def test_anything_else_is_refused_in_words(what):
    with pytest.raises(DataError) as error:
        predictor().predict(REFUSED[what], "image")
    text = str(error.value)
    assert 10 < len(text) < 500 and "\n" not in text
    nothing = Keypoints(POINTS[0], np.ones(3), None, Skeleton("p", tuple("abc"), ()), (9, 9))
    with pytest.raises(DataError):
        nothing.draw(REFUSED[what])


def test_a_file_that_is_cut_off_in_the_hands_of_pillow(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(IMAGE).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with Image.open(path) as image, pytest.raises(DataError, match="image 0: "):
        predictor().predict(image, "image")


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.float32, np.int16, bool]),
        arrays.array_shapes(min_dims=0, max_dims=4, max_side=5),
    )
)
def test_any_array_is_an_image_or_refused(array):
    try:
        seen = as_image(array)
    except DataError as error:
        assert str(error)
        return
    assert seen.dtype == np.uint8 and seen.shape == (*array.shape[:2], 3)
