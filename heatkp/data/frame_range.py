"""Which frames of a video are looked at."""

from __future__ import annotations

import re
from dataclasses import dataclass

from heatkp.errors import SettingsError

_RANGE = re.compile(r"\s*(\d{1,12})?\s*(-|\.\.|:)\s*(\d{1,12})?\s*|\s*(\d{1,12})\s*")


@dataclass(frozen=True)
class FrameRange:
    """Every so many frames from one to another.

    Attributes:
        first: the first frame, counted from 0.
        last: the last one that may be looked at, or None for all that follow.
        every: 1 for each frame, 2 for every second one, and so on, from `first` on.
    """

    first: int = 0
    last: int | None = None
    every: int = 1

    def __contains__(self, number: int) -> bool:
        beyond = self.last is not None and number > self.last
        return number >= self.first and not beyond and (number - self.first) % self.every == 0

    def ends_before(self, number: int) -> bool:
        """Whether neither this frame nor a later one is looked at."""
        return self.last is not None and number > self.last

    def count(self, frames: int) -> int:
        """How many of a video's frames are looked at."""
        end = frames if self.last is None else min(frames, self.last + 1)
        return max(0, -(-(end - self.first) // self.every))

    def as_range(self, end: int = 10**12) -> range:
        """The numbers, below `end` where there is no last one."""
        return range(self.first, end if self.last is None else self.last + 1, self.every)


EVERY_FRAME = FrameRange()


def parse_frames(text: str, every: int = 1) -> FrameRange:
    """`800-1100` (both ends belong to it), `800-`, `-99`, or one number.

    Raises `SettingsError` for anything else.

    >>> parse_frames("800-1100"), parse_frames("7")
    (FrameRange(first=800, last=1100, every=1), FrameRange(first=7, last=7, every=1))
    """
    found = _RANGE.fullmatch(text)
    if found is None or not any(found.group(i) for i in (1, 3, 4)):
        raise SettingsError(
            f"--frames {text!r}: give the first and the last frame, counted from 0, such as "
            "800-1100, or 800- for all from there"
        )
    if found[4]:
        return FrameRange(int(found[4]), int(found[4]), every)
    first, last = int(found[1] or 0), None if found[3] is None else int(found[3])
    if last is not None and last < first:
        raise SettingsError(f"--frames {text!r}: the last frame comes before the first")
    return FrameRange(first, last, every)
