"""A network whose answers are known, and images for it: no training, and errors that show."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from heatkp.config import Data, Settings
from heatkp.data.boxes import BoxStyle
from heatkp.heatmaps import Decoded
from heatkp.inference.predictor import Predictor
from heatkp.runs import Loaded
from heatkp.skeletons import Skeleton

PLACES = np.array([[-0.3, -0.25], [0.3, -0.25], [0.0, 0.35]])
"""Of the red, green and blue disc of a target, from its middle, for a target of size 1."""
_RADIUS = float(np.sqrt(((PLACES - PLACES.mean(0)) ** 2).sum(1).mean()))
STYLE = BoxStyle((0.0, float(-PLACES[:, 1].mean() / _RADIUS)), (1 / _RADIUS, 1 / _RADIUS))
"""The target's square, seen from its points."""


class Discs(torch.nn.Module):
    """Finds the middle of each channel's light, pulled to the crop's middle by `pull`.

    A score is the light's fraction of what a target that fills two thirds of the crop gives.
    """

    score_radius = None

    def __init__(self, pull: float = 0.0) -> None:
        super().__init__()
        self.pull = torch.nn.Parameter(torch.tensor(pull))
        self.batches: list[int] = []

    def forward(self, images):
        self.batches.append(len(images))
        return images.float()

    def predict(self, images):
        height, width = images.shape[-2:]
        light = images.clamp(min=40) - 40 + 1e-6
        total = light.sum((2, 3))
        x = (light.sum(2) * torch.arange(width)).sum(2) / total
        y = (light.sum(3) * torch.arange(height)).sum(2) / total
        points = torch.stack([x, y], -1)
        middle = torch.tensor([(width - 1) / 2, (height - 1) / 2])
        points = points + self.pull * (middle - points)
        score = (total / (255 * np.pi * (0.12 * width * 2 / 3) ** 2)).clamp(0, 1)
        return Decoded(points, score, torch.eye(2).expand(len(images), 3, 2, 2))


def predictor(pull=0.0, style=STYLE, name="face68[0,1,2]", crop="box", **data):
    """A `Predictor` on `Discs`, for crops of 64 x 64 of boxes half as large again."""
    settings = Settings(data=Data(size=[64, 64], crop=crop, **data))
    skeleton = Skeleton(name, ("red", "green", "blue"), pairs=())
    return Predictor(Loaded(Discs(pull).eval(), settings, skeleton, style))


def input_image(targets, size=(200, 160)):
    """A dark image (W, H) with targets (x, y, size); and their points and boxes."""
    image = np.full((size[1], size[0], 3), 20, np.uint8)
    points, boxes = [], []
    for x, y, extent in targets:
        places = np.array([x, y]) + PLACES * extent
        for channel, place in enumerate(places):
            layer = np.ascontiguousarray(image[:, :, channel])
            middle = tuple(int(v) for v in np.rint(place * 16))
            cv2.circle(layer, middle, round(0.12 * extent * 16), 255, -1, cv2.LINE_AA, 4)
            image[:, :, channel] = layer
        points.append(places)
        boxes.append([x - extent / 2, y - extent / 2, x + extent / 2, y + extent / 2])
    return image, np.array(points), np.array(boxes)
