"""Images with boxes to points, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from heatkp import coordinates as co
from heatkp import heatmaps as hm
from heatkp.data.boxes import BoxStyle, box_error, overlaps
from heatkp.data.crops import crop_image
from heatkp.data.dataset import KeypointDataset, to_tensor
from heatkp.data.samples import Image, Sample
from heatkp.data.transforms import Framing, warp
from heatkp.engine.backend import Backend, mirrored_points, require_mirrored
from heatkp.errors import SettingsError
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]
SIZES = (0.1, 1.5)
"""What the side of a refined box may be of the first region's; else the first points are not
worth a second look."""
LOSS = 0.8
"""Refined points whose mean score falls below this fraction of the first one's are not taken."""


class FoundPoints(NamedTuple):
    """Points of an object that were found together with its box.

    Attributes:
        points: float64 (K, 2), image pixels.
        scores: float64 (K,).
        covariance: float64 (K, 2, 2), squared image pixels, or None.
        network: what found them.
    """

    points: Array
    scores: Array
    covariance: Array | None
    network: Any


class Region(NamedTuple):
    """What is to be looked at.

    Attributes:
        image: uint8 (H, W, 3).
        box: edges (x0, y0, x1, y1) of an object in it, or None for the whole image.
        name: what errors call the image.
        others: (N, 4), boxes of other objects in it: a second look stays away from them.
        found: points that were found with the box, where there are.
    """

    image: Image
    box: Array | None = None
    name: str = "image"
    others: Array | None = None
    found: FoundPoints | None = None


@dataclass(frozen=True)
class Estimate:
    """What a network finds in B regions.

    Attributes:
        points: float64 (B, K, 2), image pixels.
        scores: float64 (B, K).
        covariance: float64 (B, K, 2, 2), squared image pixels, or None.
        matrices: float64 (B, 2, 3), image pixels to those of the input that points and maps are
            from.
        first_matrices: float64 (B, 2, 3), the same of the first look: others only where
            two-stage refinement looked again.
        maps: float32 (B, K, h, w), what they mean (`heatkp.heatmaps.activate`), none below 0; or
            None. Those of the input itself, whether or not there was a flip test.
        stride: input pixels to a map pixel.
    """

    points: Array
    scores: Array
    covariance: Array | None
    matrices: Array
    first_matrices: Array
    maps: npt.NDArray[np.float32] | None = None
    stride: int = 1

    def __len__(self) -> int:
        return len(self.points)

    def map_matrix(self, index: int) -> co.Matrix:
        """Pixels of the map of one region to those of its image, (2, 3)."""
        s = float(self.stride)
        to_input = np.array([[s, 0.0, (s - 1) / 2], [0.0, s, (s - 1) / 2]])
        return co.compose(to_input, co.invert(self.matrices[index]))

    def with_second(self, places: Sequence[int], second: Estimate) -> Estimate:
        """With the results of a second look in the given places, where it lost nothing."""
        taken = [(i, j) for j, i in enumerate(places) if not _worse(second, j, self, i)]
        if not taken:
            return self
        ours, theirs = (list(t) for t in zip(*taken))

        def merged(first: Any, other: Any) -> Any:
            if first is None or other is None:
                return None
            first = first.copy()
            first[ours] = other[theirs]
            return first

        names = ("points", "scores", "covariance", "matrices", "maps")
        parts = {name: merged(getattr(self, name), getattr(second, name)) for name in names}
        return replace(self, **parts)


def _worse(second: Estimate, j: int, first: Estimate, i: int) -> bool:
    """Whether a second look lost what the first had seen. Scores differ a little with the crop's
    size, so that a small loss says nothing; regression has none."""
    lost = np.isfinite(first.points[i]).sum() > np.isfinite(second.points[j]).sum()
    return bool(lost or second.scores[j].mean() < LOSS * first.scores[i].mean())


