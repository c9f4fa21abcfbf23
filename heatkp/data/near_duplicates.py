"""Samples that show the same image again, under whatever name.

Collections hold copies of one image in other sizes, crops and compressions, each labelled anew.
On both sides of a split they flatter a model; next to each other they tell how exact labels are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from heatkp import coordinates as co
from heatkp.data.samples import KeypointData, Sample, Visibility
from heatkp.errors import DataError

SIDE, FINE = 48, 4
"""Pixels of the patches that are compared, and how much finer they are sampled before."""
FEWEST = 3
"""Labelled points by which a patch is cut out; with fewer, the box or the image is taken."""
CANDIDATE = 0.85
"""Correlation of blurred patches from which a pair is looked at closely."""
ALIKE = 0.9
"""Correlation of fine detail of aligned patches from which two show one image. On 300-W and IMM
the next below (0.82 to 0.9) are shots of one person in one pose, and images that have another
copy above it; different persons are at 0.28 in the middle."""
NEAREST = 12
"""Candidates of a sample that are looked at, the likeliest first."""
BLOCK = 1024
_WHOLE = np.ones((SIDE, SIDE), np.uint8)
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)

Array = npt.NDArray[np.float64]
Patch = npt.NDArray[np.float32]


class Pair(NamedTuple):
    """Two samples of one image.

    Attributes:
        first, second: their places in what was searched.
        likeness: correlation of fine detail, at most 1.
        matrix: affine from the second's image pixels to the first's.
    """

    first: int
    second: int
    likeness: float
    matrix: co.Matrix


def _known(sample: Sample) -> Array:
    """Points (K, 2), NaN where not labelled."""
    labelled = sample.visibility[:, None] > Visibility.NOT_LABELLED
    return np.where(labelled, sample.points, np.nan).astype(np.float64)


def _fit(points: Array, shape: Array) -> co.Matrix | None:
    """The similarity that lays labelled points on the mean shape; None where they are too few,
    or all in one place."""
    both = np.isfinite(points[:, 0]) & np.isfinite(shape[:, 0])
    if both.sum() < FEWEST or np.ptp(points[both], axis=0).max() < 1.0:
        return None
    return co.similarity(points[both], shape[both])


def _frames(samples: Sequence[Sample]) -> list[co.Matrix | None]:
    """Affines from images to patches that bring all samples' points to about the same places:
    generalised Procrustes analysis (Gower 1975). None where points do not tell."""
    points = [_known(s) for s in samples]
    shape = max(points, key=lambda p: int(np.isfinite(p[:, 0]).sum()))
    for _ in range(3):
        fitted = [(p, m) for p in points if (m := _fit(p, shape)) is not None]
        if not fitted:
            return [None] * len(samples)
        every = np.stack([co.apply(m, p) for p, m in fitted])
        count = np.isfinite(every[..., 0]).sum(0)[:, None]
        shape = np.where(count > 0, np.nansum(every, 0) / np.maximum(count, 1), np.nan)
    low, high = np.nanmin(shape, 0), np.nanmax(shape, 0)
    middle, half = (low + high) / 2, 0.55 * (high - low).max()
    frame = co.box_to_frame([*(middle - half), *(middle + half)], SIDE, SIDE)
    found = []
    for p in points:
        matrix = _fit(p, shape)
        found.append(None if matrix is None else co.compose(matrix, frame))
    return found


def _patch(sample: Sample, matrix: co.Matrix | None) -> tuple[Patch, co.Matrix] | None:
    """What a sample looks like, grey (SIDE, SIDE), and its affine; None where it can't be read."""
    try:
        grey = cv2.cvtColor(sample.rgb(), cv2.COLOR_RGB2GRAY)
        if matrix is None:
            height, width = grey.shape[:2]
            box = co.image_box(width, height) if sample.box is None else sample.box
            matrix = co.box_to_frame(box, SIDE, SIDE)
        finer = co.compose(matrix, co.box_to_frame(co.image_box(SIDE, SIDE), *[FINE * SIDE] * 2))
        seen = cv2.warpAffine(grey, finer, [FINE * SIDE] * 2, borderMode=cv2.BORDER_REPLICATE)
    except (DataError, OSError, ValueError, cv2.error):
        return None
    small = cv2.resize(seen, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32), matrix


