"""The images of the pages: `python docs/figures.py [FOLDER]`, by default docs/images.

Of drawn faces, heatkp's own functions and the tables in benchmarks/heads.md; no data, no training.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image as PillowImage

from heatkp import coordinates as co
from heatkp import heatmaps as hm
from heatkp.data.drawn import drawn_sample
from heatkp.data.images import read_image
from heatkp.skeletons import FACE68

ROOT = Path(__file__).parent.parent
IMAGES = Path(__file__).parent / "images"
SIDE = 200
"""Of drawn faces, in pixels."""
COLOURS = {
    "ce": "#d1495b", "kl": "#00798c", "marginal": "#edae49", "bce": "#30638e", "argmax": "#6a4c93",
    "softargmax": "#52a447", "nll": "#8d6a4f", "l1": "#999999",
}  # fmt: skip
"""Of heads, in all figures."""
LEFT, RIGHT, MIDDLE = "#2f7bff", "#ff3b3b", "#ffffff"


def frame(columns: int, width: float, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, row by row; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(rows * columns)]


def bare(axis: Axes, title: str) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()


def coordinates() -> Figure:
    """Pixels with their centres, and a map of stride 4 over them."""
    figure, (left, right) = frame(2, 9, 4)
    for axis, (width, height) in ((left, (4, 2)), (right, (8, 8))):
        for x in range(width):
            for y in range(height):
                axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="#bbbbbb"))
        axis.set(xlim=(-1.2, width + 0.2), ylim=(height + 0.2, -1.2), aspect="equal",
                 xlabel="x", ylabel="y")  # fmt: skip
        axis.spines[:].set_visible(False)
    xs, ys = np.meshgrid(np.arange(4), np.arange(2))
    left.plot(xs.ravel(), ys.ravel(), "o", color=COLOURS["kl"], markersize=5)
    for x, y in ((0, 0), (3, 1)):
        left.annotate(f"({x}, {y})", (x, y), (0, 7), textcoords="offset points", ha="center")
    left.annotate("(−0.5, −0.5)", (-0.5, -0.5), (-0.5, -0.8), ha="center")
    left.annotate("(3.5, 1.5)", (3.5, 1.5), (3.5, 1.95), ha="center")
    left.plot([-0.5, 3.5], [-0.5, 1.5], "s", color=COLOURS["ce"], markersize=5)
    left.set_title("an image of 4 x 2 pixels", fontsize=10)
    for u in range(2):
        for v in range(2):
            x, y = co.map_to_input(np.array([u, v], float), 4)
            right.add_patch(Rectangle((x - 2, y - 2), 4, 4, fill=False, lw=2,
                                      edgecolor=COLOURS["kl"]))  # fmt: skip
            right.plot(x, y, "o", color=COLOURS["kl"])
            right.annotate(f"map ({u}, {v})\ninput ({x:g}, {y:g})", (x, y), (0, 6), fontsize=8,
                           textcoords="offset points", ha="center",
                           bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    right.set_title("a map of stride 4 over 8 x 8 pixels", fontsize=10)
    return figure


def _face(index: int = 5) -> tuple[np.ndarray, np.ndarray]:
    sample = drawn_sample(0, index, FACE68, SIDE)
    return sample.rgb(), np.asarray(sample.points, np.float64)


def flip() -> Figure:
    """A face, its mirror image with labels exchanged, and without."""
    image, points = _face()
    mirrored = co.apply(co.mirroring(SIDE), points)
    order = np.arange(len(points))
    for left, right in FACE68.pairs:
        order[[left, right]] = order[[right, left]]
    lefts, rights = (np.array([pair[i] for pair in FACE68.pairs]) for i in (0, 1))
    colours = np.full(len(points), MIDDLE, dtype=object)
    colours[lefts], colours[rights] = LEFT, RIGHT
    figure, axes = frame(3, 8.4, 3.1)
    shown = (
        (image, points, "as labelled"),
        (image[:, ::-1], mirrored[order], "mirrored, labels exchanged"),
        (image[:, ::-1], mirrored, "mirrored, labels kept: wrong"),
    )
    for axis, (pixels, places, title) in zip(axes, shown):
        axis.imshow(pixels)
        axis.scatter(*places.T, s=9, c=list(colours))
        bare(axis, title)
    return figure


def normalisers() -> Figure:
    """Lengths by which errors are divided, on a face."""
    image, points = _face()
    figure, (axis,) = frame(1, 4.4, 4.4)
    axis.imshow(image)
    low, high = points.min(0), points.max(0)
    box = (low, *(high - low))
    axis.add_patch(Rectangle(*box, fill=False, edgecolor="#ffffff", lw=1))
    ends = {"box-diagonal": (low, high)}
    for name, (first, second) in FACE68.normalisers.items():
        ends[name] = points[list(first)].mean(0), points[list(second)].mean(0)
    for (name, (a, b)), colour in zip(ends.items(), ("#ffe600", "#00e5ff", "#ff2d9b")):
        length = float(np.linalg.norm(b - a))
        lower = 4 if name == "inter-pupil" else 0  # beside the other, not over it
        axis.plot((a[0], b[0]), (a[1] + lower, b[1] + lower), "-o", color=colour, lw=2,
                  markersize=4, label=f"{name}: {length:.0f} pixels")  # fmt: skip
    axis.legend(loc="lower left", fontsize=8, framealpha=0.9)
    bare(axis, "")
    return figure


POINT = torch.tensor([[[11.35, 9.7]]])
"""(x, y) in the pixels of a small map."""
SIZE = (20, 24)
"""(H, W) of it."""


def targets() -> Figure:
    """Maps that losses are content with, for a point between pixels."""
    u = hm.render_gaussians(POINT, SIZE, 1.0, normalised=False)
    shown = {
        "ce: four pixels, sum 1": hm.render_pixels(POINT, SIZE),
        "kl: a Gaussian, sum 1": hm.render_gaussians(POINT, SIZE, 1.0, normalised=True),
        "kl, sigma 2": hm.render_gaussians(POINT, SIZE, 2.0, normalised=True),
        "argmax, bce: peak 1": u,
    }
    figure, axes = frame(4, 11, 2.7)
    x, y = POINT[0, 0].tolist()
    for axis, (title, maps) in zip(axes, shown.items()):
        drawn = axis.imshow(maps[0, 0].numpy(), cmap="magma", vmin=0)
        axis.plot(x, y, "+", color="#00e0ff", markersize=11, mew=1.6)
        figure.colorbar(drawn, ax=axis, shrink=0.75)
        bare(axis, title)
    return figure


LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "ce": lambda logits, amplitude: hm.pixel_cross_entropy(logits, CENTRE),
    "kl": lambda logits, amplitude: hm.kl_divergence(logits, CENTRE),
    "marginal": lambda logits, amplitude: hm.marginal_cross_entropy(logits, CENTRE),
    "softargmax": lambda logits, amplitude: hm.expectation_loss(logits, CENTRE, regulariser="js"),
    "nll": lambda logits, amplitude: hm.gaussian_nll(logits, CENTRE, sigma=1.0),
    "argmax": lambda logits, amplitude: hm.gaussian_mse(amplitude, CENTRE),
    "l1": lambda logits, amplitude: hm.gaussian_l1(amplitude, CENTRE),
    "bce": lambda logits, amplitude: hm.binary_cross_entropy(
        torch.logit((0.9 * amplitude).clamp(min=1e-6)),
        CENTRE,  # 1 itself has no logit
    ),
}
"""Of a map as logits of a softmax, and as amplitudes of peak 1."""
CENTRE = torch.tensor([[[32.0, 32.0]]])


PARABOLAS = ("kl", "ce", "marginal", "nll")
"""Losses that are the same for a map that is a Gaussian, but for a constant."""


def loss_curves(shifts: np.ndarray) -> dict[str, np.ndarray]:
    """Each loss, less its least and over its largest value, for a Gaussian so far beside the
    point."""
    found: dict[str, list[float]] = {name: [] for name in LOSSES}
    grid = torch.arange(65.0)
    for shift in shifts:
        at = CENTRE + torch.tensor([float(shift), 0.0])
        u = hm.render_gaussians(at, (65, 65), 1.0, normalised=False)
        # The Gaussian's logarithm: that of its values is not finite far off.
        logits = -0.5 * ((grid - at[0, 0, 0]) ** 2 + (grid[:, None] - at[0, 0, 1]) ** 2)[None, None]
        for name, loss in LOSSES.items():
            found[name].append(loss(logits, u).item())
    values = {name: np.array(v) - min(v) for name, v in found.items()}
    return {name: v / v.max() for name, v in values.items()}


def losses() -> Figure:
    """How losses grow with the distance."""
    shifts = np.linspace(0, 8, 81)
    figure, (axis,) = frame(1, 6.6, 3.6)
    curves = loss_curves(shifts)
    for name, values in curves.items():
        if name in PARABOLAS[1:]:
            continue
        label = ", ".join(PARABOLAS) if name in PARABOLAS else name
        dashed = name in ("argmax", "bce", "l1")
        axis.plot(shifts, values, "--" if dashed else "-", color=COLOURS[name], label=label, lw=1.8)
    axis.set(xlabel="distance of the predicted Gaussian from the point, map pixels",
             ylabel="loss, of its value at 8 pixels", xlim=(0, 8), ylim=(0, None))  # fmt: skip
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    return figure


DECODERS = ("argmax", "quarter", "dark", "quadratic", "expectation")


def decoder_errors(offsets: np.ndarray, noise: float) -> dict[str, np.ndarray]:
    """Root mean square error, map pixels, by where in its pixel the point lies (x only)."""
    generator = torch.Generator().manual_seed(0)
    found: dict[str, list[float]] = {name: [] for name in DECODERS}
    draws = 64 if noise else 1
    for offset in offsets:
        point = torch.tensor([[[16.0 + float(offset), 16.0]]]).repeat(draws, 1, 1)
        logits = hm.render_gaussians(point, (33, 33), 1.5, normalised=False).clamp(min=1e-9).log()
        logits = logits + noise * torch.randn(logits.shape, generator=generator)
        for name in DECODERS:
            off = hm.decode(name, logits, kind="logits", sigma=1.5).points[..., 0] - point[..., 0]
            found[name].append(off.square().mean().sqrt().item())
    return {name: np.array(values) for name, values in found.items()}


def decoders() -> Figure:
    """Errors of readings, without noise and with it."""
    offsets = np.linspace(-0.5, 0.5, 41)
    figure, axes = frame(2, 9, 3.3)
    for axis, (noise, title) in zip(axes, ((0.0, "no noise"), (0.2, "noise of 0.2 on the logits"))):
        for name, values in decoder_errors(offsets, noise).items():
            axis.plot(offsets, values, label=name, lw=1.8)
        axis.set(xlabel="place of the point in its pixel", ylim=(-0.02, 0.8))
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("error, map pixels")
    axes[0].legend(fontsize=8)
    return figure


class Row(NamedTuple):
    """A head in a table of benchmarks/heads.md."""

    head: str
    mae: float
    low: float
    high: float


def tables() -> dict[str, list[Row]]:
    """Tables of equal settings in benchmarks/heads.md, by their headings."""
    text = (ROOT / "benchmarks" / "heads.md").read_text(encoding="utf-8")
    found = {}
    for part in text.split("\n## ")[1:]:
        title, _, body = part.partition("\n")
        rows = [
            Row(head, *map(float, numbers))
            for head, *numbers in re.findall(
                r"^\| `([\w-]+)` \| \d+ \| ([\d.]+) \(([\d.]+) to ([\d.]+)\)", body, re.MULTILINE
            )
        ]
        if rows and "settings of" not in title:
            found[re.sub(r", `.*", "", title)] = rows
    return found


def heads() -> Figure:
    """Errors of all heads in all tables."""
    every = tables()
    figure, axes = frame(len(every), 2.4 * len(every), 3.2)
    names = list(COLOURS)[::-1]
    for axis, (title, rows) in zip(axes, every.items()):
        base = next(row.mae for row in rows if row.head == "regression")
        for row in rows:
            if row.head in names:
                place = names.index(row.head)
                axis.plot([row.low, row.high], [place, place], color=COLOURS[row.head], lw=2)
                axis.plot(row.mae, place, "o", color=COLOURS[row.head], markersize=5)
        axis.axvline(base, color="#555555", ls="--", lw=1)
        axis.set_xscale("log")
        low, high = min(row.low for row in rows), max(row.high for row in rows)
        ticks = [t for t in (2, 3, 5, 10, 20, 50, 100) if 0.9 * low < t < 1.1 * high]
        axis.set_xticks(ticks, [str(t) for t in ticks])
        axis.minorticks_off()
        axis.set_yticks(range(len(names)), names if axis is axes[0] else [""] * len(names))
        part, _, split = title.partition(": ")
        split = split.replace(" (persons on both sides)", "").replace(", ", ",\n")
        axis.set_title(f"{part}\n{split}", fontsize=8)
        axis.set_xlabel("MAE, pixels", fontsize=8)
        axis.grid(alpha=0.3, axis="x")
    return figure


def image_kinds() -> Figure:
    """A face in files of several kinds, as heatkp reads them."""
    image, _ = _face()
    colours = PillowImage.fromarray(image)
    y, x = np.mgrid[:SIDE, :SIDE]
    alpha = np.where((x - SIDE / 2) ** 2 + (y - SIDE / 2) ** 2 < (0.45 * SIDE) ** 2, 255, 0)
    clear = np.dstack([image, alpha.astype(np.uint8)])
    deep = np.asarray(colours.convert("L")).astype(np.uint16) * 8 + 300
    deep[:6, :6] = 60000  # a few pixels that are far off
    kinds: dict[str, tuple[PillowImage.Image, str, dict[str, Any]]] = {
        "RGB": (colours, "a.png", {}),
        "grey": (colours.convert("L"), "b.png", {}),
        "1 bit": (colours.convert("1"), "c.png", {}),
        "palette": (colours.quantize(16), "d.png", {}),
        "CMYK": (colours.convert("CMYK"), "e.jpg", {}),
        "alpha, on white": (PillowImage.fromarray(clear), "f.png", {}),
        "16 bits, range": (PillowImage.fromarray(deep), "g.png", {"intensity": "range"}),
        "16 bits, percentile": (PillowImage.fromarray(deep), "g.png", {"intensity": "percentile"}),
    }
    figure, axes = frame(4, 8, 4.4, rows=2)
    with tempfile.TemporaryDirectory() as folder:
        for axis, (title, (stored, name, options)) in zip(axes, kinds.items()):
            stored.save(Path(folder) / name)
            axis.imshow(read_image(Path(folder) / name, **options))
            bare(axis, title)
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    figure.__name__: figure
    for figure in (
        coordinates, flip, normalisers, targets, losses, decoders, heads, image_kinds,
    )
}  # fmt: skip


def save(figure: Figure, path: Path) -> None:
    """A PNG file of 256 colours, a third as large as one of all."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = PillowImage.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
    few = image.quantize(256, PillowImage.Quantize.FASTOCTREE, dither=PillowImage.Dither.NONE)
    few.save(path, optimize=True)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        path = folder / f"{name}.png"
        save(draw(), path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
