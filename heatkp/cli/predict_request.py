"""How points are found, by the options of `heatkp predict`: a model that is ready, and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from heatkp.cli.common import parse_box

if TYPE_CHECKING:
    from heatkp.inference.batches import Boxes
    from heatkp.inference.detectors import Detector
    from heatkp.inference.predictor import Predictor
    from heatkp.inference.sources import FoundSources


def find_all(inputs: Sequence[str], listed: str | None) -> FoundSources:
    """What arguments and a list of files mean. Raises `DataError` for a list that is none."""
    from heatkp.inference.arguments import PathList
    from heatkp.inference.sources import find_sources

    if listed is None:
        return find_sources(inputs)
    with PathList(listed) as paths:
        return find_sources(inputs, paths)


class Options(NamedTuple):
    """How points are found: options of the command."""

    model: str
    where: str | None = None
    edges: tuple[str, ...] = ()
    detector: str | None = None
    min_score: float | None = None
    max_objects: int | None = None
    nms: float | None = None
    nms_oks: float | None = None
    min_point_score: float | None = None
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


def framing_note(request: Request) -> str:
    """What is said of a model that was trained on boxes and gets none; empty for others."""
    unasked = request.boxes == "image" and request.options.where in (None, "auto")
    if not request.predictor.framing.takes_boxes or not unasked:
        return ""
    return (
        "the model was trained on boxes and there are none, so it looks at whole images, one "
        "object each: give --boxes or --box, or train one that finds its objects with heatkp "
        "train --task finder+points"
    )


def terms_note(model: str) -> str:
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


def asked(found: FoundSources, options: Options, paths: Sequence[Path] | None = None) -> Request:
    """Open the model, the detector and the boxes. Raises `HeatkpError`s.

    `paths` are of all inputs, where a file of boxes is to know more than what was found.
    """
    from heatkp.errors import SettingsError
    from heatkp.inference.predictor import load_model
    from heatkp.inference.regions import SEARCHED

    if options.edges and options.where is not None:
        raise SettingsError("--box says where the objects are: leave out --boxes")
    predictor = load_model(
        options.model, options.device, runtime=options.runtime, precision=options.precision
    )
    if paths is None:
        paths = [source.path for source in found.sources]
    boxes, notes = _given_boxes(found, options, paths, predictor.image_options.orient)
    if not predictor.framing.takes_boxes and (callable(boxes) or boxes in SEARCHED):
        raise SettingsError(
            f"{options.model} was trained on whole images and takes no boxes: leave them out"
        )
    predictor.engine.check(options.passes or 1, options.flip_test)
    if boxes == "image":
        predictor.check_boxes(boxes)
    if boxes == "auto":
        looks = predictor.finds_objects or (
            options.detector is not None and predictor.framing.takes_boxes
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
    found: FoundSources, options: Options, paths: Sequence[Path], upright: bool
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
    file = BoxFile(path, paths, upright)
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
