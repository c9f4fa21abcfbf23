"""Whole images with all of their objects to points, in one look at each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from heatkp import coordinates as co
from heatkp import heatmaps as hm
from heatkp.config import Data
from heatkp.data.boxes import BoxStyle, box_error
from heatkp.data.dataset import KeypointDataset
from heatkp.data.samples import Image
from heatkp.data.scenes import image_key
from heatkp.data.transforms import Framing
from heatkp.engine.backend import Backend
from heatkp.engine.engine import Array, Engine, Estimate, Region
from heatkp.engine.tiling import nearest, starts
from heatkp.engine.whole import WholeInput, at_once, in_image, run_whole
from heatkp.errors import DataError, SettingsError
from heatkp.models.grouped import GroupedModel
from heatkp.skeletons import Skeleton


class _Part(NamedTuple):
    """A part of an image that is looked at, and which regions lie in it."""

    image: Image
    corner: tuple[int, int]
    regions: list[int]


class SceneEngine(Engine):
    """A network that finds the points of all objects of an image in one look.

    Regions of one image are looked at together; their boxes say which objects are meant. Without
    a box the surest object of the image is. An image larger than `finder.tile`, where settings
    have one, is looked at in the tile that the box's middle is nearest to, if the box fits.
    """

    @property
    def network(self) -> Any:
        """What finds the objects: the torch network, or the file that it was exported to, which
        is asked by `heatkp.inference.finder.ExportedFinder` alone."""
        return getattr(self.backend, "model", self.backend)

    @property
    def model(self) -> GroupedModel:
        """The torch network. Raises `SettingsError` where there is none."""
        if not isinstance(self.network, GroupedModel):
            raise SettingsError(
                "an exported network of head grouped finds the objects of whole images itself: it "
                "takes no boxes and is not measured in labelled ones; take the run that it was "
                "made of, or heatkp predict without boxes and heatkp score"
            )
        return self.network

    @property
    def longest(self) -> int:
        """Longest side of its inputs, in pixels."""
        return max(self.framing.size)

    @property
    def tile(self) -> int:
        """Side of the tiles, in pixels of the image; 0 for none."""
        return self.model.finder.tile

    def check(self, passes: int = 1, flip_test: bool = False) -> None:
        if passes not in (1, 2):
            super().check(passes)
        if passes == 2 or flip_test:
            what = "second pass" if passes == 2 else "flip test"
            raise SettingsError(
                f"head grouped has no {what}: it looks once at the whole image; leave it out"
            )

    def look(
        self,
        regions: Sequence[Region],
        passes: int = 1,
        flip_test: bool = False,
        maps: bool = False,
    ) -> Estimate:
        self.check(passes, flip_test)
        every: dict[int, tuple[Any, ...]] = {}
        for i, region in enumerate(regions):
            found = region.found
            if found is not None and found.network is self.network and not maps:
                every[i] = (*found[:3], co.scaling(1.0, 1.0), None)
        for batch in self._batches(regions, [i for i in range(len(regions)) if i not in every]):
            every.update(self._look_at(batch, regions, maps))
        parts = [[every[i][j] for i in range(len(regions))] for j in range(5)]
        matrices = np.stack(parts[3])
        return Estimate(
            points=np.stack(parts[0]),
            scores=np.stack(parts[1]),
            covariance=None if any(v is None for v in parts[2]) else np.stack(parts[2]),
            matrices=matrices,
            first_matrices=matrices,
            maps=_together(parts[4]) if maps else None,
            stride=self.backend.stride,
        )

    def over(
        self,
        dataset: KeypointDataset,
        batch_size: int = 16,
        passes: int = 1,
        flip_test: bool = False,
        maps: bool = False,
    ) -> Iterator[Estimate]:
        """As `Engine.over`; matrices are those of the data set's inputs."""
        self.check(passes, flip_test)
        images: dict[Any, Image] = {}
        for start in range(0, len(dataset), batch_size):
            regions = []
            now: dict[Any, Image] = {}
            for sample in dataset.samples[start : start + batch_size]:
                key = image_key(sample)
                image = now.get(key, images.get(key))
                now[key] = sample.rgb() if image is None else image
                box = None if sample.box is None else np.asarray(sample.box, np.float64)
                regions.append(Region(now[key], box, sample.id))
            images = now
            shapes = [(r.image.shape[1], r.image.shape[0]) for r in regions]
            matrices = np.stack([dataset.framing.matrix(shape) for shape in shapes])
            yield replace(self.look(regions, maps=maps), first_matrices=matrices)

    def _batches(self, regions: Sequence[Region], which: Sequence[int]) -> Iterator[list[_Part]]:
        """Parts of images of one shape, so many as the network sees at once."""
        parts: dict[tuple[Any, ...], _Part] = {}
        for i in which:
            region = regions[i]
            corner, side = self._tile(region)
            key = (id(region.image), *corner, side)
            if key not in parts:
                x, y = corner
                seen = region.image[y : y + side, x : x + side] if side else region.image
                parts[key] = _Part(np.ascontiguousarray(seen), corner, [])
            parts[key].regions.append(i)
        shapes: dict[tuple[int, ...], list[_Part]] = {}
        for part in parts.values():
            shapes.setdefault(part.image.shape, []).append(part)
        for shape, alike in shapes.items():
            count = at_once(self.model, WholeInput.of(shape, self.longest, self.model.multiple))
            for start in range(0, len(alike), count):
                yield alike[start : start + count]

    def _tile(self, region: Region) -> tuple[tuple[int, int], int]:
        """The corner and the side of the tile that a region is looked at in; side 0: all of it."""
        height, width = region.image.shape[:2]
        box, tile = region.box, self.tile
        if not tile or max(height, width) <= tile or box is None:
            return (0, 0), 0
        middle = (box[:2] + box[2:]) / 2
        x, y = (nearest(m, starts(n, tile), tile) for m, n in zip(middle, (width, height)))
        fits = box[0] >= x - 0.5 and box[1] >= y - 0.5 and (box[2:] <= [x + tile, y + tile]).all()
        return ((x, y), tile) if fits else ((0, 0), 0)

    @torch.inference_mode()
    def _look_at(
        self, batch: Sequence[_Part], regions: Sequence[Region], maps: bool
    ) -> dict[int, tuple[Any, ...]]:
        """What is found in the regions of a few parts of one shape, by their numbers."""
        whole = WholeInput.of(batch[0].image.shape, self.longest, self.model.multiple)
        inputs = torch.stack([whole.input_of(part.image, self.grey) for part in batch])
        output = run_whole(self.model, inputs)
        sure = self.model.surest(output)[1].cpu().double().numpy()
        back, found = whole.back(), {}
        for j, part in enumerate(batch):
            own = [self._box(regions[i], part.corner, whole.matrix, sure[j]) for i in part.regions]
            boxes = torch.from_numpy(np.stack(own))
            image = torch.full((len(own),), j)
            move = co.compose(back, co.translation(*part.corner))
            points, scores, spread = in_image(self.model.points_of(output, image, boxes), move)
            shown = None
            if maps:
                logits = self.model.object_maps(output, image, boxes).float()
                shown = hm.activate(logits, self.model.head.kind).cpu().numpy()
            for n, i in enumerate(part.regions):
                found[i] = (
                    points[n],
                    scores[n],
                    None if spread is None else spread[n],
                    co.invert(move),
                    None if shown is None else shown[n],
                )
        return found

    def _box(
        self, region: Region, corner: tuple[int, int], matrix: co.Matrix, surest: Array
    ) -> Array:
        """Edges (4,) of a region's object in input pixels."""
        if region.box is None:
            return surest
        size = (region.image.shape[1], region.image.shape[0])
        if (wrong := box_error(region.box, size)) is not None:
            raise DataError(f"{region.name}: {wrong}")
        moved = np.asarray(region.box, np.float64) - np.array([*corner, *corner])
        return co.apply(matrix, moved.reshape(2, 2)).reshape(4)


def _together(maps: Sequence[Any]) -> Any:
    """Maps of objects as one array; of inputs of several shapes as an array of arrays."""
    if len({one.shape for one in maps}) == 1:
        return np.stack(maps)
    found = np.empty(len(maps), object)
    found[:] = maps
    return found


def make_engine(
    backend: Backend,
    skeleton: Skeleton,
    data: Data | Framing,
    grey: bool,
    box_style: BoxStyle | None = None,
) -> Engine:
    """The engine of a network with the framing that its settings say."""
    framing = data if isinstance(data, Framing) else Framing.of(data)
    scenes = framing.objects or isinstance(getattr(backend, "model", None), GroupedModel)
    return (SceneEngine if scenes else Engine)(backend, skeleton, framing, grey, box_style)
