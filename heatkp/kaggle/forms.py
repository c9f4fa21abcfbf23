"""Kaggle's files: submissions of 68 and of 15 facial points, read back and scored.

Two competitions, two forms. The 68 points of iBUG 300-W take `Id,Predicted` with a row for each
number; Facial Keypoints Detection (15 points, 96 x 96 pixels) takes `RowId,Location` for the
rows that its IdLookupTable.csv asks for. Coordinates are pixels of the image file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp import coordinates as co
from heatkp.data.readers._tables import Row, read_table
from heatkp.data.samples import Labels, Sample
from heatkp.errors import DataError
from heatkp.evaluation.metrics import Errors, labelled_boxes, summarise
from heatkp.files import write_text
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]
HEADER = ("Id", "Predicted")
LOOKUP_HEADER = ("RowId", "ImageId", "FeatureName", "Location")
LOCATION_HEADER = ("RowId", "Location")
LOCATIONS = (0.0, 96.0)
"""The range that the 15-point competition allows."""
AXES = "xy"


def _checked(found: npt.ArrayLike) -> Array:
    points = np.asarray(found, np.float64)
    if points.ndim != 3 or points.shape[2] != 2 or not points.size:
        raise DataError(f"a submission is made of (entries, points, 2), not {points.shape}")
    bad = np.argwhere(~np.isfinite(points))
    if len(bad):
        entry, point, axis = bad[0]
        raise DataError(
            f"{len(bad)} predicted numbers are not finite, the first is {AXES[axis]} of point "
            f"{point} in entry {entry}: nothing is written"
        )
    return points


def _write(path: Path, header: tuple[str, ...], rows: Iterator[str]) -> None:
    write_text(path, "\n".join([",".join(header), *rows]) + "\n")


def _number(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:.{decimals}f}"  # + 0.0: no "-0.00"


def write_submission(path: Path, found: npt.ArrayLike, decimals: int = 2) -> None:
    """Write the 68-point form, whole or not at all; a file that is there is replaced.

    `Id` = 2 K entry + 2 point + (0 for x, 1 for y): 136 entry + ... for 68 points.

    Args:
        found: (N, K, 2), pixels of each entry's image, entries in the labels' order.

    Raises:
        DataError: for a number that is not finite.
        OSError: for a path that cannot be written.
    """
    numbers = _checked(found).ravel().tolist()
    _write(path, HEADER, (f"{i},{_number(v, decimals)}" for i, v in enumerate(numbers)))


def _table(path: Path, header: tuple[str, ...]) -> Iterator[Row]:
    """The rows of a CSV file whose header must be the given one."""
    found, rows = read_table(path)
    if found != list(header):
        raise DataError(f"{path}: the header is {','.join(found)!r}, expected {','.join(header)!r}")
    return rows


def _whole(text: str, what: str, place: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise DataError(f"{place}: {what} {text!r} is no whole number from 0")
    return int(text)


def read_submission(path: Path, entries: int, points: int) -> Array:
    """Points (entries, points, 2) of a file in the 68-point form, its rows in any order.

    Raises `DataError` for a wrong header, an Id that is missing, twice or too large, and a
    value that is no finite number.
    """
    count = 2 * points * entries
    numbers = np.full(count, np.nan)
    for where, (name, text) in _table(path, HEADER):
        place = _whole(name, "Id", where)
        if place >= count:
            raise DataError(
                f"{where}: Id {place} is too large: {entries} entries of {points} "
                f"points have the Ids 0 to {count - 1}. Is it a submission for other labels?"
            )
        try:
            value = float(text)
        except ValueError:
            raise DataError(f"{where}: {text!r} is no number") from None
        if not np.isfinite(value):
            raise DataError(f"{where}: {text!r} is not finite")
        if not np.isnan(numbers[place]):
            raise DataError(f"{where}: Id {place} comes twice")
        numbers[place] = value
    missing = np.flatnonzero(np.isnan(numbers))
    if len(missing):
        raise DataError(
            f"{path}: {len(missing)} of {count} Ids are missing ({entries} entries of {points} "
            f"points), the first is {missing[0]}"
        )
    return numbers.reshape(entries, points, 2)


class Lookup(NamedTuple):
    """What IdLookupTable.csv asks for, R rows in its order.

    Attributes:
        rows: R RowIds.
        places: int (R, 3): entry, point and axis (0 x, 1 y) of each.
    """

    rows: list[str]
    places: npt.NDArray[np.int64]


def read_lookup(path: Path, skeleton: Skeleton, samples: Sequence[Sample]) -> Lookup:
    """The rows of an IdLookupTable.csv, found among samples whose ids are ImageIds.

    Raises `DataError` for a file that is none, an unknown FeatureName, a RowId that comes
    twice and an image that is not among the samples.
    """
    features = {
        f"{name}_{axis}": (k, a)
        for k, name in enumerate(skeleton.point_names)
        for a, axis in enumerate(AXES)
    }
    entries = {s.id.lstrip("0") or "0": i for i, s in enumerate(samples)}
    rows: dict[str, tuple[int, int, int]] = {}
    for where, (row, image, feature, _) in _table(path, LOOKUP_HEADER):
        _whole(row, "RowId", where)
        number = _whole(image, "ImageId", where)
        if row in rows:
            raise DataError(f"{where}: RowId {row} comes twice")
        if feature not in features:
            raise DataError(
                f"{where}: FeatureName {feature!r} is none of the model's; it finds "
                f"{', '.join(skeleton.point_names)}, each with _x and _y"
            )
        if str(number) not in entries:
            raise DataError(
                f"{where}: asks for image {image}, which is not among the "
                f"{len(samples)} images of the data; give the table that belongs to it"
            )
        rows[row] = (entries[str(number)], *features[feature])
    if not rows:
        raise DataError(f"{path} asks for nothing: it has no row below its header")
    return Lookup(list(rows), np.array(list(rows.values()), np.int64))


def write_locations(path: Path, lookup: Lookup, found: npt.ArrayLike, decimals: int = 2) -> None:
    """Write the 15-point form, whole or not at all: `RowId,Location` in the table's order.

    Locations are clipped to 0..96, as the competition demands.

    Args:
        found: (N, K, 2), pixels, in the order of the samples that `lookup` was read with.

    Raises:
        DataError: for a number that is not finite.
        OSError: for a path that cannot be written.
    """
    entries, points, axes = lookup.places.T
    locations = np.clip(_checked(found)[entries, points, axes], *LOCATIONS).tolist()
    rows = (f"{row},{_number(v, decimals)}" for row, v in zip(lookup.rows, locations))
    _write(path, LOCATION_HEADER, rows)


def _frames(samples: Sequence[Sample]) -> Array:
    """Edges (N, 4) of each sample's box, of its image where it has none."""
    frames = np.empty((len(samples), 4))
    for frame, sample in zip(frames, samples):
        if sample.box is None:
            height, width = sample.image().shape[:2]
            frame[:] = co.image_box(width, height)
        else:
            frame[:] = sample.box
        if not (frame[2:] > frame[:2]).all():
            raise DataError(f"{sample.id}: box {frame.tolist()} has no area")
    return frames


