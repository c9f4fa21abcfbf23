"""Predictions as a set of labels, which labelling tools open and heatkp reads back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heatkp.data.checks.sizes import read_header
from heatkp.data.samples import Sample
from heatkp.data.writers import (
    Holds,
    LabelledImage,
    LabelSet,
    LabelWriter,
    Losses,
    Object,
    Origin,
    Placer,
    Scores,
    of_file,
)
from heatkp.files import AtomicFolder
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.inference.writers._base import About

DIGITS = 3
"""After the point of a pixel; no prediction is better."""


def as_object(found: Keypoints, file: Path) -> Object:
    """What was found, as labels of an image's file: points that are finite, box and scores."""
    finite = np.isfinite(found.points).all(axis=1, keepdims=True)
    points = np.where(finite, found.points, np.nan)
    box = None if found.box is None else found.box.round(DIGITS)
    scores = None if np.isnan(found.scores).all() else found.scores
    score = found.score if found.box_score is None else found.box_score
    track = None if found.track is None else f"track{found.track}"
    sample = Sample(file, points.round(DIGITS), box=box, track=track)
    return Object.of(sample, Scores(scores, score))


def _origin(image: InputImage) -> Origin:
    height, width = image.image.shape[:2]
    if image.is_contained:
        return Origin(None, (width, height), False, lambda: image.image)
    return of_file(image.file, read_header(image.file), True, lambda: image.image)


class LabelSetFiles:
    """Predictions in a format of `LABEL_WRITERS`: a folder with its name, images within.

    Points are of the upright image: images that are stored turned are copied upright. Images in
    which nothing was found are there, too, where the format can say so.

    Attributes:
        notes: what the format cannot hold, once it is finished.
    """

    def __init__(self, folder: Path, about: About, writer: LabelWriter) -> None:
        self._about, self._writer, self._losses = about, writer, Losses(writer)
        self._losses.skeleton(about.skeleton)
        self._folder = AtomicFolder(folder / writer.name)
        self._placer = Placer(self._folder.part, self._folder.path, writer)
        self._images: list[LabelledImage] = []
        self.notes: list[str] = []

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        """Puts the image into the folder, too. Raises `OSError`."""
        height, width = input_image.image.shape[:2]
        size = (width, height)
        kept = (self._losses.kept(as_object(o, input_image.file), size) for o in objects)
        found = self._losses.first([one for one in kept if one is not None])
        if not found and Holds.EMPTY not in self._writer.holds:
            return
        frame = input_image.frame
        video = None if frame is None else input_image.name.rpartition("/")[0]
        placed = self._placer.place(_origin(input_image), input_image.name, None, video, frame)
        self._images.append(
            LabelledImage(placed.name, size, found, None, video, frame, placed.file)
        )

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        """The folder; nothing where there is no image to write."""
        if not self._images:
            self.notes = self._losses.notes()
            return []
        told = LabelSet(self._about.skeleton, self._images, self._folder.path.name, True)
        own = list(self._writer.write(told, self._folder.part))
        self.notes = [*self._losses.notes(), *self._placer.notes(), *own]
        self._folder.finish()
        return [self._folder.path]

    def discard(self) -> None:
        self._folder.discard()
