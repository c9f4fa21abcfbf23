"""Faces in photos: detectors behind one interface."""

from __future__ import annotations

from heatkp.inference.faces.base import Face, FaceDetector
from heatkp.inference.faces.registry import create_detector, detector_names

__all__ = ["Face", "FaceDetector", "create_detector", "detector_names"]
