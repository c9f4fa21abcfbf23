"""What a format cannot hold is taken out of labels before they are written, and counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from heatkp.data.samples import Visibility
from heatkp.data.writers._base import Holds, LabelWriter, Object
from heatkp.skeletons import Skeleton


class Losses:
    """Counts what a format does not hold.

    Args:
        writer: the format.
    """

    def __init__(self, writer: LabelWriter) -> None:
        self._writer, self._counts = writer, dict[str, int]()

    def add(self, what: str, count: int = 1) -> None:
        if count:
            self._counts[what] = self._counts.get(what, 0) + count

    def skeleton(self, skeleton: Skeleton) -> None:
        """Count what is not held of the layout."""
        lacks = self._lacks
        if lacks(Holds.NAMES):
            numbered = {f"point_{k}" for k in range(len(skeleton))}
            self.add("names of points, which get numbers", len({*skeleton.point_names} - numbered))
        if lacks(Holds.PAIRS) and skeleton.sides_from not in ("", "name"):
            self.add("left-right pairs of points", len(skeleton.pairs))
        known = not skeleton.sides_from and not lacks(Holds.NAMES)  # its names bring its lines back
        if lacks(Holds.LINES) and not known:
            self.add("lines between points", len(skeleton.lines))

    def _lacks(self, what: Holds) -> bool:
        return what not in self._writer.holds

    def kept(self, found: Object, size: tuple[int, int] | None) -> Object | None:
        """The object as the format can hold it; None where it cannot."""
        lacks = self._lacks
        if found.sample.ignored and lacks(Holds.IGNORED):
            self.add("objects that labels say to ignore, left out")
            return None
        if lacks(Holds.OUTSIDE) and size is not None:
            edges = np.array(size) - 0.5
            with np.errstate(invalid="ignore"):
                out = np.asarray(((found.points < -0.5) | (found.points > edges)).any(1))
            self.add("points outside their image, not labelled now", int(out.sum()))
            found = found.without(out)
            if out.any() and not found.labelled.any() and found.box is None:
                self.add("objects outside their image, left out")
                return None
        labelled = found.labelled
        if not labelled.any() and len(labelled) and lacks(Holds.BARE):
            self.add("objects without a labelled point, left out")
            return None
        if labelled.any() and not labelled.all() and lacks(Holds.MISSING):
            self.add("objects of which a point is not labelled, left out")
            return None
        if lacks(Holds.OCCLUSION):
            hidden = found.visibility == Visibility.OCCLUDED
            self.add("occluded points, visible now", int(hidden.sum()))
            codes = np.where(hidden, Visibility.VISIBLE, found.visibility).astype(np.uint8)
            found = replace(found, visibility=codes)
        sample, scores = found.sample, found.scores
        told: list[tuple[Holds, str, Callable[[], bool]]] = [
            (Holds.BOXES, "boxes", lambda: found.box is not None),
            (Holds.PERSONS, "names of persons", lambda: sample.person is not None),
            (Holds.TRACKS, "tracks", lambda: sample.track is not None),
            (Holds.SPLITS, "samples' parts of a split", lambda: sample.split is not None),
            (Holds.VIDEOS, "videos that samples are of", lambda: sample.video is not None),
            (Holds.SCORES, "scores of objects", lambda: scores is not None),
        ]
        for what, words, there in told:
            if lacks(what):
                self.add(words, there())
        if lacks(Holds.BOXES):
            found = replace(found, box=None)
        return replace(found, scores=None) if lacks(Holds.SCORES) else found

    def first(self, objects: Sequence[Object]) -> tuple[Object, ...]:
        """The objects of an image, one where the format holds no more."""
        if not self._lacks(Holds.SEVERAL):
            return tuple(objects)
        self.add("further objects of their images, left out", len(objects[1:]))
        return tuple(objects[:1])

    def notes(self) -> list[str]:
        """A line for each kind of thing."""
        name = self._writer.name
        return [f"{name} cannot hold {what}: {count}" for what, count in self._counts.items()]
