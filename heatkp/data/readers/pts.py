"""`.pts` files, the form of the original 300-W: one for each face, of the image of the same name.

A file has a header, points in braces, one `x y` a line, and counts pixels from 1 (dlib's XML of the
same faces has one less). For BioID's, of the same form, that is not documented:

    version: 1
    n_points: 68
    {
    30.5 41.25
    ...
    }

Copies that have lost header and braces are read, too, and `version: 1.0`. The image lies beside the
file, or in a folder beside its own (`annot/` and `imgs/` of 300-VW, as MMPose lays it), or, where
only one has that name, anywhere below; its name may be in other letters, as BioID's are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import (
    distinct,
    number,
    numbered_skeleton,
    require_files,
    source_images,
    visible_where_given,
    walk,
    without_extension,
)
from heatkp.data.readers._splits import folder_splits
from heatkp.data.samples import Labels, Sample
from heatkp.errors import DataError
from heatkp.limits import Limit, read_text

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
"""Extensions of images, the first that is there is taken."""
_HEADER = re.compile(r"(version|n_points)\s*:\s*(\d{1,9})(?:\.0*)?", re.IGNORECASE)


def parse_pts(path: Path) -> npt.NDArray[np.float64]:
    """Points (K, 2) in pixels, with centres on integers (the file counts from 1).

    Raises `DataError` with the line for whatever does not fit.
    """
    try:
        text = read_text(path, Limit.LABEL_BYTES, "utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    header: dict[str, tuple[int, int]] = {}
    points: list[tuple[float, float]] = []
    state = "header"  # then "braces", "bare" (points without braces) or "closed"
    number_of_line = 0
    for number_of_line, raw in enumerate(text.splitlines(), 1):
        line, place = raw.strip(), f"{path}, line {number_of_line}"
        entry = _HEADER.fullmatch(line)
        if not line:
            continue
        if state == "closed":
            raise DataError(f"{place}: {line!r} follows the closing brace")
        if entry and state == "header" and entry[1].lower() not in header:
            header[entry[1].lower()] = int(entry[2]), number_of_line
        elif line == "{" and state == "header":
            state = "braces"
        elif line == "}" and state == "braces":
            state = "closed"
        else:
            points.append(_point(line, place))
            state = "bare" if state == "header" else state
    if state == "braces":
        raise DataError(f"{path}, line {number_of_line}: the closing brace is missing: cut off?")
    if header.get("version", (1, 0))[0] != 1:
        version, at = header["version"]
        raise DataError(f"{path}, line {at}: version {version} is not known, only version 1 is")
    if not points:
        raise DataError(f"{path} holds no points: expected one 'x y' a line")
    count, at = header.get("n_points", (len(points), 0))
    if count != len(points):
        raise DataError(f"{path}, line {at}: n_points is {count}, but {len(points)} lines follow")
    return np.array(points) - 1.0


def _point(line: str, place: str) -> tuple[float, float]:
    values = [number(part) for part in line.split()]
    if len(values) == 2 and values[0] is not None and values[1] is not None:
        return values[0], values[1]
    raise DataError(f"{place}: expected 'x y', two numbers of pixels, found {line[:60]!r}")


def write_pts(path: Path, points: npt.ArrayLike) -> None:
    """Write points (K, 2), pixels with centres on integers, so that `parse_pts` reads them back.

    Six decimals are kept. Raises `ValueError` for points that are not finite: the format
    cannot leave one out.
    """
    values = np.asarray(points, np.float64)
    if values.ndim != 2 or values.shape[1] != 2 or not np.isfinite(values).all():
        raise ValueError(f"a .pts file takes finite points (K, 2), not {values.shape} or NaN")
    lines = [" ".join(f"{v:.6f}".rstrip("0").rstrip(".") for v in row) for row in values + 1.0]
    text = "\n".join(["version: 1", f"n_points: {len(values)}", "{", *lines, "}"])
    path.write_text(text + "\n", encoding="utf-8")


class _Images:
    """Image files by folder and by stem, whatever its letters' case."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[Path]]] = {}
        self._below: dict[str, list[Path]] | None = None

    def of(self, folder: Path) -> dict[str, list[Path]]:
        """Images right in a folder; the first extension of `SUFFIXES` first."""
        if folder not in self._folders:
            found: dict[str, list[Path]] = {}
            for file in folder.iterdir() if folder.is_dir() else ():
                if file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
                    found.setdefault(file.stem.casefold(), []).append(file)
            for files in found.values():
                files.sort(key=lambda f: (SUFFIXES.index(f.suffix.lower()), f.name))
            self._folders[folder] = found
        return self._folders[folder]

    def below(self, root: Path) -> dict[str, list[Path]]:
        if self._below is None:
            self._below = {}
            for folder, _ in walk(root, predictions=False):
                for stem, files in self.of(folder).items():
                    self._below.setdefault(stem, []).extend(files)
        return self._below

    def find(self, label: Path, root: Path, deep: bool) -> list[Path]:
        """Images of a label's name: beside it, else in a folder beside its own, else below the
        root; several in one place, none where two folders have one."""
        stem = label.stem.casefold()
        own = self.of(label.parent).get(stem, [])
        exact = [file for file in own if file.stem == label.stem]
        if own:
            return exact or own
        up = label.parent.parent
        siblings = sorted(f for f in up.iterdir() if f.is_dir()) if up != label.parent else []
        found = [files for folder in siblings if (files := self.of(folder).get(stem))]
        if not found and deep:
            everywhere = self.below(root).get(stem, [])
            folders = {file.parent for file in everywhere}
            found = [everywhere] if len(folders) == 1 else []
        return found[0] if len(found) == 1 else []

    def without(self, images: Iterable[Path]) -> int:
        """How many images are in the folders of these, with names that none of these has."""
        used: dict[Path, set[str]] = {}
        for image in images:
            used.setdefault(image.parent, set()).add(image.stem.casefold())
        return sum(len(self.of(folder).keys() - stems) for folder, stems in used.items())


