"""What networks add to every answer must not look like a shift of the labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from heatkp.checking.balanced import Turned, predict_balanced
from heatkp.config import Augmentation, Data, Settings
from heatkp.data.samples import Sample
from heatkp.engine import Output
from heatkp.evaluation.measure import InferenceOptions
from heatkp.runs import Loaded
from heatkp.skeletons import Skeleton

BIAS = torch.tensor([0.7, -0.4])


class Biased:
    """Finds the brightest pixel of each channel, and always a little beside it."""

    name, kind, stride = "biased", None, 1

    def run(self, images, maps=False):
        width = images.shape[-1]
        place = images.flatten(2).argmax(2)
        points = torch.stack([place % width, place // width], -1).float() + BIAS
        return Output(points, torch.ones(points.shape[:2]), None)


def spots():
    """An image with a bright pixel in each channel, and where they are."""
    image, points = np.zeros((21, 30, 3), np.uint8), np.array([[4, 6], [20, 3], [11, 17]])
    for channel, (x, y) in enumerate(points):
        image[y, x, channel] = 255
    return image, points.astype(np.float32)


def test_turned():
    image, points = spots()
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    assert torch.allclose(Turned(Biased()).run(pixels).points, torch.from_numpy(points), atol=1e-5)


@pytest.mark.parametrize(
    ("rotation", "flip", "left"),
    [(180, 0.0, (0, 0)), (10, 0.0, (0.7, -0.4)), (10, 0.5, (0, -0.4)), (180, 0.5, (0, 0))],
)
def test_as_far_as_training_allows(rotation, flip, left):
    """Upside down only after full rotations, mirrored only after mirrored images."""
    image, points = spots()
    settings = Settings(
        data=Data(size=[30, 21]), augmentation=Augmentation(rotation=rotation, flip=flip)
    )
    skeleton = Skeleton("spots", ("red", "green", "blue"))
    loaded = replace(Loaded(None, settings, skeleton), backend=Biased())
    found = predict_balanced(loaded, [Sample(image, points)], InferenceOptions())
    np.testing.assert_allclose(found[0] - points, np.broadcast_to(left, (3, 2)), atol=1e-5)
