"""Detectors by name."""

from __future__ import annotations

from functools import cache

from heatkp.errors import SettingsError, UnknownNameError
from heatkp.inference.detectors._base import Detector
from heatkp.registry import DETECTORS


@cache
def _created(name: str) -> Detector | None:
    """None where a package that the detector needs is missing."""
    kind = DETECTORS[name]
    try:
        made: Detector = kind()
    except ImportError:
        return None
    return made


def create_detector(name: str = "auto") -> Detector:
    """A detector by name; `auto` is the one of the highest priority whose package is installed.

    Each is loaded once in a process. Raises `SettingsError` for an unknown name, and where a
    package is missing.
    """
    if name != "auto":
        try:
            kind = DETECTORS[name]
        except UnknownNameError:
            raise DETECTORS.unknown(name, ["auto"]) from None
        detector = _created(name)
        if detector is None:
            raise SettingsError(f"detector {name!r} needs a package: {kind.install}")
        return detector
    usual = {n: kind for n, kind in DETECTORS.usable().items() if kind.priority}
    for candidate in sorted(usual, key=lambda n: -usual[n].priority):
        detector = _created(candidate)
        if detector is not None:
            return detector
    raise SettingsError(
        "no detector is installed: pip install 'heatkp[faces]' for faces, or say where objects "
        "are (boxes)"
    )
