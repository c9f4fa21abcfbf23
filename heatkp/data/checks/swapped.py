"""Points that look exchanged in some of the samples: a label on the other point of two.

Each sample is laid over the mean shape by all of its points but two; these two are exchanged where
they then lie much closer to each other's places than to their own. Places that are not clearly
apart, against how much such points vary, tell nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.checks.finding import Finding, spread_evenly
from heatkp.data.samples import Sample
from heatkp.sides.positions import middle_shape
from heatkp.skeletons import Skeleton

COMPARED = 2000
"""Samples that are looked at, evenly spread."""
TOGETHER = 0.5
"""Pairs of points are told of together where so many of the fewer samples are the same."""
FEWEST = 5
"""Samples in which two points must be labelled, with at least `OTHERS` others."""
OTHERS = 3
CLOSER = 0.15
"""Squared distances to each other's places, as a fraction of those to their own."""
APART = 9.0
"""How far two places are apart, squared, in units of the middle squared distance from them."""
MOST = 0.35
"""Fraction of the samples: where more are the other way, both ways are meant."""
SHOWN = 4

Bools = npt.NDArray[np.bool_]


class Swap(NamedTuple):
    """Two points, by index, and the places of the samples in which they look exchanged."""

    first: int
    second: int
    samples: tuple[int, ...]


def _swaps(points: npt.NDArray[np.complex128]) -> Iterator[Swap]:
    """Of points (N, K), NaN where not known."""
    mean = middle_shape(points)
    known = np.isfinite(points) & np.isfinite(mean)
    count = known.sum(1)
    a, m = np.where(known, points, 0), np.where(known, mean, 0)
    a = np.where(known, a - (a.sum(1) / np.maximum(count, 1))[:, None], 0)
    # Sums over all points, of which two are taken away at a time.
    product, square = m * a.conj(), abs(a) ** 2
    sums = [v.sum(1) for v in (a, m, product, square)]
    for first, second in combinations(range(points.shape[1]), 2):
        usable = known[:, first] & known[:, second] & (count >= OTHERS + 2)
        if usable.sum() < FEWEST:
            continue
        a_sum, m_sum, product_sum, square_sum = (
            total[usable] - part[usable, first] - part[usable, second]
            for total, part in zip(sums, (a, m, product, square))
        )
        n = count[usable] - 2
        centre, place = a_sum / n, m_sum / n
        turn = product_sum - n * place * centre.conj()
        turn = turn / np.maximum(square_sum - n * abs(centre) ** 2, 1e-12)
        one, two = (turn * (a[usable, i] - centre) + place for i in (first, second))
        own = abs(one - mean[first]) ** 2 + abs(two - mean[second]) ** 2
        crossed = abs(one - mean[second]) ** 2 + abs(two - mean[first]) ** 2
        apart = float(abs(mean[first] - mean[second]) ** 2)
        if apart <= APART * max(float(np.median(own)), 1e-9):
            continue
        found = np.flatnonzero(usable)[crossed < CLOSER * own]
        if 0 < len(found) <= MOST * usable.sum():
            yield Swap(first, second, tuple(int(i) for i in found))


def _compared(
    samples: Sequence[Sample], limit: int
) -> tuple[list[int], npt.NDArray[np.complex128]] | None:
    """Places of samples, and their points (N, K), NaN where not labelled; None for too few."""
    places = [i for i, s in enumerate(samples) if (s.visibility > 0).sum() >= OTHERS + 2]
    places = [places[i] for i in spread_evenly(len(places), limit)]
    if len(places) < FEWEST:
        return None
    points = np.stack([samples[i].points for i in places]).astype(np.float64)
    points[np.stack([samples[i].visibility == 0 for i in places])] = np.nan
    return places, points[:, :, 0] + 1j * points[:, :, 1]


def find_swaps(samples: Sequence[Sample], limit: int = COMPARED) -> list[Swap]:
    """Two points each that look exchanged in some samples, those of most samples first."""
    compared = _compared(samples, limit)
    if compared is None:
        return []
    places, points = compared
    found = [Swap(a, b, tuple(places[i] for i in own)) for a, b, own in _swaps(points)]
    return sorted(found, key=lambda swap: -len(swap.samples))


