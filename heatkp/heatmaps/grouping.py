"""Points of many objects from maps of the whole image: which point belongs to which object.

A network gives for each point k a map of logits z_k and a field of offsets o_k, which says from
each pixel where the centre of the object lies whose point is there. An object with its centre at c
and its sides w, h sees of point k the logits

    L_k(i) = z_k(i) - |i + o_k(i) - c|^2 / (2 (kappa s)^2),      s = sqrt(w h),

over the pixels i of a window around it: their softmax is this object's own heatmap, and losses and
decoders of heatmaps take it as it is. A pixel that says it belongs to another object, whose centre
lies d away, loses d^2 / (2 (kappa s)^2) nats.

Offsets from points to centres that put points together are Papandreou et al., "PersonLab" (2018),
and, from centres to points, Zhou et al., "Objects as Points" (2019), section 4.2. There they are
added to peaks that were found before; here they weigh every pixel, so that a point needs no peak,
two objects may share one, and the whole is differentiable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from heatkp.heatmaps.decoders import Decoded
from heatkp.heatmaps.gaussians import inside_map
from heatkp.heatmaps.precision import working_dtype

FIELDS = 3
"""Maps of a point: its logit, and the offset to the centre in x and in y."""
REACH = 1.5
"""The window's sides, as multiples of the object's: where its points are looked for."""
MARGIN = 2
"""Map pixels by which it is larger still, on each side."""
STEP = 8
"""Windows' sides are multiples of it, so that objects of about one size are one batch."""
HELD = 2**24
"""Numbers in the windows of the objects that are in memory at once; one object may have more."""
AT_ONCE = 20
"""Points whose maps `decode_whole` has in memory at once, of all objects."""
OUTSIDE = -1e9
"""Logit of a pixel that is not in an object's window."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Maps (N, K, h, w), points (N, K, 2) in map pixels, weights (N, K) to losses (N, K)."""
Decode = Callable[[Tensor], Decoded]


class Seen(NamedTuple):
    """Objects in a batch of maps.

    Attributes:
        image: int64 (N,), whose maps each object is in.
        centres: (N, 2), map pixels as (x, y).
        sides: (N, 2), map pixels as (w, h), above 0.
    """

    image: Tensor
    centres: Tensor
    sides: Tensor


class Windows(NamedTuple):
    """Objects whose windows have one size.

    Attributes:
        places: int64 (n,), which objects.
        corners: int64 (n, 2), column and row of the first pixel of each window.
        size: (h, w) of all of them.
    """

    places: Tensor
    corners: Tensor
    size: tuple[int, int]


