"""Whether scores tell points that are there from points that are not."""

from __future__ import annotations

import numpy as np

from heatkp.evaluation.metrics._base import metric
from heatkp.evaluation.metrics._errors import Errors
from heatkp.skeletons import Skeleton


@metric(
    "presence",
    "presence",
    "labelled points scored above unlabelled ones",
    per="set",
    form=".1%",
    higher=True,
    order=32.0,
)
def presence(errors: Errors, skeleton: Skeleton) -> float | None:
    """The area under the ROC curve of scores, for points that are labelled against those of the
    same images that are not: the probability that the former has the higher score, 0.5 for scores
    that tell nothing (Hanley and McNeil, Radiology 1982). None where all points are labelled, or
    none, and without scores.
    """
    from scipy.stats import rankdata  # takes a while

    if errors.scores is None:
        return None
    images = errors.labelled.any(1)
    scores, there = errors.scores[images].ravel(), errors.labelled[images].ravel()
    known = np.isfinite(scores)
    scores, there = scores[known], there[known]
    count, others = int(there.sum()), int((~there).sum())
    if not count or not others:
        return None
    above = np.asarray(rankdata(scores))[there].sum() - count * (count + 1) / 2
    return float(above / (count * others))
