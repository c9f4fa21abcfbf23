"""A run's own finder as a detector."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heatkp import coordinates as co
from heatkp.data.dataset import to_tensor
from heatkp.data.samples import Image
from heatkp.data.transforms import Framing, shrink, shrink_factor, warp
from heatkp.errors import SettingsError
from heatkp.inference import detectors
from heatkp.inference.detectors import DETECTORS, Detection, Detector, suppress
from heatkp.inference.tiles import SMALLEST, find_in_tiles
from heatkp.runs import LoadedFinder, load_finder

BATCH = 8
"""Images that the network sees at once."""


class Finder:
    """Finds objects with a network that was trained for it (`heatkp train --task finder`).

    It is a detector: called with an image, it gives `Detection`s, the surest first, whose scores
    are in [0, 1]. Boxes may reach outside the image.

    Args:
        run: the run, its `finder.safetensors`, or what `load_finder` gives.
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
            for start in range(0, len(places), BATCH):
                part = places[start : start + BATCH]
                found.update(zip(part, self._alike([images[i] for i in part])))
        return [found[i] for i in range(len(images))]

    def _alike(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Images of one shape, as one batch."""
        height, width = images[0].shape[:2]
        scale, step = self.longest / max(width, height), self.model.multiple
        size = tuple(max(step, -(-round(n * scale) // step) * step) for n in (width, height))
        framing = Framing((size[0], size[1]))
        # Not larger than it was trained on, where a side is rounded up.
        middle = co.image_box(width, height)
        half = np.asarray(size) / scale / 2
        centre = (middle[:2] + middle[2:]) / 2
        matrix = co.box_to_frame(np.concatenate([centre - half, centre + half]), *framing.size)
        inputs = []
        for image in images:
            small, to_small = shrink(image, shrink_factor(matrix))
            seen = warp(small, co.compose(co.invert(to_small), matrix), framing.size)
            inputs.append(to_tensor(seen, self.grey))
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            batch = torch.stack(inputs).to(device).contiguous(memory_format=torch.channels_last)
            boxes, scores = self.model.find(self.model(batch), self.most)
        return [
            self._kept(b, s, co.invert(matrix))
            for b, s in zip(boxes.cpu().double().numpy(), scores.cpu().double().numpy())
        ]

    def _kept(self, boxes: Any, scores: Any, back: co.Matrix) -> list[Detection]:
        good = (scores >= self.min_score) & np.isfinite(boxes).all(1)
        boxes, scores = boxes[good], scores[good]
        edges = co.apply(back, boxes.reshape(-1, 2)).reshape(-1, 4)  # no rotation, so edges stay
        return [Detection(edges[i], float(scores[i])) for i in suppress(edges, scores, self.nms)]


def open_detector(name: str, device: str = "auto") -> Detector:
    """A detector by name (`create_detector`), or the finder of a run by its folder or file.

    Raises `SettingsError` and `CheckpointError` as those do.
    """
    if name not in DETECTORS and name != "auto" and Path(name).exists():
        return Finder(name, device)
    return detectors.create_detector(name)
