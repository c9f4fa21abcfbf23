"""Whole images with all their objects: what a finder is trained on."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from heatkp import coordinates as co
from heatkp.config import Augmentation
from heatkp.data.crops import Crop, CropSource
from heatkp.data.dataset import to_tensor
from heatkp.data.samples import KeypointData, Sample, Visibility
from heatkp.data.transforms import (
    Framing,
    Photometric,
    random_affine,
    reach,
    shrink,
    shrink_factor,
    warp,
)
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """An image with its objects.

    Attributes:
        image: a sample without points and box, which reads it.
        boxes: float64 (M, 4), edges in image pixels; NaN where only the place is known.
        points: of each object its labelled points (P, 2) where the box is the one around them,
            or the one point where the box is not known; None where the labels gave the box.
        ignored: float64 (G, 4), edges of regions of which nothing is known, such as crowds.
        keypoints: float32 (M, K, 2), all points of each object; NaN for those without a label.
        visibility: uint8 (M, K), as of `Sample`.
    """

    image: Sample
    boxes: Array = field(repr=False)
    points: tuple[Array | None, ...] = field(repr=False)
    ignored: Array = field(repr=False)
    keypoints: npt.NDArray[np.float32] = field(repr=False)
    visibility: npt.NDArray[np.uint8] = field(repr=False)

    @property
    def id(self) -> str:
        return self.image.id


def image_key(sample: Sample) -> Hashable:
    """What is equal for samples of one image: its file and the place there, or the object in
    memory that the image is."""
    if sample.file is not None:
        return str(sample.file), sample.image_part
    return id(getattr(sample.image, "image", sample.image))


def scenes_of(samples: Iterable[Sample]) -> list[Scene]:
    """Samples of one image together, in the order in which images come.

    An object with neither box nor labelled point is no object: an image may have none.
    """
    found: dict[Hashable, list[Sample]] = {}
    count = 0  # images without an object have no points to count
    for sample in samples:
        found.setdefault(image_key(sample), []).append(sample)
        count = max(count, len(sample.points))
    return [_scene(group, count) for group in found.values()]


def _bound(points: Array, box: Array) -> bool:
    """Whether a box is the one around points; it is not where only some of them were chosen."""
    if not len(points):
        return False
    return bool(np.allclose(np.concatenate([points.min(0), points.max(0)]), box, atol=1e-3))


def _scene(samples: Sequence[Sample], count: int) -> Scene:
    """An image with its objects of `count` points each."""
    boxes: list[Array] = []
    points: list[Array | None] = []
    ignored: list[Array] = []
    objects: list[Sample] = []
    for sample in samples:
        before = len(boxes)
        labelled = np.asarray(sample.points[sample.visibility > 0], np.float64)
        box = None if sample.box is None else np.asarray(sample.box, np.float64)
        if sample.ignored:
            if box is not None:
                ignored.append(box)
        elif box is not None:
            boxes.append(box)
            points.append(labelled if sample.box_from_points and _bound(labelled, box) else None)
        elif len(labelled):
            boxes.append(np.full(4, np.nan))
            points.append(labelled.mean(0, keepdims=True))
        objects += [sample] * (len(boxes) > before)
    first = samples[0]
    none = np.zeros((0, 2), np.float32)
    # Its objects are in the id of none of them.
    image = replace(first, points=none, visibility=np.zeros(0, np.uint8), box=None,
                    id=first.id.rpartition("#")[0] or first.id)  # fmt: skip
    return Scene(
        image,
        np.array(boxes, np.float64).reshape(-1, 4),
        tuple(points),
        np.array(ignored, np.float64).reshape(-1, 4),
        np.array([s.points for s in objects], np.float32).reshape(len(objects), count, 2),
        np.array([s.visibility for s in objects], np.uint8).reshape(len(objects), count),
    )


def split_scenes(data: KeypointData, limited: bool = False) -> tuple[list[Scene], list[Scene]]:
    """Scenes to train and to validate on, with all objects of their images.

    Args:
        data: samples with boxes, as `load_data` gives them.
        limited: whether only images with a training sample train (`data.train_limit`).

    Raises `DataError` where no object to train on has a box, or points to draw one around.
    """
    parts: list[list[Scene]] = []
    taken = {image_key(s) for s in (*data.train, *data.val, *data.test)}
    for name, samples in (("train", data.train), ("val", data.val)):
        own = {image_key(s) for s in samples}
        more = [
            s for s in data.left_out
            if image_key(s) in own
            or (name == "train" and not limited and not s.ignored and image_key(s) not in taken)
        ]  # fmt: skip
        none = [] if name == "train" and limited else [s for s in data.empty if s.split == name]
        parts.append(scenes_of([*samples, *more, *none]))
    train, val = parts
    if not any(np.isfinite(scene.boxes).any() for scene in train):
        raise DataError(
            "a finder learns boxes, and no training object has one, nor two points or more to "
            "draw one around: give labels with boxes, or train with trainer.task=points (and "
            "another head than grouped)"
        )
    return train, val


def _moved(matrix: co.Matrix, box: Array, points: Array | None) -> Array:
    """Centre and sides (4,) of an object seen through an affine; sides NaN where not known.

    Around points the box of the moved ones; else the one around the moved ellipse that fills the
    box, for an object seldom reaches into a box's corners.
    """
    if points is not None:
        seen = co.apply(matrix, points)
        low, high = seen.min(0), seen.max(0)
        sides = high - low if np.isfinite(box).all() and (high > low).all() else np.full(2, np.nan)
        return np.concatenate([(low + high) / 2, sides])
    centre = co.apply(matrix, (box[:2] + box[2:])[None] / 2)[0]
    sides = np.sqrt(((matrix[:, :2] * (box[2:] - box[:2])) ** 2).sum(1))
    return np.concatenate([centre, sides])


def _bounds(matrix: co.Matrix, box: Array) -> Array:
    """Edges (4,) of the box around a box's moved corners."""
    corners = co.apply(matrix, box[[[0, 1], [2, 1], [0, 3], [2, 3]]])
    return np.concatenate([corners.min(0), corners.max(0)])


