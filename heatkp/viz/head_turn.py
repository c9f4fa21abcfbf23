"""Errors against the turn of a head, which is estimated from the true points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from heatkp.errors import SettingsError
from heatkp.evaluation.metrics import Errors, image_nme, normaliser_lengths
from heatkp.skeletons import Skeleton
from heatkp.viz.canvas import plain, save

Array = npt.NDArray[np.float64]
NEEDED = {
    "face68": ("right_eye_0", "left_eye_3", "nose_base_2"),
    "face58": ("right_eye_0", "left_eye_0", "nose_tip"),
}
"""Outer corners of the right and of the left eye, and the middle of the nose's lower edge."""
DEPTH = 0.64
"""How far that nose point lies before the line through the eyes' outer corners, in halves of the
distance between these. Measured on the IMM Face Database, whose views 3 and 4 are turned by
about 30 degrees: `ratio` has the means -0.370 and 0.369 there (80 images), and
0.37 / tan(30 degrees) = 0.64; on its 80 plain frontal images it is 0.00 (sd 0.05, 4 degrees)."""
BIN = 10.0
"""Width of a bin in degrees; one is centred on 0."""
FEWEST = 3
"""Images that a bin needs to have a mean."""
FRONTAL = 15.0
"""Degrees up to which a head counts as not turned in `turn_words`."""
RESAMPLES = 2000


def turn_points(skeleton: Skeleton) -> tuple[int, int, int]:
    """Indices of right and left outer eye corner and nose. Raises `SettingsError` without them."""
    layout = skeleton.name.partition("[")[0]  # a subset is called face68[...]
    names = NEEDED.get(layout, ())
    if not names or not set(names) <= set(skeleton.point_names):
        raise SettingsError(
            f"the head's turn cannot be told from the points of {skeleton.name!r}: it takes the "
            "outer eye corners and the nose of face68 (36, 45, 33) or face58 (21, 13, 52)"
        )
    right, left, nose = (skeleton.point_names.index(name) for name in names)
    return right, left, nose


def head_turn(points: npt.ArrayLike, skeleton: Skeleton) -> tuple[Array, Array]:
    """Estimated yaw and roll (N,) in degrees of points (N, K, 2) in pixels; NaN where one lacks.

    Yaw is positive when the nose points to the right of the image, the subject's left; roll
    is the slope of the line through the eyes, positive clockwise.

    The model: the eyes' outer corners lie at (-a, 0) and (a, 0) and the nose at (0, d) in a
    plane through the head, seen from far away. Turned by yaw they appear at -a cos(yaw),
    a cos(yaw) and d sin(yaw), so that the nose's place between the corners, in halves of their
    distance, is ratio = (d / a) tan(yaw), and yaw = atan(ratio / DEPTH). Places are taken along
    the line through the eyes, which undoes roll. Faces differ in d / a, and pitch, perspective
    and profiles beyond 60 degrees are not modelled: read it as an order rather than a
    measurement. Raises `SettingsError` for a skeleton without these points.
    """
    given = np.asarray(points, np.float64)
    right, left, nose = (given[:, k] for k in turn_points(skeleton))
    line = left - right
    squared = np.square(line).sum(1)
    squared = np.where(squared > 0, squared, np.nan)
    # Twice, since half of the distance is the unit.
    ratio = 2 * ((nose - (left + right) / 2) * line).sum(1) / squared
    roll = np.degrees(np.arctan2(line[:, 1], line[:, 0]))
    return np.degrees(np.arctan(ratio / DEPTH)), np.where(np.isfinite(squared), roll, np.nan)


class Bin(NamedTuple):
    """Images whose angle is within half of `BIN` of `centre`: mean and its 95 % interval."""

    centre: float
    images: int
    mean: float
    low: float
    high: float


def binned_means(angle: Array, values: Array, seed: int = 0) -> list[Bin]:
    """Means of values (N,) in bins of the angle (N,), where at least `FEWEST` are.

    Intervals are percentiles (2.5, 97.5) of the means of 2000 bootstrap resamples of a bin's
    images. NaN in either is left out.
    """
    rng = np.random.default_rng(seed)
    finite = np.isfinite(angle) & np.isfinite(values)
    place = np.round(angle[finite] / BIN)
    bins = []
    for centre in np.unique(place):
        inside = values[finite][place == centre]
        if len(inside) < FEWEST:
            continue
        means = rng.choice(inside, (RESAMPLES, len(inside))).mean(1)
        low, high = np.percentile(means, (2.5, 97.5))
        bins.append(Bin(float(centre * BIN), len(inside), float(inside.mean()), low, high))
    return bins


