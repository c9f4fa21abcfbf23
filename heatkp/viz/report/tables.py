"""The words and tables of a report, as plain values for its template."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from heatkp.config import Model
from heatkp.evaluation.metrics import FAILURE, PCK_SHARES, Metric, all_metrics
from heatkp.models import DenseModel
from heatkp.viz.report.data import ReportRun, lengths_of, part_of

DIGITS = {"px": 2, "%": 2, "": 3}


def text(value: float | None, unit: str) -> str:
    """A figure with its unit; `%` takes a fraction.

    >>> text(0.0363, "%"), text(3.917, "px"), text(None, "px")
    ('3.63 %', '3.92 px', '–')
    """
    if value is None or not np.isfinite(value):
        return "–"
    if value == 0 and unit:
        return f"0 {unit}"
    shown = 100 * value if unit == "%" else value
    return f"{shown:.{DIGITS[unit]}f} {unit}".rstrip()


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def length_words(normaliser: str | None) -> str:
    """A normaliser as words.

    >>> length_words("inter-ocular"), length_words("box-diagonal")
    ('inter-ocular distance', 'box diagonal')
    """
    name = normaliser or ""
    return f"{name} distance" if name.startswith("inter-") else name.replace("-", " ")


def noun(run: ReportRun) -> tuple[str, str]:
    """What a sample is called, one and many."""
    faces = run.skeleton.name.startswith("face")
    return ("face", "faces") if faces else ("picture", "pictures")


def network_words(settings: Model, dense: bool) -> str:
    """What a network is made of.

    >>> network_words(Model(architecture="fpn", encoder="tu-resnet18"), dense=True)
    'fpn on resnet18'
    >>> network_words(Model(layers=["conv 8 3", "relu"]), dense=False)
    'list of 2 layers'
    """
    if settings.layers:
        return f"list of {len(settings.layers)} layers"
    encoder = settings.encoder.removeprefix("tu-")
    if not dense or settings.architecture == "plain_unet":
        return settings.architecture if dense else encoder
    return f"{settings.architecture} on {encoder}"


def model_words(run: ReportRun) -> dict[str, str]:
    """Head, network, input and data of a run in short."""
    settings, model = run.loaded.settings, run.loaded.model
    path = settings.data.place
    return {
        "head": settings.head.name,
        "network": network_words(settings.model, isinstance(model, DenseModel)),
        "input": "{} × {}".format(*settings.data.size),
        "maps": f"1 map pixel = {model.stride} × {model.stride} input pixels"
        if isinstance(model, DenseModel)
        else "none: coordinates directly",
        "data": "drawn faces" if path is None else path,
    }


def headline(run: ReportRun, metrics: Mapping[str, Any], normaliser: str | None) -> str:
    """A run's main figures as sentences."""
    words, (one, many) = model_words(run), noun(run)
    count, points = metrics["images"], len(run.skeleton)
    found = f"{points} points" if points > 1 else "1 point"
    sentence = (
        f"Head {words['head']} ({words['network']}) finds {found} in an input of "
        f"{words['input']} pixels. On {count} validation {one if count == 1 else many} "
        f"({words['data']}) a point is on average {text(metrics['distance_photo'], 'px')} of the "
        "image away from its label"
    )
    block = metrics["normalised"].get(normaliser)
    if block is None or block["nme"] is None:
        return sentence + "."
    failed = block["failure_rate"]
    fails = (
        f"no {one} has" if failed == 0 else f"{text(failed, '%')} of the {many} have"
    ) + f" a mean error over {_percent(FAILURE)}"
    return (
        f"{sentence}: {text(block['nme'], '%')} of the {length_words(normaliser)}. "
        f"{text(block['pck']['0.1'], '%')} of the points are within "
        f"{_percent(PCK_SHARES[1])} of it; "
        f"{fails}."
    )


def cards(
    metrics: Mapping[str, Any], normaliser: str | None, names: tuple[str, str]
) -> list[tuple[str, str]]:
    """The main figures of a run, each with what it is."""
    found = []
    block = metrics["normalised"].get(normaliser)
    if block is not None:
        found = [
            (text(block["nme"], "%"), f"mean error, of the {length_words(normaliser)} (NME)"),
            (text(block["pck"]["0.1"], "%"), "of the points within 10 % of it"),
            (text(block["failure_rate"], "%"), f"of the {names[1]} fail (mean error over 10 %)"),
        ]
    return [
        *found[:1],
        (text(metrics["distance_photo"], "px"), "mean distance to the label, in the image"),
        *found[1:],
    ]


Row = dict[str, Any]


