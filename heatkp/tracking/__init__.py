"""Identities of objects through the frames of a video, and paths that are smoothed.

Pure functions and small classes on what was found; nothing here reads an image.
"""

from __future__ import annotations

from heatkp.tracking.smoothing import Smoothed, SmoothOptions, smooth
from heatkp.tracking.tracker import Tracker, TrackOptions, track

__all__ = ["SmoothOptions", "Smoothed", "TrackOptions", "Tracker", "smooth", "track"]
