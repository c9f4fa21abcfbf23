"""Kaggle's "Facial Keypoints Detection": a CSV file that holds its 96x96 grey images itself.

training.csv has 30 coordinate columns and `Image`, test.csv `ImageId` and `Image`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from heatkp.data.images import STORED, ImageOptions
from heatkp.data.readers._base import one_file, reader
from heatkp.data.readers._common import distinct, only_file, visible_where_given
from heatkp.data.readers._tables import Row, read_points, read_table
from heatkp.data.samples import Image, Labels, Sample
from heatkp.errors import DataError
from heatkp.skeletons import FACE15, UNLABELLED

SIZE = 96
"""Width and height of the images."""


def is_kaggle15(source: Path) -> bool:
    """Whether a file's first line, of which at most 4 kB are read, ends with the column `Image`."""
    with source.open("rb") as file:
        return file.readline(4096).strip().split(b",")[-1].strip(b'" ') == b"Image"


def _image(row: Row, column: int) -> Image:
    text = row.cells[column]
    digits = text.replace(" ", "")
    if digits and not (digits.isascii() and digits.isdigit()):
        raise DataError(f"{row.place}: Image holds more than whole numbers and spaces")
    values = np.fromstring(text, np.int64, sep=" ")
    if values.size != SIZE * SIZE or values.max() > 255:
        raise DataError(
            f"{row.place}: Image has {values.size} numbers up to {max(values, default=0)}; "
            f"expected {SIZE * SIZE} from 0 to 255"
        )
    return values.astype(np.uint8).reshape(SIZE, SIZE)


@reader(
    "kaggle15",
    "Kaggle's Facial Keypoints Detection: 15 points, images inside the CSV",
    recognise=one_file(".csv", is_kaggle15),
    files="Kaggle's training.csv or test.csv",
    priority=0.6,
    unlabelled="empty cell",
)
def read_kaggle15(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All rows of training.csv or test.csv (or of a folder that holds just one .csv file).

    Without coordinate columns the samples have no points and the skeleton is `UNLABELLED`. A
    sample's id is the row's ImageId, or row-1 for the first row. Raises `DataError` with the
    row for what does not fit; `strict` changes nothing, for there are no other files.
    """
    source = only_file(path, ".csv")
    if source is None:
        raise DataError(f"{path} is not, and does not hold just one, .csv file")
    header, rows = read_table(source)
    places = {name: i for i, name in enumerate(header)}
    expected = [f"{name}_{axis}" for name in FACE15.point_names for axis in "xy"]
    given = [name for name in expected if name in places]
    unknown = [n for n in header if n not in (*expected, "Image", "ImageId")]
    if "Image" not in places or unknown or len(places) != len(header):
        raise DataError(
            f"{source}: columns {', '.join(map(repr, unknown[:5] or header[:5]))} ...; expected "
            "each once: Image, the 30 coordinates such as left_eye_center_x or none, maybe ImageId"
        )
    if given and len(given) != len(expected):
        raise DataError(
            f"{source}: column {next(n for n in expected if n not in places)} is missing"
        )
    skeleton = FACE15 if given else UNLABELLED
    columns = [(places[f"{n}_x"], places[f"{n}_y"]) for n in skeleton.point_names]
    names, files, points = [], [], []
    for number, row in enumerate(rows, 1):
        identity = row.cells[places["ImageId"]] if "ImageId" in places else ""
        names.append(identity or f"row-{number}")
        files.append(_image(row, places["Image"]))
        points.append(visible_where_given(read_points(row, columns, skeleton.point_names)))
    if not names:
        raise DataError(f"{source} has a header but no rows")
    samples = [
        # np.asarray gives the image as it is, and unlike a lambda can go to a worker.
        Sample(id=i, image=partial(np.asarray, picture), points=labelled, visibility=visibility)
        for i, picture, (labelled, visibility) in zip(distinct(names), files, points)
    ]
    return Labels(skeleton, samples)
