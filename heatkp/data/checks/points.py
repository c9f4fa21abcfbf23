"""Points that lie where no object's points lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.checks.finding import Finding, spread_evenly
from heatkp.data.checks.placeholders import BLOCK
from heatkp.data.samples import Sample
from heatkp.skeletons import Skeleton

Numbers = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TOLERANCE = 1.0
"""Pixels by which a point may lie outside its image: tools disagree about edges."""
FAR = 0.5
"""A point is far outside its image beyond this fraction of the longer side."""
BOX_SCALE = 1.5
"""Boxes are enlarged by this before points count as outside: detectors' cut off chin and brows."""
EXCHANGED = 0.1
"""Fraction of samples that must fit only with x and y exchanged where all fit in that way."""
COMPARED = 300
"""Samples of which each two points are compared."""
PERCENT_SIDE = 200
"""Pixels; where all images are this large, coordinates that end at 100 are perhaps percents."""


class _Counts(NamedTuple):
    """Of each sample, arrays (S,): its labelled points, and how many of them lie outside of
    something; their smallest and largest coordinate."""

    labelled: Numbers
    outside: Numbers
    outside_exchanged: Numbers
    far: Numbers
    outside_box: Numbers
    low: Numbers
    high: Numbers


def _beyond(points: Numbers, low: Numbers, high: Numbers) -> Numbers:
    """How many of points (S, K, 2) of each sample lie outside edges (S, 2); NaN does not."""
    out = (points < low[:, None]) | (points > high[:, None])
    return np.asarray(out.any(2).sum(1), np.float64)


def _count_block(samples: Sequence[Sample], sizes: Numbers) -> _Counts:
    labelled = np.stack([s.visibility for s in samples]) > 0
    points = np.stack([s.points for s in samples]).astype(np.float64)
    points[~labelled] = np.nan
    none = np.full(4, np.nan, np.float32)
    boxes = np.stack([none if s.box is None else s.box for s in samples]).astype(np.float64)
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    half[(half <= 0).any(1)] = np.nan
    low, high = np.full_like(sizes, -0.5 - TOLERANCE), sizes - 0.5 + TOLERANCE
    margin = FAR * sizes.max(1, keepdims=True)
    return _Counts(
        labelled=labelled.sum(1).astype(np.float64),
        outside=_beyond(points, low, high),
        outside_exchanged=_beyond(points[:, :, ::-1], low, high),
        far=_beyond(points, -margin, sizes + margin),
        outside_box=_beyond(points, middle - half * BOX_SCALE, middle + half * BOX_SCALE),
        low=np.where(labelled[:, :, None], points, np.inf).min((1, 2), initial=np.inf),
        high=np.where(labelled[:, :, None], points, -np.inf).max((1, 2), initial=-np.inf),
    )


def _count(samples: Sequence[Sample], sizes: Numbers) -> _Counts:
    starts = range(0, len(samples), BLOCK)
    blocks = [_count_block(samples[i : i + BLOCK], sizes[i : i + BLOCK]) for i in starts]
    return _Counts(*(np.concatenate(parts) for parts in zip(*blocks)))


def point_findings(samples: Sequence[Sample], skeleton: Skeleton, sizes: Numbers) -> list[Finding]:
    """What is wrong with where the points are.

    Args:
        sizes: width and height (S, 2) of the samples' images, NaN where they are not known.
    """
    counts = _count(samples, sizes)
    findings = _scaled(counts, sizes)
    if not findings:
        findings = _in_images(samples, counts, np.asarray(np.isfinite(sizes).all(1)))
    off = counts.outside_box > counts.labelled / 2
    if off.any():
        boxed = sum(s.box is not None for s in samples)
        findings.append(
            Finding(
                f"{off.sum()} of {boxed} samples have most of their points outside their own box, "
                f"such as {_first(samples, off)}: boxes and points are perhaps of different objects"
            )
        )
    return [*findings, *_coinciding(samples, skeleton), *_repeated(samples)]


def _first(samples: Sequence[Sample], chosen: Bools) -> str:
    return samples[int(np.flatnonzero(chosen)[0])].id