def _left_over(
    points: npt.NDArray[np.complex128], mean: npt.NDArray[np.complex128]
) -> npt.NDArray[np.float64]:
    """Mean squared distance (N,) of the points from a shape that they are laid over."""
    known = np.isfinite(points) & np.isfinite(mean)
    n = np.maximum(known.sum(1, keepdims=True), 1)
    a, m = np.where(known, points, 0), np.where(known, mean, 0)
    a = np.where(known, a - a.sum(1, keepdims=True) / n, 0)
    m = np.where(known, m - m.sum(1, keepdims=True) / n, 0)
    product = abs((m * a.conj()).sum(1)) ** 2 / np.maximum((abs(a) ** 2).sum(1), 1e-12)
    return np.asarray(((abs(m) ** 2).sum(1) - product) / n[:, 0])


def find_exchanged_sides(
    samples: Sequence[Sample], skeleton: Skeleton, limit: int = COMPARED
) -> list[int]:
    """Places of samples that fit the mean shape much better with all left and right points
    exchanged."""
    compared = _compared(samples, limit)
    if compared is None or len(skeleton.pairs) < 2:
        return []
    places, points = compared
    mean = middle_shape(points)
    own, crossed = (_left_over(p, mean) for p in (points, points[:, skeleton.flip]))
    found = np.flatnonzero(crossed < CLOSER * own)
    return [places[i] for i in found] if len(found) <= MOST * len(places) else []


def _where(samples: Sequence[Sample], places: Sequence[int]) -> str:
    """The folder, where all of them and most of its samples are of one; else an example."""
    folders = {samples[i].file.parent if samples[i].file else None for i in places}  # type: ignore[union-attr]
    if len(folders) == 1 and len(places) > 1:
        (folder,) = folders
        inside = sum(s.file is not None and s.file.parent == folder for s in samples)
        if folder is not None and len(places) >= 0.8 * inside and inside < len(samples):
            return f"those in {folder}"
    return f"such as {', '.join(samples[i].id for i in places[:2])}"


def _together(swaps: Sequence[Swap]) -> list[list[Swap]]:
    """Pairs of points that look exchanged in about the same samples."""
    groups: list[tuple[set[int], list[Swap]]] = []
    for swap in swaps:
        own = set(swap.samples)
        for places, members in groups:
            if len(own & places) >= TOGETHER * min(len(own), len(places)):
                places |= own
                members.append(swap)
                break
        else:
            groups.append((own, [swap]))
    return [members for _, members in groups]


def swap_findings(
    samples: Sequence[Sample], skeleton: Skeleton, limit: int | None = None
) -> list[Finding]:
    """A line for each group of samples in which two points, or several pairs of them, look
    exchanged; `limit` as in `find_swaps`."""
    names, findings = skeleton.point_names, []
    limit = limit or COMPARED
    flipped = find_exchanged_sides(samples, skeleton, limit)
    if flipped:
        findings.append(
            Finding(
                f"left and right look exchanged in {len(flipped)} of {len(samples)} samples, "
                f"{_where(samples, flipped)}: they are, or these are seen from the other side"
            )
        )
    groups = _together([s for s in find_swaps(samples, limit) if not {*s.samples} <= {*flipped}])
    for swaps in groups[:SHOWN]:
        a, b = names[swaps[0].first], names[swaps[0].second]
        more = f" (and {len(swaps) - 1} more pairs)" if len(swaps) > 1 else ""
        places = sorted({i for swap in swaps for i in swap.samples})
        findings.append(
            Finding(
                f"{a} and {b}{more} look exchanged in {len(places)} of {len(samples)} samples, "
                f"{_where(samples, places)}"
            )
        )
    hidden = len(groups) - SHOWN
    if hidden > 0:
        findings.append(Finding(f"{hidden} more groups of samples have points that look exchanged"))
    return findings
