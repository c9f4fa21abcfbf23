"""Objects in images: detectors behind one interface. One detector a file.

To add one, put a file here with a subclass of `BaseDetector` under `register_detector`; other
packages name theirs in the entry points `heatkp.detectors`.
"""

from __future__ import annotations

from heatkp.inference.detectors._base import BaseDetector, Detection, Detector, suppress
from heatkp.inference.detectors._create import create_detector
from heatkp.registry import DETECTORS, register_detector

__all__ = [
    "DETECTORS",
    "BaseDetector",
    "Detection",
    "Detector",
    "create_detector",
    "register_detector",
    "suppress",
]