def errors_by_turn(
    errors: Errors, skeleton: Skeleton, normaliser: str
) -> tuple[Array, Array, Array]:
    """Yaw, roll and NME (N,) of each image; NaN where one is unknown."""
    truth = np.where(errors.labelled[:, :, None], errors.image_truth, np.nan)
    distance = np.linalg.norm(errors.image_points - errors.image_truth, axis=2)
    lengths = normaliser_lengths(skeleton, errors)[normaliser]
    return (*head_turn(truth, skeleton), image_nme(distance, errors.labelled, lengths))


def turn_words(yaw: Array, nme: Array) -> str:
    """A run's errors of heads that are turned little and more, and their rank correlation."""
    finite = np.isfinite(yaw) & np.isfinite(nme)
    turned = np.abs(yaw)
    parts = []
    for words, chosen in (
        (f"up to {FRONTAL:g} degrees", finite & (turned <= FRONTAL)),
        ("beyond", finite & (turned > FRONTAL)),
    ):
        mean = f"{nme[chosen].mean():.2%}" if chosen.any() else "-"
        parts.append(f"{mean} {words} ({chosen.sum()} images)")
    text = ", ".join(parts)
    if finite.sum() > 2 and np.ptp(nme[finite]) > 0 and np.ptp(turned[finite]) > 0:
        found = spearmanr(turned[finite], nme[finite])
        text += f"; rank correlation of |yaw| and error {found.statistic:.2f}"
        text += f" (p = {found.pvalue:.1g})"
    left_out = int((~finite).sum())
    return text + (f"; {left_out} images without these points or lengths" if left_out else "")


def _panel(axis: Axes, angles: Mapping[str, Array], errors: Mapping[str, Array]) -> None:
    count = len(angles)
    for i, (name, angle) in enumerate(angles.items()):
        percent, colour = 100 * errors[name], f"C{i % 10}"
        axis.scatter(angle, percent, s=9, color=colour, alpha=0.35 if count < 3 else 0.2, lw=0)
        bins = binned_means(angle, percent)
        # Runs beside each other, or their intervals would cover one another.
        centres = [b.centre + (i - (count - 1) / 2) * min(1.2, 6 / count) for b in bins]
        sides = [[b.mean - b.low for b in bins], [b.high - b.mean for b in bins]]
        axis.errorbar(
            centres, [b.mean for b in bins], sides, color=colour, fmt="o-", ms=4.5, lw=1.3,
            capsize=3, mec="black", mew=0.4, label=plain(name),
        )  # fmt: skip
        if count == 1:
            for b in bins:
                axis.annotate(
                    str(b.images), (b.centre, 0), xytext=(0, 3), textcoords="offset points",
                    fontsize=7, ha="center", color="#555555",
                )  # fmt: skip
    axis.grid(alpha=0.25)
    axis.tick_params(labelsize=8)
    axis.set_ylim(bottom=0)


def compare_turns(
    found: Mapping[str, tuple[Array, Array, Array]], normaliser: str, path: Path
) -> None:
    """Write errors against yaw and roll as PNG: a dot an image, binned means with intervals.

    `found` gives what `errors_by_turn` does by the name that the legend shows. Raises `OSError`
    where the file cannot be written.
    """
    figure = Figure((11.5, 4.4 + 0.17 * len(found)), layout="constrained")
    yaw, roll = figure.subplots(1, 2, sharey=True)
    errors = {name: nme for name, (_, _, nme) in found.items()}
    _panel(yaw, {name: angles[0] for name, angles in found.items()}, errors)
    _panel(roll, {name: angles[1] for name, angles in found.items()}, errors)
    yaw.set_xlabel("yaw, degrees (estimated): the nose points to the image's left < 0 < right",
                   fontsize=8)  # fmt: skip
    roll.set_xlabel("roll, degrees: the line through the eyes, clockwise > 0", fontsize=8)
    yaw.set_ylabel(f"mean error of an image, % of {plain(normaliser)}", fontsize=8)
    note = "; numbers at the bottom: its images" if len(found) == 1 else ""
    figure.suptitle(
        "Error against the head's turn, estimated from the true points: a dot is an image, a "
        f"circle the mean of {BIN:g} degrees\nwith the 95 % interval of a bootstrap{note}",
        fontsize=9,
    )
    handles, names = yaw.get_legend_handles_labels()
    figure.legend(handles, names, fontsize=8, loc="outside lower center", ncols=min(3, len(names)))
    save(figure, path)
