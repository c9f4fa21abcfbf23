"""Points on pictures of one's own: a trained model with its framing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from heatkp import coordinates as co
from heatkp.data.boxes import BoxStyle
from heatkp.data.dataset import to_tensor
from heatkp.data.images import ImageOptions
from heatkp.data.photos import crop_photo
from heatkp.data.samples import Image, Sample
from heatkp.data.transforms import Framing, warp
from heatkp.errors import DataError, SettingsError
from heatkp.evaluation.evaluate import demand_mirrored, mirrored_points
from heatkp.inference.detectors import Detection, Detector, create_detector
from heatkp.inference.inputs import ImageLike, as_image, images_of, is_image
from heatkp.inference.keypoints import Array, Keypoints
from heatkp.runs import Loaded, load_run
from heatkp.skeletons import SKELETONS

Boxes = str | npt.ArrayLike | Sequence[npt.ArrayLike | None] | None

HELD = 2**27
"""Bytes of decoded pictures that wait for their batch to be full."""
SIZES = (0.1, 1.5)
"""What the side of a box to look at again may be of the first region's; else the first points
are not worth it."""
LOSS = 0.8
"""Points whose mean score falls below this share of the first look's are not taken."""


@dataclass(frozen=True)
class _Task:
    """A region of a picture that is to be looked at."""

    image: Image
    index: int
    box: Array | None
    face: Detection | None = None


