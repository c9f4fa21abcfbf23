"""`heatkp predict`: points on images and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from heatkp.cli.options import NameOption, device_option, runtime_options
from heatkp.cli.tracking_options import Following, tracking_options
from heatkp.files import writing
from heatkp.registry import DETECTORS, PREDICTION_FORMATS

EXAMPLES = """\b
Examples:
  heatkp predict me.jpg
  heatkp predict holidays/ 'more/**/*.png' clip.mp4 --format csv --format coco --out found
  heatkp predict me.jpg --box 210,80,420,330 --model runs/kl-1
  heatkp predict faces/ --boxes labels.xml --passes 2 --flip-test
  heatkp predict clip.mp4 --model runs/finder-softargmax-1 --max-objects 2
  heatkp predict photos/ --shard 3/100 --out found
  heatkp predict --merge found --format parquet
  heatkp predict clip.mp4 --model runs/ce-1 --boxes boxes.json --frames 800-1100 --track
  heatkp predict me.jpg --format json --out - | jq '.images[].objects[].points[30]'
"""
DEFAULT = "predictions"


@click.command(epilog=EXAMPLES)
@click.argument("inputs", nargs=-1, metavar="IMAGES...")
@click.option("--list", "listed", metavar="FILE",
              help="Predict on the files named in FILE, too, a path a line; - is standard input.",
              )  # fmt: skip
@click.option("--model", default="face68", show_default=True, metavar="RUN",
              help="A run's folder, a file of weights, the name of a model that comes with "
              "heatkp, hf://OWNER/NAME on the Hugging Face hub, or a folder that heatkp export "
              "wrote.")  # fmt: skip
@click.option("--boxes", "where", metavar="HOW",
              help="Where the objects are: `objects` finds them, with the run's own finder or a "
              "detector of faces, `image` takes the whole image, a "
              "FILE with boxes (imglab .xml, COCO .json) says so, in pixels as for training (as "
              "stored, unless data.orient); `auto` is `objects` for a model that can find them, "
              "else `image`.  [default: auto]")  # fmt: skip
@click.option("--box", "edges", multiple=True, metavar="X0,Y0,X1,Y1",
              help="Edges of the object: one for each of several images, in their order, or any "
              "number for one image or video.")  # fmt: skip
@click.option("--detector", cls=NameOption, registry=DETECTORS,
              help="What finds objects: {names}, or a RUN that holds a finder, also on the hub "
              "(hf://owner/name).  [default: the model's own finder, else the first that is "
              "installed]")  # fmt: skip
@click.option("--min-score", type=float, help="Leave out what the detector is less sure of; "
              "the scale is the detector's, 0 to 1 for a finder.")  # fmt: skip
@click.option("--max-objects", "--max-faces", "max_objects", type=click.IntRange(1),
              help="Take the surest so many of each image.")  # fmt: skip
@click.option("--nms", type=click.FloatRange(0, 1, min_open=True),
              help="Of two boxes that share more than this of their common area, leave out the "
              "less sure one.  [default: the detector's]")  # fmt: skip
@click.option("--nms-oks", type=click.FloatRange(0, 1, min_open=True),
              help="Of two objects whose points are more alike than this (OKS, 1 where all agree), "
              "leave out the less sure one: 0.9, say.  [default: both stay]")  # fmt: skip
@click.option("--min-point-score", type=click.FloatRange(0, 1),
              help="Take points that are scored below this for absent: they are left out of "
              "tables and drawings.  [default: all points]")  # fmt: skip
@click.option("--tile", type=click.IntRange(0), metavar="PIXELS",
              help="Look for objects in overlapping squares of this side, for small objects in "
              "large images; 0: in whole images.  [default: the finder's]")  # fmt: skip
@click.option("--passes", type=click.IntRange(1, 2),
              help="2: look again, at a box around what was found first.  [default: the model's]"
              )  # fmt: skip
@click.option("--flip-test", is_flag=True, help="Average with the mirrored image.")
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@device_option
@runtime_options
@click.option("--out", metavar="FOLDER",
              help=f"A new folder, or - for standard output.  [default: {DEFAULT}, or "
              f"{DEFAULT}-2 ...]")  # fmt: skip
@click.option("--format", "formats", cls=NameOption, registry=PREDICTION_FORMATS, also=(),
              multiple=True, help="Tables and label sets to write: {names}; may be repeated.  "
              "[default: json; with --track also tracks]")  # fmt: skip
@click.option("--no-images", "--no-pictures", "no_images", is_flag=True,
              help="Write no copies with the points drawn.")  # fmt: skip
@click.option("--every", type=click.IntRange(1), default=1, show_default=True,
              help="Of videos, every so many frames.")  # fmt: skip
@click.option("--shard", "shard", metavar="I/N",
              help="Predict on the I-th of N shards of the inputs, I from 1, into a --out FOLDER "
              "that all shards share; copies are not drawn. The same command goes on where it was "
              "stopped.")  # fmt: skip
@click.option("--part-size", type=click.IntRange(1), metavar="IMAGES",
              help="Of a shard, how many images are written at a time.  [default: 1000]",
              )  # fmt: skip
@click.option("--merge", "merged", metavar="FOLDER",
              help="Join the shards' results in FOLDER, if none is missing, into --format, in "
              "--out.  [default: FOLDER/merged]")  # fmt: skip
@tracking_options
def predict(
    inputs: tuple[str, ...],
    listed: str | None,
    shard: str | None,
    part_size: int | None,
    merged: str | None,
    out: str | None,
    formats: tuple[str, ...],
    no_images: bool,
    every: int,
    following: Following,
    **options: Any,
) -> None:
    """Find the points on IMAGES: images, folders, patterns in quotes, videos, or tars of images.

    Writes tables, and copies with the points drawn. Coordinates, of --box too, are pixels of the
    image as it is seen upright (turned as its EXIF entry says), with (0, 0) at the centre of the
    top-left pixel. A file that cannot be read, or a box outside its image, is named at the end
    (exit code 1), the others are done.

    For millions of images: docs/many_images.md.
    """
    if (shard is not None or merged is not None) and following != Following():
        raise click.UsageError(
            "--frames and --track look at whole videos: leave them out with --shard and --merge"
        )
    if merged is not None:
        from heatkp.cli.predict_shards import merge

        return merge(Path(merged), out, formats)
    if not inputs and listed is None:
        raise click.UsageError("Missing argument 'IMAGES...': name images, or a --list of them.")
    if shard is not None:
        from heatkp.cli.predict_shards import predict_one

        return predict_one(inputs, listed, shard, out, every, part_size, options)
    if part_size is not None:
        raise click.UsageError("--part-size is of shards: add --shard, such as --shard 1/1")
    from heatkp.cli.console import PlainConsole, say
    from heatkp.cli.predict_output import predict_under_bar, tell
    from heatkp.cli.predict_request import Options, asked, find_all, framing_note, terms_note
    from heatkp.inference.saving import require_one_table, require_sources
    from heatkp.inference.sources import passed_over_note

    kinds = tuple(dict.fromkeys(formats)) or following.default_formats
    following_options = following.for_saving()
    piped = out == "-"
    if piped:
        require_one_table(kinds)
    console, aside = PlainConsole(stderr=piped), PlainConsole(stderr=True)
    found = find_all(inputs, listed)
    for folder in found.left_out:
        say(aside, f"left out, for it holds earlier predictions: {folder}")
    if note := passed_over_note(found.passed_over):
        say(aside, note)
    require_sources(found)
    target = None if piped else _free_folder(out, following.track)
    request = asked(found, Options(**options))
    for note in (terms_note(request.options.model), framing_note(request), *request.notes):
        if note:
            say(aside, note)
    if target is not None:
        _make(target, numbered=out is None)
    given = request.options
    summary = predict_under_bar(
        aside,
        request.predictor,
        found,
        target,
        kinds,
        boxes=request.boxes,
        drawn=not (no_images or piped),
        every=every,
        **following_options,
        batch_size=given.batch_size,
        passes=given.passes,
        flip_test=given.flip_test,
        nms_oks=given.nms_oks,
        min_point_score=given.min_point_score,
        model=given.model,
        boxes_from=list(given.edges) or given.where,
    )
    tell(console, summary, target, kinds)


def _free_folder(out: str | None, track: bool) -> Path:
    """The folder to make, or that of a tracked prediction that goes on. Raises `SettingsError`
    where there is something else already."""
    import os

    from heatkp.files import require_new
    from heatkp.inference.keeping import is_unfinished

    if out is None:
        number, folder = 1, Path(DEFAULT)
        while os.path.lexists(folder):
            number += 1
            folder = Path(f"{DEFAULT}-{number}")
    else:
        folder = Path(out)
        if track and is_unfinished(folder):
            return folder
    require_new(folder)
    return folder


def _make(folder: Path, numbered: bool) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=not numbered)
