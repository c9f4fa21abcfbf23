"""The network of head `grouped`: a finder's maps, and of each point a map and an offset field."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from heatkp import heatmaps as hm
from heatkp.config import Finder, Model
from heatkp.coordinates import input_to_map, map_to_input
from heatkp.heatmaps import grouping
from heatkp.heatmaps.centres import CANDIDATES, FIELDS, Peaks, kept_peaks
from heatkp.models.dense import DenseModel, MapLayer
from heatkp.models.finder import CentreStart, Objects, found_boxes, objects_loss
from heatkp.models.prediction import Prediction

if TYPE_CHECKING:
    from heatkp.models.heads import Head

UNIT = 8.0
"""Map pixels in an offset of 1: about what lies between a point and its object's centre, so that
offsets of the size that a new layer gives are of use."""
USUAL = (32.0, 32.0)
"""Sides of an object in input pixels, where nothing says them."""


class Grouped(NamedTuple):
    """The labelled objects of a batch of inputs, with their points.

    Attributes:
        objects: as a finder learns them.
        points: (B, M, K, 2), input pixels.
        weights: (B, M, K), 0 for points that are not labelled, and where there is no object.
    """

    objects: Objects
    points: Tensor
    weights: Tensor


class FoundObjects(NamedTuple):
    """Objects of a batch of inputs, of each the surest first, in input pixels; where there are
    fewer than N, all numbers of the last ones are 0.

    Attributes:
        points: (B, N, K, 2).
        scores: (B, N, K) in [0, 1].
        boxes: (B, N, 4), edges x0, y0, x1, y1.
        box_scores: (B, N) in [0, 1].
        covariance: (B, N, K, 2, 2), or None.
    """

    points: Tensor
    scores: Tensor
    boxes: Tensor
    box_scores: Tensor
    covariance: Tensor | None


class GroupedModel(DenseModel):
    """Images (B, C, H, W) of raw pixels in [0, 255] to maps (B, 5 + 3 K, ceil(H / stride),
    ceil(W / stride)): those of `heatkp.heatmaps.centres`, then of each point those of
    `heatkp.heatmaps.grouping`.

    As any `KeypointModel` it is trained on inputs of one object with `training_loss`, for which
    the box around its labelled points is that of the object, and `decode` gives the surest
    object's points. `scene_loss`, `find` and `points_of` are for all objects of whole images.

    Args:
        model: architecture and encoder.
        head: with its options.
        points: how many, K.
        size: (W, H) of the inputs of training, in pixels.
        channels: 1 for grey, 3 for RGB.

    Raises:
        SettingsError: for a network that cannot be built.
    """

    def __init__(
        self,
        model: Model,
        head: Head,
        points: int,
        size: tuple[int, int],
        channels: int,
    ) -> None:
        start = CentreStart(USUAL, model.stride)
        super().__init__(model, cast("Head", start), FIELDS, size, channels)
        self.head, self.points = head, points
        made = self.map_layer
        self.points_layer = MapLayer(
            made.convolution.in_channels,
            torch.zeros(grouping.FIELDS * points),
            made.factor,
            model.dropout,
        )

    @property
    def finder(self) -> Finder:
        """Weights of the loss of centres and sizes, and how objects are found."""
        return Finder() if self.settings is None else self.settings.finder

    def start_sides(self, side: tuple[float, float]) -> None:
        """Let sizes start at the width and height of a usual object in input pixels."""
        bias = CentreStart(side, self.stride).starting_bias(0)
        self.map_layer.convolution.bias = nn.Parameter(bias)

    def maps(self, features: Tensor, image_size: tuple[int, int]) -> Tensor:
        height, width = (-(-n // self.stride) for n in image_size)
        every = torch.cat([self.map_layer(features), self.points_layer(features)], 1)
        return every[:, :, :height, :width]

    def _labelled(self, image: Tensor, boxes: Tensor) -> grouping.Seen:
        """Objects (N, 4), centre and sides in input pixels, as the maps have them."""
        sides = (boxes[:, 2:] / self.stride).clamp(min=1.0)
        return grouping.Seen(image, input_to_map(boxes[:, :2], self.stride), sides)

    def _seen(self, output: Tensor, image: Tensor, boxes: Tensor) -> grouping.Seen:
        """Objects (N, 4), edges in input pixels, as the maps have them."""
        boxes = boxes.to(output.device, output.dtype)
        middle = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)
        return self._labelled(image.to(output.device), middle)

    def scene_loss(self, output: Tensor, scene: Grouped) -> Tensor:
        """The loss of a batch: that of a finder, per object, and the mean of the objects'
        labelled points, which are 0 where nothing is labelled."""
        maps = output.to(torch.float64 if output.dtype == torch.float64 else torch.float32)
        given = self.finder
        centres, points = maps.split([FIELDS, maps.shape[1] - FIELDS], 1)
        found = objects_loss(
            centres, scene.objects, self.stride, given.place_weight, given.size_weight
        )
        return found + self.head.options.weight * self.points_loss(points, scene)

    def points_loss(self, maps: Tensor, scene: Grouped) -> Tensor:
        """The mean cross-entropy of the points of objects whose box is known, in nats; `maps` are
        those of the points, (B, 3 K, h, w)."""
        boxes = scene.objects.boxes.to(maps.device)
        image, place = torch.isfinite(boxes).all(-1).nonzero(as_tuple=True)
        weights = scene.weights.to(maps.device)[image, place].to(maps.dtype)
        points = input_to_map(scene.points.to(maps.device)[image, place], self.stride)
        losses, counted = grouping.grouped_losses(
            maps,
            self._labelled(image, boxes[image, place]),
            points,
            weights,
            self.head.loss,
            self.head.options.kappa,
            UNIT,
        )
        return hm.masked_mean(losses, counted)

    def find(self, output: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """As `FinderModel.find`."""
        return found_boxes(output[:, :FIELDS], most, self.stride)

    def objects(self, output: Tensor, most: int, least: float, overlap: float) -> FoundObjects:
        """All objects with their points, by steps that a graph can hold.

        Args:
            output: what `forward` returned for B inputs.
            most: of each input the surest N.
            least: objects of a lower score are left out.
            overlap: of two boxes that share more than this of their common area the less sure
                one goes.
        """
        peaks = Peaks(*self.find(output, max(most, CANDIDATES)))
        kept = kept_peaks(peaks, least, overlap)
        rank = kept.long().cumsum(1) - 1
        image, place = (kept & (rank < most)).nonzero(as_tuple=True)
        to = image, rank[image, place]
        own = torch.cat([peaks.boxes, peaks.scores[..., None]], -1)[image, place]
        found = self._decoded(grouping.decode_whole, output, image, own[:, :4])

        def put(values: Tensor) -> Tensor:
            empty = values.new_zeros((kept.shape[0], most, *values.shape[1:]))
            return empty.index_put(to, values)

        points, scores, spread = found
        covariance = None if spread is None else put(spread)
        boxes, sure = put(own).split([4, 1], -1)
        return FoundObjects(put(points), put(scores), boxes, sure[..., 0], covariance)

    def points_of(self, output: Tensor, image: Tensor, boxes: Tensor) -> Prediction:
        """Points (N, K, 2) in input pixels, scores and covariances of objects.

        Args:
            output: what `forward` returned for B inputs.
            image: int64 (N,), which input each object is in.
            boxes: (N, 4), edges in input pixels.
        """
        return self._decoded(grouping.decode_grouped, output, image, boxes)

    def _decoded(
        self, decode: Callable[..., hm.Decoded], output: Tensor, image: Tensor, boxes: Tensor
    ) -> Prediction:
        """`points_of` by one of the ways of `heatkp.heatmaps.grouping`."""
        options = self.head.decode, self.head.options.kappa, UNIT
        found = decode(output[:, FIELDS:], self._seen(output, image, boxes), *options)
        covariance = found.covariance
        return Prediction(
            map_to_input(found.points, self.stride),
            found.scores,
            None if covariance is None else covariance * self.stride**2,
        )

    def object_maps(self, output: Tensor, image: Tensor, boxes: Tensor) -> Tensor:
        """What objects see of their points in the whole input, as logits (N, K, h, w); arguments
        as in `points_of`."""
        seen = self._seen(output, image, boxes)
        size = (output.shape[2], output.shape[3])
        corners = torch.zeros((len(boxes), 2), dtype=torch.long, device=output.device)
        rows, kappa = grouping.as_rows(output[:, FIELDS:]), self.head.options.kappa
        whole = grouping.Windows(torch.arange(len(boxes), device=output.device), corners, size)
        return grouping.object_logits(rows, size, seen, [whole], kappa, UNIT)[0]

    def surest(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The number of each input (B,), and the edges (B, 4) of its surest object."""
        boxes, _ = self.find(output, 1)
        return torch.arange(len(boxes), device=output.device), boxes[:, 0]

    def loss(self, output: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        if isinstance(points, hm.Mixture):
            raise ValueError("head grouped takes points of all objects, and no mixture")
        width, height = self.size
        self._require(output, (-(-height // self.stride), -(-width // self.stride)), "maps")
        weights = self.counted(points, weights)
        return self.scene_loss(output, _alone(points, weights))

    def training_loss(self, images: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        self._require(images, (self.size[1], self.size[0]), "images")
        return self.loss(self(images), points, weights)

    def decode(self, output: Tensor) -> Prediction:
        return self.points_of(output, *self.surest(output))

    def point_rows(self) -> dict[str, int]:
        layer = "points_layer.convolution"
        return {f"{layer}.weight": grouping.FIELDS, f"{layer}.bias": grouping.FIELDS}

    def compile_network(self) -> None:
        self.network.compile()


def _alone(points: Tensor, weights: Tensor) -> Grouped:
    """Inputs of one object each, whose box is the one around its labelled points (B, K, 2)."""
    known = (weights > 0)[..., None]
    low = torch.where(known, points, torch.inf).amin(1)
    high = torch.where(known, points, -torch.inf).amax(1)
    there = known.any(1)
    centre = torch.where(there, (low + high) / 2, torch.nan)
    sides = torch.where(there & (high > low).all(1, keepdim=True), high - low, torch.nan)
    boxes = torch.cat([centre, sides], 1)[:, None]
    none = boxes.new_zeros((len(boxes), 0, 4))
    return Grouped(Objects(boxes, none), points[:, None], weights[:, None])
