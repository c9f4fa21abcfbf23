"""Images of maps: what a model gives for each point, over the input that it sees."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse

from heatkp import coordinates as co
from heatkp import heatmaps as hm
from heatkp.data.dataset import KeypointDataset
from heatkp.engine import TorchBackend
from heatkp.errors import SettingsError
from heatkp.models import DenseModel
from heatkp.skeletons import Skeleton
from heatkp.viz.canvas import (
    PREDICTED,
    TRUTH,
    cell_size,
    coloured,
    grid,
    marker_size,
    plain,
    save,
    show_image,
)

Array = npt.NDArray[np.float64]
MOST_ROWS = 20
"""Points that a page has room for."""


@dataclass(frozen=True)
class MapView:
    """One input with its maps; everything in input pixels unless it says otherwise.

    Attributes:
        title: what it is, for a headline.
        image: uint8 (C, H, W), what the network saw.
        maps: (K, h, w) predicted, as `heatkp.heatmaps.activate` makes them.
        targets: (K, h, w) as the head has them; zeros where not labelled or outside, NaN where
            training asks for no map.
        stride: input pixels to a map pixel.
        points, truth: (K, 2), truth NaN where not labelled.
        scores: (K,) as the decoder defines them.
        covariance: (K, 2, 2), or None where the decoder has none.
        image_error: (K,) distance of points and truth in image pixels; NaN where not labelled.
        asks: what training asks for of the targets, in words.
    """

    title: str
    image: npt.NDArray[np.uint8]
    maps: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    stride: int
    points: Array
    truth: Array
    scores: Array
    covariance: Array | None
    image_error: Array
    asks: str

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Which points (K,) have a truth."""
        return np.asarray(np.isfinite(self.truth).all(1))

    @property
    def error(self) -> Array:
        """Distance of points and truth, (K,), input pixels; NaN where not labelled."""
        distance: Array = np.linalg.norm(self.points - self.truth, axis=1)
        return distance


def map_view(model: DenseModel, dataset: KeypointDataset, index: int, title: str) -> MapView:
    """A sample of a data set with the maps that a model gives for it.

    Raises `DataError` for an image that cannot be read.
    """
    item = dataset[index]
    box = dataset.box_seen(index, item["matrix"].numpy())
    found = TorchBackend(model).run(item["image"][None], True, torch.from_numpy(box)[None])
    assert found.maps is not None
    maps = hm.activate(found.maps, model.head.kind)[0].cpu().numpy()
    truth = co.input_to_map(item["points"][None], model.stride).to(found.points.device)
    target = model.head.target(truth, (maps.shape[1], maps.shape[2]))
    none = np.full_like(maps, np.nan)
    points, expected = found.points[0].cpu().double().numpy(), item["points"].double().numpy()
    back = co.invert(item["matrix"].numpy())
    covariance = found.covariance
    return MapView(
        title,
        item["image"].numpy(),
        maps,
        none if target is None else target[0].detach().float().cpu().numpy(),
        model.stride,
        points,
        expected,
        found.scores[0].cpu().double().numpy(),
        None if covariance is None else covariance[0].cpu().double().numpy(),
        np.linalg.norm(co.apply(back, points) - co.apply(back, expected), axis=1),
        model.head.asks,
    )


def map_extent(width: int, height: int, stride: int) -> tuple[float, float, float, float]:
    """Edges (left, right, bottom, top) in input pixels of a map of the given size.

    Map pixel u covers the input from `map_to_input(u - 0.5)` to `map_to_input(u + 0.5)`.

    >>> map_extent(8, 6, 4)
    (-0.5, 31.5, 23.5, -0.5)
    """
    low, right, bottom = co.map_to_input(np.array([-0.5, width - 0.5, height - 0.5]), stride)
    return float(low), float(right), float(bottom), float(low)


def draw_map(axis: Axes, values: npt.NDArray[np.floating], stride: int) -> AxesImage:
    """Draw a map (h, w) of values >= 0 over an input: clear at 0, bright at its own peak."""
    extent = map_extent(values.shape[1], values.shape[0], stride)
    return axis.imshow(coloured(values), extent=extent, interpolation="nearest")


def ellipse(covariance: npt.ArrayLike, sigmas: float = 2.0) -> tuple[float, float, float] | None:
    """Full axes (long, short) and angle in degrees of a covariance's ellipse; None without one.

    The angle turns the x axis towards the y axis onto the long axis, in [0, 180). `covariance`
    is (2, 2) in squared pixels; one that is not finite or not positive has no ellipse.

    >>> ellipse([[1.0, 0.0], [0.0, 9.0]])
    (12.0, 4.0, 90.0)
    """
    matrix = np.asarray(covariance, np.float64)
    if not np.isfinite(matrix).all():
        return None
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    if values[0] <= 0:
        return None
    short, long = 2 * sigmas * np.sqrt(values)
    angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180)
    return float(long), float(short), angle


