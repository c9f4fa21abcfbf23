"""Many images and videos into tables and drawn copies, whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import heatkp
from heatkp.data.frame_range import EVERY_FRAME, FrameRange
from heatkp.data.predicted import MADE_BY, SUMMARY
from heatkp.errors import DataError, HeatkpError, SettingsError
from heatkp.files import require_new, write_text, writing
from heatkp.inference.batches import Boxes, Prediction, predictions
from heatkp.inference.drawing import DrawnImages
from heatkp.inference.keeping import KeptFrames, begun, is_unfinished, manifest_of
from heatkp.inference.predictor import Predictor
from heatkp.inference.regions import SEARCHED
from heatkp.inference.sources import (
    Failure,
    FoundSources,
    InputImage,
    find_sources,
    read_images,
)
from heatkp.inference.tracked import tracked
from heatkp.inference.writers import About, Writer, create_writer, prints
from heatkp.registry import WRITERS
from heatkp.text import json_text, name_to_text
from heatkp.tracking import SmoothOptions, TrackOptions


@dataclass
class Summary:
    """What came of many images; a video's frames are images.

    Attributes:
        failures: what could not be used, and why.
        images, objects: how many were looked at, and how many objects were found.
        turned: how many are stored turned (EXIF).
        seconds: that it took.
        without_object, without_box, first_page: names of those in which nothing was found, of those
            that a file of boxes does not know, and of files with more pages.
        passed_over: other files in folders, by extension.
        complete: False where it was stopped before the end.
        written: files and folders.
        notes: one line for each kind of thing that a format cannot hold.
    """

    failures: list[Failure]
    images: int = 0
    objects: int = 0
    turned: int = 0
    seconds: float = 0.0
    without_object: list[str] = field(default_factory=list)
    without_box: list[str] = field(default_factory=list)
    first_page: list[str] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)
    complete: bool = False
    written: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def save_predictions(
    predictor: Predictor,
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | FoundSources,
    out: str | PathLike[str] | None,
    formats: Sequence[str] = ("json",),
    *,
    boxes: Boxes | str | None = None,
    drawn: bool = True,
    every: int = 1,
    frames: FrameRange = EVERY_FRAME,
    tracking: TrackOptions | None = None,
    smoothing: SmoothOptions | None = None,
    batch_size: int = 16,
    passes: int | None = None,
    flip_test: bool = False,
    nms_oks: float | None = None,
    min_point_score: float | None = None,
    model: str = "",
    boxes_from: str | Sequence[str] | None = None,
    progress: Callable[[int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Points on images and videos, in a folder as `heatkp predict` makes it.

    An image that cannot be used, or a box outside it, is among the `failures`; the others are done.
    With `tracking`, what is found is kept in the folder until all is done: the same call goes on
    where another one was stopped or killed, and gives what that would have given.

    Args:
        images: files, folders, patterns, or what `find_sources` made of them.
        out: a folder, made where there is none; None prints one table on standard output.
        formats: names of tables (`WRITERS`) and of label sets (`LABEL_WRITERS`), one each.
        boxes: `objects`, `faces` or `image` as `Predictor.predict` takes them, or a function that
            gives an image's boxes (N, 4) as edges in its pixels. None: `objects` for a model that
            can find them, else `image`.
        drawn: whether to write copies with the points drawn, too.
        every: of videos, every so many frames.
        frames: of videos, which frames.
        tracking: follow objects through videos, and through the images of a folder in their order;
            what belongs to no track is left out.
        smoothing: smooth the tracks; what was found is kept in `Keypoints.raw`.
        batch_size, passes, flip_test, nms_oks, min_point_score: as in `Predictor.predict`.
        model: how tables name it.
        boxes_from: what tables say of boxes that a function gives.
        progress: is told how many images are done.
        stop: is asked after each; True ends the work, and what was found so far is written.

    Raises:
        DataError: where there is nothing to look at.
        SettingsError: for a folder that holds something, or cannot be written, and options that
            do not fit the model.

    >>> done = save_predictions(load_model("face68"), "holidays/", "found")  # doctest: +SKIP
    >>> done.images, done.written  # doctest: +SKIP
    """
    formats = tuple(dict.fromkeys(formats))
    if smoothing is not None and tracking is None:
        raise SettingsError("smoothing is of tracks: ask for tracking, too (--track)")
    folder = None if out is None else Path(out)
    if folder is None:
        require_one_table(formats)
        drawn = False
    elif tracking is None or not is_unfinished(folder):
        require_new(folder)
    predictor.engine.check(passes or 1, flip_test)
    if not isinstance(images, FoundSources):
        paths = [images] if isinstance(images, str | PathLike) else images
        images = find_sources([fspath(path) for path in paths])
    require_sources(images)
    boxes = predictor.ready_for(boxes)
    record = options_record(
        predictor, boxes, boxes_from, passes, flip_test, nms_oks, min_point_score
    )
    manifest: dict[str, Any] = {}
    if tracking is not None and folder is not None:
        manifest = manifest_of(
            predictor, images.sources, dict(record), boxes_from, every=every, frames=repr(frames),
            batch_size=batch_size, formats=formats, drawn=drawn,
        )  # fmt: skip
    if tracking is not None:
        record["track"] = {"objects": tracking.objects, "smooth": smoothing is not None}
    passed_over = {suffix: count for suffix, (count, _) in images.passed_over.items()}
    summary = Summary(list(images.failures), passed_over=passed_over)
    sources, options = images.sources, predictor.image_options
    inputs = read_images(sources, every, options, frames)

    def found_in(some: Iterable[InputImage | Failure]) -> Iterator[Prediction | Failure]:
        return predictions(
            predictor, some, boxes, batch_size, passes=passes, flip_test=flip_test,
            nms_oks=nms_oks, min_point_score=min_point_score,
        )  # fmt: skip

    kept: KeptFrames | None = None
    if tracking is None:
        results = found_in(inputs)
    else:
        inputs = _until(inputs, stop)
        if folder is not None:
            kept = begun(folder, manifest, predictor.skeleton)
        results = kept.over(inputs, batch_size, found_in) if kept else found_in(inputs)
    results = _counted(results, progress)
    if tracking is not None:

        def again(files: set[Path]) -> Iterator[InputImage | Failure]:
            own = [source for source in sources if source.path in files]
            return read_images(own, every, options, frames)

        results = tracked(results, tracking, smoothing, again)
    writers: list[Writer] = []
    with writing(folder or Path("standard output")):
        try:
            # Before the first image, for it also marks a folder whose run is killed.
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                write_summary(folder, model, record, summary)
            # One by one, so that a failure leaves those before it to be discarded.
            for name in formats:
                about = About(model, predictor.skeleton, record)
                writers.append(create_writer(name, folder, about))
            if drawn and folder is not None:
                writers.append(DrawnImages(folder, tracking is not None))
            start, known = time.perf_counter(), set(summary.failures)
            stopped = False
            for item in results:
                if not isinstance(item, Failure):
                    add_prediction(writers, summary, item)
                elif item not in known:  # each frame of a video may give the same
                    summary.failures.append(item)
                    known.add(item)
                if (stopped := stop()) and tracking is None:
                    break
            summary.seconds = time.perf_counter() - start
            for writer in writers:
                summary.written += writer.finish(summary.failures, not stopped)
                summary.notes += getattr(writer, "notes", ())
            summary.complete = not stopped
            if kept is not None and not stopped:
                kept.remove()
            if folder is not None:
                write_summary(folder, model, record, summary)
                summary.written.append(folder / SUMMARY)
        finally:
            for writer in writers:
                writer.discard()
            if kept is not None:
                kept.close()
    return summary


