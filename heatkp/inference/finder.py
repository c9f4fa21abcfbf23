"""A run's own finder as a detector."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from heatkp import coordinates as co
from heatkp.config import Settings
from heatkp.data.samples import Image
from heatkp.data.transforms import Framing
from heatkp.engine import FoundPoints
from heatkp.engine.exported import ExportedBackend
from heatkp.engine.whole import INPUTS, WholeInput, at_once, in_image, run_whole
from heatkp.errors import SettingsError
from heatkp.export import is_export, open_export
from heatkp.heatmaps.centres import CANDIDATES
from heatkp.inference import detectors
from heatkp.inference.detectors import DETECTORS, Detection, Detector, suppress
from heatkp.inference.detectors._base import Boxes
from heatkp.inference.tiles import SMALLEST, find_in_tiles
from heatkp.models.grouped import GroupedModel
from heatkp.models.prediction import Prediction
from heatkp.runs import Loaded, LoadedFinder, grouped_finder, least_score, load_finder
from heatkp.runs.hub import is_hub_name


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
        self.loaded, self.model = loaded, loaded.model
        self._take(loaded.settings, loaded.size, loaded.min_score, min_score, nms, most, tile)

    def _take(
        self,
        settings: Settings,
        size: tuple[int, int],
        least: float,
        min_score: float | None,
        nms: float | None,
        most: int | None,
        tile: int | None,
    ) -> None:
        """The options, and those of the training in the place of None."""
        own = settings.finder
        self.min_score = least if min_score is None else min_score
        self.nms = own.nms if nms is None else nms
        self.most = own.max_objects if most is None else most
        self.tile = own.tile if tile is None else tile
        self.longest, self.grey = max(size), settings.data.grey
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
        return Finder(self.loaded, **self._options(options))

    def _options(self, changes: dict[str, Any]) -> dict[str, Any]:
        now = {k: getattr(self, k) for k in ("min_score", "nms", "most", "tile")}
        return {**now, **{k: v for k, v in changes.items() if v is not None}}

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
        for shape, places in shapes.items():
            count = self._at_once(shape)
            for start in range(0, len(places), count):
                part = places[start : start + count]
                found.update(zip(part, self._alike([images[i] for i in part])))
        return [found[i] for i in range(len(images))]

    def _at_once(self, shape: tuple[int, ...]) -> int:
        """Images of a shape that the network sees at once."""
        return at_once(self.model, WholeInput.of(shape, self.longest, self.model.multiple))

    def _alike(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Images of one shape, as one batch."""
        whole = WholeInput.of(images[0].shape, self.longest, self.model.multiple)
        inputs = torch.stack([whole.input_of(image, self.grey) for image in images])
        back, detections = whole.back(), []
        with torch.inference_mode():
            output = run_whole(self.model, inputs)
            found, sure = self.model.find(output, max(self.most, CANDIDATES))
            for i, (boxes, scores) in enumerate(zip(found, sure)):
                kept, edges = self._kept(boxes, scores, back)
                points = self._points(output, i, boxes, kept, back)
                detections.append(
                    [_detection(edges[n], scores[n], own) for n, own in zip(kept, points)]
                )
        return detections

    def _kept(self, found: Tensor, sure: Tensor, back: co.Matrix) -> tuple[list[int], Boxes]:
        """Which of an input's boxes count, the surest first, and all of them in image pixels."""
        boxes, scores = (v.cpu().double().numpy() for v in (found, sure))
        known = (scores > 0) & np.isfinite(boxes).all(1)  # of fewer peaks the last have 0
        good = np.flatnonzero((scores >= self.min_score) & known)
        edges = co.apply(back, boxes.reshape(-1, 2)).reshape(-1, 4)  # no rotation, so edges stay
        kept = suppress(edges[good], scores[good], self.nms)[: self.most]
        return [int(good[i]) for i in kept], edges

    def _points(
        self, output: Tensor, place: int, boxes: Tensor, kept: list[int], back: co.Matrix
    ) -> list[FoundPoints | None]:
        """The points of an input's objects, where the network finds them, too."""
        if not isinstance(self.model, GroupedModel) or not kept:
            return [None] * len(kept)
        image = torch.full((len(kept),), place, device=output.device)
        found = in_image(self.model.points_of(output, image, boxes[kept]), back)
        return _found_points(found, self.model)


