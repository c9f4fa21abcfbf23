"""The page itself: template, style and scripts in one file with all that they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import heatkp
from heatkp.evaluation.metrics import FAILURE, error_curve
from heatkp.models import DenseModel
from heatkp.text import json_text, printable
from heatkp.viz.canvas import COLOURS
from heatkp.viz.report import objects, tables
from heatkp.viz.report.data import (
    ReportRun,
    choose,
    common_normaliser,
    head_turns,
    lengths_of,
    mean_errors,
    part_of,
)
from heatkp.viz.report.faces import (
    LARGEST_IMAGE,
    atlas_columns,
    block_factor,
    face,
    number,
)

LIMIT = 10_000_000
"""Bytes that a page may have."""
FOLDER = Path(__file__).parent
SCRIPTS = ("charts.js", "panel.js", "gallery.js", "report.js")
BINS = 30
FOR_OBJECTS = 3_000_000
"""Bytes of a page that images of many objects may take, of all its runs."""
WHITE = {
    "logits": "fraction of probability in that cell; all cells sum to 1",
    "gaussian": "height there; the target's is about 1",
    "sigmoid_logits": "probability there",
}


@dataclass(frozen=True)
class Page:
    """A finished page: HTML, its bytes, samples shown and measured, what a reader should know."""

    html: str
    size: int
    shown: int
    total: int
    notes: list[str]


def _json(value: Any) -> str:
    return json_text(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)


def _embedded(value: Any) -> str:
    """JSON that no HTML parser takes for the end of its script."""
    found = _json(value)
    for sign in "<>&\u2028\u2029":
        found = found.replace(sign, f"\\u{ord(sign):04x}")
    return found


def _histories(run: ReportRun) -> dict[str, Any] | None:
    if run.history is None:
        return None
    return {
        name: {"x": epochs, "y": [number(v, 9) for v in values]}
        for name, (epochs, values) in run.history.items()
    }


def distributions(runs: Sequence[ReportRun], normaliser: str | None) -> dict[str, Any]:
    """Histogram and cumulative curve of the samples' mean errors, for each run on one scale.

    Levels are fractions of the normaliser, or image pixels without one. The curve ends at 10 %, or
    at the 99th percentile of the pixels; the histogram's last bin holds all that is over.
    """
    errors = [mean_errors(run, normaliser) for run in runs]
    known = [e[~np.isnan(e)] for e in errors]
    whole = np.concatenate([e[np.isfinite(e)] for e in known]) if known else np.zeros(0)
    top = FAILURE if normaliser else float(np.percentile(whole, 99)) if len(whole) else 1.0
    top = top or 1.0
    edges = np.linspace(0, top, BINS + 1)
    found: dict[str, Any] = {
        "unit": "%" if normaliser else "px",
        "edges": [number(v, 6) for v in edges],
        "runs": [],
    }
    for own in known:
        levels, shares = error_curve(own, top)
        counts = np.histogram(np.minimum(own, top), edges)[0]
        found["runs"].append({
            "count": len(own),
            "over": int((own > top).sum()),
            "histogram": [number(v, 5) for v in counts / max(len(own), 1)],
            "levels": [number(v, 6) for v in levels[::10]],
            "shares": [number(v, 5) for v in shares[::10]],
        })  # fmt: skip
    return found


def _run_facts(run: ReportRun) -> dict[str, Any]:
    model = run.loaded.model
    width, height = run.loaded.settings.data.size
    facts = {"name": run.name, "size": [width, height], "head": run.loaded.settings.head.name}
    if not isinstance(model, DenseModel):
        return {**facts, "maps": None}
    map_height, map_width = (-(-side // model.stride) for side in (height, width))
    f = block_factor(map_height, map_width)
    maps = {
        "width": -(-map_width // f),
        "height": -(-map_height // f),
        "stride": model.stride * f,
        "columns": atlas_columns(len(run.skeleton)),
        "white": WHITE[model.head.kind],
    }
    return {**facts, "maps": maps}


def _notes(
    runs: Sequence[ReportRun], metrics: Sequence[dict[str, Any]], normaliser: str | None
) -> list[str]:
    """What keeps figures from being what a reader may take them for."""
    notes = []
    count, (_, many) = len(runs[0].dataset), tables.noun(runs[0])
    for run, own in zip(runs, metrics):
        recorded = run.recorded or {}
        if recorded.get("split") == "val" and recorded.get("images") != count:
            notes.append(
                f"{run.name} was validated on {recorded.get('images')} {many}; figures here are "
                f"over the {count} that the runs have in common."
                if len(runs) > 1
                else f"metrics.json of {run.name} counts {recorded.get('images')} {many}, its data "
                f"now gives {count}: the data has changed since."
            )
        before, now = recorded.get("mae_photo"), own["mae_photo"]
        same = recorded.get("images") == count and recorded.get("split") == "val"
        if same and isinstance(before, float) and now and abs(before - now) > 0.01 * now:
            notes.append(
                f"metrics.json of {run.name} says a MAE of {before:.3f} px, measured here {now:.3f}"
                " px: weights or data have changed since."
            )
    truths = [np.where(r.errors.labelled[:, :, None], r.errors.image_truth, 0) for r in runs]
    if any(np.abs(truth - truths[0]).max(initial=0) > 0.5 for truth in truths[1:]):
        notes.append(
            f"The runs' images of the same {many} differ in size or labels: compare fractions of "
            f"{'a length' if normaliser is None else normaliser}, not pixels."
        )
    return notes


def _facts(runs: Sequence[ReportRun], normaliser: str | None) -> dict[str, Any]:
    """All that the scripts need, except the samples."""
    skeleton = runs[0].skeleton
    ramp = matplotlib.colormaps[COLOURS](np.arange(256), bytes=True)[:, :3]
    return {
        "runs": [_run_facts(run) for run in runs],
        "points": list(skeleton.point_names),
        "parts": [part_of(name) for name in skeleton.point_names],
        "lines": [list(line) for line in skeleton.lines],
        "noun": list(tables.noun(runs[0])),
        "normaliser": normaliser,
        "ramp": ramp.reshape(-1).tolist(),
        "histories": [_histories(run) for run in runs],
        "distribution": distributions(runs, normaliser),
        "images": [],
        "faces": [],
    }


def _fill(
    facts: dict[str, Any],
    runs: Sequence[ReportRun],
    normaliser: str | None,
    samples: int,
    room: int,
    progress: Callable[[int], None],
) -> None:
    """Put samples into `facts` until there are enough or `room` bytes are used."""
    turns = head_turns(runs[0])
    lengths = [lengths_of(run, normaliser) for run in runs]
    means = [mean_errors(run, normaliser) for run in runs]
    known: dict[str, int] = {}
    for done, index in enumerate(choose(runs, normaliser, samples), 1):
        drawn = [face(run, index) for run in runs]
        entry = {
            "id": runs[0].dataset.samples[index].id,
            "turn": number(turns[index], 1),
            "runs": [found for _, found in drawn],
        }
        fresh = [uri for uri in dict.fromkeys(uri for uri, _ in drawn) if uri not in known]
        places = {**known, **{uri: len(known) + i for i, uri in enumerate(fresh)}}
        for i, (uri, found) in enumerate(drawn):
            found.update(
                image=places[uri],
                length=number(lengths[i][index], 2) if normaliser else None,
                mean=number(means[i][index], 5),
            )
        cost = len(_embedded(entry).encode()) + sum(len(uri) + 3 for uri in fresh) + 1
        if cost > room:
            return
        room -= cost
        known = places
        facts["images"] += fresh
        facts["faces"].append(entry)
        progress(done)


def build(
    runs: Sequence[ReportRun], samples: int, progress: Callable[[int], None] = lambda done: None
) -> Page:
    """The page of one run, or of several on the same samples, as one string below `LIMIT`.

    `progress` is told how many of the samples are drawn. Raises `DataError` for an image that
    cannot be read.
    """
    normaliser = common_normaliser(runs)
    metrics = [run.metrics() for run in runs]
    notes = _notes(runs, metrics, normaliser)
    facts = _facts(runs, normaliser)
    finding = [run for run in runs if run.objects is not None]
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    template = environment.get_template("report.html.j2")
    words: dict[str, Any] = {
        "version": heatkp.__version__,
        "runs": [
            {
                "name": run.name,
                "headline": tables.headline(run, own, normaliser),
                "words": tables.model_words(run),
                "cards": tables.cards(own, normaliser, tables.noun(run)),
            }
            for run, own in zip(runs, metrics)
        ],
        "noun": tables.noun(runs[0]),
        "total": len(runs[0].dataset),
        "normaliser": normaliser,
        "notes": notes,
        "metrics": tables.metric_rows(metrics, len({run.errors.input_size for run in runs}) == 1),
        "parts": tables.part_rows(runs, normaliser),
        "points": tables.point_rows(runs, normaliser),
        "settings": tables.setting_groups(runs),
        "environment": tables.environment_rows(runs),
        "objects": objects.rows([run.objects for run in runs]) if finding else [],
        "galleries": [
            {
                "name": run.name,
                "total": len(run.objects.images),
                "cards": objects.cards(run.objects, run.skeleton, FOR_OBJECTS // len(finding)),
            }
            for run in finding
            if run.objects is not None
        ],
        "curves": any(run.history for run in runs),
        "turns": bool(np.isfinite(head_turns(runs[0])).any()),
        "any_maps": any(isinstance(run.loaded.model, DenseModel) for run in runs),
        "largest_picture": LARGEST_IMAGE,
        "style": (FOLDER / "report.css").read_text(encoding="utf-8"),
        "script": "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS),
    }

    def render() -> str:
        page = template.render(**words, shown=len(facts["faces"]), data=_embedded(facts))
        return printable(page)

    _fill(facts, runs, normaliser, samples, LIMIT - len(render().encode()) - 1000, progress)
    html = render()
    return Page(html, len(html.encode()), len(facts["faces"]), words["total"], notes)
