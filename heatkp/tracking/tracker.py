"""Which object of a frame is which of the frames before.

Kalman filters predict (`heatkp.tracking.motion`), and the Hungarian method assigns, the surest
objects first and then the less sure ones to what is left, as ByteTrack does (Zhang et al. 2022,
https://arxiv.org/abs/2110.06864).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from heatkp.errors import SettingsError
from heatkp.tracking.motion import Array, Found, Motion
from heatkp.tracking.similarity import KINDS, Kind, alike, similarities

Ids = list[int | None]
_SURE, _WEAK = 0.5, 0.2
"""Fractions of the median score from which an object may begin a track, or go on with one."""
_REMEMBERED = 500
"""Scores of which the median is taken."""
_TWICE = 0.5
"""Similarity from which two objects of a frame are one, found twice."""

_SHARPER = 4
"""The power of a similarity that counts where tracks compete: as with half the tolerance."""


@dataclass(frozen=True)
class TrackOptions:
    """How objects are followed.

    Attributes:
        objects: how many there are, where that is known: a frame then has no more, no track ever
            ends, and a new object can only be one that was lost.
        by: what tells that two objects are one: `oks` their points, `iou` their boxes, `distance`
            their centres.
        least: similarity from which an object may go on with a track.
        sure: score from which an object may begin a track. None: half of the median so far.
        birth: frames in a row in which an object has to be found before it is a track, which then
            begins at the first of them.
        bridge: frames for which a track may be lost before it ends.
        sigma: how far points move around their object's centre in a frame, as a fraction of the
            object's size.
    """

    objects: int | None = None
    by: Kind = "oks"
    least: float = 0.3
    sure: float | None = None
    birth: int = 3
    bridge: int = 30
    sigma: float = 0.1

    def __post_init__(self) -> None:
        wrong = ""
        if self.objects is not None and self.objects < 1:
            wrong = f"objects is 1 or more, not {self.objects}"
        elif self.by not in KINDS:
            wrong = f"by is one of {', '.join(KINDS)}, not {self.by!r}"
        elif not 0 < self.least < 1:
            wrong = f"least lies between 0 and 1, not at {self.least}"
        elif self.birth < 1 or self.bridge < 0:
            wrong = "birth is 1 frame or more, bridge 0 or more"
        elif not self.sigma > 0:
            wrong = f"sigma is above 0, not {self.sigma}"
        if wrong:
            raise SettingsError(f"tracks: {wrong}")


@dataclass
class _Track:
    """What is followed; without a number for as long as it may be a false alarm."""

    motion: Motion
    number: int | None = None
    hits: int = 1
    missed: int = 0
    places: list[tuple[Ids, int]] = field(default_factory=list)
    """Where its number is to be written once it has one."""


class Tracker:
    """Follows objects through the frames of one video.

    Args:
        options: how.

    >>> tracker = Tracker(TrackOptions(objects=2))  # doctest: +SKIP
    >>> for ids in tracker.follow(frames): ...  # doctest: +SKIP
    """

    def __init__(self, options: TrackOptions | None = None) -> None:
        self.options = options or TrackOptions()
        self._tracks: list[_Track] = []
        self._scores: deque[float] = deque(maxlen=_REMEMBERED)
        self._numbers = 0
        self._frames = 0

    def follow(self, frames: Iterable[Sequence[Found]]) -> Iterator[Ids]:
        """The numbers of each frame's objects, `birth` - 1 frames behind what was taken.

        Numbers count from 1; None is what belongs to no track: false alarms, objects of a low
        score, those found twice.
        """
        waiting: deque[Ids] = deque()
        for objects in frames:
            waiting.append(self._step(list(objects)))
            if len(waiting) >= self.options.birth:
                yield waiting.popleft()
        self._end()
        yield from waiting

    def _step(self, objects: list[Found]) -> Ids:
        ids: Ids = [None] * len(objects)
        for track in self._tracks:
            track.motion.predict(track.missed == 0)
            track.missed += 1
        scores = np.array([_score(found) for found in objects])
        self._scores.extend(scores.tolist())
        self._frames += 1
        sure, weak = self._stages(scores)
        known = [track for track in self._tracks if track.number is not None]
        left = self._assign(known, objects, sure, ids)
        active = [t for t in known if t.missed == 1]  # not found now, but in the frame before
        self._assign(active, objects, weak, ids)
        fresh = [track for track in self._tracks if track.number is None]
        left = self._assign(fresh, objects, left, ids)
        self._tracks = [t for t in self._tracks if self._lives(t)]
        self._begin(objects, left, ids)
        for track in sorted(self._tracks, key=lambda t: -t.hits):
            if track.number is None and track.hits >= self.options.birth:
                self._name(track)
        return ids

    def _stages(self, scores: Array) -> tuple[list[int], list[int]]:
        """Places of sure objects, the surest first, and of less sure ones."""
        middle = float(np.median(self._scores)) if self._scores else 0.0
        sure = _SURE * middle if self.options.sure is None else self.options.sure
        order = np.argsort(-scores, kind="stable").tolist()
        weak = min(sure, _WEAK * middle)
        return (
            [i for i in order if scores[i] >= sure],
            [i for i in order if weak <= scores[i] < sure],
        )

    def _assign(
        self, tracks: Sequence[_Track], objects: Sequence[Found], places: list[int], ids: Ids
    ) -> list[int]:
        """Give objects to tracks; returns the places of those that none took."""
        if not tracks or not places:
            return places
        options = self.options
        sigmas = np.full(len(objects[0].points), options.sigma)
        motions = [track.motion for track in tracks]
        likely = similarities(motions, [objects[i] for i in places], sigmas, options.by)
        # Of a track that may be anywhere, each single place is less likely.
        narrow = [(2 * options.sigma * motion.size) ** 2 for motion in motions]
        certain = np.sqrt([n / (n + motion.spread) for n, motion in zip(narrow, motions)])
        value = np.where(likely >= options.least, likely**_SHARPER * certain[:, None], 0.0)
        rows, columns = linear_sum_assignment(-value)
        taken: set[int] = set()
        for row, column in zip(rows.tolist(), columns.tolist()):
            if value[row, column] > 0:
                place, track = places[column], tracks[row]
                track.motion.correct(objects[place])
                track.missed, track.hits = 0, track.hits + 1
                ids[place] = track.number
                if track.number is None:
                    track.places.append((ids, place))
                taken.add(place)
        return [place for place in places if place not in taken]

    def _lives(self, track: _Track) -> bool:
        if track.number is None:
            return track.missed == 0
        return self.options.objects is not None or track.missed <= self.options.bridge

    def _begin(self, objects: Sequence[Found], places: Sequence[int], ids: Ids) -> None:
        """Begin tracks at objects that none goes on with, unless they were found already."""
        old = {place for track in self._tracks for own, place in track.places if own is ids}
        taken = [objects[i] for i, number in enumerate(ids) if number is not None or i in old]
        for place in places:
            found = objects[place]
            if not np.isfinite(found.points).any():
                continue
            sigmas = np.full(len(found.points), self.options.sigma)
            if all(alike(found, other, sigmas, self.options.by) < _TWICE for other in taken):
                self._tracks.append(_Track(Motion(found), places=[(ids, place)]))
                taken.append(found)

    def _name(self, track: _Track) -> None:
        """Give a track a number: a new one, or that of an object that was lost since."""
        limit = self.options.objects
        if limit is None or self._numbers < limit:
            self._numbers += 1
            number = self._numbers
        else:
            lost = [t for t in self._tracks if t.number is not None and t.missed >= track.hits]
            if not lost:
                return
            here = track.motion.state[:2]
            nearest = min(lost, key=lambda t: float(np.hypot(*(t.motion.state[:2] - here))))
            self._tracks.remove(nearest)
            assert nearest.number is not None
            number = nearest.number
        track.number = number
        for ids, place in track.places:
            ids[place] = number
        track.places = []

    def _end(self) -> None:
        """A video that is shorter than a birth: who was there all along is a track."""
        for track in self._tracks:
            if track.number is None and track.hits == self._frames:
                self._name(track)


def _score(found: Found) -> float:
    score = found.score if found.box_score is None else found.box_score
    return 1.0 if score is None or not np.isfinite(score) else float(score)


def track(frames: Iterable[Sequence[Found]], **options: object) -> Iterator[Ids]:
    """Follow objects through a video: for each frame its objects' numbers from 1, or None.

    Frames are taken as they come; answers are `birth` - 1 frames behind.

    Args:
        frames: the objects found in each frame, `Keypoints` for example; a frame in which nothing
            was found is an empty list.
        options: those of `TrackOptions`.

    Raises:
        SettingsError: for options that cannot be.
    """
    return Tracker(TrackOptions(**options)).follow(frames)  # type: ignore[arg-type]
