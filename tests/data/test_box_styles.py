"""Where boxes lie around points: which samples count, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heatkp.data.boxes import BoxStyle
from heatkp.data.samples import Sample

SQUARE = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
"""The mean is 0 and the root mean squared distance from it sqrt(2)."""


def square(box=(-2, -3, 2, 5), visibility=(2, 2, 2, 2)):
    edges = None if box is None else np.array(box, np.float32)
    return Sample(lambda: None, SQUARE, np.array(visibility, np.uint8), edges, id="a")


def test_a_style_by_hand():
    style = BoxStyle.of([square()] * 10)
    assert np.allclose(style.shift, np.array([0, 1]) / 2**0.5)
    assert np.allclose(style.extent, np.array([4, 8]) / 2**0.5)
    assert np.allclose(style.around(SQUARE.astype(float)), [-2, -3, 2, 5])


@pytest.mark.parametrize(
    "other",
    [
        square(box=None),
        square(box=(0, 0, 9, 9), visibility=(2, 0, 2, 2)),
        square(box=(0, 0, 9, 9), visibility=(0, 0, 0, 0)),
        square(box=(0, 0, 0, 9)),
        square(box=(0, 0, 9, 0)),
        square(box=(9, 9, 0, 0)),
        replace(square(box=(0, 0, 9, 9)), points=np.ones((4, 2), np.float32)),
    ],
    ids=["no box", "a point not labelled", "none labelled", "no width", "no height", "reversed",
         "points in one place"],
)  # fmt: skip
def test_samples_that_do_not_count(other):
    assert BoxStyle.of([other, *[square()] * 10]) == BoxStyle.of([square()] * 10)
    assert BoxStyle.of([other, *[square()] * 9]) is None


def test_occluded_points_count():
    assert BoxStyle.of([square(visibility=(1, 1, 2, 2))] * 10) == BoxStyle.of([square()] * 10)


@pytest.mark.parametrize(
    ("shift", "extent"),
    [
        ([np.nan, 0], [1, 1]), ([0, np.inf], [1, 1]), ([0, 0], [1, np.inf]), ([0, 0], [0, 1]),
        ([0, 0], [1, -1]),
    ],
)  # fmt: skip
def test_styles_that_cannot_be(shift, extent):
    with pytest.raises(ValueError, match="box_style"):
        BoxStyle.read({"shift": shift, "extent": extent})
