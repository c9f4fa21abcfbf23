"""Centre maps: objects as peaks of one map, with their place and size beside it.

An object is a box in map pixels, given by its centre (x, y) and its sides (w, h). A network gives
one logit a pixel, whether an object's centre lies there, and four numbers a pixel: where the
centre lies from that pixel (dx, dy) and the logarithms of the sides. After Zhou, Wang and
Kraehenbuehl, "Objects as Points" (2019), with the separable Gaussian about the exact centre whose
width follows each side (Liu et al., "Training-Time-Friendly Network", 2019). The Gaussians only
weigh pixels of the background down; they are computed here, from the boxes, and nothing stores
them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from heatkp.heatmaps.gaussians import inside_map
from heatkp.heatmaps.precision import working_dtype

FIELDS = 5
"""Maps of a finder: the centre's logit, dx, dy, log w, log h."""
WIDTH = 0.09
"""Standard deviation of an object's Gaussian, as a fraction of its side."""
NARROWEST = 0.5
"""Least standard deviation, in map pixels; also that of an object whose size is not known."""
NEAR = 0.75
"""Standard deviation, in map pixels, of the weights of the nine pixels about a centre that learn
its place and size."""
BLOCK = 16
"""Objects of an image whose Gaussians are in memory at once."""
CANDIDATES = 100
"""Peaks that suppression chooses from, however few objects are wanted: several may be of one."""
ROUNDS = 16
"""Of boxes that overlap in a chain, each surer than the next, so many are told apart exactly."""


class Peaks(NamedTuple):
    """What a centre map holds, the surest first.

    Attributes:
        boxes: (B, N, 4), edges x0, y0, x1, y1 in map pixels.
        scores: (B, N) in [0, 1]; 0 where there are fewer peaks.
    """

    boxes: Tensor
    scores: Tensor