class ExportedFinder(Finder):
    """Finds objects with their points by a network of head `grouped` that was exported.

    Its file leaves out what is less sure, or shares more with a surer object, than when it was
    exported, so that options can only leave out more.

    Args:
        loaded: what `heatkp.export.open_export` gives.
        options: as of `Finder`.

    Raises `SettingsError` for options that the file does not have.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        min_score: float | None = None,
        nms: float | None = None,
        most: int | None = None,
        tile: int | None = None,
    ) -> None:
        self.exported, self.network = loaded, cast(ExportedBackend, loaded.backend)
        settings, own = loaded.settings, loaded.settings.finder
        self.size, least = (settings.data.size[0], settings.data.size[1]), least_score(own)
        self._take(settings, self.size, least, min_score, nms, most, tile)
        for name, more, limit in (
            ("min_score", self.min_score < least, least),
            ("nms", self.nms > own.nms, own.nms),
            ("max_objects", self.most > own.max_objects, own.max_objects),
        ):
            if more:
                raise SettingsError(
                    f"{name}: the network was exported with {limit:g}, and can leave out more, not "
                    "less: take the run that it was made of"
                )

    def with_options(self, **options: Any) -> ExportedFinder:
        return ExportedFinder(self.exported, **self._options(options))

    def _at_once(self, shape: tuple[int, ...]) -> int:
        return INPUTS

    def _alike(self, images: Sequence[Image]) -> list[list[Detection]]:
        height, width = images[0].shape[:2]
        whole = WholeInput(self.size, Framing(self.size).matrix((width, height)))
        inputs = torch.stack([whole.input_of(image, self.grey) for image in images])
        parts = [torch.from_numpy(part) for part in self.network.infer(inputs.numpy())]
        back, detections = whole.back(), []
        for i, (boxes, scores) in enumerate(zip(parts[2], parts[3])):
            kept, edges = self._kept(boxes, scores, back)
            spread = parts[4][i][kept] if len(parts) > 4 else None
            found = in_image(Prediction(parts[0][i][kept], parts[1][i][kept], spread), back)
            points = _found_points(found, self.network)
            detections.append(
                [_detection(edges[n], scores[n], own) for n, own in zip(kept, points)]
            )
        return detections


def _found_points(found: tuple[Any, ...], network: Any) -> list[FoundPoints | None]:
    """Points, scores and covariances, as `in_image` gives them, an object each."""
    points, scores, spread = found
    spreads: list[Any] = [None] * len(points) if spread is None else list(spread)
    return [FoundPoints(p, s, c, network) for p, s, c in zip(points, scores, spreads)]


def _detection(edges: Boxes, score: Tensor, points: FoundPoints | None) -> Detection:
    return Detection(edges, float(score), points, finder=True)


def finder_of(loaded: Loaded) -> Finder:
    """What finds the objects of a network of head `grouped`: itself."""
    if isinstance(loaded.backend, ExportedBackend):
        return ExportedFinder(loaded)
    return Finder(grouped_finder(loaded))


def open_detector(name: str, device: str = "auto") -> Detector:
    """A detector by name (`create_detector`), or the finder of a run by its folder or file, or on
    the hub (`hf://owner/name`); an export of head `grouped` is one, too.

    Raises `SettingsError` and `CheckpointError` as those do.
    """
    if is_hub_name(name):
        return Finder(name, device)
    if name not in DETECTORS and name != "auto" and Path(name).exists():
        if is_export(name) and (loaded := open_export(name)).settings.head.grouped:
            return ExportedFinder(loaded)
        return Finder(name, device)
    return detectors.create_detector(name)