class Predictor:
    """A model, the framing it was trained with, and its skeleton.

    Attributes:
        detector: what finds objects where no boxes are given: a name in
            `heatkp.inference.detectors.DETECTORS`, `auto`, or anything that is called with an
            image and gives `Detection`s.
        box_style: how the boxes that the model was trained on lie around the points, or None
            where that is not known, or where it was trained on whole pictures.
    """

    def __init__(self, loaded: Loaded, detector: str | Detector = "auto") -> None:
        self.model, self.settings, self.skeleton = loaded.model, loaded.settings, loaded.skeleton
        self.framing = Framing.of(self.settings.data)
        self.detector = detector
        self.box_style = loaded.box_style

    @property
    def image_options(self) -> ImageOptions:
        """How the samples were read that the model was trained on."""
        return ImageOptions.of(self.settings.data)

    @property
    def finds_faces(self) -> bool:
        """Whether boxes are looked for where none are given: a model of face points, trained on
        crops of boxes."""
        layout = re.split(r"[-\[]", self.skeleton.name)[0]  # without the choice of points
        return self.framing.box_scale is not None and layout in SKELETONS

    @torch.inference_mode()
    def predict(
        self,
        images: ImageLike | Iterable[ImageLike],
        boxes: Boxes = None,
        batch_size: int = 16,
        passes: int | None = None,
        flip_test: bool = False,
    ) -> list[Keypoints]:
        """Keypoints of all objects in one picture or several, in the pictures' order.

        Each `Keypoints` says by `image` which picture it belongs to; a picture without a face has
        none. Pictures are read in turn, so that a long list of paths takes no more memory than a
        short one.

        Args:
            images: a path, an image of Pillow, an array or a tensor, as `inputs.as_image` takes
                them; or a list of them, or a batch: array (B, H, W, C) or tensor (B, C, H, W).
                Deeper images than 8 bits are scaled as in training (`data.intensity`).
            boxes: `faces`: a detector finds them. `image`: the whole picture is the box. Edges
                (x0, y0, x1, y1), pixels of the picture: (4,) or (N, 4) for one picture; a list of
                such arrays, or None for the whole picture, for a list of pictures. None: `faces`
                where the model was trained on boxes of faces, else `image`. A model that was
                trained on whole pictures sees them whole, whatever the box.
            batch_size: crops that the network sees at once.
            passes: 2 looks again at the box that belongs around the first points, which mends
                boxes that are off; 1 does not. None: 2 where `box_style` is known.
            flip_test: average with what is found in the mirror image.

        Raises:
            DataError: for a file or an object that is no image, or a bad box.
            SettingsError: for two passes where `box_style` is not known, a flip test where points
                have no known counterpart, and where the detector's package is missing.
        """
        if passes is None:
            passes = 1 if self.box_style is None else 2
        if passes not in (1, 2):
            raise SettingsError(f"passes is 1 or 2, not {passes!r}")
        if passes == 2:
            demand_box_style(self.box_style)
        if flip_test:
            demand_mirrored(self.skeleton)
        if batch_size < 1:
            raise SettingsError(f"batch_size is 1 or more, not {batch_size!r}")
        return list(self._stream(images, boxes, batch_size, passes, flip_test))

    def _stream(
        self, images: Any, boxes: Any, batch_size: int, passes: int, flip_test: bool
    ) -> Iterator[Keypoints]:
        waiting: list[_Task] = []
        for task in self._tasks(images, boxes):
            waiting.append(task)
            held = {t.index: t.image.nbytes for t in waiting}
            if len(waiting) == batch_size or sum(held.values()) > HELD:
                yield from self._found(waiting, passes, flip_test)
                waiting = []
        if waiting:
            yield from self._found(waiting, passes, flip_test)

    def _tasks(self, images: Any, boxes: Any) -> Iterator[_Task]:
        """The regions to look at, picture after picture."""
        if is_image(images) and boxes is not None and not isinstance(boxes, str):
            boxes = [boxes]
        images = images_of(images)
        if boxes is None:
            boxes = "faces" if self.finds_faces else "image"
        if isinstance(boxes, str) and boxes not in ("faces", "image"):
            raise SettingsError(f"boxes {boxes!r} is none of: faces, image, an array of edges")
        if isinstance(boxes, str) and boxes == "faces" and self.framing.box_scale is None:
            raise SettingsError(
                "this model was trained on whole pictures and cannot look at single faces in "
                "them: leave out boxes='faces', or train with data.crop=box"
            )
        if not isinstance(boxes, str):
            images = list(images)
            if len(boxes) != len(images):
                raise DataError(f"boxes for {len(boxes)} pictures were given with {len(images)}")
        detector = self._detector() if isinstance(boxes, str) and boxes == "faces" else None
        for i, given in enumerate(images):
            try:
                image = as_image(given, self.settings.data.intensity)
            except DataError as error:
                if isinstance(given, str | PathLike):  # says which
                    raise
                raise DataError(f"image {i}: {error}") from None
            if detector is not None:
                for face in detector(image):
                    yield _Task(image, i, self._from_face(face), face)
            elif isinstance(boxes, str) or boxes[i] is None:
                yield _Task(image, i, None)
            else:
                for box in _edges(boxes[i], i):
                    yield _Task(image, i, box)

    def _detector(self) -> Detector:
        return create_detector(self.detector) if isinstance(self.detector, str) else self.detector

    def _from_face(self, face: Detection) -> Array:
        """A detector's box as the model's training data would have drawn it."""
        box = np.asarray(face.box, np.float64)
        theirs = getattr(self._detector(), "box_style", None)
        if theirs is None or self.box_style is None or self.skeleton.name != "face68":
            return box
        return theirs.converted(box, self.box_style)

    def _found(self, tasks: list[_Task], passes: int, flip_test: bool) -> list[Keypoints]:
        found = self._look(tasks, flip_test)
        if passes == 1:
            return found
        again = {i: box for i, (t, k) in enumerate(zip(tasks, found))
                 if (box := self._second_box(t, k)) is not None}  # fmt: skip
        second = self._look([replace(tasks[i], box=box) for i, box in again.items()], flip_test)
        for i, keypoints in zip(again, second):
            if not _worse(keypoints, found[i]):
                found[i] = replace(keypoints, box=found[i].box)
        return found

    def _second_box(self, task: _Task, found: Keypoints) -> Array | None:
        """Where to look again, or None where the first points say nothing about it."""
        assert self.box_style is not None
        box = self.box_style.around(found.points)
        if box is None:
            return None
        try:
            region = self.framing.region(found.image_size, task.box)
            self.framing.region(found.image_size, box)
        except ValueError:  # cut at the picture's edges, and outside them
            return None
        size = np.sqrt((box[2:] - box[:2]).prod() / (region[2:] - region[:2]).prod())
        centre = (box[:2] + box[2:]) / 2
        held = (region[:2] < centre).all() and (centre < region[2:]).all()
        return box if held and SIZES[0] < size < SIZES[1] else None

    def _look(self, tasks: list[_Task], flip_test: bool) -> list[Keypoints]:
        """What the network finds in some regions."""
        if not tasks:
            return []
        inputs, matrices = zip(*map(self._input, tasks))
        images = torch.stack(inputs).to(next(self.model.parameters()).device)
        result = self.model.decode(self.model(images))
        where = result.points
        if flip_test:
            where = (where + mirrored_points(self.model, images, self.skeleton)) / 2
        points = where.cpu().double().numpy()
        scores = result.scores.cpu().double().numpy()
        spread = None if result.covariance is None else result.covariance.cpu().double().numpy()
        found = []
        for j, (task, matrix) in enumerate(zip(tasks, matrices)):
            back, face = co.invert(matrix), task.face
            linear = back[:, :2]
            found.append(
                Keypoints(
                    points=co.apply(back, points[j]),
                    scores=scores[j],
                    covariance=None if spread is None else linear @ spread[j] @ linear.T,
                    skeleton=self.skeleton,
                    image_size=(task.image.shape[1], task.image.shape[0]),
                    box=task.box if face is None else np.asarray(face.box, np.float64),
                    box_score=None if face is None else float(face.score),
                    image=task.index,
                )
            )
        return found

    def _input(self, task: _Task) -> tuple[torch.Tensor, co.Matrix]:
        none = np.zeros((0, 2), np.float32)
        box = None if task.box is None else task.box.astype(np.float32)
        sample = Sample(
            f"picture {task.index}", lambda: task.image, none, none[:, 0].astype(np.uint8), box
        )
        photo = crop_photo(sample, self.framing, 1.0)
        matrix = self.framing.matrix(photo.size, task.box)
        picture = warp(photo.image, co.compose(co.invert(photo.matrix), matrix), self.framing.size)
        return to_tensor(picture, self.settings.data.grey), matrix