def _row(name: str, meaning: str, values: Sequence[float | None], unit: str, low: bool) -> Row:
    """A line of the table of metrics; `best` says which of several runs are best."""
    given = [v for v in values if v is not None]
    best = (min(given) if low else max(given)) if given and len(values) > 1 else None
    unequal = len(set(given)) > 1
    return {
        "name": name,
        "meaning": meaning,
        "values": [f"{v:.2e}" if unit == "e" and v is not None else text(v, unit.strip("e"))
                   for v in values],
        "best": [unequal and v is not None and v == best for v in values],
    }  # fmt: skip


def metric_rows(found: Sequence[Mapping[str, Any]], same_size: bool = True) -> list[Row]:
    """All overall metrics, a row each, for runs side by side.

    Without `same_size` of their inputs, none is best in pixels of the input.
    """

    def across(*keys: str) -> list[float | None]:
        values: list[float | None] = []
        for metrics in found:
            value: Any = metrics
            for key in keys:
                value = value[key] if value is not None and key in value else None
            values.append(value)
        return values

    def rows_of(metric: Metric, *place: str, more: str = "") -> Iterator[Row]:
        unit = metric.form[-1] if metric.form[-1] in "e%" else metric.unit
        for part, called in (metric.parts or {"": ""}).items():
            name = metric.label[0].upper() + metric.label[1:] + f" at {called}" * bool(part) + more
            values = across(*place, metric.name, *[part] * bool(part))
            row = _row(name, metric.meaning, values, unit, not metric.higher)
            if metric.of_input and metric.unit == "px":
                row["meaning"] += "; compares only between inputs of the same size"
                row["best"] = [best and same_size for best in row["best"]]
            yield row

    whole = (*all_metrics("point"), *all_metrics("set"))
    rows = [row for metric in whole for row in rows_of(metric)]
    for name in found[0]["normalised"]:
        for metric in all_metrics("length"):
            rows += rows_of(metric, "normalised", name, more=f", {name}")
    return rows


def _error_rows(
    runs: Sequence[ReportRun], normaliser: str | None, groups: Mapping[str, list[int]]
) -> list[Row]:
    """Mean error of groups of points: image pixels and fraction of the normaliser, each run."""
    rows: list[Row] = []
    prepared = []
    for run in runs:
        share = run.distance / lengths_of(run, normaliser)[:, None]
        prepared.append((run.distance, share))
    for name, members in groups.items():
        cells = []
        for distance, share in prepared:
            own, relative = distance[:, members], share[:, members]
            some = np.isfinite(relative)
            cells.append({
                "px": _mean(own, np.isfinite(own)),
                "share": None if normaliser is None else _mean(relative, some),
            })  # fmt: skip
        rows.append({"name": name, "points": members, "cells": cells})
    for c, unit in enumerate(("px", "share")):
        largest = max((cell[unit] or 0.0 for row in rows for cell in row["cells"]), default=0.0)
        for row in rows:
            for cell in row["cells"]:
                value = cell[unit]
                cell[f"{unit}_text"] = text(value, ("px", "%")[c])
                cell[f"{unit}_bar"] = round(100 * value / largest) if value and largest else 0
    return rows


def _mean(values: Any, mask: Any) -> float | None:
    return float(values[mask].mean()) if mask.any() else None


def part_rows(runs: Sequence[ReportRun], normaliser: str | None) -> list[Row]:
    """Errors of the parts that numbered points belong to; empty where each is a part itself."""
    groups: dict[str, list[int]] = {}
    for k, name in enumerate(runs[0].skeleton.point_names):
        groups.setdefault(part_of(name), []).append(k)
    if len(groups) in (1, len(runs[0].skeleton)):
        return []
    return _error_rows(runs, normaliser, groups)


def point_rows(runs: Sequence[ReportRun], normaliser: str | None) -> list[Row]:
    """Errors of each keypoint."""
    names = runs[0].skeleton.point_names
    return _error_rows(runs, normaliser, {name: [k] for k, name in enumerate(names)})


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _rows(columns: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    names = dict.fromkeys(key for column in columns for key in column)
    for name in names:
        values = [_plain(column[name]) if name in column else "–" for column in columns]
        yield {"name": name, "values": values, "differs": len(set(values)) > 1}


def setting_groups(runs: Sequence[ReportRun]) -> list[tuple[str, list[Row]]]:
    """All settings by section, with which of them differ between the runs."""
    dumps = [run.loaded.settings.model_dump() for run in runs]
    return [(section, list(_rows([dump[section] for dump in dumps]))) for section in dumps[0]]


def environment_rows(runs: Sequence[ReportRun]) -> list[Row]:
    """What environment.json holds; a package is a row."""
    columns = []
    for run in runs:
        flat = dict(run.environment or {})
        packages = flat.pop("packages", None)
        if isinstance(packages, dict):
            flat.update(packages)
        command = flat.get("command")
        if isinstance(command, list):
            flat["command"] = " ".join(map(str, command))
        columns.append(flat)
    return list(_rows(columns))
