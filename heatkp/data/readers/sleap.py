"""SLEAP: `.slp` files, and `.pkg.slp` packages that hold the images themselves.

Coordinates are pixels with centres on integers since format 1.1; before, (0, 0) was the corner of
the first pixel, so that 0.5 is taken off (sleap-io, io/slp.py, `read_instances`). What is NaN or
not `visible` is not labelled: `visible` is false where the labeller hid a point. Instances that
were predicted are no labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.frames import StoredImage, VideoFrame, begins_as_hdf5
from heatkp.data.images import STORED, ImageFile, ImageOptions, ImageSource
from heatkp.data.readers._base import one_file, reader
from heatkp.data.readers._common import (
    distinct,
    files_of_type,
    known_layout,
    only_file,
    require_files,
    visible_where_given,
    without_extension,
)
from heatkp.data.readers._places import locate
from heatkp.data.readers._sleap_file import MOST_FRAMES, Graph, Tables, Video, read_tables
from heatkp.data.samples import Labels, Sample
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton, named

_USER, _PREDICTED = 0, 1
"""Kinds of instances."""
_RANGE = ("instance_id_start", "instance_id_end")
_USUAL = "labels.slp"
_HDF5 = (".h5", ".hdf5", ".hdf", ".slp")


class _Found(NamedTuple):
    """A video with its files, and what tells it from others."""

    video: Video
    files: list[Path]
    name: str


def _skeleton(graph: Graph, source: Path) -> Skeleton:
    """The layout, with the file's lines, and its symmetries as pairs; left is the one that names
    call so. Points without a symmetry are as names tell."""
    known = known_layout(graph.names)
    if known is not None and known[1] == list(range(len(graph.names))):
        return known[0]
    try:
        skeleton = named(graph.name or f"points{len(graph.names)}", graph.names, graph.edges)
        if not graph.symmetries:
            return skeleton
        by_name = {frozenset(pair): pair for pair in skeleton.pairs}
        pairs = [by_name.get(frozenset(pair), pair) for pair in graph.symmetries]
        paired = {i for pair in pairs for i in pair}
        pairs += [pair for pair in skeleton.pairs if not paired & {*pair}]
        paired = {i for pair in pairs for i in pair}
        unpaired = tuple(i for i in skeleton.unpaired if i not in paired)
        return replace(
            skeleton, pairs=tuple(sorted(pairs)), unpaired=unpaired, sides_from="symmetries"
        )
    except ValueError as error:
        raise DataError(f"{source}: {error}") from None


def _name_of(video: Video) -> str:
    """What a video is called: its file, or the folder of its images."""
    if video.images:
        return str(PurePosixPath(video.files[0]).parent) if len(video.files) > 1 else ""
    return video.files[0] if video.files else video.embedded.dataset if video.embedded else ""


def _located(source: Path, tables: Tables, strict: bool) -> tuple[dict[int, _Found], list[str]]:
    """The videos that frames use, by their numbers, and notes."""
    used = set(map(int, tables.frames["video"]))
    videos = [video for video in tables.videos if video.identity in used]
    missing = used - {video.identity for video in videos}
    if missing:
        raise DataError(
            f"{source} is damaged: frames are of video {min(missing)}, which it has not"
        )
    wanted = [name for video in videos if video.embedded is None for name in video.files]
    files, notes = locate(source, wanted, [str(source)] * len(wanted), strict)
    places = dict(zip(wanted, files))
    names = distinct(_name_of(video) or f"images {video.identity}" for video in videos)
    found = {}
    for video, name in zip(videos, names):
        own = [places[f] for f in video.files] if video.embedded is None else []
        if not own and video.embedded is None:
            raise DataError(f"{source}: nothing is said of where video {video.identity} is")
        found[video.identity] = _Found(video, own, name)
    return found, list(notes)


def _image(source: Path, found: _Found, frame: int) -> ImageSource:
    """The image of a frame. Raises `DataError` for one that is not among a video's images."""
    video = found.video
    inside = video.embedded
    if inside is not None:
        row = frame if inside.rows is None else inside.rows.get(frame, -1)
        if not 0 <= row < inside.stored:
            raise DataError(f"{source} has labels of frame {frame} of {found.name}, but no image")
        return StoredImage(
            source,
            dataset=inside.dataset,
            index=row,
            bgr=inside.bgr,
            channels_first=inside.channels_first,
        )
    if video.images:
        if frame >= len(found.files):
            raise DataError(f"{source} has labels of image {frame}; it names {len(found.files)}")
        return ImageFile(found.files[frame])
    file = found.files[0]
    if file.suffix.lower() in _HDF5:
        first = video.channels_first
        return StoredImage(file, dataset=video.dataset, index=frame, channels_first=first)
    return VideoFrame(file, number=frame)


def _chosen(tables: Tables, source: Path) -> int:
    """The skeleton of most labelled instances."""
    user = tables.instances[tables.instances["instance_type"] == _USER]
    counts = Counter(map(int, user["skeleton"]))
    if not counts:
        predicted = int((tables.instances["instance_type"] == _PREDICTED).sum())
        raise DataError(
            f"{source} holds no labelled instance ({predicted} predicted ones, which are no "
            "labels): correct or add some in SLEAP"
        )
    chosen = counts.most_common(1)[0][0]
    if not 0 <= chosen < len(tables.graphs):
        raise DataError(f"{source} is damaged: an instance is of skeleton {chosen}")
    return chosen


