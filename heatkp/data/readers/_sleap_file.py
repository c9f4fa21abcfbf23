"""What a SLEAP file holds, as it is stored: HDF5 with tables of frames, instances and points.

The layout is that of sleap-io (io/slp.py, io/skeleton.py): `/metadata` has the skeletons as JSON,
in jsonpickle's words, `/videos_json` and `/tracks_json` a text each, and the rows of `/frames`
and `/instances` say where those of the next table begin and end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.frames import open_hdf5, read_array
from heatkp.data.readers._common import FURTHEST
from heatkp.errors import DataError

if TYPE_CHECKING:
    import h5py

NEWEST = 3.0
"""From this `format_id` on, tables have another layout."""
_CENTRED = 1.1
"""From this `format_id` on, pixel centres lie on integers; before, corners did."""
_RGB = 1.4
"""From this `format_id` on, embedded colours are RGB where the file does not say."""
_EDGE, _SYMMETRY = 1, 2
"""Kinds of links between nodes."""
MOST_FRAMES = 10**9


class Graph(NamedTuple):
    """A skeleton: its name, its points' names, lines and symmetric pairs by index."""

    name: str
    names: list[str]
    edges: list[tuple[int, int]]
    symmetries: list[tuple[int, int]]


class Embedded(NamedTuple):
    """Images within the file: their dataset, and the row of each frame (None: its number)."""

    dataset: str
    rows: dict[int, int] | None
    stored: int
    bgr: bool
    channels_first: bool


class Video(NamedTuple):
    """What the file says of a video.

    Attributes:
        files: its path, or those of its images.
        images: whether `files` are images.
        size: width and height of frames, or None.
        embedded: images within the file, or None.
        identity: the number by which frames call it.
        dataset: the place in an HDF5 file that `files` names, or empty.
        channels_first: the order of pixels there.
    """

    files: list[str]
    images: bool
    size: tuple[int, int] | None
    embedded: Embedded | None
    identity: int
    dataset: str = ""
    channels_first: bool = False


class Tables(NamedTuple):
    """All of a file. Points are x, y as heatkp has them, NaN where not labelled."""

    graphs: list[Graph]
    videos: list[Video]
    tracks: list[str]
    frames: npt.NDArray[np.void]
    instances: npt.NDArray[np.void]
    points: npt.NDArray[np.float64]


def _json(value: Any) -> Any:
    content = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    return json.loads(content)


def _rows(file: h5py.File, name: str, fields: Sequence[str]) -> npt.NDArray[np.void]:
    """A table with named columns; h5wasm writes numbers (N, C) with the names beside them."""
    data = file[name]
    content = read_array(data)
    if content.dtype.names is None and content.ndim == 2 and "field_names" in data.attrs:
        names = _json(data.attrs["field_names"])
        table = np.empty(len(content), [(str(n), content.dtype) for n in names])
        for i, column in enumerate(names):
            table[column] = content[:, i]
        content = table
    missing = [f for f in fields if f not in (content.dtype.names or ())]
    if missing:
        raise ValueError(f"/{name} has no column {missing[0]}")
    return content


def _points(file: h5py.File, format_id: float) -> npt.NDArray[np.float64]:
    """Labelled points (N, 2); those that the labeller hid are not labelled, for where they are
    stored is often just where the program put them."""
    table = _rows(file, "points", ("x", "y", "visible"))
    where = np.stack([table["x"], table["y"]], 1).astype(np.float64)
    where[~table["visible"].astype(bool) | ~np.isfinite(where).all(1)] = np.nan
    if (np.abs(where) > FURTHEST).any():
        raise ValueError(f"a point is at {where[np.abs(where) > FURTHEST][0]:g}")
    return where - 0.5 if format_id < _CENTRED else where


def _link_kinds(links: Sequence[Mapping[str, Any]]) -> list[int]:
    """Whether links are edges or symmetries. jsonpickle writes a kind once and then its number
    in the order of writing."""
    written: list[int] = []
    kinds = []
    for link in links:
        told = link["type"]
        if "py/reduce" in told:
            written.append(int(told["py/reduce"][1]["py/tuple"][0]))
            kinds.append(written[-1])
        else:
            number = int(told["py/id"])
            kinds.append(written[number - 1] if 0 < number <= len(written) else number)
    return kinds


def _graph(value: Mapping[str, Any], every: Sequence[str]) -> Graph:
    """A skeleton; its nodes are numbers of names in the list of all."""
    graph = value.get("nx_graph", value)
    places = [int(node["id"]) for node in graph["nodes"]]
    names = [every[i] for i in places]
    links = graph["links"]
    edges: list[tuple[int, int]] = []
    symmetries: dict[frozenset[int], tuple[int, int]] = {}
    for link, kind in zip(links, _link_kinds(links)):
        ends = places.index(int(link["source"])), places.index(int(link["target"]))
        if kind == _EDGE:
            edges.append(ends)
        elif kind == _SYMMETRY and ends[0] != ends[1]:
            symmetries.setdefault(frozenset(ends), ends)  # old files have both directions
    name = str(graph.get("graph", {}).get("name", ""))
    return Graph(name, names, edges, list(symmetries.values()))


