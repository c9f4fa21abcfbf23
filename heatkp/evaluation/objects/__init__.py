"""Pictures with any number of objects: what was found, missed and wrong; average precision by
COCO's rules; identities through time."""

from __future__ import annotations

from heatkp.evaluation.objects.average_precision import average_precision
from heatkp.evaluation.objects.identities import TrackedFrame, measure_identities
from heatkp.evaluation.objects.image_objects import ImageObjects, TrueObjects
from heatkp.evaluation.objects.matching import match, matched_errors
from heatkp.evaluation.objects.oks import oks, sigmas_for, sigmas_of_repeats

__all__ = [
    "ImageObjects", "TrackedFrame", "TrueObjects", "average_precision", "match", "matched_errors",
    "measure_identities", "oks", "sigmas_for", "sigmas_of_repeats",
]  # fmt: skip
