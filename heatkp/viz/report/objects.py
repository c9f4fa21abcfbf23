"""Objects in a report: figures from image to points, and images with what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from heatkp import coordinates as co
from heatkp.data.samples import Image
from heatkp.evaluation.metrics import all_metrics
from heatkp.evaluation.objects import ImageObjects
from heatkp.evaluation.objects.matching import Matches, match
from heatkp.evaluation.objects.swaps import Swap, swaps
from heatkp.inference.measuring import MeasuredObjects
from heatkp.skeletons import Skeleton
from heatkp.viz.report.faces import QUALITY, webp

Array = npt.NDArray[np.float64]
SHOWN = 24
"""Images of a run."""
SIDE, LARGEST_SCALE = 640, 2.0
"""The longer side of an image in a page, and how far a small one is enlarged."""
TRUTH, FOUND, MISSED = (61, 220, 90), (255, 45, 120), (255, 210, 0)
FALSE, SWAPPED, IGNORED = (255, 70, 50), (80, 170, 255), (150, 150, 150)
"""RGB, as report.css has them."""


@dataclass(frozen=True)
class Faults:
    """What is right and wrong in an image.

    Attributes:
        image: what was found, and the labels.
        matches: found and labelled objects, one to one.
        swaps: objects whose points are another's.
    """

    image: ImageObjects
    matches: Matches
    swaps: list[Swap]

    @property
    def count(self) -> int:
        """Misses, false alarms and swaps."""
        return len(self.matches.missed) + len(self.matches.false) + len(self.swaps)

    @property
    def oks(self) -> float | None:
        """The mean of the matched objects; None where there is none."""
        return float(self.matches.similarity.mean()) if len(self.matches.similarity) else None


def faults_of(image: ImageObjects) -> Faults:
    """What is right and wrong in an image."""
    return Faults(image, match(image), swaps(image))


def worst_first(measured: MeasuredObjects) -> list[tuple[int, Faults]]:
    """The images by their faults, of equally many by the points' OKS, the worst first; each with
    its place."""
    found = [(i, faults_of(image)) for i, image in enumerate(measured.images)]
    return sorted(found, key=lambda one: (-one[1].count, 1.0 if one[1].oks is None else one[1].oks))


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def words_of(faults: Faults) -> str:
    """An image's faults in words."""
    pairs, missed = len(faults.matches.pairs), len(faults.matches.missed)
    parts = [f"{pairs} of {pairs + missed} found"]
    parts += [f"{missed} missed"] * bool(missed)
    false, swapped = len(faults.matches.false), len(faults.swaps)
    parts += [_count(false, "false alarm", "false alarms")] * bool(false)
    parts += [_count(swapped, "swap", "swaps")] * bool(swapped)
    parts += [f"mean OKS {faults.oks:.2f}"] if faults.oks is not None else []
    return ", ".join(parts)


