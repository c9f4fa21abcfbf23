"""What is left out of what was found: poses that are alike, points that are not sure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from heatkp.errors import SettingsError
from heatkp.evaluation.objects.image_objects import areas_of, extent
from heatkp.evaluation.objects.oks import Array, sigmas_for
from heatkp.evaluation.objects.suppression import suppress_by_oks
from heatkp.inference.keypoints import Keypoints


def without_alike(found: Iterable[Keypoints], threshold: float | None) -> list[Keypoints]:
    """Of objects of one image whose OKS is above a threshold only the surest, by the detector's
    score, or without one by the points'; in the order in which they came. None: all of them.

    Sigmas are those of `sigmas_for` the skeleton, areas those of the boxes, or of the points'
    extents where there are none. Raises `SettingsError` as `suppress_by_oks` does.
    """
    objects = list(found)
    if threshold is None:
        return objects
    images: dict[int, list[int]] = {}
    for i, one in enumerate(objects):
        images.setdefault(one.image, []).append(i)
    kept: set[int] = set()
    for places in images.values():
        own = [objects[i] for i in places]
        chosen = suppress_by_oks(
            [one.points for one in own],
            [_certainty(one) for one in own],
            areas_of(np.array([_box(one) for one in own], np.float64)),
            sigmas_for(own[0].skeleton),
            threshold,
        )
        kept.update(places[i] for i in chosen)
    return [one for i, one in enumerate(objects) if i in kept]


def without_unsure(found: Iterable[Keypoints], least: float | None) -> list[Keypoints]:
    """Objects whose points are left out where they are scored below `least`, in [0, 1], as
    `Keypoints.without_unsure` does. None: as they are. Raises `SettingsError` for another number.
    """
    if least is None:
        return list(found)
    if not 0 <= least <= 1:
        raise SettingsError(f"min_point_score is from 0 to 1, not {least!r}")
    return [one.without_unsure(least) for one in found]


def _certainty(one: Keypoints) -> float:
    score = one.score if one.box_score is None else one.box_score
    return 0.0 if score is None else score


def _box(one: Keypoints) -> Array:
    if one.box is not None:
        return one.box
    return extent(one.points, np.asarray(np.isfinite(one.points).all(1)))
