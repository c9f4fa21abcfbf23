"""Boxes from a file, for the pictures that they belong to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.data.boxes import other_form
from heatkp.data.checks.sizes import read_header
from heatkp.data.exif import upright_boxes
from heatkp.data.readers import READERS, read
from heatkp.data.samples import Sample
from heatkp.errors import DataError, SettingsError
from heatkp.inference.sources import COORDINATES, Picture


def _of_upright_pictures(path: Path) -> bool:
    """Whether a file's boxes are of pictures as they are seen: heatkp's own tables say so."""
    if path.suffix.lower() != ".json":
        return False
    info = json.loads(path.read_text(encoding="utf-8")).get("info")
    return isinstance(info, dict) and info.get("coordinates") == COORDINATES


class BoxFile:
    """The boxes of a file in one of the formats that have boxes, for some pictures.

    Attributes:
        notes: a line for each thing that a user should know of the file.
    """

    def __init__(self, path: Path, pictures: Sequence[Path], upright: bool = False) -> None:
        """`upright`: the boxes are of images turned upright, as heatkp's own tables are anyway.

        Raises `DataError` for a file that is none, or whose boxes are all in another form;
        `SettingsError` for one without boxes.
        """
        self.notes: tuple[str, ...] = ()
        labels = read(path, strict=False)
        self._upright = upright or _of_upright_pictures(path)
        self._boxes: dict[Path, list[npt.NDArray[np.float64]]] = {}
        for sample in labels.samples:
            if sample.file is None or sample.box is None:
                continue
            file = Path(os.path.abspath(sample.file))
            self._boxes.setdefault(file, []).append(sample.box.astype(np.float64))
        if not self._boxes:
            raise SettingsError(
                f"--boxes {path}: the file gives no image a box; formats with boxes are "
                f"{', '.join(name for name, r in READERS.usable().items() if r.boxes)}"
            )
        # An entry for one of these very pictures is no other one's, whatever its name.
        self._entries, self._pictures = _by_name(self._boxes), _by_name(pictures)
        for picture in pictures:
            if picture in self._boxes:
                self._entries[picture.name].remove(picture)
                self._pictures[picture.name].remove(picture)
        self._check(path, [s for s in labels.samples if s.file is not None], pictures)

    def _check(self, path: Path, samples: Sequence[Sample], pictures: Sequence[Path]) -> None:
        """Note what is missing; raises `DataError` for boxes in another form."""
        boxed = [s for s in samples if s.box is not None]
        if len(boxed) < len(samples):
            bare = next(s for s in samples if s.box is None)
            self.notes = (
                f"{len(samples) - len(boxed)} entries of {path} have no box with an area, such as "
                f"{bare.id}",
            )
        named = {picture.name: picture for picture in pictures}
        sizes = np.full((len(boxed), 2), np.nan)
        known: dict[Path, tuple[int, int] | None] = {}
        for i, sample in enumerate(boxed):
            assert sample.file is not None
            file = sample.file
            if file not in known:
                header = read_header(file if file.is_file() else named.get(file.name, file))
                known[file] = sample.declared_size if header is None else header.seen(self._upright)
            sizes[i] = known[file] or np.nan
        form = other_form(np.array([s.box for s in boxed], np.float64), sizes)
        if form is None:
            return
        text = f"{path}: {form.text} (such as of {boxed[form.example].id})"
        if form.proven:
            raise DataError(text)
        self.notes = (*self.notes, text)

    def find(self, picture: Picture) -> npt.NDArray[np.float64]:
        """The boxes of a picture, edges (N, 4) in it; N is 0 where there is none.

        Those of the pixels as stored are turned with the picture.
        """
        boxes = self._find(picture.file)
        if self._upright or picture.orientation == 1:
            return boxes
        height, width = picture.image.shape[:2]
        size = (height, width) if picture.orientation > 4 else (width, height)
        return upright_boxes(boxes, picture.orientation, size)

    def _find(self, picture: Path) -> npt.NDArray[np.float64]:
        """Those of the entry for this very file, or of the one whose path ends in the same names.

        Raises `DataError` where another entry, or another picture, fits as well.
        """
        if picture in self._boxes:
            return np.stack(self._boxes[picture])
        entries = _closest(picture, self._entries.get(picture.name, []))
        pictures = _closest(entries[0], self._pictures[picture.name]) if entries else []
        if picture not in pictures:
            return np.empty((0, 4))
        for kind, rivals in (("the boxes of", entries), ("a box for", pictures)):
            if len(rivals) > 1:
                raise DataError(
                    f"{kind} {rivals[0]} or {rivals[1]}: the names in the file of boxes do not "
                    "say which; write their folders, too"
                )
        return np.stack(self._boxes[entries[0]])


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
