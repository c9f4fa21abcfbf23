"""What a detector is, and what detectors share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.boxes import BoxStyle
from heatkp.data.samples import Image
from heatkp.data.transforms import halved
from heatkp.engine import FoundPoints

Boxes = npt.NDArray[np.float64]


class Detection(NamedTuple):
    """An object that was found.

    Attributes:
        box: float64 (4,), edges x0, y0, x1, y1 in pixels of the image; it may reach outside.
        score: how sure the detector is; higher is surer, the scale is each detector's own.
        points: those of the object, where they were found in the same look.
        finder: whether it is a trained finder's, whose scores are in [0, 1].
    """

    box: Boxes
    score: float
    points: FoundPoints | None = None
    finder: bool = False


class Detector(Protocol):
    """What finds objects: called with uint8 (H, W, 3) RGB, it gives them, the surest first.

    Where it has an attribute `box_style`, a `heatkp.data.boxes.BoxStyle` around the 68 points of
    a face, its boxes are changed to the style that the model was trained with.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, image: Image) -> list[Detection]: ...


class BaseDetector(ABC):
    """A detector that has a name in settings and commands.

    It is made without arguments, when it is used, and raises `ImportError` where a package that
    it needs is missing.

    Attributes:
        install: how to install that package.
        priority: `auto` takes the installed one of the highest; those of 0 must be named.
        box_style: as in `Detector`.
    """

    name: ClassVar[str]
    install: ClassVar[str] = ""
    priority: ClassVar[float] = 0.0
    box_style: ClassVar[BoxStyle | None] = None

    @abstractmethod
    def __call__(self, image: Image) -> list[Detection]: ...


def fitted(image: Image, longest: int) -> tuple[Image, tuple[float, float]]:
    """An image shrunk so that no side is longer than `longest`, and its scale in x and y."""
    height, width = image.shape[:2]
    scale = longest / max(width, height)
    if scale >= 1:
        return image, (1.0, 1.0)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, (size[0] / width, size[1] / height)


def unfitted(boxes: Boxes, scale: tuple[float, float]) -> Boxes:
    """Edges (N, 4) in an image that was scaled, in pixels of the original."""
    return (boxes + 0.5) / np.array([*scale, *scale]) - 0.5


class Octaves:
    """An image, and each again at half the size, so that parts of it are resampled from about as
    many pixels as they get: resizing a large image as a whole, once a size, is most of the work of
    a detector.

    Attributes:
        images: uint8 (H, W, 3), the largest first.
    """

    def __init__(self, image: Image, least: int = 24) -> None:
        """Halve an image for as long as its shorter side keeps `least` pixels."""
        self.images = [image]
        while min(image.shape[:2]) >= 2 * least:
            image = halved(image)
            self.images.append(image)

    def _octave(self, shrinking: float) -> int:
        """The smallest image of which no pixels have to be made up."""
        return max(0, min(int(np.log2(max(shrinking, 1.0))), len(self.images) - 1))

    def resized(self, width: int, height: int) -> Image:
        """The whole image in another size."""
        image = self.images[0]
        octave = self._octave(min(image.shape[1] / width, image.shape[0] / height))
        size, image = (width, height), self.images[octave]
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

    def square(self, box: Boxes, side: int) -> Image:
        """A square of the image by its edges, (side, side, 3), black where it reaches outside."""
        octave = self._octave((box[2] - box[0]) / side)
        inner = (box + 0.5) / 2**octave - 0.5
        scale = side / max(1.0, inner[2] - inner[0])
        move = -0.5 - scale * inner[:2]
        matrix = np.array([[scale, 0, move[0]], [0, scale, move[1]]])
        return np.asarray(cv2.warpAffine(self.images[octave], matrix, (side, side)), np.uint8)


def suppress(boxes: Boxes, scores: Boxes, overlap: float, smaller: bool = False) -> list[int]:
    """Non-maximum suppression: indices of the boxes (N, 4) that stay, the best first.

    A box goes where a better one shares with it more than `overlap` of the area of both
    together, or with `smaller` of the smaller one's.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        common = np.clip(high - low, 0, None).prod(axis=1)
        both = areas[best] + areas[order] - common
        whole = np.minimum(areas[best], areas[order]) if smaller else both
        order = order[common <= overlap * whole]
    return kept
