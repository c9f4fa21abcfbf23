"""Tracks of a video at a glance: paths over a frame; speed, score and gaps over time."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from heatkp.data.video_reading import video_frame
from heatkp.errors import DataError
from heatkp.inference.track_drawing import colour_of
from heatkp.text import text_to_name
from heatkp.viz.canvas import plain, save

Array = npt.NDArray[np.float64]
TABLE = "tracks.csv"
LAST, MOST = 2**40, 100_000_000
"""The highest number of a frame, and how many points of all frames a table may span."""
_NEEDED = ("image", "frame", "time", "track", "point", "x", "y", "score")
_DARK = "#202020"
"""Behind the tracks' colours, which are those of drawn videos."""


@dataclass(frozen=True)
class Paths:
    """The tracks of one video, T frames from the first to the last that have any.

    Attributes:
        source: the video, which may be missing, or `FOLDER/*` for the images of a folder.
        names: K points.
        frames: (T,) numbers.
        times: (T,) seconds, or NaN.
        tracks: numbers of the tracks.
        points: (N, T, K, 2) in pixels, NaN where there is none.
        scores: (N, T, K), NaN where a point was not found itself.
    """

    source: Path
    names: tuple[str, ...]
    frames: npt.NDArray[np.int64]
    times: Array
    tracks: tuple[int, ...]
    points: Array
    scores: Array

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """(N, T), whether any point of a track is there."""
        return np.asarray(np.asarray(np.isfinite(self.points).all(3)).any(2))

    @property
    def speeds(self) -> Array:
        """(N, T, K) pixels a frame: the distance to the frame before, over the frames between."""
        steps = np.linalg.norm(np.diff(self.points, axis=1), axis=3)
        gaps = np.diff(self.frames)[None, :, None]
        first = np.full((len(self.tracks), 1, len(self.names)), np.nan)
        return np.concatenate([first, steps / gaps], 1)


def read_paths(path: Path) -> list[Paths]:
    """The tracks of each video in a `tracks.csv`, or in a folder with one.

    Raises `DataError` for what is no such table, or holds no track.
    """
    file = path / TABLE if path.is_dir() else path
    if not file.is_file():
        raise DataError(
            f"{file} does not exist: heatkp predict VIDEO --track writes it (--format tracks)"
        )
    groups: dict[Path, list[tuple[int, float, int, str, float, float, float]]] = {}
    for row in _rows(file):
        groups.setdefault(row[0], []).append(row[1:])
    if not groups:
        raise DataError(f"{file} holds no track: predict with --track")
    return [_paths(source, rows) for source, rows in groups.items()]