def _size(backend: Mapping[str, Any]) -> tuple[int, int] | None:
    shape = backend.get("shape")
    if not isinstance(shape, list) or len(shape) != 4 or not all(shape[1:3]):
        return None
    return int(shape[2]), int(shape[1])


def _embedded(
    file: h5py.File, dataset: str, backend: Mapping[str, Any], format_id: float
) -> Embedded:
    data = file[dataset]
    group = data.parent
    rows = None
    if "frame_numbers" in group:
        rows = {int(number): row for row, number in enumerate(read_array(group["frame_numbers"]))}
    order = data.attrs.get("channel_order", "RGB" if format_id >= _RGB else "BGR")
    order = order.decode() if isinstance(order, bytes) else str(order)
    first = backend.get("input_format") == "channels_first"
    return Embedded(dataset, rows, int(data.shape[0]), order == "BGR" and data.ndim < 3, first)


def _identity(dataset: str, number: int) -> int:
    digits = dataset.split("/")[0].removeprefix("video")
    return int(digits) if "/" in dataset and digits.isdigit() else number


def _source(file: h5py.File, dataset: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is said of the video that embedded images are from; empty where nothing is."""
    if "source_video" in value:
        return dict(value["source_video"])
    group = file[dataset].parent
    if "source_video" not in group:
        return {}
    source = group["source_video"]
    return dict(_json(read_array(source["json"]) if "json" in source else source.attrs["json"]))


def _files(value: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Paths of a video, and whether they are images."""
    backend = value.get("backend", {})
    for key, source in (("filenames", backend), ("filename", backend), ("filename", value)):
        found = source.get(key)
        if isinstance(found, list):
            return [str(name).replace("\\", "/") for name in found], True
        if found:
            return [str(found).replace("\\", "/")], False
    return [], False


def _video(file: h5py.File, value: Mapping[str, Any], number: int, format_id: float) -> Video:
    backend = value.get("backend", {})
    files, images = _files(value)
    dataset = str(backend.get("dataset") or "")
    if files != ["."] and not backend.get("has_embedded_images"):
        first = backend.get("input_format") == "channels_first"
        return Video(files, images, _size(backend), None, number, dataset, first)
    if f"{dataset}/video" in file:
        dataset = f"{dataset}/video"
    files, images = _files(_source(file, dataset, value))
    embedded = _embedded(file, dataset, backend, format_id)
    size = _size({"shape": [1, *(file[dataset].attrs.get(k, 0) for k in ("height", "width")), 1]})
    return Video(files, images, size, embedded, _identity(dataset, number))


def _numbered(videos: list[Video], frames: npt.NDArray[np.void]) -> list[Video]:
    """Videos by the numbers that frames use: their places in the list, or, where packages keep
    only some videos, those in the names of their datasets."""
    used = set(map(int, frames["video"]))
    if len(used) == len(videos) and max(used, default=0) == len(videos) - 1:
        return [video._replace(identity=i) for i, video in enumerate(videos)]
    return videos


def read_tables(path: Path) -> Tables:
    """All tables of a file. Raises `DataError` for what is none of SLEAP's, or damaged."""
    with open_hdf5(path) as file:
        if "metadata" not in file or "videos_json" not in file:
            holds = ", ".join(list(file)[:5]) or "nothing"
            raise DataError(
                f"{path} is none of SLEAP's label files (it holds {holds}); expected a project's "
                ".slp or .pkg.slp"
            )
        format_id = float(file["metadata"].attrs.get("format_id", 1.0))
        if format_id >= NEWEST:
            raise DataError(
                f"{path} is of SLEAP's format {format_id:g}; those before {NEWEST:g} can be read"
            )
        metadata = _json(file["metadata"].attrs["json"])
        every = [str(node["name"]) for node in metadata["nodes"]]
        frames = _rows(
            file, "frames", ("video", "frame_idx", "instance_id_start", "instance_id_end")
        )
        if "video_crops" in file and _json(read_array(file["video_crops"])):
            raise DataError(
                f"{path} labels parts of videos (video_crops), which cannot be read: save a "
                "package with images from SLEAP (.pkg.slp)"
            )
        told = [_json(text) for text in read_array(file["videos_json"])]
        videos = [_video(file, value, i, format_id) for i, value in enumerate(told)]
        return Tables(
            [_graph(value, every) for value in metadata["skeletons"]],
            _numbered(videos, frames),
            [str(_json(text)[1]) for text in read_array(file["tracks_json"])],
            frames,
            _rows(
                file,
                "instances",
                ("instance_type", "skeleton", "track", "point_id_start", "point_id_end"),
            ),
            _points(file, format_id),
        )
