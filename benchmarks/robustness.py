"""Faces that are hard: turned, dark, blurred, small, half covered, in boxes that are off.

    python benchmarks/robustness.py face68 [OTHER ...]

Needs `$HEATKP_DATA` with `ibug`. The 167 validation faces of `configs/part3_ibug.yaml`, each
changed in the same way for all models; labels count pixels as each model's own did
(`data.first_pixel`). Prints a Markdown table: mean inter-ocular NME with one look and with two, the
fraction of faces under 10 %, and of those whose mean score stays over half of what undisturbed
faces have on average.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from heatkp import coordinates as co
from heatkp.config import load_settings
from heatkp.data.loading import load_data
from heatkp.data.samples import Sample
from heatkp.evaluation.measure import InferenceOptions, open_run, predict_samples
from heatkp.evaluation.metrics import FAILURE, image_nme, normaliser_lengths

CONFIG = Path(__file__).parent.parent / "configs" / "part3_ibug.yaml"
Random = np.random.Generator
Pixels = npt.NDArray[np.uint8]
Change = Callable[[Sample, Random], Sample]


def moved(sample: Sample, matrix: co.Matrix, size: tuple[int, int], box: bool) -> Sample:
    """A sample under an affine of its image; its box too, or as it was."""
    image = sample.image()
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 1:  # as a photo of fewer pixels is: averaged first
        image = cv2.GaussianBlur(image, (0, 0), 0.5 / scale)
    changed = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    points = co.apply(matrix, sample.points.astype(np.float64)).astype(np.float32)
    edges = sample.box
    if box and edges is not None:
        edges = co.apply(matrix, edges.reshape(2, 2).astype(np.float64)).reshape(4)
    return replace(
        sample, image=lambda: changed, file=None, points=points, box=edges.astype(np.float32)
    )


def middle(sample: Sample) -> npt.NDArray[np.float64]:
    assert sample.box is not None
    return (sample.box[:2] + sample.box[2:]).astype(np.float64) / 2


def turned(degrees: float) -> Change:
    def change(sample: Sample, random: Random) -> Sample:
        x, y = middle(sample)
        angle = degrees * random.choice([-1, 1])
        matrix = co.compose(co.translation(-x, -y), co.rotation(angle), co.translation(x, y))
        height, width = sample.image().shape[:2]
        return moved(sample, matrix, (width, height), box=False)

    return change


def small(pixels: float) -> Change:
    def change(sample: Sample, random: Random) -> Sample:
        assert sample.box is not None
        factor = pixels / float(np.sqrt((sample.box[2:] - sample.box[:2]).prod()))
        # Centres of pixels: (x + 0.5) factor - 0.5.
        shift = (factor - 1) / 2
        matrix = np.array([[factor, 0, shift], [0, factor, shift]])
        height, width = sample.image().shape[:2]
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        return moved(sample, matrix, size, box=True)

    return change


def pixelwise(function: Callable[[Pixels, Sample, Random], Pixels]) -> Change:
    def change(sample: Sample, random: Random) -> Sample:
        changed = function(sample.image().copy(), sample, random)
        return replace(sample, image=lambda: changed, file=None)  # or the file is read again

    return change


def side(sample: Sample) -> float:
    assert sample.box is not None
    return float(np.sqrt((sample.box[2:] - sample.box[:2]).prod()))


def darkened(image: Pixels, sample: Sample, random: Random) -> Pixels:
    """An eighth of the light, with the noise that comes with it."""
    dark = image / 8.0 + random.normal(0, 3, image.shape)
    return dark.clip(0, 255).astype(np.uint8)


def blurred(image: Pixels, sample: Sample, random: Random) -> Pixels:
    """By 3 % of the face."""
    return cv2.GaussianBlur(image, (0, 0), 0.03 * side(sample)).astype(np.uint8)


def covered(image: Pixels, sample: Sample, random: Random) -> Pixels:
    """Half of the box, left, right, above or below, under noise of one colour."""
    assert sample.box is not None
    x0, y0, x1, y1 = np.round(sample.box).astype(int).clip(0)
    cx, cy = (int(v) for v in np.round(middle(sample)).clip(0))
    halves = [(x0, y0, cx, y1), (cx, y0, x1, y1), (x0, y0, x1, cy), (x0, cy, x1, y1)]
    a, b, c, d = halves[random.integers(4)]
    part = image[b:d, a:c]
    part[:] = (random.uniform(0, 255, 3) + random.normal(0, 20, part.shape)).clip(0, 255)
    return image


def box_off(sample: Sample, random: Random) -> Sample:
    """Shifted by a fifth of its size in some direction, and up to a fifth larger or smaller."""
    assert sample.box is not None
    angle, scale = random.uniform(0, 2 * np.pi), random.uniform(0.8, 1.2)
    extent = sample.box[2:] - sample.box[:2]
    centre = middle(sample) + 0.2 * extent * np.array([np.cos(angle), np.sin(angle)])
    edges = np.concatenate([centre - scale * extent / 2, centre + scale * extent / 2])
    return replace(sample, box=edges.astype(np.float32))


CHANGES: dict[str, Change] = {
    "as they are": lambda sample, random: sample,
    "turned by 20°": turned(20),
    "turned by 40°": turned(40),
    "turned by 60°": turned(60),
    "an eighth of the light": pixelwise(darkened),
    "blurred by 3 % of the face": pixelwise(blurred),
    "faces of 40 px": small(40),
    "faces of 60 px": small(60),
    "half covered": pixelwise(covered),
    "boxes off by 20 %": box_off,
}


def table(names: list[str]) -> str:
    lines = [
        "| faces | model | NME | two looks | under 10 % | two looks | of a high score |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    usual: dict[str, float] = {}
    opened = {name: open_run(name, InferenceOptions(runtime="torch")) for name in names}
    for what, change in CHANGES.items():
        for name, loaded in opened.items():
            first = loaded.settings.data.first_pixel
            counted = f"data.first_pixel={'null' if first is None else first}"
            settings = load_settings(CONFIG, [counted])
            samples = load_data(settings.data, chosen=False).val
            samples = [change(s, np.random.default_rng(i)) for i, s in enumerate(samples)]
            cells, under = [], []
            score = 0.0
            for passes in (1, 2):
                errors = predict_samples(loaded, samples, InferenceOptions(passes=passes))
                distance = np.linalg.norm(errors.image_points - errors.image_truth, axis=2)
                length = normaliser_lengths(loaded.skeleton, errors)["inter-ocular"]
                nme = image_nme(distance, errors.labelled, length)
                cells.append(f"{np.nanmean(nme):.2%}")
                under.append(f"{np.mean(nme <= FAILURE):.1%}")
                if passes == 1 and errors.scores is not None:
                    usual.setdefault(name, float(errors.scores.mean()))
                    score = float(np.mean(errors.scores.mean(1) > usual[name] / 2))
            figures = " | ".join([*cells, *under, f"{score:.1%}"])
            lines.append(f"| {what} | {name} | {figures} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["face68"])
    given = parser.parse_args()
    print("\n" + table(given.models))


if __name__ == "__main__":
    main()
