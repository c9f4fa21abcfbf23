"""Findings as a page with images, in one file that needs no network, and as a table."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import heatkp
from heatkp.checking import drawing
from heatkp.checking.held_out import HeldOut
from heatkp.checking.suspects import KINDS, Finding
from heatkp.checking.words import describe, point_names, some
from heatkp.errors import DataError
from heatkp.text import name_to_text, one_line, printable
from heatkp.viz.report.faces import webp

QUALITY = 80
COLUMNS = (
    "rank", "id", "image", "kind", "part", "points", "strength", "error", "error_otherwise",
    "shape", "labels", "found", "trained",
)  # fmt: skip


def figures(finding: Finding) -> str:
    """How far off labels are, in words."""
    text = f"{finding.before:.1f} times the usual error"
    if finding.after is not None:
        text += f", {finding.after:.1f} times in the other order"
    if finding.kind == "off" and np.isfinite(finding.shape):
        text += f"; {finding.shape:.1f} times as far as usual from where other points put it"
    return text


def _places(values: Any) -> str:
    return ";".join(f"{x:.1f} {y:.1f}" if np.isfinite([x, y]).all() else "" for x, y in values)


def table(findings: Sequence[Finding], held: HeldOut) -> str:
    """All findings as CSV with a header, the likeliest first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    labels = held.labels
    for rank, f in enumerate(findings, 1):
        sample, points = held.samples[f.sample], list(f.points)
        file = "" if sample.file is None else name_to_text(sample.file.as_posix())
        writer.writerow([
            rank, sample.id, file, f.kind, f.part, ";".join(point_names(f, held.skeleton)),
            f"{f.strength:.2f}", f"{f.before:.2f}", "" if f.after is None else f"{f.after:.2f}",
            f"{f.shape:.2f}" if np.isfinite(f.shape) else "", _places(labels[f.sample, points]),
            _places(held.found[f.sample, points]), int(held.trained[f.sample]),
        ])  # fmt: skip
    return text.getvalue()


def page(
    title: str,
    findings: Sequence[Finding],
    held: HeldOut,
    notes: Sequence[str] = (),
    count: int = 60,
    networks: str = "a network that was not trained on them found",
    progress: Callable[[int], None] = lambda done: None,
) -> str:
    """HTML of the first `count` findings. Images that cannot be read are left out of their cards.

    `progress` is told how many are drawn.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    objects = {kind: {f.sample for f in findings if f.kind == kind} for kind in KINDS}
    counts = Counter({kind: len(found) for kind, found in objects.items()})
    cards = []
    labels = held.labels
    for rank, finding in enumerate(findings[:count], 1):
        cards.append(_card(rank, finding, held, labels[finding.sample]))
        progress(rank)
    html = environment.get_template("check.html.j2").render(
        version=heatkp.__version__,
        title=one_line(title),
        total=len(held.samples),
        networks=networks,
        notes=[one_line(note) for note in notes],
        kinds=[(KINDS[kind], counts[kind]) for kind in KINDS],
        findings=len(findings),
        cards=cards,
        side=drawing.SIDE,
    )
    return printable(html)


def _card(rank: int, finding: Finding, held: HeldOut, labels: Any) -> dict[str, Any]:
    sample = held.samples[finding.sample]
    try:
        drawn = drawing.draw(sample.rgb(), labels, held.found[finding.sample], finding.points)
        image = webp(drawn, QUALITY)
    except (DataError, OSError, ValueError):
        image = ""
    names = point_names(finding, held.skeleton)
    numbered = [f"{k} {name}" for k, name in zip(finding.points, names)]
    return {
        "rank": rank,
        "image": image,
        "name": one_line(sample.id),
        "words": one_line(describe(finding, held.skeleton)),
        "figures": figures(finding) + ("; in training" if held.trained[finding.sample] else ""),
        "points": "" if finding.kind == "object" else one_line(some(numbered, 16)),
    }