def find_by_stem(
    labels: Sequence[Path], root: Path, deep: bool = True
) -> tuple[list[Path], list[str]]:
    """The image of each label file, by their names without extension, or the name it would have;
    and notes. `root` is the folder that a user gave; `deep`: anywhere below it."""
    known, images, several = _Images(), [], 0
    for label in labels:
        found = known.find(label, root, deep)
        several += len({file.stem for file in found}) < len(found)
        images.append((found or [label.with_suffix(".jpg")])[0])
    notes = []
    alone = known.without(images) if len(labels) > 1 else 0
    if alone:
        kind = labels[0].suffix.lower()
        notes.append(f"images left out, for they have no {kind} file of their name: {alone}")
    if several:
        notes.append(f"faces with more than one image of that name, one is used: {several}")
    return images, notes


def _labels(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [
        folder / name
        for folder, names in walk(path, predictions=False)
        for name in names
        if name.lower().endswith(".pts")
    ]


def _recognise(path: Path) -> bool:
    if not path.is_dir():
        return path.suffix.lower() == ".pts"
    return any(n.lower().endswith(".pts") for _, names in walk(path, False) for n in names)


@reader(
    "pts",
    "300-W's and BioID's `.pts` files, beside images or in a folder beside theirs, at any depth, "
    "with or without header",
    recognise=_recognise,
    files=".pts files beside images",
    priority=0.4,
    origin=1.0,
)
def read_pts(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All .pts files in a folder and the folders below it, by name; or a single one.

    Points are numbered from 0; 68 of them are `face68` where they have its shape.

    The samples have no boxes, for the format has none; folders named as those of 300-W tell the
    part of the split. Raises `DataError` for what does not
    fit, for files that disagree in their number of points, and where `strict` for a file
    without an image beside it.
    """
    if not path.is_dir() and path.suffix.lower() != ".pts":
        raise DataError(f"{path} is neither a folder nor a .pts file")
    labels = _labels(path)
    if not labels:
        raise DataError(f"{path} holds no .pts files, nor do the folders in it")
    root = path if path.is_dir() else path.parent
    images, notes = find_by_stem(labels, root, path.is_dir())
    if strict:
        require_files(path, images)
    pairs = list(zip(labels, images))
    names = [label.relative_to(root).as_posix() for label, _ in pairs]
    faces = [parse_pts(label) for label, _ in pairs]
    for face, (label, _) in zip(faces, pairs):
        if len(face) != len(faces[0]):
            raise DataError(
                f"{label} has {len(face)} points, {pairs[0][0]} has {len(faces[0])}: all files "
                "of a data set must have the same"
            )
    skeleton = numbered_skeleton(len(faces[0]))
    samples = []
    for identity, origin, split, face, (_, source) in zip(
        distinct(map(without_extension, names)),
        source_images(names),
        folder_splits(names),
        faces,
        pairs,
    ):
        points, visibility = visible_where_given(face)
        samples.append(
            Sample.of_file(
                ImageFile(source, options),
                points,
                visibility,
                id=identity,
                source_image=origin,
                split=split,
            )
        )
    return Labels(skeleton, samples, tuple(notes))
