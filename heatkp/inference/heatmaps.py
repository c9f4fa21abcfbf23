"""A network's maps of an object, and where they lie on its image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heatkp import coordinates as co
from heatkp import heatmaps as hm
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Heatmaps:
    """The maps of one object, one for each point.

    Attributes:
        maps: float32 (K, h, w), what they mean, none below 0, by `kind`: `logits` were made
            probabilities, which sum to 1 over a map's pixels; `sigmoid_logits` are in [0, 1];
            `gaussian` have a peak of about 1.
        matrix: float64 (2, 3), the affine from map pixels (x, y), centres on integers, to pixels
            of the image. Maps may reach beyond the image, and padding is a part of them.
        kind: what the network gives.
        skeleton: names, lines and sides of the points.
        image_size: (W, H) of the image.
        box: edges (x0, y0, x1, y1) of the object, pixels of the image, as in `Keypoints`.
        image: index of the image in the list that was given.
    """

    maps: npt.NDArray[np.float32]
    matrix: co.Matrix
    kind: hm.Kind
    skeleton: Skeleton
    image_size: tuple[int, int]
    box: Array | None = None
    image: int = 0

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, point: str | int) -> npt.NDArray[np.float32]:
        """The map (h, w) of a point, by its name or number.

        Raises `KeyError` for a name that is none, `IndexError` for a number.
        """
        if isinstance(point, str):
            if point not in self.skeleton.point_names:
                raise KeyError(f"no point of {self.skeleton.name} is called {point!r}")
            point = self.skeleton.point_names.index(point)
        return np.asarray(self.maps[point])

    def __repr__(self) -> str:
        count, height, width = self.maps.shape
        return (
            f"Heatmaps({count} {self.kind} maps of {width}x{height}, {self.skeleton.name}, "
            f"image {self.image})"
        )

    def total(self) -> npt.NDArray[np.float32]:
        """The sum of all maps, (h, w)."""
        return np.asarray(self.maps.sum(0))

    def to_image(self, points: npt.ArrayLike) -> Array:
        """Pixels of the maps (..., 2), x and y, as pixels of the image."""
        return co.apply(self.matrix, np.asarray(points, np.float64))