def parse_points(text: str, skeleton: Skeleton) -> list[int]:
    """Indices of points listed as `30,36-41,nose_tip`: numbers, ranges, names; each once.

    A point that is called like a number goes before that number. Raises `SettingsError` for
    what is none of these.
    """
    chosen: list[int] = []
    last = len(skeleton) - 1
    for token in (part.strip() for part in text.split(",")):
        range_ = re.fullmatch(r"([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?", token)
        if token in skeleton.point_names:
            first = final = skeleton.point_names.index(token)
        elif range_:
            first = int(range_[1])
            final = int(range_[2] or range_[1])
        else:
            first, final = 1, 0
        if not first <= final <= last:
            near = difflib.get_close_matches(token, skeleton.point_names, 3, 0.5)
            raise SettingsError(
                f"--points: {token!r} is no point of {skeleton.name!r}; give numbers from 0 to "
                f"{last}, ranges such as 0-{min(2, last)}, or names such as "
                f"{', '.join(near or skeleton.point_names[:3])}, separated by commas"
            )
        chosen += range(first, final + 1)
    return list(dict.fromkeys(chosen))


def choose_samples(mean: npt.ArrayLike, count: int) -> list[tuple[str, int]]:
    """The `count` best, median and worst of mean errors (N,), as (name, index), none twice.

    Names are best-1 (the smallest), median-1 (nearest the middle), worst-1 (the largest) and so
    on; NaN is left out. Where there are fewer than 3 `count`, the worst go first, then the best.
    """
    errors = np.asarray(mean, np.float64)
    order = [int(i) for i in np.argsort(errors, kind="stable") if np.isfinite(errors[i])]
    worst = order[::-1][:count]
    best = order[: min(count, len(order) - len(worst))]
    rest = order[len(best) : len(order) - len(worst)]
    middle = sorted(rest, key=lambda i: abs(order.index(i) - (len(order) - 1) / 2))[:count]
    groups = (("best", best), ("median", middle), ("worst", worst))
    return [(f"{name}-{n}", i) for name, group in groups for n, i in enumerate(group, 1)]


def hardest_points(view: MapView, count: int = 6) -> list[int]:
    """The points with the largest errors, or of an image without truth the lowest scores."""
    known = view.labelled
    cost = view.error if known.any() else -view.scores
    cost = np.where(np.isfinite(view.points).all(1), cost, np.inf)  # no answer: the worst
    considered = np.flatnonzero(known) if known.any() else np.arange(len(cost))
    return [int(k) for k in considered[np.argsort(-cost[considered], kind="stable")][:count]]