class Engine:
    """A network with the framing that it was trained with.

    Args:
        backend: what runs the network.
        skeleton: its points; needed for the flip test.
        framing: which region of an image around a box the network sees.
        grey: whether it takes one channel.
        box_style: how boxes lie around points; needed for two-stage refinement.
    """

    def __init__(
        self,
        backend: Backend,
        skeleton: Skeleton,
        framing: Framing,
        grey: bool = False,
        box_style: BoxStyle | None = None,
    ) -> None:
        self.backend, self.skeleton, self.framing = backend, skeleton, framing
        self.grey, self.box_style = grey, box_style

    @classmethod
    def for_dataset(
        cls, backend: Backend, dataset: KeypointDataset, box_style: BoxStyle | None = None
    ) -> Engine:
        """With the points and the framing of a data set."""
        return cls(backend, dataset.skeleton, dataset.framing, dataset.grey, box_style)

    def check(self, passes: int = 1, flip_test: bool = False) -> None:
        """Raises `SettingsError` for what this network cannot do: another number of passes than
        1 and 2, two-stage refinement without `box_style`, a flip test where counterparts of
        points are not known."""
        if passes not in (1, 2):
            raise SettingsError(f"passes is 1 or 2, not {passes!r}")
        if passes == 2:
            require_box_style(self.box_style)
        if flip_test:
            require_mirrored(self.skeleton)

    def estimate(
        self, inputs: Tensor, matrices: Array, flip_test: bool = False, maps: bool = False
    ) -> Estimate:
        """What is found in one batch of inputs.

        Args:
            inputs: uint8 (B, C, H, W).
            matrices: (B, 2, 3), image pixels to those of the inputs.
            flip_test: average points with those found in the mirrored inputs.
            maps: give the network's maps, too, where it makes any.

        Raises:
            SettingsError: for a flip test where counterparts of points are not known.
        """
        found = self.backend.run(inputs, maps)
        where = found.points
        if flip_test:
            where = (where + mirrored_points(self.backend, inputs, self.skeleton)) / 2
        back = np.stack([co.invert(matrix) for matrix in matrices])
        linear = back[:, None, :, :2]
        spread = None if found.covariance is None else _array(found.covariance)
        shown = None
        if found.maps is not None and self.backend.kind is not None:
            shown = hm.activate(found.maps.float(), self.backend.kind).cpu().numpy()
        return Estimate(
            points=co.apply(back, _array(where)),
            scores=_array(found.scores),
            covariance=None if spread is None else linear @ spread @ linear.swapaxes(-1, -2),
            matrices=matrices,
            first_matrices=matrices,
            maps=shown,
            stride=self.backend.stride,
        )

    def look(
        self,
        regions: Sequence[Region],
        passes: int = 1,
        flip_test: bool = False,
        maps: bool = False,
    ) -> Estimate:
        """What is found in regions of images, at least one, as one batch.

        `passes` 2 is two-stage refinement: it looks again at the box that belongs around the
        first points, which mends boxes that are off. The rest as in `estimate`.

        Raises:
            DataError: for a box that is of no use in its image (`heatkp.data.boxes.box_error`).
            SettingsError: as `check` does.
        """
        self.check(passes, flip_test)
        first = self.estimate(*self._inputs(regions), flip_test, maps)
        if passes == 1:
            return first
        boxes = [self._refined(region, points) for region, points in zip(regions, first.points)]
        again = [i for i, box in enumerate(boxes) if box is not None]
        if not again:
            return first
        closer = [regions[i]._replace(box=boxes[i]) for i in again]
        return first.with_second(again, self.estimate(*self._inputs(closer), flip_test, maps))

    def over(
        self,
        dataset: KeypointDataset,
        batch_size: int = 16,
        passes: int = 1,
        flip_test: bool = False,
        maps: bool = False,
    ) -> Iterator[Estimate]:
        """What is found in the samples of a data set, a batch at a time, in their order.

        Raises as `look` does, and `DataError` for an image that cannot be read.
        """
        self.check(passes, flip_test)
        if passes == 1:
            for batch in DataLoader(dataset, batch_size=batch_size):
                yield self.estimate(batch["image"], batch["matrix"].numpy(), flip_test, maps)
            return
        for start in range(0, len(dataset), batch_size):
            chunk = dataset.samples[start : start + batch_size]
            regions = [Region(s.rgb(), _edges(s), s.id) for s in chunk]
            yield self.look(regions, passes, flip_test, maps)

    def _inputs(self, regions: Sequence[Region]) -> tuple[Tensor, Array]:
        inputs, matrices = zip(*map(self.input_of, regions))
        # By NumPy: after a copy that torch's threads share, they wait busily for the next, and
        # keep another runtime from the processors (a third of its time).
        return torch.from_numpy(np.stack([part.numpy() for part in inputs])), np.stack(matrices)

    def input_of(self, region: Region) -> tuple[Tensor, co.Matrix]:
        """What the network sees of a region, uint8 (C, H, W), and the affine there, (2, 3).

        Raises `DataError` for a box that is of no use in the image.
        """
        image, box, name = region[:3]
        none = np.zeros((0, 2), np.float32)
        edges = None if box is None else np.asarray(box, np.float32)
        sample = Sample(image, none, box=edges, id=name)
        crop = crop_image(sample, self.framing, 1.0)
        matrix = self.framing.matrix(crop.size, box)
        part = warp(crop.image, co.compose(co.invert(crop.matrix), matrix), self.framing.size)
        return to_tensor(part, self.grey), matrix

    def _refined(self, region: Region, points: Array) -> Array | None:
        """Where to look again, or None where the first points say nothing about it."""
        assert self.box_style is not None
        size = (region.image.shape[1], region.image.shape[0])
        box = self.box_style.around(points)
        if box is None or box_error(box, size) is not None:
            return None
        try:
            seen = self.framing.region(size, region.box)
            self.framing.region(size, box)
        except ValueError:  # cut at the image's edges, and outside them
            return None
        side = np.sqrt((box[2:] - box[:2]).prod() / (seen[2:] - seen[:2]).prod())
        centre = (box[:2] + box[2:]) / 2
        held = (seen[:2] < centre).all() and (centre < seen[2:]).all()
        if region.others is not None and len(region.others) and region.box is not None:
            own = overlaps(box[None], np.asarray(region.box, np.float64)[None]).max()
            held &= own > overlaps(box[None], region.others).max()
        return box if held and SIZES[0] < side < SIZES[1] else None


def _edges(sample: Sample) -> Array | None:
    return None if sample.box is None else np.asarray(sample.box, np.float64)


def _array(values: Tensor) -> Array:
    return values.detach().cpu().double().numpy()


def require_box_style(style: BoxStyle | None) -> None:
    """Raises `SettingsError` for a model that cannot look twice."""
    if style is None:
        raise SettingsError(
            "two passes need a model that knows how boxes lie around points: one that was "
            "trained on boxes (data.crop=box), by this version of heatkp; use one pass"
        )
