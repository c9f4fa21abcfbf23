"""Metrics: how far predictions are from the truth. One metric a file.

To add one, put a file here that decorates its function with `metric`; other packages name theirs
in the entry points `heatkp.metrics`. It then stands in metrics.json, in tables and in reports.
"""

from __future__ import annotations

from heatkp.evaluation.metrics._base import Metric, Relative, all_metrics, metric
from heatkp.evaluation.metrics._errors import (
    FAILURE,
    PCK_SHARES,
    Array,
    Errors,
    error_curve,
    image_nme,
    labelled_boxes,
    mean_of,
    normaliser_lengths,
)
from heatkp.evaluation.metrics._reliability import Reliability, reliability
from heatkp.evaluation.metrics._summary import summarise, summarise_objects
from heatkp.registry import METRICS

__all__ = [
    "FAILURE",
    "METRICS",
    "PCK_SHARES",
    "Array",
    "Errors",
    "Metric",
    "Relative",
    "Reliability",
    "all_metrics",
    "error_curve",
    "image_nme",
    "labelled_boxes",
    "mean_of",
    "metric",
    "normaliser_lengths",
    "reliability",
    "summarise",
    "summarise_objects",
]
