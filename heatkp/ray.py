"""Points on millions of pictures, on Ray Data: one machine or many, retried where one dies.

>>> import ray, heatkp.ray  # doctest: +SKIP
>>> pictures = ray.data.read_binary_files("s3://bucket/pictures", include_paths=True)
... # doctest: +SKIP
>>> heatkp.ray.predict(pictures, "face68", workers=8).write_parquet("found")  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heatkp.data.decoding import Undecodable, decode
from heatkp.data.exif import upright
from heatkp.data.images import as_uint8_rgb, read_image
from heatkp.data.inputs import as_image
from heatkp.engine.exported import require_packages
from heatkp.errors import DataError, HeatkpError, SettingsError
from heatkp.export import is_export
from heatkp.inference.batches import Prediction, predictions
from heatkp.inference.detectors import Detector
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.predictor import load_model
from heatkp.inference.regions import SEARCHED
from heatkp.inference.sources import Failure, InputImage
from heatkp.runs import weights_path
from heatkp.runs.hub import is_hub_name

if TYPE_CHECKING:
    import pyarrow
    import ray.data

COLUMNS = ("image", "bytes", "path")
"""Where pictures are looked for, in this order; as Ray's readers call them."""
OBJECTS, ERROR = "objects", "error"
"""Columns that a prediction adds."""


def predict(
    dataset: ray.data.Dataset,
    model: str | os.PathLike[str] = "face68",
    *,
    column: str | None = None,
    boxes: str | None = None,
    workers: int | tuple[int, int] = 1,
    num_cpus: float = 1,
    num_gpus: float = 0,
    batch_size: int = 16,
    keep_pixels: bool = False,
    device: str | None = None,
    runtime: str | None = None,
    precision: str | None = None,
    detector: str | Detector = "auto",
    passes: int | None = None,
    flip_test: bool = False,
    **remote: Any,
) -> ray.data.Dataset:
    """Keypoints of all objects in the pictures of a data set, as a lazy data set of the same rows.

    Each worker is an actor that opens the model once. Ray gives it batches, holds back what would
    fill the memory, and gives a dead worker's batches to another, so that each row comes once.

    Args:
        dataset: rows with a picture each: a path (of a file that all machines see), a file's
            bytes, or pixels as `Predictor.predict` takes them. Files are turned upright as their
            EXIF entry says.
        model: as `heatkp.load_model` takes it; all machines must see the folder or file.
        column: which holds the pictures; None: the first that is there of `image`, `bytes`
            and `path`.
        boxes: `objects`, `image`, or the column that holds a picture's boxes, (N, 4) edges (x0, y0,
            x1, y1) in its pixels; null means none. None: `objects` for a model that finds them,
            else `image`.
        workers: the most actors, which Ray adds as processors are left over; or the least and the
            most. The least are held from the start: leave processors to what reads and writes,
            which else waits for ever.
        num_cpus, num_gpus: of each; as many threads as processors. A part of a GPU will do.
        batch_size: pictures that an actor is given at once.
        keep_pixels: keep the column of pictures, where that is no path.
        device: None: a GPU where `num_gpus` is not 0, else the processor.
        runtime, precision, detector: as in `load_model`.
        passes, flip_test: as in `Predictor.predict`.
        remote: further options of Ray's actors, such as `resources` or `runtime_env`.

    Returns:
        The rows' own columns; `objects`, a list of structures of `points` (K lists of x, y in
        pixels of the picture, centres on integers), `scores` (K), `box` (4 edges, or null),
        `box_score` and `object_score` (or null); and `error`. A picture that cannot be used has
        null objects and an error, where others have a null error; one with boxes of no use beside
        others has both.

    Raises:
        MissingPackageError: without Ray: `pip install 'heatkp[ray]'`.
        SettingsError: for columns that are not there, or are there already.
        CheckpointError: for a model that is not there.
    """
    require_packages({"ray": "'heatkp[ray]'"}, "heatkp.ray")
    columns = dataset.columns(fetch_if_missing=False)
    if columns is not None:  # else the first batch tells
        picture_column(columns, column)
        _require_columns(columns, boxes)
    if not is_export(model):
        weights_path(model)  # before anything starts
    name = os.fspath(model)
    if not is_hub_name(name) and Path(name).exists():
        name = os.path.abspath(name)  # actors have other working folders
    import ray.data  # the package, not this module

    least, most = (1, workers) if isinstance(workers, int) else workers
    return dataset.map_batches(
        Finder,
        fn_constructor_kwargs={
            "model": name, "column": column, "boxes": boxes, "batch_size": batch_size,
            "keep_pixels": keep_pixels, "threads": max(1, int(num_cpus)),
            "device": device or ("cuda" if num_gpus else "cpu"), "runtime": runtime,
            "precision": precision, "detector": detector, "passes": passes,
            "flip_test": flip_test,
        },
        batch_size=batch_size,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=least, max_size=most),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        udf_modifying_row_count=False,
        **remote,
    )  # fmt: skip


def picture_column(columns: Iterable[str], column: str | None) -> str:
    """The column that holds pictures. Raises `SettingsError`.

    >>> picture_column(["path", "bytes", "id"], None)
    'bytes'
    """
    there = list(columns)
    asked = COLUMNS if column is None else (column,)
    found = next((name for name in asked if name in there), None)
    if found is None:
        raise SettingsError(
            f"there is no column {' or '.join(asked)} among {', '.join(there)}: name the one that "
            "holds paths, bytes or pixels with column=..."
        )
    return found


