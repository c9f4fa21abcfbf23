"""dlib's frontal face detector: histograms of gradients and a linear classifier.

King, "Max-Margin Object Detection" (2015). 300-W's boxes were made with it.
"""

from __future__ import annotations

import numpy as np

from heatkp.data.boxes import BoxStyle
from heatkp.data.samples import Image
from heatkp.inference.detectors._base import BaseDetector, Detection, fitted, unfitted
from heatkp.registry import register_detector

BOX_STYLE = BoxStyle((-0.036, -0.148), (2.785, 2.785))
"""How its boxes lie around the 68 points of a face, measured on 300-W (benchmarks/faces.py)."""


@register_detector
class Hog(BaseDetector):
    """The detector, on an image that is enlarged twice where it is small.

    Args:
        longest: images with a longer side are shrunk to it.
        enlarge: images whose longer side is at most this are enlarged twice, so that faces
            from 40 pixels are found and not from 80.
        least: the lowest score.
    """

    name = "dlib"
    install = "pip install dlib-bin"
    priority = 1.0
    box_style = BOX_STYLE

    def __init__(self, longest: int = 1600, enlarge: int = 800, least: float = 0.0) -> None:
        import dlib

        self.longest, self.enlarge, self.least = longest, enlarge, least
        self._detector = dlib.get_frontal_face_detector()

    def __call__(self, image: Image) -> list[Detection]:
        small, scale = fitted(image, self.longest)
        doubled = int(max(small.shape[:2]) <= self.enlarge)
        small = np.ascontiguousarray(small)
        found, scores, _ = self._detector.run(small, doubled, self.least)
        objects = [Detection(np.array([r.left(), r.top(), r.right() + 1, r.bottom() + 1]) - 0.5, s)
                 for r, s in zip(found, scores)]  # fmt: skip
        objects.sort(key=lambda found: -found.score)
        return [Detection(unfitted(found.box, scale), float(found.score)) for found in objects]
