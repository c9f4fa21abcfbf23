"""`heatkp predict`: points on images and videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from heatkp.cli.common import parse_box
from heatkp.cli.options import NameOption, device_option, runtime_options
from heatkp.files import writing
from heatkp.registry import DETECTORS, PREDICTION_FORMATS

if TYPE_CHECKING:
    from heatkp.inference.batches import Boxes
    from heatkp.inference.detectors import Detector
    from heatkp.inference.predictor import Predictor
    from heatkp.inference.sources import FoundSources

EXAMPLES = """\b
Examples:
  heatkp predict me.jpg
  heatkp predict holidays/ 'more/**/*.png' clip.mp4 --format csv --format coco --out found
  heatkp predict me.jpg --box 210,80,420,330 --model runs/kl-1
  heatkp predict faces/ --boxes labels.xml --passes 2 --flip-test
  heatkp predict clip.mp4 --model runs/finder-softargmax-1 --max-objects 2
  heatkp predict me.jpg --format json --out - | jq '.images[].objects[].points[30]'
"""
DEFAULT = "predictions"


@click.command(epilog=EXAMPLES)
@click.argument("inputs", nargs=-1, required=True, metavar="IMAGES...")
@click.option("--model", default="face68", show_default=True, metavar="RUN",
              help="A run's folder, a file of weights, the name of a model that comes with "
              "heatkp, or a folder that heatkp export wrote.")  # fmt: skip
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
              help="What finds objects: {names}, or a RUN that holds a finder.  [default: the "
              "model's own finder, else the first that is installed]")  # fmt: skip
@click.option("--min-score", type=float, help="Leave out what the detector is less sure of; "
              "the scale is the detector's, 0 to 1 for a finder.")  # fmt: skip
@click.option("--max-objects", "--max-faces", "max_objects", type=click.IntRange(1),
              help="Take the surest so many of each image.")  # fmt: skip
@click.option("--nms", type=click.FloatRange(0, 1, min_open=True),
              help="Of two boxes that share more than this of their common area, leave out the "
              "less sure one.  [default: the detector's]")  # fmt: skip
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
              "[default: json]")  # fmt: skip
@click.option("--no-images", "--no-pictures", "no_images", is_flag=True,
              help="Write no copies with the points drawn.")  # fmt: skip
@click.option("--every", type=click.IntRange(1), default=1, show_default=True,
              help="Of videos, every so many frames.")  # fmt: skip
def predict(
    inputs: tuple[str, ...],
    out: str | None,
    formats: tuple[str, ...],
    no_images: bool,
    every: int,
    **options: Any,
) -> None:
    """Find the points on IMAGES: images, folders, patterns in quotes, or videos.

    Writes tables, and copies with the points drawn. Coordinates, of --box too, are pixels of the
    image as it is seen upright (turned as its EXIF entry says), with (0, 0) at the centre of the
    top-left pixel. A file that cannot be read, or a box outside its image, is named at the end
    (exit code 1), the others are done.
    """
    from heatkp.cli.console import PlainConsole, say
    from heatkp.cli.predict_output import predict_under_bar, tell
    from heatkp.inference.saving import require_one_table, require_sources
    from heatkp.inference.sources import find_sources, passed_over_note

    kinds = tuple(dict.fromkeys(formats)) or ("json",)
    piped = out == "-"
    if piped:
        require_one_table(kinds)
    console, aside = PlainConsole(stderr=piped), PlainConsole(stderr=True)
    found = find_sources(inputs)
    for folder in found.left_out:
        say(aside, f"left out, for it holds earlier predictions: {folder}")
    if note := passed_over_note(found.passed_over):
        say(aside, note)
    require_sources(found)
    target = None if piped else _free_folder(out)
    request = asked(found, Options(**options))
    for note in (_terms(request.options.model), _framing(request), *request.notes):
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
        batch_size=given.batch_size,
        passes=given.passes,
        flip_test=given.flip_test,
        model=given.model,
        boxes_from=list(given.edges) or given.where,
    )
    tell(console, summary, target, kinds)


class Options(NamedTuple):
    """How points are found: options of the command."""

    model: str
    where: str | None = None
    edges: tuple[str, ...] = ()
    detector: str | None = None
    min_score: float | None = None
    max_objects: int | None = None
    nms: float | None = None
    tile: int | None = None
    passes: int | None = None
    flip_test: bool = False
    batch_size: int = 16
    device: str = "auto"
    runtime: str | None = None
    precision: str | None = None


class Request(NamedTuple):
    """A model that is ready, and what it is given as boxes."""

    options: Options
    predictor: Predictor
    boxes: Boxes | str
    notes: tuple[str, ...] = ()


def _framing(request: Request) -> str:
    """What is said of a model that was trained on boxes and gets none; empty for others."""
    unasked = request.boxes == "image" and request.options.where in (None, "auto")
    if request.predictor.framing.box_scale is None or not unasked:
        return ""
    return (
        "the model was trained on boxes and there are none, so it looks at whole images, one "
        "object each: give --boxes or --box, or train one that finds its objects with heatkp "
        "train --task finder+points"
    )


def _terms(model: str) -> str:
    """What the card of a model that comes with heatkp says of its terms; empty for others."""
    import re

    from heatkp.runs import weights_path

    if Path(model).exists():
        return ""
    path = weights_path(model)
    card = path.with_suffix(".md")
    if not card.is_file():
        return ""
    text = " ".join(card.read_text(encoding="utf-8").split())
    terms = re.search(r"\*\*Terms\.\*\* (.+?\.) ", text)
    return f"{model}: {terms[1]} See {card}" if terms else f"{model}: see {card}"


def _free_folder(out: str | None) -> Path:
    """The folder to make. Raises `SettingsError` where there is something already."""
    import os

    from heatkp.files import require_new

    if out is None:
        number, folder = 1, Path(DEFAULT)
        while os.path.lexists(folder):
            number += 1
            folder = Path(f"{DEFAULT}-{number}")
    else:
        folder = Path(out)
    require_new(folder)
    return folder


def asked(found: FoundSources, options: Options) -> Request:
    """Open the model, the detector and the boxes. Raises `HeatkpError`s."""
    from heatkp.errors import SettingsError
    from heatkp.inference.predictor import load_model
    from heatkp.inference.regions import SEARCHED

    if options.edges and options.where is not None:
        raise SettingsError("--box says where the objects are: leave out --boxes")
    predictor = load_model(
        options.model, options.device, runtime=options.runtime, precision=options.precision
    )
    boxes, notes = _given_boxes(found, options, predictor.image_options.orient)
    if predictor.framing.box_scale is None and (callable(boxes) or boxes in SEARCHED):
        raise SettingsError(
            f"{options.model} was trained on whole images and takes no boxes: leave them out"
        )
    predictor.engine.check(options.passes or 1, options.flip_test)
    if boxes == "auto":
        looks = predictor.finds_objects or (
            options.detector is not None and predictor.framing.box_scale is not None
        )
        boxes = "objects" if looks else "image"
    of_detector = {
        "--detector": options.detector,
        "--min-score": options.min_score,
        "--max-objects": options.max_objects,
        "--nms": options.nms,
        "--tile": options.tile,
    }
    if boxes in SEARCHED:
        if boxes == "faces" or options.detector is not None or predictor.finds_objects:
            predictor.detector = _detector(predictor, options)
        predictor.check_boxes(str(boxes))
    elif given := [name for name, value in of_detector.items() if value is not None]:
        raise SettingsError(
            f"{given[0]} is about a detector, but none is used here: leave it out, or add "
            "--boxes objects"
        )
    return Request(options, predictor, boxes, notes)


def _detector(predictor: Predictor, options: Options) -> Detector:
    """What finds the model's objects, with the options of the command.

    Raises `SettingsError` and `CheckpointError` for a detector that is none.
    """
    from heatkp.errors import SettingsError
    from heatkp.inference.batches import PickyDetector
    from heatkp.inference.finder import Finder, open_detector
    from heatkp.inference.tiles import SMALLEST, Tiled

    if options.tile and options.tile < SMALLEST:
        raise SettingsError(f"--tile {options.tile}: a tile is {SMALLEST} pixels wide or more")
    own = predictor.detector
    if options.detector is not None or isinstance(own, str):
        own = open_detector(options.detector or str(own), options.device)
    least, most, nms = options.min_score, options.max_objects, options.nms
    if isinstance(own, Finder):
        return own.with_options(min_score=least, most=most, nms=nms, tile=options.tile)
    return PickyDetector(Tiled(own, options.tile) if options.tile else own, least, most, nms)


def _given_boxes(
    found: FoundSources, options: Options, upright: bool
) -> tuple[Boxes | str, tuple[str, ...]]:
    """`auto`, `objects`, `faces`, `image`, or what gives the boxes of --box or of a file, which are
    `upright` where the model's labels were; and notes."""
    from heatkp.errors import SettingsError
    from heatkp.inference.box_files import BoxFile

    if options.edges:
        return _typed_boxes(found, options.edges), ()
    where = options.where or "auto"
    if where in ("auto", "objects", "faces", "image"):
        return where, ()
    path = Path(where)
    if not path.is_file():
        raise SettingsError(
            f"--boxes {where}: there is no such file; give auto, objects, image, or a file"
        )
    file = BoxFile(path, [source.path for source in found.sources], upright)
    return file.find, file.notes


def _typed_boxes(found: FoundSources, texts: Sequence[str]) -> Boxes:
    """Raises `SettingsError` for text that is no box, or another number than of images."""
    import numpy as np

    from heatkp.errors import SettingsError

    boxes = np.array([parse_box(text) for text in texts])
    if found.failures:  # a box would go to another image than was meant
        failure = found.failures[0]
        raise SettingsError(f"{failure.name}: {failure.reason}; with --box no image may be missing")
    files = [source.path for source in found.sources]
    if len(files) == 1:
        return lambda input_image: boxes
    if len(files) != len(texts):
        raise SettingsError(
            f"--box: {len(texts)} boxes for {len(files)} images; give one for each, in their "
            "order, or name the boxes of many in a file with --boxes"
        )
    own = {file: boxes[i : i + 1] for i, file in enumerate(files)}
    return lambda input_image: own[input_image.file]


def _make(folder: Path, numbered: bool) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=not numbered)
