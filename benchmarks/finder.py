"""Two ways from an image of many objects to their points, on drawn images of faces.

    python benchmarks/finder.py OUT [--images 240] [--epochs 20] [--points-epochs 8] [--quick] ...

`finder+points`: a finder, and a network of points that looks at each box. `grouped`: one network
that sees the whole image once. Both are trained in the new folder OUT on the same drawn images (or
taken from there), on one thread, and measured on images that they have not seen: how many objects
are found, how many boxes are none, and how far points are off, in per cent of the root of the box's
area, in the objects that were found and in labelled boxes; by the number of objects, and for those
whose box overlaps with another's. Then milliseconds of the processor for an image of 1, 4, 16 and
64 faces, medians of rounds in turns, with the default encoder at `--speed-size`, all 68 points, and
the drawn boxes.

Figures go to OUT/finder.json and, as tables with the command, to `--table`. `--quick` is so small
that it only shows that it runs.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import in_turns

import heatkp
from heatkp import Sample
from heatkp.config import Finder as FinderSettings
from heatkp.config import Model, parse_settings
from heatkp.data.boxes import overlaps
from heatkp.data.synthetic.scenes import Scene, draw_scene
from heatkp.evaluation.found_boxes import match
from heatkp.inference.finder import Finder
from heatkp.inference.predictor import Predictor
from heatkp.models.finder import FinderModel
from heatkp.runs import LoadedFinder

COUNTS = (1, 4, 16, 64)
SMALL = {
    "encoder": "tu-mobilenetv3_small_050",
    "options": {"decoder_channels": [48, 32, 24, 16, 16]},
}
"""Networks of `--small`."""
KINDS = ("finder+points", "grouped")


def scenes(given: argparse.Namespace, seed: int, count: int) -> list[Scene]:
    """Drawn images; those of another seed are others."""
    faces = tuple(given.faces)
    return [
        draw_scene(seed, i, tuple(given.scene), faces, tuple(given.widths)) for i in range(count)
    ]


def samples_of(drawn: list[Scene], seed: int, points: list[int]) -> list[Sample]:
    """A sample for each face."""
    return [
        Sample(scene.image, face.points[points], face.visibility[points], face.box,
               id=f"{seed}-{i}#{k}", source_image=f"{seed}-{i}")
        for i, scene in enumerate(drawn)
        for k, face in enumerate(scene.faces)
    ]  # fmt: skip


def train(given: argparse.Namespace, kind: str) -> dict[str, float]:
    """A run of one kind in OUT, trained now where there is none yet; minutes of wall clock and of
    the processor."""
    run, told = given.out / kind, given.out / f"{kind}.json"
    if not told.is_file():
        parts = [
            samples_of(scenes(given, seed, count), seed, given.points)
            for seed, count in ((0, given.images), (1, max(given.images // 10, 2)))
        ]
        kinds: dict[str, Any] = {
            "finder+points": {
                "task": kind,
                "size": [given.crop, given.crop],
                "trainer": {"epochs": given.points_epochs},
            },
            "grouped": {"head": kind, "trainer": {"epochs": given.epochs}},
        }
        more = dict(kinds[kind])
        trainer = {
            "threads": 1, "loggers": "none",
            "validate_every": max(1, min(given.validate_every, *more["trainer"].values())),
            **more.pop("trainer"),
        }  # fmt: skip
        begun, spent = time.perf_counter(), time.process_time()
        heatkp.train(
            parts[0], "data.workers=0", val=parts[1],
            skeleton=[f"point {k}" for k in given.points], out=run, progress=given.progress,
            finder={"size": given.size, "epochs": given.epochs}, trainer=trainer,
            augmentation={"rotation": 10.0, "scale": 0.25, "flip": 0.0, **given.plain},
            model=given.model, **more,
        )  # fmt: skip
        minutes = {
            "minutes": (time.perf_counter() - begun) / 60,
            "processor_minutes": (time.process_time() - spent) / 60,
        }
        told.write_text(json.dumps(minutes) + "\n")
    found: dict[str, float] = json.loads(told.read_text())
    return found


def parts_of(scene: Scene) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """The groups of rows that a scene's objects belong to, with which of them do."""
    boxes = np.array([face.box for face in scene.faces], np.float64)
    shared = overlaps(boxes, boxes) - np.eye(len(boxes))
    touching = shared.max(1) > 0
    count = len(boxes)
    number = "1 object" if count == 1 else "2-4 objects" if count <= 4 else "5 or more"
    every = np.ones(count, bool)
    return [("all", every), (number, every), ("touching", touching), ("alone", ~touching)]


