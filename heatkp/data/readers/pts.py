"""`.pts` files, the form of the original 300-W: one for each face, beside its image.

A file has a header, points in braces, one `x y` a line, and counts pixels from 1:

    version: 1
    n_points: 68
    {
    30.5 41.25
    ...
    }

Copies that have lost header and braces are read, too.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import (
    distinct,
    layout,
    number,
    require_files,
    source_images,
    visible_where_given,
    walk,
    without_extension,
)
from heatkp.data.readers._splits import folder_splits
from heatkp.data.samples import Labels, Sample, read_image
from heatkp.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
"""Extensions of images, the first that is there is taken."""
_HEADER = re.compile(r"(version|n_points)\s*:\s*(\d{1,9})", re.IGNORECASE)


def parse_pts(path: Path) -> npt.NDArray[np.float64]:
    """Points (K, 2) in pixels, with centres on integers (the file counts from 1).

    Raises `DataError` with the line for whatever does not fit.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
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


def _find(path: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Each .pts file with its image (or the name it would have), and notes."""
    pairs: list[tuple[Path, Path]] = []
    several = alone = 0
    folders = [(path.parent, sorted(p.name for p in path.parent.iterdir()))]
    for folder, names in walk(path, predictions=False) if path.is_dir() else folders:
        files: dict[str, list[str]] = {}
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES:
                files.setdefault(Path(name).stem, []).append(name)
        labels = [n for n in names if n.lower().endswith(".pts")]
        alone += len(files.keys() - {Path(n).stem for n in labels}) if labels else 0
        for name in labels if path.is_dir() else [path.name]:
            found = files.get(Path(name).stem, [])
            several += len(found) > 1
            found.sort(key=lambda n: SUFFIXES.index(Path(n).suffix.lower()))
            pairs.append((folder / name, folder / (found or [Path(name).stem + ".jpg"])[0]))
    notes = []
    if alone and path.is_dir():
        notes.append(f"images left out, for they have no .pts file beside them: {alone}")
    if several:
        notes.append(f"faces with more than one image of that name, one is used: {several}")
    return pairs, notes


def _recognise(path: Path) -> bool:
    if not path.is_dir():
        return path.suffix.lower() == ".pts"
    return any(n.lower().endswith(".pts") for _, names in walk(path, False) for n in names)


@reader(
    "pts",
    "300-W's `.pts` files beside images, in folders of any depth, with or without header",
    recognise=_recognise,
    files=".pts files beside images",
    priority=0.4,
    origin=1.0,
)
def read_pts(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All .pts files in a folder and the folders below it, by name; or a single one.

    The samples have no boxes, for the format has none; folders named as those of 300-W tell the
    part of the split. Raises `DataError` for what does not
    fit, for files that disagree in their number of points, and where `strict` for a file
    without an image beside it.
    """
    if not path.is_dir() and path.suffix.lower() != ".pts":
        raise DataError(f"{path} is neither a folder nor a .pts file")
    pairs, notes = _find(path)
    if not pairs:
        raise DataError(f"{path} holds no .pts files, nor do the folders in it")
    if strict:
        require_files(path, [source for _, source in pairs])
    root = path if path.is_dir() else path.parent
    names = [label.relative_to(root).as_posix() for label, _ in pairs]
    faces = [parse_pts(label) for label, _ in pairs]
    for face, (label, _) in zip(faces, pairs):
        if len(face) != len(faces[0]):
            raise DataError(
                f"{label} has {len(face)} points, {pairs[0][0]} has {len(faces[0])}: all files "
                "of a data set must have the same"
            )
    skeleton, _ = layout([str(k) for k in range(len(faces[0]))])
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
            Sample(
                id=identity,
                image=partial(read_image, source),
                points=points,
                visibility=visibility,
                source_image=origin,
                split=split,
                file=source,
            )
        )
    return Labels(skeleton, samples, tuple(notes))
