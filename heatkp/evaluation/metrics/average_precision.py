"""Average precision and recall of objects, by COCO's rules."""

from __future__ import annotations

from collections.abc import Sequence

from heatkp.evaluation.metrics._base import metric
from heatkp.evaluation.objects.average_precision import average_precision as of_coco
from heatkp.evaluation.objects.image_objects import ImageObjects


@metric(
    "average_precision",
    "COCO",
    "average precision and recall over OKS 0.5 to 0.95",
    per="objects",
    form=".4f",
    higher=True,
    ranked=True,
    order=1.0,
    parts={
        "AP": "AP",
        "AP50": "AP at OKS 0.5",
        "AP75": "AP at OKS 0.75",
        "AP_medium": "AP, 32² to 96² pixels",
        "AP_large": "AP, above 96² pixels",
        "AR": "AR",
        "AR50": "AR at OKS 0.5",
        "AR75": "AR at OKS 0.75",
        "AR_medium": "AR, 32² to 96² pixels",
        "AR_large": "AR, above 96² pixels",
    },
)
def average_precision(images: Sequence[ImageObjects]) -> dict[str, float | None]:
    """COCO's ten figures of keypoints."""
    return of_coco(images)
