"""Boxes that the engine refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from heatkp.data.boxes import BoxStyle
from heatkp.data.transforms import Framing
from heatkp.engine import Engine, Region
from heatkp.engine.backend import Output
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton

IMAGE = np.full((40, 60, 3), 90, np.uint8)
GOOD = np.array([10.0, 10, 30, 30])


class Corners:
    """Finds the same two points of each input."""

    kind, stride = None, 1

    def __init__(self):
        self.batches = []

    def run(self, images, maps=False):
        self.batches.append(len(images))
        points = torch.tensor([[8.0, 8.0], [24.0, 24.0]]).expand(len(images), 2, 2)
        return Output(points, torch.ones(len(images), 2), None)


def engine(style=None, scale=1.0):
    layout = Skeleton("two", ("a", "b"))
    return Engine(Corners(), layout, Framing((32, 32), scale), box_style=style)


@pytest.mark.parametrize("box", [[70, 10, 90, 30], [30, 10, 10, 30], [0, 0, np.nan, 9]])
def test_boxes_of_no_use_are_refused(box):
    with pytest.raises(DataError, match="image: the box"):
        engine().look([Region(IMAGE, GOOD), Region(IMAGE, np.array(box))])
    assert len(engine(scale=None).look([Region(IMAGE, np.array(box))])) == 1  # sees whole images


def test_boxes_partly_outside_are_good():
    found = engine().look([Region(IMAGE, np.array([-15.0, -15, 10, 10]))])
    assert found.points.shape == (1, 2, 2) and np.isfinite(found.points).all()


def test_no_second_look_outside_the_image():
    beyond, near = BoxStyle((40.0, 0.0), (3.0, 3.0)), BoxStyle((0.0, 0.0), (3.0, 3.0))
    for style, looks in ((beyond, [1]), (near, [1, 1])):
        one = engine(style)
        one.look([Region(IMAGE, GOOD)], passes=2)
        assert one.backend.batches == looks
