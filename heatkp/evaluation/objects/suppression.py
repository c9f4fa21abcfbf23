"""Objects that were found twice, by their points: non-maximum suppression by OKS."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heatkp.errors import SettingsError
from heatkp.evaluation.objects.oks import oks


def suppress_by_oks(
    points: npt.ArrayLike,
    scores: npt.ArrayLike,
    areas: npt.ArrayLike,
    sigmas: npt.ArrayLike,
    threshold: float,
) -> npt.NDArray[np.int64]:
    """Indices of the objects that stay, the surest first.

    The surest stays, and all go whose OKS with it is above the threshold; then the surest of the
    others, and so on. As what two found objects have in common has no true side, their OKS is
    computed with the mean of the two areas, over the points that either has; one that only one has
    counts as infinitely far. Of equally sure ones the first by its coordinates stays, so that the
    order in which objects come changes nothing.

    Args:
        points: (N, K, 2) in pixels; NaN for what was not found.
        scores: (N,), higher is surer.
        areas: (N,) in squared pixels.
        sigmas: (K,), as `oks` takes them.
        threshold: above 0, at most 1.

    Raises:
        SettingsError: for a threshold that cannot be.

    >>> here, there = [[[0.0, 0.0]]], [[[30.0, 0.0]]]
    >>> suppress_by_oks(here + here + there, [0.2, 0.9, 0.5], [100.0] * 3, [0.05], 0.9).tolist()
    [1, 2]
    """
    if not 0 < threshold <= 1:
        raise SettingsError(f"the OKS from which two objects are one is in (0, 1], not {threshold}")
    where = np.asarray(points, np.float64).reshape(-1, np.size(sigmas), 2)
    sure, size = np.asarray(scores, np.float64), np.asarray(areas, np.float64)
    known = np.asarray(np.isfinite(where).all(-1))
    coordinates = np.where(known[..., None], where, np.inf).reshape(len(where), 2 * np.size(sigmas))
    order = np.lexsort((size, *coordinates.T[::-1], -sure))
    kept: list[int] = []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        similarity = oks(
            np.where(known[best][:, None], where[best], np.inf),
            where[order],
            known[best] | known[order],
            (size[best] + size[order]) / 2,
            sigmas,
        )
        order = order[similarity <= threshold]
    return np.array(kept, np.int64)
