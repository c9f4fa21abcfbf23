"""`heatkp viz tracks`: what a biologist opens first."""

from __future__ import annotations

from pathlib import Path

import click

from heatkp.cli.common import png
from heatkp.files import writing

EXAMPLES = """\b
Examples:
  heatkp viz tracks predictions --out tracks.png
  heatkp viz tracks predictions/tracks.csv --point thorax --out thorax.png
"""


@click.command(epilog=EXAMPLES)
@click.argument("predictions", type=click.Path(), metavar="PREDICTIONS")
@click.option("--out", type=click.Path(), required=True, metavar="PNG",
              help="Of several videos, their numbers come before the extension.")  # fmt: skip
@click.option("--point", metavar="NAME",
              help="Draw this point.  [default: the mean of an object's points]")  # fmt: skip
def tracks(predictions: str, out: str, point: str | None) -> None:
    """Paths over a frame, and speed, score and gaps over time.

    PREDICTIONS is a folder that `heatkp predict --track` wrote, or its tracks.csv.
    """
    from heatkp.cli.console import PlainConsole, say
    from heatkp.viz.tracks import draw_tracks, gaps, read_paths

    target, console = png(out), PlainConsole()
    videos = read_paths(Path(predictions))
    for number, paths in enumerate(videos, 1):
        place = target
        if len(videos) > 1:
            place = target.with_name(f"{target.stem}-{number}{target.suffix}")
        with writing(place):
            draw_tracks(paths, place, point)
        first, last = int(paths.frames[0]), int(paths.frames[-1])
        say(console, f"{paths.source}, frames {first} to {last}:")
        for track, own in zip(paths.tracks, paths.seen):
            missing = gaps(own)
            longest = max((length for _, length in missing), default=0)
            say(
                console,
                f"  track {track}: in {int(own.sum())} of {len(own)} frames, {len(missing)} gaps"
                + (f", the longest of {longest} frames" if missing else ""),
            )
        say(console, f"Written to {place}")
