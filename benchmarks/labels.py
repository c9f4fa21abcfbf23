"""How exact the IMM labels are, and what a run's errors on them are made of.

    python benchmarks/labels.py                 how far labels of one face differ between images
    python benchmarks/labels.py runs/face       and a run's errors: by part, along and across lines

Images 1 and 5 of a person show the same pose in other light. Their points are laid over each
other by the similarity that fits eyes and nose best; what is left, halved, is the squared error
of one label, movements of the face included. No model that reads one image does much better on
new persons. Images whose eye labels are known to be in reversed order are left out. Needs
`HEATKP_DATA`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from trials import ROOT, validated

from heatkp import coordinates as co
from heatkp.config import load_settings
from heatkp.data.loading import load_data

REVERSED = ("10-4m", "18-4m", "33-3m", "36-4m", "36-5m", "36-6m", "39-3m", "40-5m", "06-5m")
"""Images in which the points of one eye stand in reversed order."""
SIZE = np.array([640.0, 480.0])
Array = npt.NDArray[np.float64]


def along_and_across(errors: Array, line: Array) -> tuple[Array, Array]:
    """Errors (N, K, 2) of points on a line (N, K, 2), split by its direction at each point."""
    tangent = np.gradient(line, axis=1)
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
    along = (errors * tangent).sum(-1)
    across = errors[..., 0] * tangent[..., 1] - errors[..., 1] * tangent[..., 0]
    return along, across


def rms(values: Array) -> float:
    return float(np.sqrt(np.square(values).mean()))


def parts(names: tuple[str, ...]) -> dict[str, list[int]]:
    """Indices of the points of each part of the face."""
    found: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        found.setdefault(name.rsplit("_", 1)[0], []).append(index)
    return found


def repeated(samples: list, groups: dict[str, list[int]]) -> tuple[Array, Array]:
    """Differences and points, (pairs, K, 2), of images 1 and 5 of each person, in image pixels."""
    steady = groups["left_eye"] + groups["right_eye"] + groups["nose"]
    by_name = {s.id: np.asarray(s.points, np.float64) for s in samples if s.id not in REVERSED}
    gaps, points = [], []
    for first in sorted(by_name):
        fifth = first.replace("-1", "-5")
        if "-1" in first and fifth in by_name:
            a, b = by_name[first], by_name[fifth]
            gaps.append(co.apply(co.similarity(a[steady], b[steady]), a) - b)
            points.append(b)
    return np.array(gaps), np.array(points)


def rows(gaps: Array, points: Array, groups: dict[str, list[int]], share: float) -> list[str]:
    """A table line for all points and each part; `share` of a squared gap counts."""
    lines = []
    whole = share * np.square(gaps / SIZE)
    for part, chosen in {"all": list(range(gaps.shape[1])), **groups}.items():
        mse = f"{whole[:, chosen].mean():.2e} | {whole[:, chosen].sum() / whole.sum():.0%}"
        if part == "all":
            lines.append(f"| all | {mse} | - | - |")
            continue
        along, across = along_and_across(gaps[:, chosen], points[:, chosen])
        root = np.sqrt(share)
        lines.append(f"| {part} | {mse} | {root * rms(along):.1f} | {root * rms(across):.1f} |")
    return lines


HEADER = [
    "| points | MSE normalised | of the sum | along the line, rms px | across, rms px |",
    "|---|--:|--:|--:|--:|",
]


def of_labels() -> list[str]:
    settings = load_settings(ROOT / "configs" / "part2_face.yaml", [])
    data = load_data(settings.data)
    groups = parts(data.skeleton.point_names)
    text = []
    for what, samples in (("training", data.train), ("validation", data.val)):
        gaps, points = repeated(samples, groups)
        text += [f"One label against itself, {len(gaps)} pairs of {what} images:", "", *HEADER]
        text += [*rows(gaps, points, groups, 0.5), ""]
    return text


def of_run(run: Path) -> list[str]:
    loaded, samples, errors = validated(run)
    gaps, points = errors.image_points - errors.image_truth, errors.image_truth
    text = [f"{run}, {len(gaps)} validation images:", "", *HEADER]
    text += [*rows(gaps, points, parts(loaded.skeleton.point_names), 1.0), ""]
    straight = np.array([s.id not in REVERSED for s in samples])
    persons = np.array([s.person for s in samples])
    constant = [np.square((gaps / SIZE)[persons == p].mean(0)).mean() for p in set(persons)]
    text += [
        f"Without images of reversed eyes: {np.square((gaps / SIZE)[straight]).mean():.2e}. "
        f"The same in all images of a person: {np.mean(constant):.2e}.",
    ]
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path, help="a run on the 58 points")
    given = parser.parse_args()
    text = of_labels()
    if given.run is not None:
        text += of_run(given.run)
    print("\n".join(text))


if __name__ == "__main__":
    main()