def _points_of(tables: Tables, row: np.void, count: int, source: Path) -> npt.NDArray[np.float64]:
    start, end = int(row["point_id_start"]), int(row["point_id_end"])
    if not 0 <= start <= end <= len(tables.points) or end - start != count:
        raise DataError(
            f"{source} is damaged: an instance has points {start} to {end} of "
            f"{len(tables.points)}, the skeleton {count}"
        )
    return tables.points[start:end]


def _samples(
    source: Path, tables: Tables, videos: dict[int, _Found], counts: Counter[str]
) -> list[Sample]:
    """Labelled instances; `counts` has those that are left out."""
    chosen = _chosen(tables, source)
    width = len(tables.graphs[chosen].names)
    tracks = distinct(tables.tracks)
    samples, names = [], []
    frames = (tables.frames[f].tolist() for f in ("video", "frame_idx", *_RANGE))
    for video, number, start, end in zip(*frames):
        if not 0 <= number <= MOST_FRAMES:
            raise DataError(f"{source} is damaged: a frame has the number {number}")
        found, own = videos[int(video)], tables.instances[int(start) : int(end)]
        rows = own[(own["instance_type"] == _USER) & (own["skeleton"] == chosen)]
        predicted = int((own["instance_type"] != _USER).sum())
        counts["predicted instances, which are no labels, left out"] += predicted
        counts["instances of other skeletons, left out"] += len(own) - len(rows) - predicted
        labelled = 0
        for row in rows:
            points, codes = visible_where_given(_points_of(tables, row, width, source))
            if not codes.any():
                continue
            labelled += 1
            track = int(row["track"])
            called = tracks[track] if 0 <= track < len(tracks) else None
            sample = _sample(source, found, int(number), points, codes, called)
            names.append(f"{_named(found, int(number))}#{called or labelled}")
            samples.append(sample)
        counts["instances left out, of which no point is labelled"] += len(rows) - labelled
        counts["frames left out, on which nothing is labelled"] += not labelled
    return [replace(s, id=name) for s, name in zip(samples, distinct(names))]


def _sample(
    source: Path,
    found: _Found,
    number: int,
    points: npt.NDArray[np.float32],
    codes: npt.NDArray[np.uint8],
    track: str | None,
) -> Sample:
    image, video = _image(source, found, number), found.video
    return Sample(
        image,
        points,
        codes,
        id=found.name,
        file=image.path,
        source_image=_named(found, number),
        # Images of a list may differ in size; only the first one's is told.
        declared_size=None if isinstance(image, ImageFile) else video.size,
        video=found.name if _name_of(video) else None,
        frame=number,
        track=track,
    )


def _named(found: _Found, number: int) -> str:
    """The name of an image: its file's, or its video's and its number."""
    if found.video.images and number < len(found.video.files):
        return without_extension(found.video.files[number])
    return f"{without_extension(found.name)}-{number}"


def _source(path: Path) -> tuple[Path | None, list[str]]:
    """The file that a path means, and a note where others are beside it: of several in a folder
    `labels.slp`, as SLEAP's own tools call it."""
    found = only_file(path, ".slp")
    if found is not None or not path.is_dir() or not (path / _USUAL).is_file():
        return found, []
    others = [file.name for file in files_of_type(path, ".slp") if file.name != _USUAL]
    note = f"other .slp files beside {_USUAL}, left out: {len(others)} ({', '.join(others[:3])})"
    return path / _USUAL, [note]


_one = one_file(".slp", begins_as_hdf5)


def _recognise(path: Path) -> bool | str:
    found, notes = _source(path)
    return begins_as_hdf5(found) if notes and found is not None else _one(path)


@reader(
    "sleap",
    "[SLEAP](https://sleap.ai): a `.slp` file with its videos or images, or `.pkg.slp`; needs "
    "`pip install 'heatkp[sleap]'`",
    recognise=_recognise,
    files="one of SLEAP's .slp files",
    priority=0.95,
    unlabelled="NaN, or not `visible`",
)
def read_sleap(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All labelled instances of a file, or of a folder's `labels.slp` or only .slp file, in order.

    Frames of videos are read when they are asked for. A sample's `track` is SLEAP's. Raises
    `DataError` for what does not fit, and where `strict` for videos and images that do not exist.
    """
    source, beside = _source(path)
    if source is None:
        raise DataError(f"{path} is not, and does not hold just one, .slp file")
    tables = read_tables(source)
    counts: Counter[str] = Counter()
    videos, notes = _located(source, tables, strict)
    samples = _samples(source, tables, videos, counts)
    notes += [*beside, *(f"{what}: {count}" for what, count in counts.items() if count)]
    if not samples:
        raise DataError(f"{source} holds no labelled object ({'; '.join(notes)})")
    if strict:
        _require(source, samples)
    return Labels(_skeleton(tables.graphs[_chosen(tables, source)], source), samples, tuple(notes))


def _require(source: Path, samples: Sequence[Sample]) -> None:
    """Raises `DataError` for videos, then images, that do not exist."""
    videos = {s.file for s in samples if s.image_part and s.file is not None}
    missing = [file for file in videos if not file.is_file()]
    if missing:
        raise DataError(
            f"{source}: the video {missing[0]} does not exist; put it beside the file, or export a "
            "package with images from SLEAP (.pkg.slp)"
        )
    require_files(source, (s.file for s in samples if s.file is not None))