class SceneDataset(Dataset[dict[str, Any]]):
    """Inputs of a list of scenes, asked for by `(epoch, index)` as those of `KeypointDataset`.

    An item holds

    - `image`: uint8 (C, H, W);
    - `boxes`: float32 (M, 4), centre x, y and sides w, h in input pixels of the objects whose
      centre lies in the input; sides NaN where they are not known;
    - `ignored`: float32 (G, 4), edges in input pixels of what does not count, also of objects
      whose centre lies outside the input;
    - `points`: float32 (M, K, 2), input pixels, of the same objects, NaN where not labelled; left
      and right change places where the image was mirrored;
    - `visibility`: uint8 (M, K);
    - `matrix`: float64 (2, 3), image pixels to input pixels;
    - `index`: the scene's place in the list.

    Args:
        scenes: the images.
        size: (W, H) of the input; images fill it as far as their shape allows.
        tile: side of the square parts, in image pixels, that are looked at; 0: whole images.
            Training takes parts at random, of two of three about an object.
        skeleton: of the points: images are not mirrored where it does not say which of them change
            places. None: `points` and `visibility` are left out, as of a finder.
        grey, augmentation, seed, cache, cache_limit: as of `KeypointDataset`.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        size: tuple[int, int],
        *,
        tile: int = 0,
        skeleton: Skeleton | None = None,
        grey: bool = False,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        cache: Path | None = None,
        cache_limit: int = 2**62,
    ) -> None:
        self.scenes, self.tile, self.grey, self.seed = list(scenes), tile, grey, seed
        self.skeleton = skeleton
        if augmentation is not None and skeleton is not None and skeleton.unpaired:
            augmentation = augmentation.model_copy(update={"flip": 0.0})
        self.augmentation = augmentation
        self._photometric = None if augmentation is None else Photometric(augmentation)
        self.framing = Framing(size)
        margin = 1.0 if augmentation is None else reach(augmentation, self.framing)
        images = [scene.image for scene in self.scenes]
        self.crops = CropSource(images, self.framing, margin, None if tile else cache, cache_limit)

    def __len__(self) -> int:
        return len(self.scenes)

    def _plain(self, rng: np.random.Generator, scene: Scene, size: tuple[int, int]) -> co.Matrix:
        """From image to input before augmentation."""
        if not self.tile or max(size) <= self.tile:
            return self.framing.matrix(size)
        whole = co.image_box(*size)
        room = np.maximum(np.asarray(size, np.float64) - self.tile, 0.0)
        corner = rng.uniform(0, 1, 2) * room
        if len(scene.boxes) and rng.random() < 2 / 3:
            box = scene.boxes[rng.integers(len(scene.boxes))]
            if np.isfinite(box).all():
                around = (box[:2] + box[2:]) / 2 - rng.uniform(0, self.tile, 2) + 0.5
                corner = np.clip(around, 0, room)
        low = whole[:2] + corner
        part = np.concatenate([low, np.minimum(low + self.tile, whole[2:])])
        extent = part[2:] - part[:2]
        half = float((extent / self.framing.size).max()) * np.asarray(self.framing.size) / 2
        centre = (part[:2] + part[2:]) / 2
        return co.box_to_frame(np.concatenate([centre - half, centre + half]), *self.framing.size)

    def _crop(self, index: int) -> Crop:
        """The image, or the crop of all of it that the cache holds."""
        if not self.tile:
            return self.crops[index]
        image = self.scenes[index].image.rgb()
        return Crop(image, co.scaling(1.0, 1.0), (image.shape[1], image.shape[0]))

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        scene = self.scenes[index]
        rng = np.random.default_rng([self.seed, epoch, index])
        crop = self._crop(index)
        matrix, flipped = self._plain(rng, scene, crop.size), False
        if self.augmentation is not None:
            change, flipped = random_affine(rng, self.augmentation, self.framing.size)
            matrix = co.compose(matrix, change)
        from_crop = co.compose(co.invert(crop.matrix), matrix)
        small, to_small = shrink(crop.image, shrink_factor(from_crop))
        pixels = warp(small, co.compose(co.invert(to_small), from_crop), self.framing.size)
        if self._photometric is not None:
            pixels = self._photometric(pixels, rng)
        boxes, ignored, seen = objects_seen(scene, matrix, self.framing.size)
        item = {
            "image": to_tensor(pixels, self.grey),
            "boxes": torch.from_numpy(boxes.astype(np.float32)),
            "ignored": torch.from_numpy(ignored.astype(np.float32)),
            "matrix": torch.from_numpy(matrix),
            "index": index,
        }
        if self.skeleton is not None:
            order = self.skeleton.flip if flipped else slice(None)
            visibility = scene.visibility[seen][:, order]
            points = co.apply(matrix, scene.keypoints[seen].reshape(-1, 2).astype(np.float64))
            points = points.reshape(*visibility.shape, 2)[:, order]
            points = np.where(visibility[..., None] > Visibility.NOT_LABELLED, points, np.nan)
            item["points"] = torch.from_numpy(points.astype(np.float32))
            item["visibility"] = torch.from_numpy(visibility.copy())
        return item


def objects_seen(
    scene: Scene, matrix: co.Matrix, size: tuple[int, int]
) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """A scene's objects in an input of (W, H), as `SceneDataset` gives `boxes` and `ignored`, and
    which of the scene's objects the boxes are of."""
    seen: list[int] = []
    boxes: list[Array] = []
    ignored = [_bounds(matrix, box) for box in scene.ignored]
    for i, (box, points) in enumerate(zip(scene.boxes, scene.points)):
        moved = _moved(matrix, box, points)
        if co.inside(moved[:2], *size):
            boxes.append(moved)
            seen.append(i)
        elif np.isfinite(moved).all():
            ignored.append(np.concatenate([moved[:2] - moved[2:] / 2, moved[:2] + moved[2:] / 2]))
    places = np.array(seen, np.int64)
    return np.array(boxes).reshape(-1, 4), np.array(ignored).reshape(-1, 4), places


def together(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch of items of `SceneDataset`; `boxes`, `ignored` and `points` are filled up
    with NaN, `visibility` with 0."""
    batch: dict[str, Any] = {
        "image": torch.stack([item["image"] for item in items]),
        "matrix": torch.stack([item["matrix"] for item in items]),
        "index": torch.tensor([item["index"] for item in items]),
    }
    for name in ("boxes", "ignored", "points", "visibility"):
        if name in items[0]:
            lists = [item[name] for item in items]
            fill = 0.0 if name == "visibility" else float("nan")
            batch[name] = torch.nn.utils.rnn.pad_sequence(lists, True, fill)
    return batch