class _Canvas:
    """An image at the size of the page, on which is drawn in pixels of the original."""

    def __init__(self, image: Image) -> None:
        height, width = image.shape[:2]
        scale = min(SIDE / max(height, width), LARGEST_SCALE)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        self.pixels = np.ascontiguousarray(cv2.resize(image, size, interpolation=how), np.uint8)
        self._matrix = co.scaling(size[0] / width, size[1] / height)

    def _at(self, points: Array) -> npt.NDArray[np.int32]:
        reach = 4.0 * SIDE  # far outside OpenCV's integers would overflow
        seen = co.apply(self._matrix, points.reshape(-1, 2)).clip(-reach, reach)
        return np.asarray(np.rint(seen * 16), np.int32)

    def line(self, points: Array, colour: tuple[int, int, int], width: int, closed: bool) -> None:
        run = [self._at(points)[:, None]]
        cv2.polylines(self.pixels, run, closed, (0, 0, 0), width + 2, cv2.LINE_AA, 4)
        cv2.polylines(self.pixels, run, closed, colour, width, cv2.LINE_AA, 4)

    def box(self, box: Array, colour: tuple[int, int, int], width: int = 2) -> None:
        self.line(box[[[0, 1], [2, 1], [2, 3], [0, 3]]], colour, width, True)

    def arrow(self, start: Array, end: Array, colour: tuple[int, int, int]) -> None:
        (a, b) = (tuple(int(v) // 16 for v in self._at(p)[0]) for p in (start, end))
        for shade, width in (((0, 0, 0), 4), (colour, 2)):
            cv2.arrowedLine(self.pixels, a, b, shade, width, cv2.LINE_AA, 0, 0.15)

    def dots(self, points: Array, colour: tuple[int, int, int]) -> None:
        for x, y in self._at(points[np.isfinite(points).all(1)]).tolist():
            for shade, radius in (((0, 0, 0), 48), (colour, 34)):
                cv2.circle(self.pixels, (x, y), radius, shade, cv2.FILLED, cv2.LINE_AA, 4)


def _middle(box: Array) -> Array:
    return (box[:2] + box[2:]) / 2


def draw(image: Image, faults: Faults, skeleton: Skeleton) -> Image:
    """An image with its labelled and found objects, uint8 (H, W, 3) RGB."""
    canvas, told = _Canvas(image), faults.image
    truth, boxes = told.truth, told.boxes
    for g in np.flatnonzero(truth.ignored):
        canvas.box(truth.boxes[g], IGNORED, 1)
    for d in range(len(told.scores)):
        known = np.isfinite(told.points[d]).all(1)
        for run in skeleton.lines:
            for a, b in pairwise(run):
                if known[a] and known[b]:
                    canvas.line(told.points[d][[a, b]], FOUND, 1, False)
    for g in np.flatnonzero(~truth.ignored):
        canvas.dots(truth.points[g][truth.visible[g]], TRUTH)
    for points in told.points:
        canvas.dots(points, FOUND)
    for g in faults.matches.missed:
        canvas.box(truth.boxes[g], MISSED)
    for d in faults.matches.false:
        canvas.box(_outline(told, int(d)), FALSE)
    for found, own, other in faults.swaps:
        if boxes is not None:
            canvas.box(boxes[found], SWAPPED)
        canvas.arrow(_middle(truth.boxes[own]), _middle(truth.boxes[other]), SWAPPED)
    return canvas.pixels


def _outline(image: ImageObjects, found: int) -> Array:
    """The box of a found object, or the one around its points."""
    if image.boxes is not None:
        return image.boxes[found]
    points = image.points[found]
    some = points[np.isfinite(points).all(1)]
    return np.concatenate([some.min(0), some.max(0)]) if len(some) else np.zeros(4)


def cards(measured: MeasuredObjects, skeleton: Skeleton, room: int) -> list[dict[str, str]]:
    """The worst images for a page, each with its name and its faults in words, for at most so many
    bytes. Raises `DataError` for an image that cannot be read."""
    made: list[dict[str, str]] = []
    for i, faults in worst_first(measured)[:SHOWN]:
        uri = webp(draw(measured.samples[i].rgb(), faults, skeleton), QUALITY)
        room -= len(uri)
        if room < 0:
            break
        name = faults.image.image
        made.append({"image": uri, "name": name, "words": words_of(faults)})
    return made


def rows(found: Sequence[MeasuredObjects | None]) -> list[dict[str, Any]]:
    """The figures of objects, a row each, for runs side by side; a run without any has dashes."""

    def text(own: MeasuredObjects | None, form: str, *keys: str) -> str:
        value: Any = None if own is None else own.figures
        for key in keys:
            value = (value or {}).get(key)
        return "–" if value is None else format(value, form)

    def row(name: str, meaning: str, form: str, *keys: str) -> dict[str, Any]:
        return {"name": name, "meaning": meaning,
                "values": [text(own, form, *keys) for own in found]}  # fmt: skip

    made = [row("Images", "validation images with all their objects", "d", "images")]
    for metric in all_metrics("objects"):
        for i, (part, label) in enumerate(metric.parts.items()):
            name = label[0].upper() + label[1:]
            made.append(row(name, "" if i else metric.meaning, metric.form, metric.name, part))
    meaning = "objects whose points match another one better than their own"
    made.append(row("Swaps", meaning, "d", "swaps"))
    meaning = "of the finder, from which objects count; average precision also sees what is below"
    made.append(row("Score", meaning, ".3g", "min_score"))
    return made
