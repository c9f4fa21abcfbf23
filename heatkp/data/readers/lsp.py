"""Leeds Sports Pose and its extension: 14 points of each person in `joints.mat`.

`joints` is 3x14xN in LSP, x, y and whether a point is hidden, and 14x3xN in LSP extended, x, y and
whether a point is labelled. The n-th image, from 1, is `images/im0001.jpg` (im00001.jpg in LSP
extended). MATLAB counts pixels from 1, so these lose 1; the data set's README does not say it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import files_of_type, require_files
from heatkp.data.readers._mat import load_mat, variables
from heatkp.data.samples import Labels, Sample, Visibility
from heatkp.errors import DataError
from heatkp.skeletons import named

NAMES = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck",
    "head_top",
)  # fmt: skip
LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11), (2, 3), (8, 12, 9), (12, 13))
_SPLIT = 1000
"""LSP: the first thousand images train, the others test."""


def _shape(path: Path) -> tuple[int, ...]:
    return variables(path).get("joints", ())


def _file(path: Path) -> Path | None:
    files = files_of_type(path, ".mat") if path.is_dir() else [path]
    found = [f for f in files if f.suffix.lower() == ".mat" and _shape(f)[:2] in ((3, 14), (14, 3))]
    return found[0] if len(found) == 1 else None


def _joints(source: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """x and y (N, 14, 2) as the file has them, and codes (N, 14)."""
    joints = np.asarray(load_mat(source, "joints"))
    if joints.ndim == 2:
        joints = joints[:, :, None]
    if (
        joints.ndim != 3
        or joints.shape[:2] not in ((3, 14), (14, 3))
        or joints.dtype.kind not in "iuf"
    ):
        raise DataError(f"{source}: 'joints' is {joints.shape}; expected 3x14xN or 14x3xN numbers")
    if joints.shape[0] == 3:
        joints = joints.transpose(2, 1, 0).astype(np.float64)
        codes = np.where(joints[:, :, 2] > 0, Visibility.OCCLUDED, Visibility.VISIBLE)
    else:
        joints = joints.transpose(2, 0, 1).astype(np.float64)
        codes = np.where(joints[:, :, 2] > 0, Visibility.VISIBLE, Visibility.NOT_LABELLED)
    points = joints[:, :, :2]
    codes[~np.isfinite(points).all(2)] = Visibility.NOT_LABELLED
    return points, codes.astype(np.uint8)


def _images(source: Path, count: int, digits: int) -> list[Path]:
    """Each image, or where it would be."""
    folders = [f for f in (source.parent / "images", source.parent) if f.is_dir()]
    forms = [(folder, width) for folder in folders for width in (digits, 9 - digits)]
    first = ((f, w) for f, w in forms if (f / f"im{1:0{w}d}.jpg").is_file())
    folder, width = next(first, (source.parent / "images", digits))
    return [folder / f"im{i:0{width}d}.jpg" for i in range(1, count + 1)]


@reader(
    "lsp",
    "Leeds Sports Pose and its extension: `joints.mat` beside `images/`",
    recognise=lambda path: _file(path) is not None,
    files="Leeds Sports Pose's joints.mat",
    priority=0.55,
    unlabelled="visibility 0, in LSP extended",
    origin=1.0,
)
def read_lsp(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All persons of joints.mat (or of the folder that holds it), in its order.

    Raises `DataError` for what does not fit, and where `strict` for images that do not exist.
    """
    source = _file(path)
    if source is None:
        raise DataError(f"{path} does not hold just one joints.mat of 14 points")
    points, codes = _joints(source)
    extended = _shape(source)[:2] == (14, 3)
    files = _images(source, len(points), 5 if extended else 4)
    if strict:
        require_files(source, files)
    where = np.where(codes[:, :, None] > 0, points - 1, np.nan).astype(np.float32)
    halves = not extended and len(points) == 2 * _SPLIT
    samples = [
        Sample.of_file(
            ImageFile(file, options),
            where[i],
            codes[i],
            id=file.stem,
            split=("train" if i < _SPLIT else "test") if halves else None,
        )
        for i, file in enumerate(files)
    ]
    return Labels(named("lsp14", NAMES, LINES), samples)