def _scaled(counts: _Counts, sizes: Numbers) -> list[Finding]:
    """Coordinates in other units than pixels."""
    total, low, high = counts.labelled.sum(), counts.low.min(), counts.high.max()
    if total >= 4 and low >= 0 and high <= 1:
        text = "all coordinates lie between 0 and 1: pixels are expected, not fractions of the size"
        return [Finding(text, refused=True)]
    known = sizes[np.isfinite(sizes).all(1)]
    large = len(known) > 0 and known.min() >= PERCENT_SIDE
    if total >= 10 and low >= 0 and 50 < high <= 100 and large:
        return [
            Finding(
                "all coordinates lie between 0 and 100, though the images are larger "
                f"({known.min():g} pixels at least): pixels are expected, not percents of the size"
            )
        ]
    return []


def _in_images(samples: Sequence[Sample], counts: _Counts, sized: Bools) -> list[Finding]:
    """Points outside of images whose size is known."""
    sized = sized & (counts.labelled > 0)
    known = int(sized.sum())
    if not known:
        return []
    every = sized & (counts.outside == counts.labelled)
    if every.sum() == known:
        return [
            Finding(
                f"all points of all {known} samples looked at lie outside their images, such as "
                f"{_first(samples, every)}: labels and images do not belong together",
                refused=True,
            )
        ]
    findings = []
    exchanged = _exchanged(counts, sized)
    if exchanged.any():
        findings.append(
            Finding(
                f"{exchanged.sum()} of {known} samples fit their images only with x and y "
                f"exchanged, such as {_first(samples, exchanged)}: correct the labels"
            )
        )
    every &= ~exchanged
    if every.any():
        findings.append(
            Finding(
                f"{every.sum()} of {known} samples have all points outside their image, such as "
                f"{_first(samples, every)}: nothing is learned of them"
            )
        )
    far = sized & (counts.far > 0) & ~every & ~exchanged
    if far.any():
        findings.append(
            Finding(
                f"{counts.far[far].sum():.0f} points of {far.sum()} of {known} samples lie far "
                f"outside their image, such as of {_first(samples, far)}: correct them, or leave "
                "them unlabelled"
            )
        )
    return findings


def _exchanged(counts: _Counts, sized: Bools) -> Bools:
    """Samples that fit only with x and y exchanged: for most of their points, or all where the
    whole set does."""
    only = sized & (counts.outside > 0) & (counts.outside_exchanged == 0)
    fits = counts.outside_exchanged[sized] == 0
    if fits.all() and only.sum() >= max(2, EXCHANGED * sized.sum()):
        return only
    return only & (2 * counts.outside >= counts.labelled) & (counts.labelled > 1)


def _coinciding(samples: Sequence[Sample], skeleton: Skeleton) -> list[Finding]:
    """Pairs of points that are at one place in most of the samples that have both."""
    count = len(skeleton)
    same, both = np.zeros((count, count), np.int64), np.zeros((count, count), np.int64)
    for i in spread_evenly(len(samples), COMPARED):
        points, labelled = samples[i].points, samples[i].visibility > 0
        pair = labelled[:, None] & labelled
        both += pair
        same += pair & (points[:, None] == points).all(2)
    first, second = np.nonzero(np.triu((2 * same > both) & (same > 1), 1))
    if not len(first):
        return []
    a, b = (skeleton.point_names[int(k[0])] for k in (first, second))
    return [
        Finding(
            f"{len(first)} pairs of points are at the same place in most samples, such as {a} and "
            f"{b} ({same[first[0], second[0]]} of {both[first[0], second[0]]}): leave one of each "
            "unlabelled, or out of data.points"
        )
    ]


def _repeated(samples: Sequence[Sample]) -> list[Finding]:
    """Samples with the very points of another of the same image."""
    counts = Counter(s.image_name for s in samples if s.file is not None)
    seen: dict[tuple[str, bytes], str] = {}
    twice = []
    for sample in samples:
        if counts[sample.image_name] < 2 or not (sample.visibility > 0).any():
            continue
        known = np.where(sample.visibility[:, None] > 0, sample.points, np.float32(np.nan))
        key = sample.image_name, known.tobytes()
        if key in seen:
            twice.append((seen[key], sample.id))
        seen.setdefault(key, sample.id)
    if not twice:
        return []
    return [
        Finding(
            f"{len(twice)} samples have the very points of another sample of the same image, such "
            f"as {twice[0][1]} and {twice[0][0]}: remove the copies"
        )
    ]