def measure(model: Predictor, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Figures of new scenes, by the number of objects and by whether they touch."""
    rows: dict[str, dict[str, list[float]]] = {}
    for scene in scenes(given, 2, given.held):
        truth = np.array([face.box for face in scene.faces], np.float64)
        points = np.array([face.points[given.points] for face in scene.faces], np.float64)
        side = np.sqrt((truth[:, 2:] - truth[:, :2]).prod(1))
        found = sorted(model.predict(scene.image, passes=1), key=lambda one: -one.box_score)
        boxes = np.array([one.box for one in found], np.float64).reshape(-1, 4)
        one = match(boxes, np.array([f.box_score for f in found], np.float64), truth)
        given_boxes = model.predict(scene.image, truth, passes=1)
        for name, which in parts_of(scene):
            row = rows.setdefault(
                name, {k: [] for k in ("objects", "hits", "boxes", "error", "in_boxes")}
            )
            row["objects"].append(int(which.sum()))
            hit = [(n, int(k)) for n, k in enumerate(one.which) if k >= 0 and which[k]]
            row["hits"].append(len(hit))
            row["boxes"].append(len(found) if which.all() else 0)
            for n, k in hit:
                off = np.linalg.norm(found[n].points - points[k], axis=1)
                row["error"].append(float(off.mean() / side[k]))
            for k in np.flatnonzero(which):
                off = np.linalg.norm(given_boxes[k].points - points[k], axis=1)
                row["in_boxes"].append(float(off.mean() / side[k]))
    return {name: _figures(name, row) for name, row in rows.items()}


def _figures(name: str, row: dict[str, list[float]]) -> dict[str, float]:
    objects, hits, boxes = (int(sum(row[k])) for k in ("objects", "hits", "boxes"))
    figures = {"objects": objects, "recall": hits / max(objects, 1)}
    if name not in ("touching", "alone"):  # a box that is no object touches none
        figures["precision"] = hits / max(boxes, 1)
    if row["error"]:
        figures["error_found"] = 100 * float(np.mean(row["error"]))
        figures["error_found_median"] = 100 * float(np.median(row["error"]))
    if row["in_boxes"]:
        figures["error_labelled_boxes"] = 100 * float(np.mean(row["in_boxes"]))
    return figures


def speed(given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Milliseconds of an image by the number of faces in it; networks have fresh weights, and
    points are looked for in the drawn boxes, so that there are as many whatever is found."""
    size = (given.speed_size, 32 * round(given.speed_size * 0.75 / 32))
    network = FinderModel(Model(), FinderSettings(), size, 3).eval()
    settings = parse_settings({"trainer": {"task": "finder"}})
    finder = Finder(LoadedFinder(network, settings, size, 0.5))
    face68 = heatkp.load_model("face68", runtime="torch", device="cpu")
    made = heatkp.create_model("grouped", points=68, size=size)
    grouped = Predictor(made.eval(), skeleton="face68")
    drawn = {n: draw_scene(3, n, (1280, 960), (n, n), (24, 110)) for n in COUNTS}
    boxes = {n: np.array([f.box for f in s.faces], np.float64) for n, s in drawn.items()}
    works: dict[str, Callable[[], object]] = {}
    for n, scene in drawn.items():
        works[f"finder {n}"] = partial(finder, scene.image)
        works[f"points {n}"] = partial(face68.predict, scene.image, boxes[n], passes=1)
        works[f"grouped {n}"] = partial(grouped.predict, scene.image, boxes[n])
    spent = {
        name: 1e3 * seconds
        for name, seconds in in_turns(works, given.rounds, time.process_time).items()
    }
    return {
        f"{len(boxes[n])} faces": {
            "finder_ms": spent[f"finder {n}"],
            "points_ms": spent[f"points {n}"],
            "finder+points_ms": spent[f"finder {n}"] + spent[f"points {n}"],
            "grouped_ms": spent[f"grouped {n}"],
        }
        for n in COUNTS
    }


def table(rows: dict[str, dict[str, float]]) -> str:
    """As Markdown."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for name, values in rows.items():
        cells = (f"{values[c]:.4g}" if c in values else "" for c in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(report: dict[str, Any], command: str) -> str:
    """All tables with the command that made them."""
    text = [
        "# Finder and points, or all at once", "",
        f"`{command}`, {report['threads']} thread(s), torch {report['torch']}.", "",
    ]  # fmt: skip
    for kind, rows in report["accuracy"].items():
        spent = report["trained"][kind]
        text += [
            f"## {kind}", "",
            f"Trained in {spent['processor_minutes']:.1f} minutes of the processor "
            f"({spent['minutes']:.1f} of wall clock). Errors in per cent of the root of the box's "
            "area.", "", table(rows), "",
        ]  # fmt: skip
    text += ["## Milliseconds of the processor an image", "", table(report["speed"]), ""]
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=240, help="to train on")
    parser.add_argument("--held", type=int, default=100, help="images to measure on")
    parser.add_argument("--epochs", type=int, default=20, help="of finder and of grouped")
    parser.add_argument("--points-epochs", type=int, default=8)
    parser.add_argument("--validate-every", type=int, default=1)
    parser.add_argument("--scene", type=int, nargs=2, default=[640, 480], metavar=("W", "H"))
    parser.add_argument("--faces", type=int, nargs=2, default=[1, 8], metavar=("LEAST", "MOST"))
    parser.add_argument("--widths", type=float, nargs=2, default=[24, 160])
    parser.add_argument("--size", type=int, default=320, help="finder.size")
    parser.add_argument("--crop", type=int, default=96, help="data.size of the points")
    parser.add_argument("--points", type=int, nargs="+", default=list(range(68)))
    parser.add_argument("--small", action="store_true", help="narrow networks, plain augmentation")
    parser.add_argument("--speed-size", type=int, default=448)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--speed-only", action="store_true", help="train and measure nothing else")
    parser.add_argument("--table", type=Path, help="Markdown file to write")
    parser.add_argument("--progress", action="store_true")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.quick:
        given.images, given.held, given.epochs, given.points_epochs, given.rounds = 4, 2, 1, 1, 1
        given.size, given.crop, given.speed_size, given.scene = 64, 32, 64, [128, 96]
    given.plain = dict.fromkeys(("photometric", "grey", "occlusion"), 0.0) if given.small else {}
    given.model = SMALL if given.small else {}
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    kinds = () if given.speed_only else KINDS
    trained = {kind: train(given, kind) for kind in kinds}
    report = {
        "trained": trained,
        "accuracy": {
            kind: measure(heatkp.load_model(given.out / kind, "cpu"), given) for kind in kinds
        },
        "speed": speed(given),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    (given.out / "finder.json").write_text(json.dumps(report, indent=1) + "\n")
    command = shlex.join(["python", "benchmarks/finder.py", *sys.argv[1:]])
    text = page(report, command)
    if given.table is not None:
        given.table.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
