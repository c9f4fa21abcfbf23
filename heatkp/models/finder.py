"""The network that finds objects: a segmentation network with centre maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from heatkp.config import Finder, Model
from heatkp.coordinates import input_to_map, map_to_input
from heatkp.heatmaps.centres import FIELDS, centre_loss, find_peaks, place_and_size_loss
from heatkp.models.dense import DenseModel

if TYPE_CHECKING:
    from heatkp.models.heads import Head

STRIDE = 4
"""Input pixels per map pixel."""
PRIOR = 0.01
"""What the centre map starts at: most pixels are no centre (Lin et al. 2017, section 4.1)."""


class Objects(NamedTuple):
    """The labelled objects of a batch of inputs.

    Attributes:
        boxes: (B, M, 4): centre x, y and sides w, h in input pixels; sides are NaN where only the
            place is known, all are where there is no object.
        ignored: (B, G, 4): edges of regions of which nothing is known, NaN where there is none.
    """

    boxes: Tensor
    ignored: Tensor


class CentreStart(nn.Module):
    """What `DenseModel` asks of a head before training, for centre maps of objects with usual
    sides (w, h), in input pixels."""

    name = "finder"

    def __init__(self, side: tuple[float, float], stride: int = STRIDE) -> None:
        super().__init__()
        self._side, self._stride = side, stride

    def starting_bias(self, area: int) -> Tensor:
        """(5,): a centre anywhere is as likely as `PRIOR`, and has the usual sides."""
        logit = float(torch.logit(torch.tensor(PRIOR)))
        sides = torch.tensor(self._side).clamp(min=1e-3) / self._stride
        return torch.tensor([logit, 0.0, 0.0, *sides.log().tolist()])


def objects_loss(
    maps: Tensor, objects: Objects, stride: int, place_weight: float, size_weight: float
) -> Tensor:
    """The loss of centre maps (B, 5, h, w) of a batch, per object: centres, places and sizes; 0 is
    never reached, for the background's part has no end."""
    given = objects.boxes.to(maps.device)
    there = torch.isfinite(given[..., :2]).all(-1)
    centres, sides = input_to_map(given[..., :2], stride), given[..., 2:] / stride
    weights = there.to(given.dtype)
    ignored = input_to_map(objects.ignored.to(maps.device), stride)
    maps = maps.to(torch.float64 if maps.dtype == torch.float64 else torch.float32)
    centre = centre_loss(maps[:, 0], centres, sides, weights, ignored).sum()
    place, size = place_and_size_loss(maps[:, 1:], centres, sides, weights)
    total = centre + place_weight * place.sum() + size_weight * size.sum()
    return total / weights.sum().clamp(min=1.0)


def found_boxes(maps: Tensor, most: int, stride: int) -> tuple[Tensor, Tensor]:
    """Boxes (B, N, 4), edges in input pixels, and scores (B, N) in [0, 1], the surest first, of
    centre maps (B, 5, h, w)."""
    found = find_peaks(maps, most)
    return map_to_input(found.boxes, stride), found.scores


class FinderModel(nn.Module):
    """Images (B, C, H, W) of raw pixels in [0, 255] to maps (B, 5, ceil(H / 4), ceil(W / 4)).

    The maps are the centre's logit, dx, dy, log w, log h, in map pixels, as
    `heatkp.heatmaps.centres` has them. Images may have any size.

    Args:
        model: architecture and encoder.
        finder: weights of the loss.
        size: (W, H) of the inputs of training, in pixels.
        channels: 1 for grey, 3 for RGB.
        side: width and height of a usual object in input pixels, where the sizes start.

    Raises:
        SettingsError: for a network that cannot be built.
    """

    def __init__(
        self,
        model: Model,
        finder: Finder,
        size: tuple[int, int],
        channels: int,
        side: tuple[float, float] = (32.0, 32.0),
    ) -> None:
        super().__init__()
        self.place_weight, self.size_weight = finder.place_weight, finder.size_weight
        settings = model.model_copy(update={"stride": STRIDE, "layers": [], "loss_chunk": 0})
        self.dense = DenseModel(settings, cast("Head", CentreStart(side)), FIELDS, size, channels)

    @property
    def channels(self) -> int:
        """Of the input: 1 or 3."""
        return self.dense.channels

    @property
    def multiple(self) -> int:
        """Input pixels that the network's input sides are padded to a multiple of."""
        return self.dense.multiple

    def compile_network(self) -> None:
        """As `KeypointModel.compile_network`."""
        self.dense.compile_network()

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.dense(images)
        return maps

    def loss(self, maps: Tensor, objects: Objects) -> Tensor:
        """`objects_loss` of a batch."""
        return objects_loss(maps, objects, STRIDE, self.place_weight, self.size_weight)

    def find(self, maps: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """As `found_boxes`."""
        return found_boxes(maps, most, STRIDE)
