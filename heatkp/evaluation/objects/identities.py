"""Tracks beside labelled identities: MOTA, IDF1, HOTA, switches.

CLEAR MOT (Bernardin and Stiefelhagen 2008), identity measures (Ristani et al. 2016) and HOTA
(Luiten et al. 2020), counted as in TrackEval, https://github.com/JonathonLuiten/TrackEval.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from heatkp.errors import DataError
from heatkp.evaluation.objects.oks import Array

LEVELS = np.arange(0.05, 0.99, 0.05)
"""Similarities over which HOTA is averaged."""
_STAY = 1000.0
"""What weighs more than any similarity: that a match of the frame before goes on."""
_EPS = float(np.finfo(np.float64).eps)
Whole = npt.NDArray[np.int64]


class TrackedFrame(NamedTuple):
    """One frame of a video.

    Attributes:
        true: the identities of the G labelled objects.
        found: the identities of the D objects that were tracked.
        similarity: (G, D), from 0 to 1, such as OKS.
    """

    true: Sequence[Hashable]
    found: Sequence[Hashable]
    similarity: Array


class _Frame(NamedTuple):
    """A frame with identities by number."""

    true: Whole
    found: Whole
    similarity: Array


def _numbered(frames: Sequence[TrackedFrame]) -> tuple[list[_Frame], int, int]:
    """Frames with numbers from 0, and how many identities there are, true and found."""
    ours: dict[Hashable, int] = {}
    theirs: dict[Hashable, int] = {}
    made = []
    for i, frame in enumerate(frames):
        for what, names in (("labelled", frame.true), ("found", frame.found)):
            if len(set(names)) != len(names):
                raise DataError(f"frame {i} has a {what} identity twice: {list(names)}")
        true = np.array([theirs.setdefault(name, len(theirs)) for name in frame.true], np.int64)
        found = np.array([ours.setdefault(name, len(ours)) for name in frame.found], np.int64)
        similarity = np.asarray(frame.similarity, np.float64).reshape(len(true), len(found))
        made.append(_Frame(true, found, similarity))
    return made, len(theirs), len(ours)


def measure_identities(
    frames: Sequence[TrackedFrame], least: float = 0.5
) -> dict[str, float | int | None]:
    """How well tracks keep the labelled identities of one video.

    - `mota`: 1 - (missed + false + switches) / labelled objects; may be below 0;
    - `idf1`: F1 of objects under the best one-to-one assignment of tracks to identities;
    - `hota`, and its factors `deta` (objects) and `assa` (their identities): means over 19
      similarities from 0.05 to 0.95;
    - `switches`: how often an identity's track is another than the last time it was found;
      `fragments`: how often it is found again after it was not;
    - `missed`, `false`, `true`: objects in frames.

    Args:
        frames: in their order, also those without an object.
        least: the similarity from which a found object may be a true one (not in HOTA).

    Raises:
        DataError: where a frame has an identity twice.
    """
    told, trues, founds = _numbered(frames)
    none = [np.zeros(0, np.int64)]
    true_count = np.bincount(np.concatenate([f.true for f in told] or none), minlength=trues)
    found_count = np.bincount(np.concatenate([f.found for f in told] or none), minlength=founds)
    total, given = int(true_count.sum()), int(found_count.sum())
    matched, switches, fragments = _clear(told, trues, least)
    missed, false = total - matched, given - matched
    identified = _identified(told, trues, founds, least)
    hota = _hota(told, true_count, found_count) if total and given else (0.0, 0.0, 0.0)
    return {
        "mota": 1 - (missed + false + switches) / total if total else None,
        "idf1": 2 * identified / (total + given) if total + given else None,
        **dict(zip(("hota", "deta", "assa"), hota)),
        "switches": switches,
        "fragments": fragments,
        "missed": missed,
        "false": false,
        "true": total,
        "tracks": founds,
        "identities": trues,
    }


def _clear(frames: Sequence[_Frame], trues: int, least: float) -> tuple[int, int, int]:
    """Matches, switches and fragments over frames, each matched so that matches go on."""
    last, before = np.full(trues, -1), np.full(trues, -1)
    spells = np.zeros(trues, np.int64)
    matched = switches = 0
    for true, found, similarity in frames:
        if not len(true) or not len(found):  # as in TrackEval: what was before stays
            continue
        stay = found[None] == before[true][:, None]
        value = np.where(similarity >= least - _EPS, _STAY * stay + similarity, 0.0)
        rows, columns = linear_sum_assignment(-value)
        good = value[rows, columns] > _EPS
        own, theirs = true[rows[good]], found[columns[good]]
        switches += int(((last[own] >= 0) & (last[own] != theirs)).sum())
        spells[own] += before[own] < 0
        last[own] = theirs
        before[:] = -1
        before[own] = theirs
        matched += len(own)
    return matched, switches, int(np.maximum(spells - 1, 0).sum())


def _identified(frames: Sequence[_Frame], trues: int, founds: int, least: float) -> int:
    """Objects whose track is that of their identity."""
    together = np.zeros((trues, founds))
    for true, found, similarity in frames:
        together[np.ix_(true, found)] += similarity >= least
    rows, columns = linear_sum_assignment(-together)
    return int(together[rows, columns].sum())


def _hota(
    frames: Sequence[_Frame], true_count: Whole, found_count: Whole
) -> tuple[float, float, float]:
    """HOTA, DetA and AssA, means over `LEVELS`."""
    trues, founds = true_count[:, None], found_count[None]
    shared = np.zeros((len(true_count), len(found_count)))
    for true, found, similarity in frames:
        union = similarity.sum(0)[None] + similarity.sum(1)[:, None] - similarity
        share = np.divide(similarity, union, out=np.zeros_like(similarity), where=union > _EPS)
        shared[np.ix_(true, found)] += share
    aligned = shared / (trues + found_count[None] - shared)
    matches = np.zeros((len(LEVELS), *shared.shape))
    for true, found, similarity in frames:
        if not len(true) or not len(found):
            continue
        rows, columns = linear_sum_assignment(-aligned[np.ix_(true, found)] * similarity)
        good = similarity[rows, columns] >= LEVELS[:, None] - _EPS
        matches[:, true[rows], found[columns]] += good
    hits = matches.sum((1, 2))
    detection = hits / np.maximum(1, true_count.sum() + found_count.sum() - hits)
    each = matches / np.maximum(1, trues + founds - matches)
    association = (matches * each).sum((1, 2)) / np.maximum(1, hits)
    return (
        float(np.sqrt(detection * association).mean()),
        float(detection.mean()),
        float(association.mean()),
    )
