"""A finder on drawn images of 1 to 40 faces, and objects a second from image to points.

    python benchmarks/finder.py OUT [--images 600] [--epochs 30] [--size 448] [--tile 0] [--quick]

Trains a finder on drawn scenes of 640 x 480 pixels with 1 to 40 faces of 20 to 200 pixels, which
overlap, in the new folder OUT/run (or takes the one that is there), and measures it on scenes that
it has not seen: recall and precision at an intersection over union of 0.5, average precision, and
images with a wrong count, by the number of faces and by their width. Then, with `face68` for the
points: milliseconds of finder and points for images of 1, 4, 16 and 64 faces, medians of rounds in
turns, and objects a second. Figures go to OUT/finder.json and are printed as tables. `--quick`
is so small that it only shows that it runs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measure import in_turns

import heatkp
from heatkp.data.drawn import scene_samples
from heatkp.data.synthetic.scenes import draw_scene
from heatkp.evaluation.found_boxes import Matched, match, measure_found
from heatkp.inference.finder import Finder

SIZE = (640, 480)
BY_COUNT = ((1, 4), (5, 10), (11, 20), (21, 40))
BY_WIDTH = ((0, 40), (40, 80), (80, 400))
COUNTS = (1, 4, 16, 64)


def train(out: Path, images: int, epochs: int, longest: int) -> Path:
    """The run of a finder, trained now where there is none yet."""
    run = out / "run"
    if not (run / "finder.json").is_file():
        scenes = [scene_samples(0, i, SIZE, (1, 40)) for i in range(images)]
        held = [scene_samples(1, i, SIZE, (1, 40)) for i in range(max(images // 10, 2))]
        heatkp.train(
            [s for scene in scenes for s in scene],
            val=[s for scene in held for s in scene],
            skeleton="face68",
            out=run,
            task="finder",
            finder={"size": longest, "epochs": epochs},
            augmentation={"rotation": 10.0, "scale": 0.25},
        )
    return run


def measure(finder: Finder, images: int) -> dict[str, dict[str, float]]:
    """Figures of new scenes, by the number of faces and by their width."""
    rows: dict[str, dict[str, float]] = {}
    widths: dict[tuple[int, int], list[tuple[int, int]]] = {part: [] for part in BY_WIDTH}
    for low, high in BY_COUNT:
        found: list[Matched] = []
        for i in range(images):
            scene = draw_scene(2, 10_000 * low + i, SIZE, (low, high))
            truth = np.array([face.box for face in scene.faces], np.float64)
            objects = finder(scene.image)
            boxes = np.array([one.box for one in objects], np.float64).reshape(-1, 4)
            one = match(boxes, np.array([o.score for o in objects], np.float64), truth)
            found.append(one)
            wide = truth[:, 2] - truth[:, 0]
            for part in BY_WIDTH:
                own = np.flatnonzero((wide >= part[0]) & (wide < part[1]))
                widths[part].append((len(own), len(set(own) & set(one.which.tolist()))))
        all_of = measure_found(found)
        hits, total = (sum(int(v) for v in n) for n in zip(*((m.right.sum(), len(m.scores))
                                                            for m in found)))  # fmt: skip
        rows[f"{low}-{high} faces"] = {
            "objects": all_of.objects,
            "recall": hits / all_of.objects,
            "precision": hits / max(total, 1),
            "ap50": all_of.average_precision,
            "wrong_counts": float(np.mean([len(m.scores) != m.objects for m in found])),
        }
    for (low, high), pairs in widths.items():
        there, seen = (sum(n) for n in zip(*pairs))
        rows[f"{low}-{high} px wide"] = {"objects": there, "recall": seen / max(there, 1)}
    return rows


def speed(finder: Finder, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of an image, and objects a second, by the number of faces in it.

    Points are looked for in the drawn boxes, so that there are as many whatever was found.
    """
    model = heatkp.load_model("face68", runtime="torch")
    scenes = {n: draw_scene(3, n, (1280, 960), (n, n), (24, 110)) for n in COUNTS}
    boxes = {n: np.array([f.box for f in s.faces], np.float64) for n, s in scenes.items()}
    works: dict[str, Callable[[], object]] = {}
    for n, scene in scenes.items():
        works[f"finder {n}"] = partial(finder, scene.image)
        works[f"points {n}"] = partial(model.predict, scene.image, boxes[n], passes=1)
    spent = in_turns(works, rounds)
    rows = {}
    for n in COUNTS:
        search, points, count = spent[f"finder {n}"], spent[f"points {n}"], len(boxes[n])
        rows[f"{count} faces"] = {
            "finder_ms": 1e3 * search,
            "points_ms": 1e3 * points,
            "objects_a_second": count / (search + points),
        }
    return rows


def table(rows: dict[str, dict[str, float]]) -> str:
    """As Markdown."""
    columns = list(next(iter(rows.values())))
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for name, values in rows.items():
        cells = (f"{values[c]:.4g}" if c in values else "" for c in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--size", type=int, default=448)
    parser.add_argument("--tile", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.quick:
        given.images, given.epochs, given.size, given.rounds = 4, 1, 96, 1
    given.out.mkdir(parents=True, exist_ok=True)
    run = train(given.out, given.images, given.epochs, given.size)
    finder = Finder(run, tile=given.tile)
    accuracy = measure(finder, 2 if given.quick else 50)
    seconds = speed(finder, given.rounds)
    report = {
        "images": given.images, "epochs": given.epochs, "size": given.size, "tile": given.tile,
        "threads": torch.get_num_threads(), "accuracy": accuracy, "speed": seconds,
    }  # fmt: skip
    (given.out / "finder.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"\n{table(accuracy)}\n\n{table(seconds)}")


if __name__ == "__main__":
    main()
