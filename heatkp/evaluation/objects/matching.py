"""Found objects beside true ones, one to one: misses, false alarms, errors of those that match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from heatkp.evaluation.objects.image_objects import ImageObjects
from heatkp.evaluation.objects.oks import Array

FOUND = 0.5
"""OKS from which an object counts as found."""


class Matches(NamedTuple):
    """One image's objects, by their places in what was found and in the labels.

    Attributes:
        pairs: (M, 2), found and true.
        similarity: (M,) OKS of the pairs.
        false, missed: what matches nothing and does not match what is ignored.
    """

    pairs: npt.NDArray[np.int64]
    similarity: Array
    false: npt.NDArray[np.int64]
    missed: npt.NDArray[np.int64]


def match(image: ImageObjects, least: float = FOUND) -> Matches:
    """The pairs of an image with the greatest sum of OKS, each of at least `least`, of all that was
    found.

    What would be false but lies on an ignored object does not count.
    """
    image = image.whole
    similarity = image.similarity
    counted = np.flatnonzero(~image.truth.ignored)
    own = np.where(similarity >= least, similarity, 0.0)[:, counted]
    rows, columns = linear_sum_assignment(-own)
    good = own[rows, columns] > 0
    rows, columns = rows[good], columns[good]
    rest = np.setdiff1d(np.arange(len(similarity)), rows)
    on_ignored = np.asarray((similarity[:, image.truth.ignored] >= least).any(1))
    return Matches(
        np.stack([image.order[rows], counted[columns]], 1).astype(np.int64),
        own[rows, columns],
        image.order[rest[~on_ignored[rest]]],
        np.setdiff1d(counted, counted[columns]).astype(np.int64),
    )


def matched_errors(images: Sequence[ImageObjects], least: float = FOUND) -> dict[str, Any]:
    """What was found, missed and wrong, and how far off the points of found objects are.

    - `true`, `found`, `missed`, `false`: objects; `precision`, `recall`, `f1`;
    - `images_with_wrong_count`: images in which another number was found than is there;
    - `oks`: mean over found objects;
    - `median_error`, `mean_error`: pixels, over labelled points of found objects that have a
      position; `normalised_error`: the mean, of each as a fraction of the square root of its
      object's area; `points_missed`: labelled points without one;
    - `pck_0.05`, `pck_0.1`: labelled points of found objects that lie within that fraction of the
      square root of the object's area.
    """
    counts = {"true": 0, "found": 0, "missed": 0, "false": 0, "images_with_wrong_count": 0}
    distances: list[Array] = [np.zeros(0)]
    relative: list[Array] = [np.zeros(0)]
    similar: list[Array] = [np.zeros(0)]
    for image in images:
        pairs, similarity, false, missed = match(image, least)
        counts["true"] += len(pairs) + len(missed)
        counts["found"] += len(pairs)
        counts["missed"] += len(missed)
        counts["false"] += len(false)
        counts["images_with_wrong_count"] += len(false) != len(missed)
        similar.append(similarity)
        for d, g in pairs:
            labelled = image.truth.visible[g]
            off = np.linalg.norm(image.points[d] - image.truth.points[g], axis=1)[labelled]
            distances.append(off)
            relative.append(off / np.sqrt(max(image.truth.areas[g], np.spacing(1))))
    off, scaled = np.concatenate(distances), np.concatenate(relative)
    known = off[np.isfinite(off)]
    found, true, told = counts["found"], counts["true"], counts["found"] + counts["false"]
    return {
        **counts,
        "precision": found / told if told else None,
        "recall": found / true if true else None,
        "f1": 2 * found / (told + true) if told + true else None,
        "oks": float(np.concatenate(similar).mean()) if found else None,
        "median_error": float(np.median(known)) if len(known) else None,
        "mean_error": float(known.mean()) if len(known) else None,
        "normalised_error": float(scaled[np.isfinite(off)].mean()) if len(known) else None,
        "points_missed": int(len(off) - len(known)),
        "pck_0.05": float((scaled <= 0.05).mean()) if len(scaled) else None,
        "pck_0.1": float((scaled <= 0.1).mean()) if len(scaled) else None,
    }