def worst_tenth(error: Array) -> npt.NDArray[np.bool_]:
    """Which points (K,) are in the worst tenth of a sample's, rounded up; none of a single."""
    known = np.flatnonzero(np.isfinite(error))
    marked = np.zeros(len(error), bool)
    if len(known) > 1:
        marked[known[np.argsort(-error[known], kind="stable")][: -(-len(known) // 10)]] = True
    return marked


def _grey(view: MapView) -> npt.NDArray[np.uint8]:
    """The input in grey (1, H, W), for colours over it to stand out."""
    return view.image.mean(0, keepdims=True).astype(np.uint8)


def _marks(axis: Axes, view: MapView, points: Sequence[int], size: float) -> None:
    chosen = list(points)
    known = [k for k in chosen if view.labelled[k]]
    for k in known:
        axis.plot(*np.stack([view.truth[k], view.points[k]]).T, color="white", lw=0.7)
    (x, y), (u, v) = view.truth[known].T, view.points[chosen].T
    axis.scatter(x, y, s=1.6 * size, facecolors="none", edgecolors=TRUTH, linewidths=0.9)
    axis.scatter(u, v, s=size, c=PREDICTED, marker="+", linewidths=0.9)


def _detail(axis: Axes, view: MapView, k: int, name: str) -> None:
    """The input around one point, with its map, decoded and true place and ellipse."""
    show_image(axis, _grey(view))
    draw_map(axis, view.maps[k], view.stride)
    _marks(axis, view, [k], 110)
    ends = np.stack([view.points[k], view.truth[k]])
    ends = ends[np.isfinite(ends).all(1)]
    low, high = (ends.min(0), ends.max(0)) if len(ends) else np.zeros((2, 2))
    half = float((high - low).max()) / 2 + 3 * view.stride
    x, y = (low + high) / 2
    axis.set_xlim(x - half, x + half)
    axis.set_ylim(y + half, y - half)
    shape = None if view.covariance is None else ellipse(view.covariance[k])
    if shape is not None and np.isfinite(view.points[k]).all():
        long, short, angle = shape
        centre = (float(view.points[k, 0]), float(view.points[k, 1]))
        axis.add_patch(Ellipse(centre, long, short, angle=angle, fill=False, edgecolor="cyan"))
    error = (
        f"error {view.error[k]:.1f} px ({view.image_error[k]:.1f} in the image), "
        if view.labelled[k]
        else ""
    )
    axis.set_title(
        f"{k} {plain(name)}: detail, {2 * half:.0f} px wide\n{error}score {view.scores[k]:.2f}",
        fontsize=7,
        pad=2,
    )


def _legend_handles(view: MapView) -> list[Line2D]:
    def mark(label: str, marker: str, colour: str) -> Line2D:
        return Line2D([], [], ls="", marker=marker, mec=colour, mfc="none", ms=7, label=label)

    handles = [mark("decoded point", "+", PREDICTED)]
    if view.labelled.any():
        handles.append(mark("true point", "o", TRUTH))
    if view.covariance is not None:
        handles.append(Line2D([], [], color="cyan", lw=1, label="2 sigma of the map"))
    return handles


def page(view: MapView, skeleton: Skeleton, points: Sequence[int], path: Path) -> None:
    """Write the page of one input as PNG: all maps summed, then a row for each of `points`.

    A row holds a detail, the predicted map over the whole input and, where the input has a
    truth and training a target, that. Raises `OSError` where the file cannot be written.
    """
    columns = 2 + bool(view.labelled.any() and np.isfinite(view.targets).any())
    width, height = cell_size((view.image.shape[2], view.image.shape[1]))
    figure, axes = grid(1 + len(points), columns, (1.1 * width, 1.1 * height + 0.15))
    everything, size = range(len(skeleton)), 3 * marker_size(len(skeleton))
    show_image(axes[0], view.image, "what the network sees")
    _marks(axes[0], view, everything, size)
    for axis, maps, title in zip(
        axes[1:], (view.maps, view.targets), ("all predicted maps, summed", "all targets, summed")
    ):
        show_image(axis, _grey(view), title)
        draw_map(axis, maps.sum(0), view.stride)
        if maps is view.maps:
            _marks(axis, view, everything, size)
    for row, k in enumerate(points, 1):
        detail, predicted, *rest = axes[row * columns : (row + 1) * columns]
        _detail(detail, view, k, skeleton.point_names[k])
        peak = view.maps[k].max()
        show_image(predicted, _grey(view), f"predicted map of {k}\npeak {peak:.2g}")
        draw_map(predicted, view.maps[k], view.stride)
        for axis in rest:
            peak = view.targets[k].max()
            label = f"target of {k}, peak {peak:.2g}\n{view.asks}"
            label = label if peak else "true point outside the input"
            show_image(axis, _grey(view), label if view.labelled[k] else "not labelled")
            draw_map(axis, view.targets[k], view.stride)
    figure.suptitle(
        f"{plain(view.title)}\n"
        "Each map is brightest at its own peak; px are input pixels; score: 0 unsure, 1 sure",
        fontsize=8,
    )
    handles = _legend_handles(view)
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=7)
    save(figure, path)


def tile(view: MapView, k: int) -> npt.NDArray[np.float64]:
    """The map of point k over the grey input, RGB (H, W, 3) in [0, 1].

    Each map pixel fills exactly the input pixels that it covers, as in `draw_map`.
    """
    height, width = view.image.shape[1:]
    grey = _grey(view)[0, :, :, None] / 255
    colours = coloured(view.maps[k])
    large = colours.repeat(view.stride, 0).repeat(view.stride, 1)[:height, :width]
    blend: npt.NDArray[np.float64] = grey + large[..., 3:] * (large[..., :3] - grey)
    return blend


def sheet(view: MapView, skeleton: Skeleton, path: Path) -> None:
    """Write all K maps of one input as small multiples in a PNG.

    Raises `OSError` where the file cannot be written.
    """
    # One axes for all of them: one for each takes matplotlib many seconds.
    count = len(skeleton)
    columns = min(count, max(4, min(10, round(np.sqrt(1.4 * count)))))
    height, width = view.image.shape[1:]
    gap, head = max(height, width) // 20, max(height, width) // 8
    high, wide = height + head, width + gap
    canvas = np.ones((-(-count // columns) * high, columns * wide - gap, 3))
    corners = np.array([(k % columns * wide, k // columns * high + head) for k in range(count)])
    for k, (left, top) in enumerate(corners):
        canvas[top : top + height, left : left + width] = tile(view, k)
    scale, room = 1.45 / max(height, width), 0.45
    extent = canvas.shape[1] * scale, canvas.shape[0] * scale + room
    figure = Figure((max(extent[0], 4.0), extent[1]))
    axis = figure.add_axes((0, 0, 1, 1 - room / extent[1]))
    axis.imshow(canvas)
    axis.set_axis_off()
    x, y = (view.points + corners).T
    axis.scatter(x, y, s=9, c=PREDICTED, edgecolors="black", linewidths=0.5)
    worst = worst_tenth(view.error)
    for k, (left, top) in enumerate(corners):
        axis.text(
            left + width / 2 - 0.5, top - 0.25 * head, f"{k} {plain(skeleton.point_names[k])}",
            fontsize=6, ha="center", color="red" if worst[k] else "black", clip_on=True,
        )  # fmt: skip
    note = "pink dot: decoded point"
    if worst.any():
        note += "; red: the tenth of the points with the largest errors"
    title = f"{plain(view.title)}: the map of each point\n{note}"
    figure.suptitle(title, fontsize=8, y=1 - 0.06 / extent[1], va="top")
    save(figure, path)
