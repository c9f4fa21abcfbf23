"""Other tools' predictors of face points, where they are installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

Peer = Callable[[int], Any]
"""Finds the points of the i-th of some faces."""
FACES = 8


def _faces() -> list[tuple[Any, Any]]:
    from heatkp.data.drawn import drawn_sample
    from heatkp.skeletons import SKELETONS

    samples = [drawn_sample(0, i, SKELETONS["face68"], 256) for i in range(FACES)]
    return [(s.rgb(), s.box) for s in samples]


def dlib_forest(threads: int) -> Peer:
    """dlib's forest of regression trees for 68 points, on the weights that the package
    face_recognition_models brings; one thread is all that it can use."""
    import dlib

    spec = find_spec("face_recognition_models")
    assert spec is not None and spec.origin is not None
    models = Path(spec.origin).parent / "models"
    predictor = dlib.shape_predictor(str(models / "shape_predictor_68_face_landmarks.dat"))
    faces = [(image, dlib.rectangle(*(int(v) for v in np.rint(box)))) for image, box in _faces()]

    def run(i: int) -> Any:
        return predictor(*faces[i % len(faces)])

    return run


PEERS = {"dlib": dlib_forest}
NEEDS = {"dlib": ("dlib", "face_recognition_models")}


def installed() -> list[str]:
    """Names of the peers that can be run here."""
    return [name for name, needs in NEEDS.items() if all(find_spec(n) for n in needs)]