def _places(seen: Seen, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """First pixels and sides, int64 (N, 2) each, of objects' windows in maps of (H, W)."""
    limits = torch.tensor([size[1], size[0]], device=seen.centres.device)
    extent = REACH * seen.sides.detach() + 2 * MARGIN + 1
    extent = torch.minimum((extent / STEP).ceil().clamp(max=2.0**20).long() * STEP, limits)
    middle = seen.centres.detach().clamp(-1e6, 1e6)
    corners = (middle - (extent - 1) / 2).round().long()
    return torch.minimum(corners, limits - extent).clamp(min=0), extent


def windows(seen: Seen, size: tuple[int, int], points: int) -> Iterator[list[Windows]]:
    """The windows of objects in maps of (H, W), within the map: those of one size together, and of
    all as many at once as `HELD` allows for so many points.

    >>> one = Seen(torch.tensor([0]), torch.tensor([[3.0, 2.0]]), torch.tensor([[4.0, 8.0]]))
    >>> ((found,),) = windows(one, (30, 20), 1)
    >>> found.corners.tolist(), found.size
    ([[0, 0]], (24, 16))
    """
    corners, extent = _places(seen, size)
    group: list[Windows] = []
    held = 0
    for width, height in extent.unique(dim=0).tolist():
        places = (extent == extent.new_tensor([width, height])).all(1).nonzero()[:, 0]
        each = FIELDS * points * width * height
        for part in places.split(max(1, HELD // each)):
            if group and held + len(part) * each > HELD:
                yield group
                group, held = [], 0
            group.append(Windows(part, corners[part], (height, width)))
            held += len(part) * each
    if group:
        yield group


def as_rows(maps: Tensor) -> Tensor:
    """Maps (B, C, H, W) as (B H W, C), a pixel a row; without a copy where they are stored so."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def object_logits(
    rows: Tensor,
    size: tuple[int, int],
    seen: Seen,
    group: Sequence[Windows],
    kappa: float,
    unit: float = 1.0,
) -> list[Tensor]:
    """What objects see of K points in their windows: of each of the group's sizes logits
    (n, K, h, w), the formula above.

    In float32, or float64 for float64 maps.

    Args:
        rows: (B H W, 3 K), the maps' pixels as `as_rows` gives them: of each point its logit, and
            its offset in x and in y.
        size: (H, W) of the maps.
        seen: all objects.
        group: which of them, and their windows.
        kappa: how far from the centre a pixel may point, in units of s.
        unit: map pixels in an offset of 1.

    >>> maps = torch.zeros(1, 3, 1, 2)  # one point; offsets of 0: each pixel points to itself
    >>> one = Seen(torch.tensor([0]), torch.zeros(1, 2), torch.ones(1, 2))
    >>> whole = Windows(torch.tensor([0]), torch.zeros(1, 2).long(), (1, 2))
    >>> object_logits(as_rows(maps), (1, 2), one, [whole], 0.5)[0].tolist()
    [[[[0.0, -2.0]]]]
    """
    pixels, grids = [], []
    for part in group:
        x = part.corners[:, :1] + torch.arange(part.size[1], device=rows.device)
        y = part.corners[:, 1:] + torch.arange(part.size[0], device=rows.device)
        line = seen.image[part.places, None] * size[0] + y
        pixels.append((line[:, :, None] * size[1] + x[:, None]).flatten())
        grids.append((x, y))
    # All at once: the gradient of each look-up is as large as the maps.
    taken = rows.index_select(0, torch.cat(pixels)).to(working_dtype(rows))
    found = []
    for part, (x, y), own in zip(group, grids, taken.split([len(one) for one in pixels])):
        height, width = part.size
        logits, right, down = (
            own.unflatten(0, (len(x), height * width)).mT.unflatten(1, (-1, FIELDS)).unbind(2)
        )  # (n, K, h w) each
        centres = seen.centres[part.places].to(taken.dtype)
        across = (x - centres[:, :1])[:, None].expand(-1, height, -1).flatten(1)
        below = (y - centres[:, 1:])[:, :, None].expand(-1, -1, width).flatten(1)
        distance = (unit * right + across[:, None]) ** 2 + (unit * down + below[:, None]) ** 2
        near = 2 * kappa**2 * seen.sides[part.places].to(taken.dtype).prod(1)
        found.append((logits - distance / near[:, None, None]).unflatten(2, part.size))
    return found


def grouped_losses(
    maps: Tensor,
    seen: Seen,
    points: Tensor,
    weights: Tensor,
    loss: Loss,
    kappa: float,
    unit: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Losses (N, K) of the objects' points in their own heatmaps, and the weights (N, K) that
    count: 0 for points outside the map, or outside the object's window.

    Where objects have more pixels than `HELD`, what is needed for the gradient is made again in
    the backward pass, so that memory is that of one part.

    Args:
        maps: (B, 3 K, H, W): of each point its logit, and its offset in x and in y.
        seen: the N objects.
        points: (N, K, 2), map pixels; weights: (N, K), 0 for those that are not labelled.
        loss: of heatmaps, such as `pixel_cross_entropy`.
        kappa, unit: as in `object_logits`.
    """
    size = (maps.shape[2], maps.shape[3])
    rows, limits = as_rows(maps), points.new_tensor([size[1] - 1, size[0] - 1])
    good = (weights > 0) & inside_map(points, size)
    # The map's last pixels stand for what lies within half a pixel of its edge.
    where = torch.minimum(points.clamp(min=0.0), limits)
    losses, counted = torch.zeros_like(weights), torch.zeros_like(weights)
    groups = list(windows(seen, size, points.shape[1]))

    def summed(rows: Tensor, group: list[Windows]) -> Tensor:
        every = []
        for part, logits in zip(group, object_logits(rows, size, seen, group, kappa, unit)):
            local = where[part.places] - part.corners[:, None]
            every.append(loss(logits, local, counted[part.places]))
        return torch.cat(every)

    for group in groups:
        for part in group:
            inner = inside_map(where[part.places] - part.corners[:, None], part.size)
            counted[part.places] = weights[part.places] * (good[part.places] & inner)
        if len(groups) > 1 and rows.requires_grad and torch.is_grad_enabled():
            values = checkpoint(summed, rows, group, use_reentrant=False)
        else:
            values = summed(rows, group)
        places = torch.cat([part.places for part in group])
        losses = losses.index_put((places,), values.to(losses.dtype))
    return losses, counted


def decode_grouped(
    maps: Tensor, seen: Seen, decode: Decode, kappa: float, unit: float = 1.0
) -> Decoded:
    """Points (N, K, 2) in map pixels, scores and covariances of N objects, read from their own
    heatmaps.

    Args:
        maps: (B, 3 K, H, W), as in `grouped_losses`.
        seen: the N objects.
        decode: a decoder of logits (n, K, h, w).
        kappa, unit: as in `object_logits`.
    """
    size, count = (maps.shape[2], maps.shape[3]), maps.shape[1] // FIELDS
    rows = as_rows(maps)
    dtype, total = working_dtype(maps), len(seen.image)
    points = rows.new_zeros((total, count, 2), dtype=dtype)
    scores = rows.new_zeros((total, count), dtype=dtype)
    spread: Tensor | None = None
    for group in windows(seen, size, count):
        for part, logits in zip(group, object_logits(rows, size, seen, group, kappa, unit)):
            found = decode(logits)
            points[part.places] = (found.points + part.corners[:, None]).to(dtype)
            scores[part.places] = found.scores.to(dtype)
            if found.covariance is not None:
                if spread is None:
                    spread = points.new_zeros((total, count, 2, 2))
                spread[part.places] = found.covariance.to(dtype)
    return Decoded(points, scores, spread)


def decode_whole(
    maps: Tensor, seen: Seen, decode: Decode, kappa: float, unit: float = 1.0
) -> Decoded:
    """What `decode_grouped` finds, by steps whose shapes depend on no value but the number of
    objects, so that a graph can hold them: each object looks at the whole map, in which only its
    window counts. It takes memory for N maps of `AT_ONCE` points; arguments as there.
    """
    height, width = maps.shape[2:]
    values = maps.to(working_dtype(maps)).unflatten(1, (-1, FIELDS))
    x = torch.arange(width, device=maps.device, dtype=values.dtype)
    y = torch.arange(height, device=maps.device, dtype=values.dtype)[:, None]
    centres = seen.centres.to(values.dtype)[:, :, None, None, None]
    near = 2 * kappa**2 * seen.sides.to(values.dtype).prod(1)[:, None, None, None]
    corners, extent = _places(seen, (height, width))
    low, high = (v[:, :, None, None] for v in (corners, corners + extent))
    inside = (x >= low[:, 0]) & (x < high[:, 0]) & (y >= low[:, 1]) & (y < high[:, 1])
    count = values.shape[1]
    found = []
    for part in values.split(-(-count // -(-count // AT_ONCE)), 1):
        logits, right, down = part.unbind(2)
        across = (unit * right + x).index_select(0, seen.image) - centres[:, 0]
        below = (unit * down + y).index_select(0, seen.image) - centres[:, 1]
        own = logits.index_select(0, seen.image) - (across**2 + below**2) / near
        found.append(decode(own.masked_fill(~inside[:, None], OUTSIDE)))
    points, scores, spread = zip(*found)
    whole = None if spread[0] is None else torch.cat(spread, 1)
    return Decoded(torch.cat(points, 1), torch.cat(scores, 1), whole)
