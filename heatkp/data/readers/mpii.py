"""MPII Human Pose: `mpii_human_pose_v1_u12_1.mat`, 16 points of each person.

`RELEASE.annolist` holds an image each, with `annorect` a person each: `annopoints.point` has `id`,
`x`, `y` and `is_visible`; `objpos` is the person's middle and `scale` its size, in units of 200
pixels (http://human-pose.mpi-inf.mpg.de/#download), of which the box is made. MATLAB counts pixels
from 1, so coordinates lose 1, as in HRNet's conversion (lib/dataset/mpii.py). Of `img_train` come
the splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import files_of_type, require_files
from heatkp.data.readers._lines import located
from heatkp.data.readers._mat import each, load_mat, scalar, variables
from heatkp.data.samples import Labels, Sample, Visibility
from heatkp.errors import DataError
from heatkp.skeletons import named
from heatkp.text import printable

NAMES = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis",
    "thorax", "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder",
    "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
LINES = ((0, 1, 2, 6, 3, 4, 5), (6, 7, 8, 9), (10, 11, 12, 7, 13, 14, 15))
_SIDE = 200.0


class _Person(NamedTuple):
    image: str
    number: int
    points: npt.NDArray[np.float64]
    codes: npt.NDArray[np.uint8]
    box: npt.NDArray[np.float32] | None
    split: str | None
    video: str | None


def _file(path: Path) -> Path | None:
    files = files_of_type(path, ".mat") if path.is_dir() else [path]
    found = [f for f in files if f.suffix.lower() == ".mat" and "RELEASE" in variables(f)]
    return found[0] if len(found) == 1 else None


def _box(person: Any) -> npt.NDArray[np.float32] | None:
    middle, scale = getattr(person, "objpos", None), scalar(person, "scale")
    x, y = scalar(middle, "x"), scalar(middle, "y")
    if x is None or y is None or scale is None or scale <= 0:
        return None
    half = _SIDE * scale / 2
    return np.array([x - 1 - half, y - 1 - half, x - 1 + half, y - 1 + half], np.float32)


def _labelled(
    person: Any, place: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]] | None:
    """x, y (16, 2) from 0, and codes; None for a person without points."""
    points = np.full((len(NAMES), 2), np.nan)
    codes = np.zeros(len(NAMES), np.uint8)
    for point in each(getattr(getattr(person, "annopoints", None), "point", None)):
        number, x, y = (scalar(point, name) for name in ("id", "x", "y"))
        if number is None or x is None or y is None or number not in range(len(NAMES)):
            raise DataError(f"{place}: a point has no x, y, or no id from 0 to {len(NAMES) - 1}")
        hidden = scalar(point, "is_visible") == 0  # it is empty where nobody said it
        points[int(number)] = x - 1, y - 1
        codes[int(number)] = Visibility.OCCLUDED if hidden else Visibility.VISIBLE
    return (points, codes) if codes.any() else None


def _persons(source: Path, notes: list[str]) -> Iterator[_Person]:
    release = load_mat(source, "RELEASE")
    entries = list(each(getattr(release, "annolist", None)))
    trains = list(each(getattr(release, "img_train", None)))
    videos = [str(v) for v in each(getattr(release, "video_list", None))]
    bare = empty = 0
    for i, entry in enumerate(entries):
        name = getattr(getattr(entry, "image", None), "name", None)
        if not isinstance(name, str) or not name:
            raise DataError(f"{source}: image {i + 1} of annolist has no name")
        video = scalar(entry, "vididx")
        known = video is not None and 1 <= video <= len(videos)
        found = 0
        for number, person in enumerate(each(getattr(entry, "annorect", None))):
            labelled = _labelled(person, f"{source}: person {number + 1} of {name}")
            if labelled is None:
                bare += 1
                continue
            found += 1
            split = None
            if len(trains) == len(entries):
                split = "train" if trains[i] == 1 else "test"
            yield _Person(
                name, number, *labelled, _box(person), split,
                videos[int(video) - 1] if known and video is not None else None,
            )  # fmt: skip
        empty += not found
    if bare:
        notes.append(f"persons without points, left out: {bare}")
    if empty:
        notes.append(
            f"images without a labelled person (as all of the test set), left out: {empty}"
        )


@reader(
    "mpii",
    "MPII Human Pose: `mpii_human_pose_v1_u12_1.mat` beside `images/`",
    recognise=lambda path: _file(path) is not None,
    files="MPII's mpii_human_pose_v1_u12_1.mat",
    priority=0.54,
    boxes=True,
    unlabelled="a point that is not there",
    origin=1.0,
)
def read_mpii(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All persons with points of MPII's file (or of the folder that holds it), in its order.

    Raises `DataError` for what does not fit, and where `strict` for images that do not exist.
    """
    source = _file(path)
    if source is None:
        raise DataError(f"{path} does not hold just one .mat file of MPII Human Pose")
    notes: list[str] = []
    persons = list(_persons(source, notes))
    if not persons:
        raise DataError(f"{source} holds no labelled person")
    up = source.parent.parent  # the annotations come in an archive of their own
    folders = [f for f in (source.parent / "images", up / "images") if f.is_dir()]
    files, more = located(source, [p.image for p in persons], strict, folders)
    if strict:
        require_files(source, files)
    samples = [
        Sample.of_file(
            ImageFile(file, options),
            person.points.astype(np.float32),
            person.codes,
            id=f"{printable(file.stem)}#{person.number}",
            box=person.box,
            source_image=printable(file.stem),
            split=person.split,
            video=person.video,
        )
        for person, file in zip(persons, files)
    ]
    return Labels(named("mpii16", NAMES, LINES), samples, (*more, *notes))