def _counted(
    results: Iterator[Prediction | Failure], progress: Callable[[int], None] | None
) -> Iterator[Prediction | Failure]:
    """Tells how many are done."""
    for done, item in enumerate(results, 1):
        if progress is not None:
            progress(done)
        yield item


def _until(
    inputs: Iterator[InputImage | Failure], stop: Callable[[], bool]
) -> Iterator[InputImage | Failure]:
    """No more images once it is to stop; what was read goes its way."""
    for item in inputs:
        yield item
        if stop():
            return


def require_sources(found: FoundSources) -> None:
    """Raises `DataError` where there is nothing to look at."""
    if not found.sources:
        why = "; ".join(f"{failure.name}: {failure.reason}" for failure in found.failures)
        raise DataError(f"no image found. {why}")


def require_one_table(formats: Sequence[str]) -> None:
    """Raises `SettingsError` where standard output cannot take these formats."""
    if len(formats) != 1 or not prints(formats[0]):
        able = ", ".join(filter(prints, WRITERS.usable()))
        raise SettingsError(
            f"--out - prints a single table: choose one --format of {able}, or name a folder "
            "with --out"
        )


def options_record(
    predictor: Predictor,
    boxes: Boxes | str,
    boxes_from: str | Sequence[str] | None,
    passes: int | None,
    flip_test: bool,
    nms_oks: float | None = None,
    min_point_score: float | None = None,
) -> dict[str, Any]:
    """The options that results depend on, as they were understood."""
    record: dict[str, Any] = {"boxes": boxes if isinstance(boxes, str) else boxes_from}
    if boxes in SEARCHED:
        detector = predictor.detector
        record["detector"] = detector if isinstance(detector, str) else detector.name
        record["min_score"] = getattr(detector, "min_score", None)
        record["max_objects"] = getattr(detector, "most", None)
        for option in ("nms", "tile"):
            if getattr(detector, option, None):
                record[option] = getattr(detector, option)
    passes = passes or predictor.usual_passes
    if nms_oks is not None:
        record["nms_oks"] = nms_oks
    if min_point_score is not None:
        record["min_point_score"] = min_point_score
    return {**record, "passes": passes, "flip_test": flip_test}


def add_prediction(writers: Sequence[Writer], summary: Summary, prediction: Prediction) -> None:
    """Give writers an image, and count it."""
    input_image, objects = prediction
    if objects is None:
        summary.without_box.append(input_image.name)
        return
    summary.images += 1
    summary.objects += len(objects)
    summary.turned += input_image.orientation != 1
    if input_image.pages > 1:
        summary.first_page.append(input_image.name)
    if not objects:
        summary.without_object.append(input_image.name)
    for writer in writers:
        try:
            writer.add(input_image, objects)
        except HeatkpError as error:
            summary.failures.append(Failure(input_image.name, str(error)))


def write_summary(folder: Path, model: str, record: dict[str, Any], summary: Summary) -> None:
    """Leave a `Summary` in a folder, which also marks it as one of predictions."""
    values = {
        "made_by": MADE_BY,
        "heatkp": heatkp.__version__,
        "model": model,
        "options": record,
        "complete": summary.complete,
        "images": summary.images,
        "objects": summary.objects,
        "seconds": round(summary.seconds, 3),
        "turned_by_exif": summary.turned,
        "without_object": list(map(name_to_text, summary.without_object)),
        "without_box": list(map(name_to_text, summary.without_box)),
        "first_page_only": list(map(name_to_text, summary.first_page)),
        "passed_over": summary.passed_over,
        "notes": summary.notes,
        "written": [name_to_text(path.name) for path in summary.written],
        "errors": [failure.as_dict() for failure in summary.failures],
    }
    write_text(folder / SUMMARY, json_text(values, indent=1) + "\n")