def _rows(file: Path) -> Iterator[tuple[Path, int, float, int, str, float, float, float]]:
    with file.open(encoding="utf-8", newline="") as stream:
        try:
            table = csv.DictReader(stream)
            missing = [name for name in _NEEDED if name not in (table.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{file} has no column {missing[0]!r}: expected what heatkp predict --format "
                    "tracks writes"
                )
            for number, row in enumerate(table, 2):
                if not row["track"]:
                    continue
                try:
                    place = Path(os.path.abspath(file.parent / text_to_name(row["image"])))
                    # A frame's number is below its video; an image of a folder has an extension.
                    source = place.parent / "*" if place.suffix else place.parent
                    x, y, score, seconds = (
                        float(row[c]) if row[c] else math.nan for c in ("x", "y", "score", "time")
                    )
                    frame, track = int(row["frame"]), int(row["track"])
                    if not (0 <= frame <= LAST and abs(track) <= LAST):
                        raise ValueError
                    yield source, frame, seconds, track, row["point"], x, y, score
                except (ValueError, TypeError):
                    raise DataError(f"{file}, line {number}: a value is no number") from None
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{file} is no table of tracks ({error})") from None


def _require_near(source: Path, frames: npt.NDArray[np.int64], each: int) -> None:
    """Raises `DataError` for numbers of frames that no video has: all between them are held."""
    span = int(frames[-1] - frames[0]) + 1
    if span * each > max(MOST, 1000 * len(frames) * each):
        raise DataError(
            f"{source}: frames {frames[0]} to {frames[-1]} are too far apart for {len(frames)} of "
            "them; look for a wrong number in the table"
        )


def _paths(source: Path, rows: Sequence[tuple[int, float, int, str, float, float, float]]) -> Paths:
    names = tuple(dict.fromkeys(row[3] for row in rows))
    tracks = tuple(sorted({row[2] for row in rows}))
    frames = np.array(sorted({row[0] for row in rows}), np.int64)
    _require_near(source, frames, len(tracks) * len(names))
    step = int(np.diff(frames).min()) if len(frames) > 1 else 1
    frames = np.arange(frames[0], frames[-1] + 1, step) if step else frames
    places = {int(frame): t for t, frame in enumerate(frames)}
    shape = (len(tracks), len(frames), len(names))
    points, scores = np.full((*shape, 2), np.nan), np.full(shape, np.nan)
    times = np.full(len(frames), np.nan)
    of_track = {track: i for i, track in enumerate(tracks)}
    of_name = {name: k for k, name in enumerate(names)}
    for frame, seconds, track, name, x, y, score in rows:
        t = places.get(frame)
        if t is not None:
            points[of_track[track], t, of_name[name]] = x, y
            scores[of_track[track], t, of_name[name]] = score
            times[t] = seconds
    return Paths(source, names, frames, times, tracks, points, scores)


def _background(paths: Paths) -> npt.NDArray[np.uint8] | None:
    """The middle frame, or None where it cannot be read."""
    try:
        middle = int(paths.frames[len(paths.frames) // 2])
        return video_frame(paths.source, middle) if paths.source.is_file() else None
    except DataError:
        return None


def draw_tracks(paths: Paths, target: Path, point: str | None = None) -> None:
    """One image: the paths of a point over the middle frame, and below each other over time its
    speed, its score, and where each track has gaps.

    Args:
        target: a PNG file.
        point: its name; None: the mean of an object's points.

    Raises:
        DataError: for a point that is none.
    """
    if point is not None and point not in paths.names:
        raise DataError(f"there is no point {point!r}: choose one of {', '.join(paths.names)}")
    some = slice(None) if point is None else slice(*_one(paths.names.index(point)))
    own, scores, speeds = paths.points[:, :, some], paths.scores[:, :, some], paths.speeds
    seen = np.asarray(np.isfinite(own).all(3))
    place = _mean(own, seen[..., None])
    speed = _mean(speeds[:, :, some], np.isfinite(speeds[:, :, some]))
    score = _mean(scores, np.isfinite(scores))
    timed = np.isfinite(paths.times).all()
    along, unit = (paths.times, "seconds") if timed else (paths.frames.astype(float), "frame")

    made = Figure((12, 6.5), layout="constrained")
    grid = made.add_gridspec(3, 2, width_ratios=(1, 1.25), height_ratios=(2, 2, 1))
    left = made.add_subplot(grid[:, 0], facecolor=_DARK)
    image = _background(paths)
    if image is not None:
        left.imshow(image)
    else:
        left.invert_yaxis()
        left.set_aspect("equal")
    for i, track in enumerate(paths.tracks):
        colour = _colour(track)
        left.plot(place[i, :, 0], place[i, :, 1], color=colour, lw=1.2, label=f"track {track}")
        known = np.flatnonzero(np.isfinite(place[i, :, 0]))
        if len(known):
            left.plot(*place[i, known[0]], "o", color=colour, ms=5)
            left.plot(*place[i, known[-1]], "s", color=colour, ms=5)
    left.set_title(f"{'centre' if point is None else plain(point)}: from the circle to the square")
    left.legend(loc="upper right", fontsize=8, facecolor=_DARK, labelcolor="white")
    left.set_xlabel("x, pixels")
    left.set_ylabel("y, pixels")
    panels = [made.add_subplot(grid[0, 1], facecolor=_DARK)]
    panels += [made.add_subplot(grid[r, 1], sharex=panels[0], facecolor=_DARK) for r in (1, 2)]
    for i, track in enumerate(paths.tracks):
        colour = _colour(track)
        panels[0].plot(along, speed[i], color=colour, lw=0.8)
        panels[1].plot(along, score[i], color=colour, lw=0.8)
        for start, length in _gaps(np.asarray(seen[i].any(1)), along):
            panels[2].barh(i, length, left=start, height=0.7, color=colour)
    panels[0].set_ylabel("speed, pixels\na frame")
    panels[1].set_ylabel("score")
    panels[2].set_ylabel("gaps")
    panels[2].set_yticks(range(len(paths.tracks)), [str(t) for t in paths.tracks])
    panels[2].set_ylim(len(paths.tracks) - 0.5, -0.5)
    panels[2].set_xlabel(unit)
    panels[2].set_xlim(along[0], max(along[-1], along[0] + 1e-9))
    save(made, target)


def _colour(track: int) -> tuple[float, float, float]:
    red, green, blue = (value / 255 for value in colour_of(track))
    return red, green, blue


def _one(index: int) -> tuple[int, int]:
    return index, index + 1


def _mean(values: Array, known: npt.NDArray[np.bool_]) -> Array:
    """Mean over points of what is known; NaN where nothing is."""
    count = known.sum(2)
    sums = np.where(known, values, 0.0).sum(2)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def gaps(seen: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First frame and length of each stretch in which a track is not there.

    >>> gaps(np.array([False, True, False, False, True]))
    [(0, 1), (2, 2)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ~seen, [0]]).astype(int)))
    return [(int(a), int(b - a)) for a, b in edges.reshape(-1, 2)]


def _gaps(seen: npt.NDArray[np.bool_], along: Array) -> list[tuple[float, float]]:
    step = float(np.median(np.diff(along))) if len(along) > 1 else 1.0
    return [(float(along[a]) - step / 2, count * step) for a, count in gaps(seen)]
