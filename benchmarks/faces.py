"""Face detectors compared, and what boxes that are off cost the model `face68`.

    python benchmarks/faces.py                     all images: an hour on one core
    python benchmarks/faces.py --images 120        a random choice of each data set

Needs `$HEATKP_DATA` with `ibug` and `imm`, `pip install 'heatkp[faces]' dlib-bin`. Prints Markdown
tables and writes them to `--out`. Detectors take turns image by image, on one thread; times are
medians of CPU time.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

import heatkp
from heatkp import coordinates as co
from heatkp.config import Data
from heatkp.data.boxes import BoxStyle
from heatkp.data.loading import load_data, points_box
from heatkp.data.samples import Image, Sample
from heatkp.evaluation.metrics import FAILURE
from heatkp.inference.detectors import DETECTORS, Detection, Detector, create_detector
from heatkp.inference.keypoints import Keypoints

Array = npt.NDArray[np.float64]
Found = list[list[Detection]]


def choice(samples: Sequence[Sample], count: int) -> list[Sample]:
    order = np.random.default_rng(0).permutation(len(samples))[:count]
    return [samples[i] for i in sorted(order)]


def overlap(one: Array, two: Array) -> float:
    """Intersection over union of two boxes."""
    common = np.clip(np.minimum(one[2:], two[2:]) - np.maximum(one[:2], two[:2]), 0, None).prod()
    both = (one[2:] - one[:2]).prod() + (two[2:] - two[:2]).prod() - common
    return float(common / both)


def face_box(sample: Sample) -> Array:
    box = points_box(sample)
    if box is None:
        raise ValueError(f"{sample.id} has no points that span an area")
    return box.astype(float)


def match(faces: list[Detection], sample: Sample) -> int | None:
    """The best face that holds the points' centre and shares 0.3 with the points' box."""
    expected = face_box(sample)
    centre = (expected[:2] + expected[2:]) / 2
    for i, face in enumerate(faces):
        inside = (face.box[:2] <= centre).all() and (centre <= face.box[2:]).all()
        if inside and overlap(face.box, expected) >= 0.3:
            return i
    return None


def detect(
    detectors: Sequence[Detector], pictures: Sequence[Callable[[], Image]]
) -> tuple[list[Found], list[float]]:
    """What each detector finds in each image, and its median milliseconds of CPU."""
    found: list[Found] = [[] for _ in detectors]
    spent: list[list[float]] = [[] for _ in detectors]
    for picture in pictures:
        image = picture()
        for i, detector in enumerate(detectors):
            start = time.process_time()
            found[i].append(detector(image))
            spent[i].append(1000 * (time.process_time() - start))
    return found, [float(np.median(s)) for s in spent]


def fitted_overlap(pairs: list[tuple[Array, Array]]) -> float:
    """Mean overlap of boxes with expected ones, after the best shift and scale for all of them."""
    boxes, expected = (np.array(side) for side in zip(*pairs))
    extent = boxes[:, 2:] - boxes[:, :2]
    shift = ((expected[:, :2] + expected[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2 / extent).mean(0)
    scale = np.exp(np.log((expected[:, 2:] - expected[:, :2]) / extent).mean(0))
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + shift * extent
    moved = np.hstack([centre - scale * extent / 2, centre + scale * extent / 2])
    return float(np.mean([overlap(m, w) for m, w in zip(moved, expected)]))


def recall_row(found: Found, samples: Sequence[Sample]) -> tuple[str, float]:
    """Recall, other boxes an image and fitted overlap, as cells."""
    places = [match(faces, s) for faces, s in zip(found, samples)]
    others = np.mean([len(f) - (p is not None) for f, p in zip(found, places)])
    pairs = [(f[p].box, face_box(s)) for f, p, s in zip(found, places, samples) if p is not None]
    recall = len(pairs) / len(samples)
    return f"{recall:.1%} | {others:.3f} | {fitted_overlap(pairs):.3f}", recall


def changed(sample: Sample, kind: str) -> Sample:
    """A face turned about its middle by degrees, or with half of it cut off."""
    image, box = sample.image(), face_box(sample)
    middle = (box[:2] + box[2:]) / 2
    if kind == "left half":  # the image ends in the face's middle
        return replace(sample, image=lambda: image[:, : round(middle[0])])
    if kind == "upper half":
        return replace(sample, image=lambda: image[: round(middle[1])])
    height, width = image.shape[:2]
    side = int(np.hypot(width, height))
    matrix = co.compose(
        co.translation(-(width - 1) / 2, -(height - 1) / 2),
        co.rotation(float(kind)),
        co.translation((side - 1) / 2, (side - 1) / 2),
    )
    turned = cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    points = co.apply(matrix, sample.points).astype(np.float32)
    return replace(sample, image=lambda: turned, points=points)


CHANGES = ["30", "60", "90", "left half", "upper half"]


def detector_tables(
    detectors: Sequence[Detector], faces: list[Sample], imm: list[Sample], few: int
) -> str:
    lines = [
        f"{len(faces)} images of 300-W (one face labelled in each, some show more), "
        f"{len(imm)} of IMM:",
        "",
        "| detector | 300-W recall | other boxes an image | overlap | IMM recall | "
        "other boxes an image | overlap | ms, 300-W | ms, IMM |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    found, spent = detect(detectors, [s.image for s in faces])
    on_imm, spent_imm = detect(detectors, [s.image for s in imm])
    for d, f, i, ms, ms_imm in zip(detectors, found, on_imm, spent, spent_imm):
        lines.append(
            f"| `{d.name}` | {recall_row(f, faces)[0]} | {recall_row(i, imm)[0]} | {ms:.0f} | "
            f"{ms_imm:.0f} |"
        )
    lines += ["", "Styles of the boxes, to compare with `BOX_STYLE` of each detector:", ""]
    for d, f in zip(detectors, found):
        placed = [(s, match(b, s), b) for s, b in zip(faces, f)]
        style = BoxStyle.of(replace(s, box=b[p].box) for s, p, b in placed if p is not None)
        lines.append(f"- `{d.name}`: {style}")
    some = choice(faces, few)
    lines += ["", f"Recall on {len(some)} of the 300-W images, turned by degrees or cut off:", ""]
    lines += ["| detector | " + " | ".join(CHANGES) + " |", "|---|" + "--:|" * len(CHANGES)]
    cells: list[list[str]] = [[] for _ in detectors]
    for kind in CHANGES:
        others = [changed(s, kind) for s in some]
        for i, f in enumerate(detect(detectors, [s.image for s in others])[0]):
            hits = sum(match(b, s) is not None for b, s in zip(f, others))
            cells[i].append(f"{hits / len(some):.0%}")
    lines += [f"| `{d.name}` | " + " | ".join(c) + " |" for d, c in zip(detectors, cells)]
    return "\n".join(lines)


def moved(box: Array, right: float, down: float, scale: float) -> Array:
    extent = box[2:] - box[:2]
    centre = (box[:2] + box[2:]) / 2 + np.array([right, down]) * extent
    return np.concatenate([centre - scale * extent / 2, centre + scale * extent / 2])


def worst_corners(boxes: list[Array]) -> dict[str, list[Array]]:
    ways = {"right down, larger": (1, 1, 1), "left up, smaller": (-1, -1, -1)}
    ways |= {"right up, smaller": (1, -1, -1), "left down, larger": (-1, 1, 1)}
    return {
        f"20 % {name}": [moved(b, 0.2 * x, 0.2 * y, 1 + 0.2 * z) for b in boxes]
        for name, (x, y, z) in ways.items()
    }


def random_boxes(boxes: list[Array], seed: int) -> list[Array]:
    draw = np.random.default_rng(seed).uniform(-0.2, 0.2, (len(boxes), 3))
    return [moved(b, x, y, 1 + z) for b, (x, y, z) in zip(boxes, draw)]


def best_match(found: list[Keypoints], sample: Sample) -> Keypoints | None:
    faces = [Detection(k.box, 0.0) for k in found if k.box is not None]
    place = match(faces, sample)
    return None if place is None else found[place]


def robustness_table(
    detectors: Sequence[Detector], val: list[Sample], draws: int, passes: Sequence[int]
) -> str:
    model = heatkp.load_model("face68")
    images = [s.image() for s in val]
    truth = np.stack([s.points for s in val]).astype(float)
    given = [np.asarray(s.box, float) for s in val]
    whole = [co.image_box(i.shape[1], i.shape[0]) for i in images]
    cases = {"as labelled": [given]}
    cases["up to 20 % shifted and scaled"] = [random_boxes(given, seed) for seed in range(draws)]
    cases |= {name: [boxes] for name, boxes in worst_corners(given).items()}
    cases["the whole image"] = [whole]
    a, b = model.skeleton.normalisers["inter-ocular"]
    length = np.linalg.norm(truth[:, a].mean(1) - truth[:, b].mean(1), axis=1)

    def cell(found: list[Keypoints], places: list[int]) -> str:
        points = np.stack([k.points for k in found])
        error = np.linalg.norm(points - truth[places], axis=2).mean(1) / length[places]
        return f"{error.mean():.2%} | {(error > FAILURE).mean():.1%}"

    lines = [
        f"`face68` on {len(val)} validation faces, NME inter-ocular and failures over 10 %:",
        "",
        "| boxes | faces |" + "".join(f" {n} pass{'es' * (n > 1)} | fail |" for n in passes),
        "|---|--:|" + "--:|--:|" * len(passes),
    ]
    for name, draw in cases.items():
        row = []
        for n in passes:
            found = [k for boxes in draw for k in model.predict(images, boxes, passes=n)]
            row.append(cell(found, list(range(len(val))) * len(draw)))
        lines.append(f"| {name} | {len(val) * len(draw)} | " + " | ".join(row) + " |")
        print(lines[-1], flush=True)
    for detector in detectors:
        model.detector = detector
        row, count = [], 0
        for n in passes:
            all_found = model.predict(images, "faces", passes=n)
            kept = [best_match([k for k in all_found if k.image == i], s)
                    for i, s in enumerate(val)]  # fmt: skip
            places = [i for i, k in enumerate(kept) if k is not None]
            count = len(places)
            row.append(cell([k for k in kept if k is not None], places))
        lines.append(f"| found by `{detector.name}` | {count} | " + " | ".join(row) + " |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=10**6, help="of each data set, at most")
    parser.add_argument("--few", type=int, default=200, help="images to turn and to cut")
    parser.add_argument("--draws", type=int, default=3, help="of random boxes for each face")
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS))
    parser.add_argument("--tables", nargs="+", default=["detectors", "robustness"])
    parser.add_argument("--out", type=Path, default=Path("faces-results.md"))
    given = parser.parse_args()
    folder = Path(os.environ["HEATKP_DATA"])
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    labels = folder / "ibug" / "labels_ibug_300W_train.xml"
    data = load_data(Data(format="imglab", path=str(labels), crop="box", validation=0.1))
    imm = load_data(Data(format="imm", path=str(folder / "imm"))).part("all")
    detectors = [create_detector(name) for name in given.detectors]
    tables = []
    if "detectors" in given.tables:
        faces = choice(data.train, given.photos)
        tables.append(detector_tables(detectors, faces, choice(imm, given.photos), given.few))
        print(tables[-1], flush=True)
    if "robustness" in given.tables:
        val = choice(data.val, given.photos)
        tables.append(robustness_table(detectors, val, given.draws, [1, 2]))
    given.out.write_text("\n\n".join(tables) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
