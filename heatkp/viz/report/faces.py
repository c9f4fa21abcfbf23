"""Validation samples as a page holds them: images and maps as data URIs, points as numbers."""

from __future__ import annotations

import base64
import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from heatkp import heatmaps as hm
from heatkp.models import DenseModel
from heatkp.viz.maps import ellipse, map_view
from heatkp.viz.report.data import ReportRun

LARGEST_MAP = 128
"""Cells on a side, over which maps are summed or averaged in blocks."""
LARGEST_IMAGE = 512
QUALITY = 85
_LOSSLESS = 101  # OpenCV's WebP writer is lossless over 100


def webp(pixels: npt.NDArray[np.uint8], quality: int) -> str:
    """An image (H, W, 3) RGB as a data URI; over 100 without loss."""
    done, encoded = cv2.imencode(
        ".webp", np.ascontiguousarray(pixels[:, :, ::-1]), [cv2.IMWRITE_WEBP_QUALITY, quality]
    )
    if not done:
        raise RuntimeError("OpenCV cannot write WebP")
    return "data:image/webp;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def image_uri(image: npt.NDArray[np.uint8]) -> str:
    """A network input (C, H, W) as a data URI, shrunk where it is very large."""
    pixels = np.ascontiguousarray(np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0))
    height, width = pixels.shape[:2]
    scale = LARGEST_IMAGE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return webp(pixels, QUALITY)


def block_factor(height: int, width: int) -> int:
    """Map pixels on a side of a cell as a page shows it, so that maps stay small."""
    return -(-max(height, width) // LARGEST_MAP)


def cells(maps: npt.NDArray[np.float32], kind: hm.Kind) -> npt.NDArray[np.float32]:
    """Maps (K, h, w) in blocks of `block_factor`: probabilities summed, other values averaged.

    A block at the right or lower edge that is not whole counts what is missing as 0.
    """
    count, height, width = maps.shape
    f = block_factor(height, width)
    if f == 1:
        return maps
    whole = np.pad(maps, ((0, 0), (0, -height % f), (0, -width % f)))
    blocks = whole.reshape(count, whole.shape[1] // f, f, whole.shape[2] // f, f)
    total = blocks.sum((2, 4)) if kind == "logits" else blocks.mean((2, 4))
    return np.asarray(total, np.float32)


def levels(maps: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Maps (K, h, w) of values >= 0 in 255 equal steps from 0 to each map's own peak."""
    peaks = maps.max((1, 2), keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(np.isfinite(peaks) & (peaks > 0), maps / peaks, 0)
    return np.nan_to_num(255 * shares).round().astype(np.uint8)


def atlas_columns(count: int) -> int:
    """Maps side by side in an atlas."""
    return max(1, math.ceil(math.sqrt(count)))


def atlas(
    predicted: npt.NDArray[np.uint8], targets: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """All maps (K, h, w) in one image (rows h, columns w, 3).

    Map k is in row k // columns and column k % columns; red holds what was predicted, green
    what the loss asks for.
    """
    count, height, width = predicted.shape
    columns = atlas_columns(count)
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width, 3), np.uint8)
    sheet[:count, :, :, 0], sheet[:count, :, :, 1] = predicted, targets
    tiled = sheet.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(tiled.reshape(rows * height, columns * width, 3))


def number(value: float, digits: int) -> float | None:
    """A float that JSON can hold: rounded, None where it is not finite."""
    return round(float(value), digits) if math.isfinite(value) else None


def _pairs(points: npt.NDArray[np.float64]) -> list[list[float] | None]:
    return [
        [round(float(x), 2), round(float(y), 2)] if np.isfinite([x, y]).all() else None
        for x, y in points
    ]


def _significant(values: npt.NDArray[Any]) -> list[float | None]:
    return [float(f"{v:.3g}") if math.isfinite(v) else None for v in map(float, values)]


def face(run: ReportRun, index: int) -> tuple[str, dict[str, Any]]:
    """A sample's image, and what a run found in it, for JSON.

    Points and ellipses (full axes of 2 sigma and the angle in degrees) are in input pixels,
    `distance` is that of point and truth in image pixels. A regression run has no maps,
    scores or ellipses. Raises `DataError` for an image that cannot be read.
    """
    model = run.loaded.model
    found: dict[str, Any] = {"distance": [number(d, 2) for d in run.distance[index]]}
    if not isinstance(model, DenseModel):
        item = run.dataset[index]
        found["truth"] = _pairs(item["points"].double().numpy())
        found["points"] = _pairs(run.errors.input[index])
        return image_uri(item["image"].numpy()), found
    view = map_view(model, run.dataset, index, "")
    maps, targets = (cells(m, model.head.kind) for m in (view.maps, view.targets))
    spreads = [None] * len(maps) if view.covariance is None else map(ellipse, view.covariance)
    found.update(
        truth=_pairs(view.truth),
        points=_pairs(view.points),
        scores=[number(s, 3) for s in view.scores],
        ellipses=[e and [round(v, 2) for v in e] for e in spreads],
        peaks=_significant(maps.max((1, 2))),
        targetPeaks=_significant(targets.max((1, 2))),
        atlas=webp(atlas(levels(maps), levels(targets)), _LOSSLESS),
    )
    return image_uri(view.image), found