def demand_box_style(style: BoxStyle | None) -> None:
    """Raises `SettingsError` for a model that cannot look twice."""
    if style is None:
        raise SettingsError(
            "two passes need a model that knows how boxes lie around points: one that was "
            "trained on boxes (data.crop=box), by this version of heatkp; use one pass"
        )


def _worse(second: Keypoints, first: Keypoints) -> bool:
    """Whether a second look lost what the first had seen. Scores differ a little with the crop's
    size, so that a small loss says nothing; regression has none."""
    lost = np.isfinite(first.points).sum() > np.isfinite(second.points).sum()
    return bool(lost or second.scores.mean() < LOSS * first.scores.mean())


def _edges(boxes: npt.ArrayLike, index: int) -> Array:
    """Edges (N, 4) of one picture, checked."""
    try:
        edges = np.asarray(boxes, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"picture {index}: boxes are numbers x0, y0, x1, y1") from None
    if edges.ndim == 1 and edges.size:
        edges = edges[None]
    if edges.size and (edges.ndim != 2 or edges.shape[1] != 4):
        raise DataError(f"picture {index}: boxes have shape (4,) or (N, 4), not {edges.shape}")
    edges = edges.reshape(-1, 4)
    bad = ~(np.isfinite(edges).all(axis=1) & (edges[:, 2:] > edges[:, :2]).all(axis=1))
    if bad.any():
        raise DataError(
            f"picture {index}: box {edges[bad][0].tolist()} has no area: edges are x0, y0, x1, y1 "
            "with x0 < x1 and y0 < y1"
        )
    return edges


def load_model(
    path: str | PathLike[str], device: str = "cpu", detector: str | Detector = "auto"
) -> Predictor:
    """The best model of a run folder, of a weights file, or one that comes with heatkp by its
    name, ready to predict. `detector` finds faces where no boxes are given; see `Predictor`.

    Raises `CheckpointError` for what is missing or does not fit.
    """
    return Predictor(load_run(Path(path), device), detector)
