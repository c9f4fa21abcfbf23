"""What writers of one file a video share: the objects of each video, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from heatkp.inference.keypoints import Array, Keypoints
from heatkp.inference.sources import InputImage


@dataclass
class FrameSequence:
    """A video, or a folder of images.

    Attributes:
        file: the video, or the first image.
        name: what outputs call it.
        size: (W, H) of the first frame.
        frames: the frames' numbers; of images of a folder their places, from 0.
        files: the images, where it is a folder of them.
        objects: of each frame, (K, 3) x, y, score by number: the track, or without tracks the
            object's place in the frame, from 1; with the object's score.
    """

    file: Path
    name: str
    size: tuple[int, int]
    frames: list[int] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    objects: list[dict[int, tuple[Array, float]]] = field(default_factory=list)
    tracked: bool = False


class SequenceCollector:
    """Takes images one by one and keeps what was found, without the images."""

    def __init__(self) -> None:
        self.all: dict[Path, FrameSequence] = {}

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        still = input_image.frame is None
        place = input_image.file.parent if still else input_image.file
        own = self.all.get(place)
        if own is None:
            height, width = input_image.image.shape[:2]
            name = input_image.name.rpartition("/")[0] or ("images" if still else place.name)
            own = self.all[place] = FrameSequence(input_image.file, name, (width, height))
        if still:
            own.files.append(input_image.file)
        own.frames.append(len(own.frames) if input_image.frame is None else input_image.frame)
        told: dict[int, tuple[Array, float]] = {}
        for place_in, found in enumerate(objects, 1):
            number = place_in if found.track is None else found.track
            own.tracked |= found.track is not None
            score = found.score if found.box_score is None else found.box_score
            # To the digits that other tables keep.
            values = np.column_stack([found.points.round(3), found.scores.round(4)])
            told[number] = values, np.nan if score is None else round(float(score), 4)
        own.objects.append(told)