def score(found: npt.ArrayLike, labels: Labels, worst: int = 5) -> dict[str, Any]:
    """How far predictions are from labels, as plain numbers for JSON.

    - `mae`, `rmse`: mean |error| and root mean square error over all numbers, x and y of each
      labelled point, in pixels; the 68-point and the 15-point competition's own scores;
    - `distance`: mean Euclidean distance, pixels;
    - `normalised`: for each normaliser NME, failure rate, area under the curve, as
      `metrics.summarise` defines them;
    - `normalised_sum`: each coordinate divided by the width or height of the sample's box (of
      its image where it has none), |errors| of all 2 K numbers of an image summed, 136 for 68
      points, and the sums averaged over images. It grows with K, and an image of which only
      some points are labelled adds only theirs;
    - `worst`: the images with the largest MAE, the largest first.

    Points that are not labelled count nowhere, nor do images without labels.

    Args:
        found: (N, K, 2), pixels, in the order of `labels.samples`.

    Raises:
        DataError: where shapes differ, nothing is labelled, or a box has no area.
    """
    skeleton, samples = labels.skeleton, labels.samples
    photo = np.asarray(found, np.float64)
    if photo.shape != (len(samples), len(skeleton), 2):
        raise DataError(
            f"predictions have shape {photo.shape}, but the labels have {len(samples)} entries "
            f"of {len(skeleton)} points"
        )
    labelled = np.array([s.visibility > 0 for s in samples]).reshape(photo.shape[:2])
    if not labelled.any():
        raise DataError("the labels hold no labelled point: there is nothing to score against")
    some = np.flatnonzero(labelled.any(1))
    samples, photo, labelled = [samples[i] for i in some], photo[some], labelled[some]
    truth = np.stack([s.points for s in samples]).astype(np.float64)
    frames = _frames(samples)
    extent = (frames[:, 2:] - frames[:, :2])[:, None]
    # The box stretched to a unit square stands where a network's input would.
    errors = Errors(
        image_points=photo,
        image_truth=truth,
        to_input=np.stack([co.box_to_frame(frame, 1, 1) for frame in frames]),
        labelled=labelled,
        boxes=labelled_boxes(samples),
        input_size=(1, 1),
    )
    metrics = summarise(errors, skeleton)
    off = np.where(labelled[..., None], np.abs(photo - truth), 0.0)
    per_image = off.sum((1, 2)) / (2 * labelled.sum(1))
    order = np.argsort(-per_image, kind="stable")[:worst]
    return {
        "images": len(samples),
        "labelled_points": metrics["labelled_points"],
        "mae": metrics["mae_photo"],
        "rmse": float(np.sqrt(np.square(off).sum() / (2 * labelled.sum()))),
        "distance": metrics["distance_photo"],
        "normalised": metrics["normalised"],
        "normalised_sum": float((off / extent).sum((1, 2)).mean()),
        "worst": [
            {
                "entry": int(some[i]),
                "file": samples[i].image_name,
                "mae": float(per_image[i]),
            }
            for i in order
        ],
    }
