"""A run's own finder as a detector."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heatkp import coordinates as co
from heatkp.data.samples import Image
from heatkp.engine import FoundPoints
from heatkp.engine.whole import WholeInput, at_once, in_image, run_whole
from heatkp.errors import SettingsError
from heatkp.inference import detectors
from heatkp.inference.detectors import DETECTORS, Detection, Detector, suppress
from heatkp.inference.detectors._base import Boxes
from heatkp.inference.tiles import SMALLEST, find_in_tiles
from heatkp.models.grouped import GroupedModel
from heatkp.runs import LoadedFinder, load_finder


class Finder:
    """Finds objects with a network that was trained for it (`heatkp train --task finder`, or
    `--head grouped`, which finds their points in the same look).

    It is a detector: called with an image, it gives `Detection`s, the surest first, whose scores
    are in [0, 1]. Boxes may reach outside the image.

    Args:
        run: the run, its weights, or what `load_finder` gives.
        device: as `load_model` takes it, for a run.
        min_score: objects of a lower score are left out. None: from which on the finder was best
            on its validation images.
        nms: of two boxes that share more than this of their common area the less sure one goes;
            None as it was trained (`finder.nms`).
        most: of each image the surest so many; None as it was trained (`finder.max_objects`).
        tile: side in image pixels of the tiles in which larger images are looked at; 0: none are;
            None: as it was trained (`finder.tile`).

    Raises:
        CheckpointError: for what holds no finder.
        SettingsError: for options that cannot be.
    """

    name = "finder"
    box_style = None

    def __init__(
        self,
        run: LoadedFinder | str | PathLike[str],
        device: str = "auto",
        *,
        min_score: float | None = None,
        nms: float | None = None,
        most: int | None = None,
        tile: int | None = None,
    ) -> None:
        loaded = run if isinstance(run, LoadedFinder) else load_finder(run, device)
        own = loaded.settings.finder
        self.loaded, self.model = loaded, loaded.model
        self.min_score = loaded.min_score if min_score is None else min_score
        self.nms = own.nms if nms is None else nms
        self.most = own.max_objects if most is None else most
        self.tile = own.tile if tile is None else tile
        self.longest, self.grey = max(loaded.size), loaded.settings.data.grey
        if not 0 < self.nms <= 1:
            raise SettingsError(f"nms is above 0 and at most 1, not {nms}")
        if self.tile and self.tile < SMALLEST:
            raise SettingsError(
                f"a tile has a side of {SMALLEST} pixels or more, or is 0 for none; not {self.tile}"
            )

    def __repr__(self) -> str:
        return f"Finder(input {self.longest}, min_score {self.min_score:.3g}, nms {self.nms:g})"

    def with_options(self, **options: Any) -> Finder:
        """The same network with other options; those that are None stay."""
        now = {k: getattr(self, k) for k in ("min_score", "nms", "most", "tile")}
        return Finder(self.loaded, **{**now, **{k: v for k, v in options.items() if v is not None}})

    def __call__(self, image: Image) -> list[Detection]:
        return self.many([image])[0]

    def many(self, images: Sequence[Image]) -> list[list[Detection]]:
        """The objects of each image."""
        if self.tile:
            found = [find_in_tiles(self._look, image, self.tile, self.nms) for image in images]
            return [objects[: self.most] for objects in found]
        return self._look(images)

    def _look(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Whole images, those of one shape together."""
        shapes: dict[tuple[int, ...], list[int]] = {}
        for i, image in enumerate(images):
            shapes.setdefault(image.shape, []).append(i)
        found: dict[int, list[Detection]] = {}
        for places in shapes.values():
            whole = WholeInput.of(images[places[0]].shape, self.longest, self.model.multiple)
            count = at_once(self.model, whole)
            for start in range(0, len(places), count):
                part = places[start : start + count]
                found.update(zip(part, self._alike([images[i] for i in part])))
        return [found[i] for i in range(len(images))]

    def _alike(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Images of one shape, as one batch."""
        whole = WholeInput.of(images[0].shape, self.longest, self.model.multiple)
        inputs = torch.stack([whole.input_of(image, self.grey) for image in images])
        back, detections = whole.back(), []
        with torch.inference_mode():
            output = run_whole(self.model, inputs)
            found, sure = self.model.find(output, self.most)
            for i, (boxes, scores) in enumerate(zip(found, sure)):
                kept, edges = self._kept(boxes, scores, back)
                points = self._points(output, i, boxes, kept, back)
                detections.append(
                    [Detection(edges[n], float(scores[n]), own) for n, own in zip(kept, points)]
                )
        return detections

    def _kept(self, found: Tensor, sure: Tensor, back: co.Matrix) -> tuple[list[int], Boxes]:
        """Which of an input's boxes count, the surest first, and all of them in image pixels."""
        boxes, scores = (v.cpu().double().numpy() for v in (found, sure))
        good = np.flatnonzero((scores >= self.min_score) & np.isfinite(boxes).all(1))
        edges = co.apply(back, boxes.reshape(-1, 2)).reshape(-1, 4)  # no rotation, so edges stay
        return [int(good[i]) for i in suppress(edges[good], scores[good], self.nms)], edges

    def _points(
        self, output: Tensor, place: int, boxes: Tensor, kept: list[int], back: co.Matrix
    ) -> list[FoundPoints | None]:
        """The points of an input's objects, where the network finds them, too."""
        if not isinstance(self.model, GroupedModel) or not kept:
            return [None] * len(kept)
        image = torch.full((len(kept),), place, device=output.device)
        points, scores, spread = in_image(self.model.points_of(output, image, boxes[kept]), back)
        spreads: list[Any] = [None] * len(kept) if spread is None else list(spread)
        return [FoundPoints(p, s, c, self.model) for p, s, c in zip(points, scores, spreads)]


def open_detector(name: str, device: str = "auto") -> Detector:
    """A detector by name (`create_detector`), or the finder of a run by its folder or file.

    Raises `SettingsError` and `CheckpointError` as those do.
    """
    if name not in DETECTORS and name != "auto" and Path(name).exists():
        return Finder(name, device)
    return detectors.create_detector(name)
