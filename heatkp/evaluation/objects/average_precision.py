"""Average precision and recall of found objects by COCO's rules.

As pycocotools' `COCOeval` with `iouType="keypoints"`: found objects, the surest first, each take
the most similar true object that is free; what is right or wrong of them, over all images in the
order of their scores, gives precision against recall. Ignored objects (crowds, those without a
labelled point, those of another size than is looked at) have not to be found, and who finds them
is not wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.evaluation.objects.image_objects import ImageObjects
from heatkp.evaluation.objects.oks import Array, Mask

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
SIZES = {"all": (0.0, 1e10), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Areas in squared pixels from which to which objects count."""


class _Matched(NamedTuple):
    """Of an image, for S sizes and T thresholds.

    Attributes:
        scores: (D,).
        right, wrong: (S, T, D).
        true: (S,), how many objects have to be found.
    """

    scores: Array
    right: Mask
    wrong: Mask
    true: npt.NDArray[np.int64]


def _match(image: ImageObjects, limits: Array, thresholds: Array) -> _Matched:
    truth, order = image.truth, image.order
    low, high = limits.T[..., None]
    ignored = truth.ignored | (truth.areas < low) | (truth.areas > high)  # (S, G)
    shape = (len(limits), len(thresholds), len(truth.areas))
    taken = np.zeros(shape, bool)
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]
    right, wrong = np.zeros((2, *shape[:2], len(order)), bool)
    similarity = image.similarity
    own = image.areas[order]
    fits = (own >= low) & (own <= high)  # (S, D)
    for d in range(len(order)):
        able = (similarity[d] >= least) & ~(taken & ~truth.crowd)
        counted = able & ~ignored[:, None]
        some = counted.any(-1)
        chosen = np.where(some[..., None], counted, able)
        found = chosen.any(-1)
        if shape[2]:
            # Of equal ones the last, as pycocotools takes.
            values = np.where(chosen, similarity[d], -1.0)[..., ::-1]
            best = shape[2] - 1 - values.argmax(-1)
            taken |= found[..., None] & (np.arange(shape[2]) == best[..., None])
        right[..., d] = some
        wrong[..., d] = ~found & fits[:, None, d]
    return _Matched(image.scores[order], right, wrong, (~ignored).sum(1))


class Curves(NamedTuple):
    """Precision at 101 recalls, and the greatest recall, by size (S) and threshold (T).

    Attributes:
        precision: (S, T, 101); -1 where there is no such object.
        recall: (S, T).
    """

    precision: Array
    recall: Array


def curves(
    images: Sequence[ImageObjects],
    thresholds: npt.ArrayLike = THRESHOLDS,
    sizes: Sequence[tuple[float, float]] = tuple(SIZES.values()),
) -> Curves:
    """Precision against recall over images, in this order, which decides between equal scores."""
    levels, limits = np.asarray(thresholds, np.float64), np.asarray(sizes, np.float64)
    matched = [_match(image, limits, levels) for image in images]
    precision = np.full((len(limits), len(levels), len(RECALLS)), -1.0)
    recall = np.full((len(limits), len(levels)), -1.0)
    if not matched:
        return Curves(precision, recall)
    scores = np.concatenate([m.scores for m in matched])
    order = np.argsort(-scores, kind="stable")
    right = np.concatenate([m.right for m in matched], 2)[:, :, order].cumsum(2)
    wrong = np.concatenate([m.wrong for m in matched], 2)[:, :, order].cumsum(2)
    for s, true in enumerate(np.sum([m.true for m in matched], 0)):
        if not true:
            continue
        for t in range(len(levels)):
            hits = right[s, t].astype(np.float64)
            reached = hits / true
            share = hits / (wrong[s, t] + hits + np.spacing(1))
            share = np.maximum.accumulate(share[::-1])[::-1]
            places = np.searchsorted(reached, RECALLS, side="left")
            precision[s, t] = np.append(share, 0.0)[places]
            recall[s, t] = reached[-1] if len(reached) else 0.0
    return Curves(precision, recall)


def average_precision(images: Sequence[ImageObjects]) -> dict[str, float | None]:
    """COCO's ten figures of keypoints.

    `AP`: mean precision over recalls and over OKS thresholds 0.5, 0.55 ... 0.95; `AP50`, `AP75`:
    at one threshold; `AP_medium`, `AP_large`: of objects of 32² to 96² pixels and above; `AR` and
    so on: the greatest recall, which 20 objects an image may reach. None where there is no such
    object.
    """
    kinds: dict[int | str | None, list[ImageObjects]] = {}
    for image in images:
        kinds.setdefault(image.category, []).append(image)
    each = [curves(own) for own in kinds.values()] or [curves([])]
    precision = np.stack([c.precision for c in each], -1)
    recall = np.stack([c.recall for c in each], -1)
    half, strict = 0, 5
    figures: dict[str, float | None] = {}
    for letter, values in (("AP", precision), ("AR", recall)):
        for name, part in (
            (letter, values[0]),
            (f"{letter}50", values[0, half]),
            (f"{letter}75", values[0, strict]),
            (f"{letter}_medium", values[1]),
            (f"{letter}_large", values[2]),
        ):
            known = part[part > -1]
            figures[name] = float(known.mean()) if known.size else None
    return figures
