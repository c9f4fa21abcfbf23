"""What writers of tables with the rows scorer, bodyparts, coords share."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from heatkp.data.readers._scorer_samples import frame_number
from heatkp.data.readers._scorer_tables import LABEL_DATA
from heatkp.data.video_reading import VIDEOS
from heatkp.data.writers._base import LabelSet, Object, ToPlace, text_of
from heatkp.text import printable

SCORER = "heatkp"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
Column = tuple[str, ...]
"""Its name in each row of the header below the scorer's."""


def video_folder(video: str) -> str:
    r"""A video's name as the name of one folder.

    >>> video_folder("a/clip 1.mp4"), video_folder("clip_1"), video_folder("C:\\x.avi")
    ('a_clip 1', 'clip_1', 'C_x')
    """
    path = PurePosixPath(_CONTROL.sub("_", video.replace("\\", "/")))
    bare = path.with_suffix("") if path.suffix.lower() in VIDEOS else path
    parts = [re.sub(r"[:\s]+$|^\.+", "", part) for part in bare.parts if part != "/"]
    return "_".join(part for part in parts if part) or "video"


def image_file(image: ToPlace) -> str:
    """An image's file name, from which its number in the video can be read: as it is where that
    is so, else `img000012.png`, or `img000012_NAME` for an image that has a name."""
    name = PurePosixPath(image.name)
    if image.frame is None or (frame_number(name.stem) == image.frame and not name.stem.isdigit()):
        return name.name
    number = f"img{image.frame:06d}"
    return number + name.suffix if name.stem.isdigit() else f"{number}_{name.name}"


def in_labelled_data(image: ToPlace, folder: str | None) -> str:
    """`labeled-data/FOLDER/FILE`; without a folder its own folders are in the file's name."""
    if folder is None:
        return f"{LABEL_DATA}/{image.name.replace('/', '_')}"
    return f"{LABEL_DATA}/{folder}/{image_file(image)}"


def cells(found: Object | None, count: int, visible: bool) -> list[str]:
    """An object's cells: x, y and maybe COCO's code of each point; empty for None."""
    if found is None:
        return ["", "", *["0"] * visible] * count
    made: list[str] = []
    for point, code in zip(found.points, found.visibility):
        made += map(text_of, point) if code else ("", "")
        made += [str(int(code))] * visible
    return made


def write_table(
    path: Path,
    header: Sequence[str],
    columns: Sequence[Column],
    rows: Iterable[tuple[Sequence[str], Sequence[str]]],
    index: int,
) -> None:
    """A CSV file: rows of the header, called `header`, then rows of index cells and others."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        blank = [""] * (index - 1)
        table.writerow(["scorer", *blank, *[SCORER] * len(columns)])
        for level, name in enumerate(header):
            table.writerow([name, *blank, *(printable(column[level]) for column in columns)])
        for names, values in rows:
            table.writerow([*names, *values])


def points_of(labels: LabelSet, visible: bool = False) -> list[Column]:
    """The columns of one object: point and coordinate."""
    coordinates = ("x", "y", *["visible"] * visible)
    return [(name, axis) for name in labels.skeleton.point_names for axis in coordinates]
