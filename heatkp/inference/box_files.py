"""Boxes from a file, for the images that they belong to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.data.boxes import other_form
from heatkp.data.checks.sizes import read_header
from heatkp.data.exif import upright_boxes
from heatkp.data.frames import VideoFrame
from heatkp.data.readers import READERS, read
from heatkp.data.readers._json_values import load_json
from heatkp.data.samples import Sample
from heatkp.errors import DataError, SettingsError
from heatkp.inference.sources import COORDINATES, InputImage


def _of_upright_images(path: Path) -> bool:
    """Whether a file's boxes are of images as they are seen: heatkp's own tables say so."""
    if path.suffix.lower() != ".json":
        return False
    content = load_json(path, "it was read a moment ago")
    info = content.get("info") if isinstance(content, dict) else None
    return isinstance(info, dict) and info.get("coordinates") == COORDINATES


class BoxFile:
    """The boxes of a file in one of the formats that have boxes, for some images.

    Attributes:
        notes: a line for each thing that a user should know of the file.
    """

    def __init__(self, path: Path, inputs: Sequence[Path], upright: bool = False) -> None:
        """`upright`: the boxes are of images turned upright, as heatkp's own tables are anyway.

        Raises `DataError` for a file that is none, or whose boxes are all in another form;
        `SettingsError` for one without boxes.
        """
        self.notes: tuple[str, ...] = ()
        labels = read(path, strict=False)
        self._upright = upright or _of_upright_images(path)
        self._boxes: dict[Path, list[npt.NDArray[np.float64]]] = {}
        self._frames = _of_frames(labels.samples)
        for sample in labels.samples:
            if sample.file is None or sample.image_part or sample.box is None:
                continue
            file = Path(os.path.abspath(sample.file))
            self._boxes.setdefault(file, []).append(sample.box.astype(np.float64))
        if not self._boxes and not self._frames:
            raise SettingsError(
                f"--boxes {path}: the file gives no image a box; formats with boxes are "
                f"{', '.join(name for name, r in READERS.usable().items() if r.boxes)}"
            )
        # An entry for one of these very images is no other one's, whatever its name.
        self._entries, self._images_of = _by_name(self._boxes), _by_name(inputs)
        for input_image in inputs:
            if input_image in self._boxes:
                self._entries[input_image.name].remove(input_image)
                self._images_of[input_image.name].remove(input_image)
        of_files = [s for s in labels.samples if s.file is not None and not s.image_part]
        self._check(path, of_files, inputs)

    def _check(self, path: Path, samples: Sequence[Sample], inputs: Sequence[Path]) -> None:
        """Note what is missing; raises `DataError` for boxes in another form."""
        boxed = [s for s in samples if s.box is not None]
        if len(boxed) < len(samples):
            bare = next(s for s in samples if s.box is None)
            self.notes = (
                f"{len(samples) - len(boxed)} entries of {path} have no box with an area, such as "
                f"{bare.id}",
            )
        named = {input_image.name: input_image for input_image in inputs}
        sizes = np.full((len(boxed), 2), np.nan)
        known: dict[Path, tuple[int, int] | None] = {}
        for i, sample in enumerate(boxed):
            assert sample.file is not None
            file = sample.file
            if file not in known:
                there = os.path.isfile(file)  # Path.is_file raises for names that are too long
                header = read_header(file if there else named.get(file.name, file))
                known[file] = sample.declared_size if header is None else header.seen(self._upright)
            sizes[i] = known[file] or np.nan
        form = other_form(np.array([s.box for s in boxed], np.float64), sizes)
        if form is None:
            return
        text = f"{path}: {form.text} (such as of {boxed[form.example].id})"
        if form.proven:
            raise DataError(text)
        self.notes = (*self.notes, text)

    def find(self, input_image: InputImage) -> npt.NDArray[np.float64]:
        """The boxes of an image, edges (N, 4) in it; N is 0 where there is none.

        Those of the pixels as stored are turned with the image.
        """
        frame = input_image.frame
        if frame is not None and self._frames:
            found = self._frames.get(os.path.realpath(input_image.file), {}).get(frame, [])
            return np.stack(found) if found else np.empty((0, 4))
        boxes = self._find(input_image.file)
        if self._upright or input_image.orientation == 1:
            return boxes
        height, width = input_image.image.shape[:2]
        size = (height, width) if input_image.orientation > 4 else (width, height)
        return upright_boxes(boxes, input_image.orientation, size)

    def _find(self, input_image: Path) -> npt.NDArray[np.float64]:
        """Those of the entry for this very file, or of the one whose path ends in the same names.

        Raises `DataError` where another entry, or another image, fits as well.
        """
        if input_image in self._boxes:
            return np.stack(self._boxes[input_image])
        entries = _closest(input_image, self._entries.get(input_image.name, []))
        inputs = _closest(entries[0], self._images_of[input_image.name]) if entries else []
        if input_image not in inputs:
            return np.empty((0, 4))
        for kind, rivals in (("the boxes of", entries), ("a box for", inputs)):
            if len(rivals) > 1:
                raise DataError(
                    f"{kind} {rivals[0]} or {rivals[1]}: the names in the file of boxes do not "
                    "say which; write their folders, too"
                )
        return np.stack(self._boxes[entries[0]])


def _of_frames(samples: Sequence[Sample]) -> dict[str, dict[int, list[npt.NDArray[np.float64]]]]:
    """The boxes of videos' frames, by the video's real path; around the points where there are
    none."""
    found: dict[str, dict[int, list[npt.NDArray[np.float64]]]] = {}
    for sample in samples:
        if sample.file is None or sample.frame is None or not isinstance(sample.image, VideoFrame):
            continue
        box = sample.box
        if box is None:
            box = sample.points[sample.visibility > 0]
            if len(box) < 2:
                continue
            box = np.concatenate([box.min(0), box.max(0)])
        own = found.setdefault(os.path.realpath(sample.file), {})
        own.setdefault(sample.frame, []).append(box.astype(np.float64))
    return found


def _by_name(files: Iterable[Path]) -> dict[str, list[Path]]:
    named: dict[str, list[Path]] = {}
    for file in files:
        named.setdefault(file.name, []).append(file)
    return named


def _closest(file: Path, others: Sequence[Path]) -> list[Path]:
    """Those that share the most names with a path, counted from the end."""
    shared = [_same_end(file, other) for other in others]
    return [other for other, same in zip(others, shared) if same == max(shared)]


def _same_end(first: Path, second: Path) -> int:
    """How many parts, counted from the end, two paths share."""
    pairs = zip(reversed(first.parts), reversed(second.parts))
    return next((i for i, (a, b) in enumerate(pairs) if a != b), len(first.parts))
