"""300-W holds some images several times, labelled anew: how far two labels of one are apart.

    python benchmarks/near_duplicates.py             by part of the face
    python benchmarks/near_duplicates.py runs/part3  beside a run's errors; and its figures without
                                                     faces whose image is in training too

A run's best is compared with labels as another label would be. Needs `HEATKP_DATA`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from trials import ROOT, validated

from heatkp.config import load_settings
from heatkp.data.loading import load_data
from heatkp.data.near_duplicates import Pair, find_near_duplicates, groups_of, label_gap
from heatkp.data.samples import Sample
from heatkp.evaluation.metrics import Errors, image_nme, normaliser_lengths, summarise
from heatkp.skeletons import Skeleton

CONFIG = ROOT / "configs" / "part3_ibug.yaml"
PARTS = {
    "all": slice(0, 68), "jaw": slice(0, 17), "brows": slice(17, 27), "nose": slice(27, 36),
    "eyes": slice(36, 48), "mouth": slice(48, 68),
}  # fmt: skip
"""Points of `face68`."""
OCULAR = "inter-ocular"


def lengths(samples: Sequence[Sample], skeleton: Skeleton) -> list[float]:
    """Inter-ocular distances, pixels."""
    first, second = (list(side) for side in skeleton.normalisers[OCULAR])
    return [float(np.linalg.norm((s.points[first] - s.points[second]).mean(0))) for s in samples]


def gaps(samples: Sequence[Sample], pairs: Sequence[Pair], skeleton: Skeleton) -> dict[str, float]:
    """By part, how far two labels of one image are apart: the middle of all groups."""
    ocular = lengths(samples, skeleton)
    found = {}
    for part, points in PARTS.items():
        chosen = list(range(68))[points]
        found[part] = label_gap([s.take(chosen) for s in samples], pairs, ocular) or np.nan
    return found


def errors_by_part(errors: Errors, skeleton: Skeleton) -> dict[str, float]:
    """By part, the middle of the validation faces' NME."""
    distance = np.linalg.norm(errors.image_points - errors.image_truth, axis=2)
    ocular = normaliser_lengths(skeleton, errors)[OCULAR]
    return {
        part: float(np.median(image_nme(distance[:, k], errors.labelled[:, k], ocular)))
        for part, k in PARTS.items()
    }


def of_run(run: Path) -> tuple[dict[str, float], list[str]]:
    loaded, samples, errors = validated(run)
    train = load_data(loaded.settings.data).train
    again = np.zeros(len(samples), bool)
    again[[pair.first for pair in find_near_duplicates(samples, train)]] = True
    text = ["", "| validation faces | NME inter-ocular | MAE, image px |", "|---|--:|--:|"]
    for what, chosen in (
        ("all", again | True), ("image in training too", again), ("others", ~again),
    ):  # fmt: skip
        if chosen.any():
            figures = summarise(errors.take(chosen), loaded.skeleton)
            nme = figures["normalised"][OCULAR]["nme"]
            text.append(f"| {what}: {chosen.sum()} | {nme:.2%} | {figures['mae_photo']:.2f} |")
    return errors_by_part(errors, loaded.skeleton), text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path, help="a run on the 68 points")
    given = parser.parse_args()
    settings = load_settings(CONFIG, ["data.leave_out_lookalikes=false"])
    data = load_data(settings.data)
    every = [*data.train, *data.val]
    pairs = find_near_duplicates(every)
    groups = groups_of(pairs, len(every))
    print(f"{len(groups)} images are there {sum(map(len, groups))} times, labelled each time.\n")
    columns = {"one label from another": gaps(every, pairs, data.skeleton)}
    text: list[str] = []
    if given.run is not None:
        columns[f"{given.run.name} from a label"], text = of_run(given.run)
    print("| points | " + " | ".join(columns) + " |\n|---|" + "--:|" * len(columns))
    for part in PARTS:
        print(f"| {part} | " + " | ".join(f"{c[part]:.2%}" for c in columns.values()) + " |")
    print("\n".join(text))


if __name__ == "__main__":
    main()
