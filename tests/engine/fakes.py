"""A network that is none of torch's: it finds the brightest pixel of each channel."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from heatkp.data.boxes import BoxStyle
from heatkp.data.transforms import Framing
from heatkp.engine import Engine, Output
from heatkp.skeletons import Skeleton

THREE = Skeleton("three", ("left", "right", "nose"), pairs=((0, 1),))


class Brightest:
    """Points are the brightest pixels, moved by `bias`; maps are channels averaged over blocks."""

    name = "brightest"
    kind = "gaussian"
    stride = 2

    def __init__(self, bias=(0.0, 0.0)):
        self.bias = torch.tensor(bias)
        self.batches = []

    def run(self, images, maps=False):
        self.batches.append(len(images))
        images = images.float()
        width = images.shape[-1]
        flat = images.flatten(2)
        place = flat.argmax(-1)
        points = torch.stack([place % width, place // width], -1).float() + self.bias
        scores = flat.amax(-1) / 255
        covariance = torch.tensor([[4.0, 1.0], [1.0, 2.0]]).expand(*scores.shape, 2, 2)
        given = F.avg_pool2d(images, self.stride) / 255 - 0.1 if maps else None
        return Output(points, scores, covariance, given)


class Sided(Brightest):
    """Labels the first two points by their side of the image, as a trained network would."""

    def run(self, images, maps=False):
        found = super().run(images, maps)
        order = found.points[:, :2, 0].argsort(dim=1, descending=True)
        pair = found.points[:, :2].gather(1, order[..., None].expand(-1, -1, 2))
        return found._replace(points=torch.cat([pair, found.points[:, 2:]], 1))


def engine(backend=None, skeleton=THREE, box_scale=1.5, style=None, size=(32, 24), grey=False):
    return Engine(backend or Brightest(), skeleton, Framing(size, box_scale), grey, style)


def image_with(points, size=(96, 80)):
    """A dark image (W, H) with a bright block of 5 x 5 pixels about each point (x, y)."""
    image = np.full((size[1], size[0], 3), 10, np.uint8)
    for channel, (x, y) in enumerate(points):
        image[y - 2 : y + 3, x - 2 : x + 3, channel] = 250
    return image


POINTS = np.array([[60, 30], [30, 30], [45, 50]])
BOX = np.array([20.0, 15.0, 70.0, 65.0])
STYLE = BoxStyle((0.0, 0.0), (3.4, 3.4))