def _usable(centres: Tensor, weights: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Centres with (0, 0) for those that do not count, and which do (B, M)."""
    good = inside_map(centres, size) & (weights > 0)
    return torch.where(good[..., None], centres, torch.zeros_like(centres)), good


def _cells(centres: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Column and row (B, M) of the pixel that each centre lies in."""
    cells = (centres + 0.5).floor().long()  # centres of pixels are on integers
    return cells[..., 0].clamp(0, size[1] - 1), cells[..., 1].clamp(0, size[0] - 1)


def nearness(centres: Tensor, sides: Tensor, usable: Tensor, size: tuple[int, int]) -> Tensor:
    """The highest of the objects' Gaussians of peak 1 at each pixel, (B, H, W); 0 without one.

    max over m of exp(-(i - y_m)^2 / (2 sy^2)) exp(-(j - x_m)^2 / (2 sx^2)) with s = max(WIDTH
    side, NARROWEST).

    Args:
        centres: (B, M, 2), map pixels.
        sides: (B, M, 2), map pixels; NaN where not known.
        usable: bool (B, M): which objects there are.
        size: (H, W) of the map.
    """
    height, width = size
    highest = centres.new_zeros((len(centres), height, width))
    sigma = (WIDTH * sides.nan_to_num(0.0)).clamp(min=NARROWEST)
    columns = torch.arange(width, device=centres.device, dtype=centres.dtype)
    rows = torch.arange(height, device=centres.device, dtype=centres.dtype)
    for start in range(0, centres.shape[1], BLOCK):
        part = slice(start, start + BLOCK)
        where, wide = centres[:, part, :, None], sigma[:, part, :, None]
        x = torch.exp(-0.5 * ((columns - where[:, :, 0]) / wide[:, :, 0]) ** 2)
        y = torch.exp(-0.5 * ((rows - where[:, :, 1]) / wide[:, :, 1]) ** 2)
        y = y * usable[:, part, None].to(y.dtype)
        highest = torch.maximum(highest, (y[..., None] * x[:, :, None]).amax(1))
    return highest


def _left_out(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Which pixels (B, H, W) lie in one of the boxes (B, G, 4), edges in map pixels, NaN: none."""
    height, width = size
    x = torch.arange(width, device=boxes.device, dtype=boxes.dtype)
    y = torch.arange(height, device=boxes.device, dtype=boxes.dtype)
    columns = (boxes[..., 0, None] <= x) & (x <= boxes[..., 2, None])
    rows = (boxes[..., 1, None] <= y) & (y <= boxes[..., 3, None])
    return (rows[..., None] & columns[:, :, None]).any(1)


def centre_loss(
    logits: Tensor,
    centres: Tensor,
    sides: Tensor,
    weights: Tensor,
    ignored: Tensor | None = None,
) -> Tensor:
    """Penalty-reduced focal loss of a centre map (Law and Deng 2018), summed over each image's
    pixels, (B,), in nats.

    With p = sigmoid(Z): -(1 - p)^2 log p at the pixel of each centre, and -(1 - u)^4 p^2
    log(1 - p) at all others, u the highest Gaussian there (`nearness`). In float32, or float64
    for float64 maps. Divide by the number of objects.

    Args:
        logits: (B, H, W).
        centres: (B, M, 2), map pixels as (x, y). Those that are not finite or outside the map do
            not count.
        sides: (B, M, 2), map pixels as (w, h); NaN where not known.
        weights: (B, M), above 0 where there is an object.
        ignored: (B, G, 4), edges in map pixels of regions whose background does not count; NaN
            where there is none.

    >>> far = torch.full((1, 1, 2), torch.nan)
    >>> loss = centre_loss(torch.zeros(1, 1, 1), far, far, torch.zeros(1, 1))
    >>> round(loss.item(), 4)  # log(2) / 4
    0.1733
    """
    z = logits.to(working_dtype(logits))
    size = (z.shape[1], z.shape[2])
    with torch.no_grad():
        where, good = _usable(centres.to(z), weights.to(z), size)
        share = (1 - nearness(where, sides.to(z), good, size)) ** 4
        if ignored is not None and ignored.shape[1]:
            share = share.masked_fill(_left_out(ignored.to(z), size), 0.0)
        columns, rows = _cells(where, size)
        place = rows * size[1] + columns  # of objects that do not count: beside the map
        place = torch.where(good, place, torch.full_like(place, size[0] * size[1]))
        flat = F.pad(share.flatten(1), (0, 1))
        share = flat.scatter(1, place, 0.0)[:, :-1].view_as(share)
    background = (share * torch.sigmoid(z) ** 2 * F.softplus(z)).flatten(1).sum(1)
    at = F.pad(z.flatten(1), (0, 1)).gather(1, place)
    peaks = torch.sigmoid(-at) ** 2 * F.softplus(-at)
    return background + torch.where(good, peaks, torch.zeros_like(peaks)).sum(1)


def place_and_size_loss(
    fields: Tensor, centres: Tensor, sides: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """L1 distances of (dx, dy) from where the centre lies, and of (log w, log h) from the sides'
    logarithms: each (B, M), means of the nine pixels about the centre with weights exp(-d^2 /
    (2 NEAR^2)), d their distance from it; 0 for objects that do not count.

    Args:
        fields: (B, 4, H, W): dx, dy in map pixels, log w, log h.
        centres, sides, weights: as in `centre_loss`; sides that are not known have no loss.

    Raises `ValueError` for shapes that do not belong together.

    >>> fields = torch.zeros(1, 4, 1, 1)
    >>> at, sides = torch.tensor([[[0.25, 0.0]]]), torch.ones(1, 1, 2)
    >>> [v.item() for v in place_and_size_loss(fields, at, sides, torch.ones(1, 1))]
    [0.25, 0.0]
    """
    if centres.shape[-1] != 2 or sides.shape != centres.shape:
        raise ValueError(
            f"centres and sides are (B, M, 2), got {tuple(centres.shape)} and {tuple(sides.shape)}"
        )
    values = fields.to(working_dtype(fields))
    height, width = values.shape[2:]
    with torch.no_grad():
        where, good = _usable(centres.to(values), weights.to(values), (height, width))
        column, row = _cells(where, (height, width))
        steps = torch.tensor([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)], device=values.device)
        columns, rows = (v[..., None] + steps[:, i] for i, v in enumerate((column, row)))
        there = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        offset = where[..., None, :] - torch.stack([columns, rows], -1).to(values)
        share = torch.exp(-offset.square().sum(-1) / (2 * NEAR**2)) * (there & good[..., None])
        share = share / share.sum(-1, keepdim=True).clamp(min=1e-12)  # (B, M, 9)
        logs = sides.to(values).log()
        known = torch.isfinite(logs).all(-1) & good
        logs = torch.where(known[..., None], logs, torch.zeros_like(logs))
        index = (rows * width + columns).clamp(0, height * width - 1).flatten(1)
    found = values.flatten(2).gather(2, index[:, None].expand(-1, 4, -1))
    found = found.unflatten(2, share.shape[1:])  # (B, 4, M, 9)
    place = (found[:, :2].movedim(1, -1) - offset).abs().sum(-1)
    size = (found[:, 2:].movedim(1, -1) - logs[:, :, None]).abs().sum(-1)
    none = torch.zeros((), dtype=values.dtype, device=values.device)
    return (
        torch.where(share > 0, share * place, none).sum(-1),
        torch.where((share > 0) & known[..., None], share * size, none).sum(-1),
    )


def find_peaks(maps: Tensor, most: int = 100) -> Peaks:
    """Objects of maps (B, 5, H, W) as a finder gives them: local maxima of the centre map in 3x3
    pixels, with the place and the size that are written there.

    Args:
        maps: the centre's logit, dx, dy, log w, log h.
        most: so many of the surest of each image, at least 1.

    >>> maps = torch.full((1, 5, 4, 6), -9.0)
    >>> maps[0, :, 2, 3] = torch.tensor([4.0, 0.25, 0.0, 0.0, 0.0])
    >>> maps[0, 3:] = 0.0
    >>> found = find_peaks(maps, 1)
    >>> found.boxes.tolist(), round(found.scores.item(), 3)
    ([[[2.75, 1.5, 3.75, 2.5]]], 0.982)
    """
    values = maps.to(working_dtype(maps))
    z = values[:, :1]
    height, width = z.shape[2:]
    highest = F.max_pool2d(z, 3, 1, 1) == z
    scores = (torch.sigmoid(z) * highest).flatten(1)
    scores, index = scores.topk(min(most, height * width), dim=1)
    at = values[:, 1:].flatten(2).gather(2, index[:, None].expand(-1, 4, -1))
    x = index % width + at[:, 0]
    y = torch.div(index, width, rounding_mode="floor") + at[:, 1]
    half = 0.5 * at[:, 2:].clamp(max=20.0).exp()
    edges = [x - half[:, 0], y - half[:, 1], x + half[:, 0], y + half[:, 1]]
    return Peaks(torch.stack(edges, -1), scores)


def kept_peaks(peaks: Peaks, least: float, overlap: float) -> Tensor:
    """Which peaks are objects, bool (B, N): those of a score of `least` or more, above 0, without
    the ones that share more than `overlap` of the common area with a surer one that stays.

    Non-maximum suppression without a loop over objects, so that a graph can hold it: what nothing
    surer touches stays, in the next round what only touches what went, and so on (`ROUNDS`).

    >>> boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 1, 10, 11], [0, 4, 10, 14]]])
    >>> kept_peaks(Peaks(boxes, torch.tensor([[0.9, 0.8, 0.7]])), 0.3, 0.5).tolist()
    [[True, False, True]]
    """
    boxes, scores = peaks
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    common = (high - low).clamp(min=0.0).prod(-1)
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    both = areas[:, :, None] + areas[:, None] - common
    count = boxes.shape[1]
    surer = torch.ones(count, count, dtype=torch.bool, device=boxes.device).tril(-1)
    touched = (common > overlap * both) & surer
    good = (scores >= least) & (scores > 0)
    kept = good
    for _ in range(min(count - 1, ROUNDS)):
        kept = good & ~(touched & kept[:, None]).any(-1)
    return kept