def _require_columns(columns: Iterable[str], boxes: str | None) -> None:
    there = list(columns)
    if boxes not in (None, "objects", "faces", "image", *there):
        raise SettingsError(
            f"boxes={boxes!r} is neither objects, faces, image, nor a column among "
            f"{', '.join(there)}"
        )
    taken = [name for name in (OBJECTS, ERROR) if name in there]
    if taken:
        raise SettingsError(f"the rows have a column {taken[0]!r} already: rename it before")


class Finder:
    """What an actor runs: a model that is opened once, called with tables."""

    def __init__(
        self,
        model: str,
        column: str | None,
        boxes: str | None,
        batch_size: int,
        keep_pixels: bool,
        threads: int,
        device: str,
        runtime: str | None,
        precision: str | None,
        detector: str | Detector,
        passes: int | None,
        flip_test: bool,
    ) -> None:
        import cv2
        import torch

        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        self.predictor = load_model(model, device, detector, runtime, precision=precision)
        if boxes is None or boxes in (*SEARCHED, "image"):
            boxes = self.predictor.ready_for(boxes)
        elif not self.predictor.framing.takes_boxes:
            raise SettingsError(
                f"{model} was trained on whole images and takes no boxes: leave out boxes={boxes!r}"
            )
        self.column, self.boxes, self.keep_pixels = column, boxes, keep_pixels
        self.batch_size = batch_size
        self.options: dict[str, Any] = {"passes": passes, "flip_test": flip_test}

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        """The rows with what was found in them."""
        column = picture_column(table.column_names, self.column)
        _require_columns(table.column_names, self.boxes)
        pictures = _values(table.column(column))
        boxes: Any = self.boxes
        if boxes not in (*SEARCHED, "image"):
            given = [value.as_py() for value in table.column(boxes)]
            boxes = lambda image: _edges(given[int(image.name)])  # noqa: E731
        inputs = (self._input(i, value) for i, value in enumerate(pictures))
        objects: list[list[dict[str, Any]] | None] = [None] * len(pictures)
        errors: list[str | None] = [None] * len(pictures)
        found = predictions(self.predictor, inputs, boxes, self.batch_size, **self.options)
        for item in found:
            if isinstance(item, Failure):
                errors[int(item.name)] = item.reason
            else:
                objects[int(item.input_image.name)] = _objects(item)
        # By the column's type, so that all tables have the same columns, whatever they hold.
        if not (self.keep_pixels or _holds_paths(table.column(column).type)):
            table = table.drop_columns([column])
        return with_results(table, objects, errors)

    def _input(self, index: int, value: Any) -> InputImage | Failure:
        """A picture, upright, called by its place in the batch; or why there is none."""
        name = str(index)
        try:
            image = _read(value, self.predictor.settings.data.intensity)
        except (HeatkpError, OSError, MemoryError) as error:
            return Failure(name, str(error) or type(error).__name__)
        return InputImage(name, Path(name), image)


def _holds_paths(kind: pyarrow.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _values(column: pyarrow.ChunkedArray) -> list[Any]:
    """A column's values; nested lists as arrays of the numbers that they are declared to hold."""
    import pyarrow as pa

    kind = column.type
    while pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    values = [value.as_py() for value in column]
    if kind == column.type:
        return values
    return [_array(value, kind.to_pandas_dtype()) for value in values]


def _array(value: Any, dtype: Any) -> Any:
    try:
        return None if value is None else np.asarray(value, dtype)
    except ValueError:  # rows of different lengths, which are no image
        return np.empty(0, dtype)


def _read(value: Any, intensity: Any) -> Any:
    """A path, a file's bytes, or pixels as RGB, uint8 (H, W, 3). Raises `DataError`."""
    if value is None:
        raise DataError("there is no picture in this row")
    if isinstance(value, str):
        return read_image(value, orient=True, intensity=intensity)
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            found = decode(bytes(value))
        except Undecodable as error:
            raise DataError(f"the bytes are not an image that can be read ({error})") from None
        image = as_uint8_rgb(found.values, found.alpha, intensity, found.inverted)
        return np.ascontiguousarray(upright(image, found.orientation))
    return as_image(value, intensity)


def _edges(value: Any) -> Any:
    """Boxes of a row as float64 (N, 4). Raises `DataError`."""
    try:
        edges = np.asarray([] if value is None else value, np.float64)
        return edges.reshape(-1, 4) if edges.size else np.empty((0, 4))
    except (TypeError, ValueError):
        raise DataError("boxes are no numbers (x0, y0, x1, y1)") from None


def _objects(prediction: Prediction) -> list[dict[str, Any]]:
    return [_as_dict(found) for found in prediction.objects or ()]


def _as_dict(found: Keypoints) -> dict[str, Any]:
    return {
        "points": found.points.tolist(),
        "scores": found.scores.tolist(),
        "box": None if found.box is None else [float(edge) for edge in found.box],
        "box_score": found.box_score,
        "object_score": found.object_score,
    }


def with_results(
    table: pyarrow.Table,
    objects: list[list[Mapping[str, Any]] | None] | list[list[dict[str, Any]] | None],
    errors: list[str | None],
) -> pyarrow.Table:
    """A table with the two further columns, of the same types whatever they hold."""
    import pyarrow as pa

    numbers = pa.list_(pa.float64())
    found = pa.struct({
        "points": pa.list_(numbers), "scores": numbers, "box": numbers,
        "box_score": pa.float64(), "object_score": pa.float64(),
    })  # fmt: skip
    table = table.append_column(OBJECTS, pa.array(objects, pa.list_(found)))
    return table.append_column(ERROR, pa.array(errors, pa.string()))
