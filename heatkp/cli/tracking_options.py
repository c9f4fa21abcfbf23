"""Options of `heatkp predict` about videos: which frames, tracks, smoothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import click


class Following(NamedTuple):
    """What was asked for."""

    frames: str | None = None
    track: bool = False
    objects: int | None = None
    bridge: int | None = None
    smooth: bool = False

    @property
    def default_formats(self) -> tuple[str, ...]:
        """Tables that are written where none is named."""
        return ("json", "tracks") if self.track else ("json",)

    def for_saving(self) -> dict[str, Any]:
        """Arguments of `save_predictions`. Raises `SettingsError` for what cannot be."""
        from heatkp.data.frame_range import EVERY_FRAME, parse_frames
        from heatkp.errors import SettingsError
        from heatkp.tracking import SmoothOptions, TrackOptions

        frames = EVERY_FRAME if self.frames is None else parse_frames(self.frames)
        if not self.track:
            for name, value in (("--objects", self.objects), ("--bridge", self.bridge)):
                if value is not None:
                    raise SettingsError(f"{name} is about tracks: add --track, or leave it out")
            if self.smooth:
                raise SettingsError("--smooth smooths tracks: add --track, or leave it out")
            return {"frames": frames}
        bridge: dict[str, Any] = {} if self.bridge is None else {"bridge": self.bridge}
        return {
            "frames": frames,
            "tracking": TrackOptions(objects=self.objects, **bridge),
            "smoothing": SmoothOptions(**bridge) if self.smooth else None,
        }


def tracking_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--frames`, `--track`, `--objects`, `--bridge` and `--smooth`, given as `following`."""

    @wraps(command)
    def with_following(
        frames: str | None,
        track: bool,
        objects: int | None,
        bridge: int | None,
        smooth: bool,
        **others: Any,
    ) -> Any:
        return command(following=Following(frames, track, objects, bridge, smooth), **others)

    made: Callable[..., Any] = with_following
    for option in reversed((
        click.option("--frames", metavar="A-B",
                     help="Of videos, only these frames, counted from 0: 800-1100, 800- or 7."),
        click.option("--track", is_flag=True,
                     help="Follow objects through videos, and through the images of a folder: "
                     "each gets a number."),
        click.option("--objects", type=click.IntRange(1),
                     help="With --track: how many objects there are. A frame then has no more, "
                     "and no track ends."),
        click.option("--bridge", type=click.IntRange(0), metavar="FRAMES",
                     help="With --track: how long an object may be lost, and with --smooth the "
                     "longest gap that is filled.  [default: 30, and 15]"),
        click.option("--smooth", is_flag=True,
                     help="With --track: smooth the paths of points, by their covariances; what "
                     "was found is kept beside."),
    )):  # fmt: skip
        made = option(made)
    return made
