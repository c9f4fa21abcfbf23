"""An animation of maps and points that settle on a few faces while a model is trained."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from matplotlib.colors import to_rgb
from PIL import Image as Pillow
from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.engine import TorchBackend
from heatkp.files import replacing
from heatkp.models import KeypointModel
from heatkp.viz.canvas import COLOURS, PREDICTED, TRUTH

Pixels = npt.NDArray[np.uint8]
MOST_FRAMES = 120
MOST_BYTES = 2_000_000
"""Of the file; above it, frames are left out evenly."""
MOST_MAP_SIDE = 96
"""Map pixels that a frame keeps of each side; larger maps are averaged over blocks."""
CELL = 152
"""Pixels of a face's longer side."""
COLUMNS = 4
STRIP = 20
"""Pixels of a line of text."""
NARROWEST = 400
"""Pixels that the text takes."""
IMAGE_COLOURS, GLOW_LEVELS = 120, 24
"""Fewer of either make the file smaller."""
MILLISECONDS, LAST_MILLISECONDS = 120, 2500


class Frame(NamedTuple):
    """What a model found on N faces after a number of optimiser steps.

    Attributes:
        step: how many were done.
        points: float32 (N, K, 2), input pixels.
        maps: uint8 (N, h, w), all maps summed, each face's by its own peak; (N, 0, 0) of a
            model without maps.
        stride: input pixels to a pixel of `maps`.
    """

    step: int
    points: Tensor
    maps: Tensor
    stride: int