def _standardised(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Rows (N, D) without their mean, of length 1; zeros where they are flat."""
    centred = values - values.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.where(length > 1.0, centred / np.maximum(length, 1.0), 0.0), np.float32)


def _blurred(patches: Sequence[Patch]) -> npt.NDArray[np.float32]:
    rows = [cv2.GaussianBlur(p, (0, 0), 1.5)[::2, ::2].ravel() for p in patches]
    return _standardised(np.stack(rows))


def _candidates(
    rows: npt.NDArray[np.float32], columns: npt.NDArray[np.float32], within: bool
) -> Iterator[tuple[int, int]]:
    for start in range(0, len(rows), BLOCK):
        alike = rows[start : start + BLOCK] @ columns.T
        if within:
            own = np.arange(len(alike))
            alike[own, own + start] = -1.0
        for i, values in enumerate(alike):
            near = np.flatnonzero(values > CANDIDATE)
            for j in near[np.argsort(-values[near], kind="stable")[:NEAREST]]:
                yield i + start, int(j)


def _compare(first: Patch, second: Patch) -> tuple[float, co.Matrix] | None:
    """How alike two patches' detail is once they are aligned (enhanced correlation
    coefficient, Evangelidis and Psarakis 2008), and the affine from the second to the first."""
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, found = cv2.findTransformECC(first, second, start, cv2.MOTION_AFFINE, _STOP, _WHOLE, 5)
        back = co.invert(np.asarray(found, np.float64))
    except (cv2.error, ValueError):  # they do not converge
        return None
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(second, found, (SIDE, SIDE), flags=flags)
    inner = slice(4, -4)
    fine = [(p - cv2.GaussianBlur(p, (0, 0), 2.0))[inner, inner].ravel() for p in (first, moved)]
    a, b = _standardised(np.stack(fine))
    return float(a @ b), back


def find_near_duplicates(
    samples: Sequence[Sample],
    others: Sequence[Sample] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Pair]:
    """Pairs of samples that show the same image, within `samples` or between them and `others`.

    Patches around the labelled points (else the box, else the image) are compared coarsely,
    then the nearest aligned and compared in detail. Images that cannot be read are passed over.
    Coarse comparison is of every pair: a product of matrices, in blocks.

    Args:
        progress: told how many images are read, and of how many.
    """
    every = [*samples, *(others or ())]
    if not every or not samples:
        return []
    patches: list[tuple[Patch, co.Matrix] | None] = []
    pool = ThreadPoolExecutor()
    try:
        for patch in pool.map(_patch, every, _frames(every)):
            patches.append(patch)
            progress(len(patches), len(every))
    finally:  # stopped by Ctrl-C: do not read the rest
        pool.shutdown(wait=True, cancel_futures=True)
    blank = np.zeros((SIDE, SIDE), np.float32), np.eye(2, 3)
    known = [blank if patch is None else patch for patch in patches]
    rows = _blurred([patch for patch, _ in known])
    count = len(samples)
    columns, shift = (rows, 0) if others is None else (rows[count:], count)
    near = _candidates(rows[:count], columns, others is None)
    candidates = sorted({(min(p), max(p)) if others is None else p for p in near})
    with ThreadPoolExecutor() as pool:
        compared = pool.map(lambda p: _compare(known[p[0]][0], known[p[1] + shift][0]), candidates)
        found = []
        for (i, j), result in zip(candidates, compared):
            if result is not None and result[0] >= ALIKE:
                matrix = co.compose(known[j + shift][1], result[1], co.invert(known[i][1]))
                found.append(Pair(i, j, result[0], matrix))
    return found


def groups_of(pairs: Sequence[Pair], count: int) -> list[list[int]]:
    """Which of `count` samples show one image, directly or by way of others; groups of two or
    more, in order."""
    first, second = [p.first for p in pairs], [p.second for p in pairs]
    links = coo_array((np.ones(len(pairs)), (first, second)), shape=(count, count))
    _, names = connected_components(links, directed=False)
    groups: dict[int, list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(int(name), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def label_gap(
    samples: Sequence[Sample], pairs: Sequence[Pair], lengths: Sequence[float]
) -> float | None:
    """How far two labels of one image are apart: their points' mean distance over the sample's
    length, the mean of a group's pairs, and the middle of all groups. None without pairs."""
    gaps: dict[tuple[int, int], float] = {}
    for pair in pairs:
        moved = co.apply(pair.matrix, _known(samples[pair.second]))
        distance = np.linalg.norm(moved - _known(samples[pair.first]), axis=1)
        both = np.isfinite(distance)
        if both.any() and np.isfinite(lengths[pair.first]):
            gaps[pair.first, pair.second] = float(distance[both].mean() / lengths[pair.first])
    means = []
    for group in groups_of(pairs, len(samples)):
        inside = [gap for (first, _), gap in gaps.items() if first in group]
        if inside:
            means.append(np.mean(inside))
    return float(np.median(means)) if means else None


def without_near_duplicates(data: KeypointData) -> KeypointData:
    """Without the training samples that show the image of a validation or test sample; a note
    counts them."""
    seen = {pair.first for pair in find_near_duplicates(data.train, [*data.val, *data.test])}
    train = [sample for i, sample in enumerate(data.train) if i not in seen]
    held = "validation or test" if data.test else "validation"
    if not train:
        raise DataError(f"every training sample shows the image of a {held} sample")
    note = (
        f"{len(seen)} of {len(data.train)} training samples show an image of a {held} sample "
        "again and are left out (data.leave_out_lookalikes)"
    )
    left_out = [*data.left_out, *(data.train[i] for i in sorted(seen))]
    return replace(data, train=train, notes=(*data.notes, note), left_out=left_out)