def frame_interval(every: int, total: int) -> int:
    """Steps between frames: the first multiple of `every` for which `total` steps take at most
    `MOST_FRAMES`, with those before the first and after the last step.

    >>> frame_interval(10, 500), frame_interval(10, 11_801)
    (10, 110)
    """
    return every * max(1, -(-total // (every * (MOST_FRAMES - 2))))


def take_frame(model: KeypointModel, images: Tensor, step: int) -> Frame:
    """A frame of a model, with its weights of now in evaluation mode, for inputs (N, C, H, W).

    Leaves the model's modes as they were and draws no random number.
    """
    backend = TorchBackend(model)
    found = backend.run(images, maps=True)
    points = found.points.float().cpu().clone()  # a plain tensor, which goes into checkpoints
    if found.maps is None or backend.kind is None:
        return Frame(step, points, torch.zeros(len(images), 0, 0, dtype=torch.uint8), 1)
    total = hm.activate(found.maps, backend.kind).sum(1, keepdim=True)
    block = -(-max(total.shape[2:]) // MOST_MAP_SIDE)
    if block > 1:
        total = F.avg_pool2d(total, block, ceil_mode=True)
    peak = total.amax((2, 3), keepdim=True)
    share = torch.where(peak > 0, total / peak, torch.zeros_like(total))
    maps = (255 * share[:, 0]).round().to(torch.uint8).cpu()
    return Frame(step, points, maps, backend.stride * block)


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (round(255 * v) for v in to_rgb(colour))
    return red, green, blue


def _text(canvas: Pixels, words: str, top: int) -> None:
    place = (6, top + STRIP - 6)
    cv2.putText(canvas, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)


def _dots(
    canvas: Pixels, points: npt.NDArray[np.float64], colour: str, radius: float, fill: bool
) -> None:
    """Circles at points in canvas pixels, to a sixteenth of a pixel."""
    extent = np.array(canvas.shape[1::-1])
    for point in points:
        if not (np.isfinite(point).all() and (np.abs(point) < 4 * extent).all()):
            continue
        x, y = (round(16 * float(v)) for v in point)
        thickness = cv2.FILLED if fill else 1
        cv2.circle(canvas, (x, y), round(16 * radius), _rgb(colour), thickness, cv2.LINE_AA, 4)


class Stage:
    """The faces that stay the same: their images, true points and places in the animation.

    Args:
        images: uint8 (C, H, W), the inputs.
        truth: (N, K, 2) input pixels, NaN where not labelled.
        dense: whether the model has maps.
        total: optimiser steps of the whole training.
    """

    def __init__(
        self,
        images: Sequence[Pixels],
        truth: npt.NDArray[np.floating],
        dense: bool,
        total: int,
    ) -> None:
        self.truth, self.dense, self.total = np.asarray(truth, np.float64), dense, total
        height, width = images[0].shape[1:]
        self.scale = CELL / max(height, width)
        self.cell = (max(1, round(width * self.scale)), max(1, round(height * self.scale)))
        self.grey = [np.repeat(i.mean(0)[..., None], 3, axis=2) for i in images]
        self.faces = [self._fitted(np.broadcast_to(i.transpose(1, 2, 0), (height, width, 3)))
                      for i in images]  # fmt: skip
        self.radius = 4.0 if truth.shape[1] < 6 else 2.5 if truth.shape[1] < 30 else 1.6

    def _fitted(self, pixels: npt.NDArray[np.generic]) -> Pixels:
        shrinks = self.scale < 1
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        small = cv2.resize(np.ascontiguousarray(pixels), self.cell, interpolation=how)
        return np.asarray(np.clip(small, 0, 255).astype(np.uint8))

    def _glow(self, index: int, frame: Frame) -> Pixels:
        """A face in grey under its summed maps: each map pixel over the input pixels it covers."""
        grey = self.grey[index]
        height, width = grey.shape[:2]
        share = frame.maps[index].numpy().astype(np.float64) / 255
        share = np.square(np.round(GLOW_LEVELS * np.sqrt(share)) / GLOW_LEVELS)
        large = share.repeat(frame.stride, 0).repeat(frame.stride, 1)[:height, :width]
        colours = 255 * matplotlib.colormaps[COLOURS](large)[..., :3]
        return self._fitted(grey + 0.9 * np.sqrt(large)[..., None] * (colours - grey))

    def draw(self, frame: Frame) -> Pixels:
        """A frame as RGB (H, W, 3): text, faces with points, below them maps if there are any."""
        count, (wide, high) = len(self.faces), self.cell
        columns = min(count, COLUMNS)
        rows = -(-count // columns)
        block = high * (1 + self.dense)
        shape = (2 * STRIP + rows * block, max(columns * wide, NARROWEST), 3)
        canvas = np.full(shape, 255, np.uint8)
        left_edge = (shape[1] - columns * wide) // 2
        found = frame.points.numpy().astype(np.float64)
        for n in range(count):
            top, left = STRIP + n // columns * block, left_edge + n % columns * wide
            places = [(self.faces[n].copy(), top)]
            if self.dense:
                places.append((self._glow(n, frame), top + high))
            for cell, place in places:
                if place == top:
                    _dots(cell, self._placed(self.truth[n]), TRUTH, self.radius, True)
                _dots(cell, self._placed(found[n]), PREDICTED, self.radius, place == top)
                canvas[place : place + high, left : left + wide] = cell
        error = np.linalg.norm(found - self.truth, axis=2)
        mean = f"{np.nanmean(error):.2f}" if np.isfinite(error).any() else "-"
        words = f"step {frame.step} of {self.total}: mean error {mean} input pixels"
        _text(canvas, words, 0)
        glow = ", glow: all maps, summed" if self.dense else ""
        _text(canvas, f"green: true points, pink: found{glow}", shape[0] - STRIP)
        return canvas

    def _placed(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return (points + 0.5) * self.scale - 0.5


def _encoded(images: Sequence[Pixels]) -> bytes:
    """A GIF. All frames share their colours, so that what stays the same takes no room."""
    some = [images[i] for i in sorted({0, len(images) // 2, len(images) - 1})]
    found = Pillow.fromarray(np.concatenate(some)).quantize(
        IMAGE_COLOURS, Pillow.Quantize.MEDIANCUT
    )
    exact = [(255, 255, 255), (0, 0, 0), _rgb(TRUTH), _rgb(PREDICTED)]
    colours = Pillow.new("P", (1, 1))
    colours.putpalette([v for colour in exact for v in colour] + (found.getpalette() or []))
    frames = [
        Pillow.fromarray(p).quantize(palette=colours, dither=Pillow.Dither.NONE) for p in images
    ]
    content = io.BytesIO()
    # disposal 1: some viewers clear what the next frame leaves out
    frames[0].save(
        content, "GIF", save_all=True, append_images=frames[1:], loop=0, disposal=1,
        duration=[MILLISECONDS] * (len(frames) - 1) + [LAST_MILLISECONDS],
    )  # fmt: skip
    return content.getvalue()


def write_animation(stage: Stage, frames: Sequence[Frame], path: Path) -> int:
    """Write frames as GIF, whole or not at all; returns how many it holds.

    Where it were larger than `MOST_BYTES`, frames are left out evenly, the first and the last
    never. Raises `OSError` where the file cannot be written.
    """
    kept = list(frames)
    drawn = {f.step: stage.draw(f) for f in kept}
    content = _encoded([drawn[f.step] for f in kept])
    while len(content) > MOST_BYTES and len(kept) > 2:
        fit = int(0.95 * len(kept) * MOST_BYTES / len(content))
        places = np.linspace(0, len(kept) - 1, min(max(2, fit), len(kept) - 1))
        kept = [kept[int(i)] for i in places.round()]
        content = _encoded([drawn[f.step] for f in kept])
    with replacing(path) as part:
        part.write_bytes(content)
    return len(kept)
