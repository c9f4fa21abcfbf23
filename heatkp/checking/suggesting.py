"""`heatkp data suggest`: which images, and frames of videos, to label next."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import heatkp
from heatkp.checking.doubt import choose, features, together
from heatkp.checking.looking import REASONS, Labelled, Looked, in_time, looks
from heatkp.data.predicted import MADE_BY, SUMMARY
from heatkp.errors import DataError, SettingsError
from heatkp.files import new_folder, require_new, write_text
from heatkp.inference.batches import Boxes
from heatkp.inference.predictor import Predictor
from heatkp.inference.saving import require_sources
from heatkp.inference.sources import (
    Failure,
    FoundSources,
    InputImage,
    Source,
    find_sources,
    read_images,
)
from heatkp.inference.writers import About, LabelSetFiles
from heatkp.registry import LABEL_WRITERS
from heatkp.text import json_text, name_to_text

Array = npt.NDArray[np.float64]
TABLE = "suggestions.csv"
COLUMNS = ("rank", "image", "file", "frame", "time", "doubt", *REASONS, "apart", "reason")
GAP = 10
"""Frames looked at that lie between two suggested ones of a video at least."""


class Suggestion(NamedTuple):
    """An image to label.

    Attributes:
        looked: what is known of it.
        doubt: from 0 to 1, as `doubt.together` gives.
        apart: as `doubt.Choice` has it.
        reason: of `REASONS`, that by which the image stands out most.
    """

    looked: Looked
    doubt: float
    apart: float
    reason: str


@dataclass
class Suggested:
    """What came of `suggest`.

    Attributes:
        suggestions: the most urgent first.
        images, objects: how many were looked at, and found in them.
        failures: what could not be used, and why.
        empty, labelled: images in which nothing was found, and that the run was trained or
            validated on; neither is suggested.
        written: files and folders.
        notes: lines about what was left out, and what a format cannot hold.
    """

    suggestions: list[Suggestion]
    images: int
    objects: int
    failures: list[Failure] = field(default_factory=list)
    empty: int = 0
    labelled: int = 0
    written: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def suggest(
    predictors: Predictor | Sequence[Predictor],
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | FoundSources,
    out: str | PathLike[str],
    formats: Sequence[str] = ("coco",),
    *,
    count: int = 50,
    boxes: Boxes | str | None = None,
    every: int = 1,
    gap: int = GAP,
    batch_size: int = 16,
    model: str = "",
    progress: Callable[[int], None] = lambda done: None,
) -> Suggested:
    """Choose images to label next, and write them with predictions to be corrected.

    An image is in doubt where scores are low, maps wide, where the mirrored image, other runs or
    the frames beside it tell something else. Of those in doubt that are chosen first that are
    unlike the ones before, by what they look like and how points lie.

    Args:
        predictors: a model, or several that find the same points, the first of which makes the
            predictions.
        images: files, folders, patterns, videos, or what `find_sources` made of them.
        out: a new folder.
        formats: names of `LABEL_WRITERS`.
        count: how many to suggest.
        boxes: as `heatkp.inference.saving.save_predictions` takes them.
        every: of videos, every so many frames.
        gap: of videos, how many frames that are looked at lie between two suggested ones.
        model: how tables name the model.
        progress: is told how many images are done.

    Raises:
        DataError: where there is no image, or nothing is found in any.
        SettingsError: for a folder that holds something, formats that are none, and models that
            find different points or tell nothing of their doubt.
    """
    models = [predictors] if isinstance(predictors, Predictor) else list(predictors)
    _require_alike(models)
    for name in formats:
        LABEL_WRITERS[name]
    require_new(Path(out))
    if not isinstance(images, FoundSources):
        paths = [images] if isinstance(images, str | PathLike) else images
        images = find_sources([fspath(path) for path in paths])
    require_sources(images)
    done = Suggested([], 0, 0, list(images.failures))
    known = Labelled(models[0])
    looked = []
    options = models[0].image_options
    for item in looks(models, read_images(images.sources, every, options), boxes, batch_size):
        if isinstance(item, Failure):
            done.failures += [item] * (item not in done.failures)
            continue
        done.images += 1
        done.objects += len(item.objects)
        done.empty += not item.objects
        progress(done.images)
        if item.objects:
            done.labelled += item in known
            looked.append(item)
    fresh = [one for one in in_time(looked) if one not in known]
    if not fresh:
        raise DataError(
            f"nothing to suggest in {done.images} images: {done.empty} in which nothing was found, "
            f"{done.labelled} that are labelled already"
        )
    done.suggestions = rank(fresh, count, gap * every)
    if len(done.suggestions) < min(count, len(fresh)):
        done.notes.append(
            f"{len(done.suggestions)} of {count} are suggested: the others lie within "
            f"{gap * every} frames of one of them (--gap)"
        )
    _write(models[0], done, images.sources, every, Path(out), formats, model)
    return done


def _require_alike(models: Sequence[Predictor]) -> None:
    if not models:
        raise SettingsError("name at least one run")
    first = models[0].skeleton.point_names
    for other in models[1:]:
        if other.skeleton.point_names != first:
            raise SettingsError(
                "runs that are compared find the same points in the same order: choose others"
            )
    if len(models) == 1 and models[0].engine.backend.kind is None:
        with suppress(SettingsError):
            models[0].engine.check(flip_test=True)
            return
        raise SettingsError(
            "a regression head tells nothing of its doubt: name other runs, too (--with)"
        )


def rank(looked: Sequence[Looked], count: int, gap: int = 0) -> list[Suggestion]:
    """The images to label first, the most urgent first: in doubt, and unlike each other."""
    figures = {
        name: np.array([one.reasons.get(name, np.nan) for one in looked]) for name in REASONS
    }
    doubt = together(figures)
    alone = {name: together({name: values}) for name, values in figures.items()}
    where = features([
        np.stack([one.thumbnail.ravel() for one in looked]),
        np.stack([_pose(one) for one in looked]),
    ])  # fmt: skip
    videos = [None if one.frame is None else str(one.file) for one in looked]
    frames = [one.frame for one in looked]
    chosen = choose(doubt, where, count, videos, frames, gap)
    suggestions = []
    for place, apart in chosen:
        known = [name for name in REASONS if np.isfinite(figures[name][place])]
        reason = max(known, key=lambda name: alone[name][place], default="")
        suggestions.append(Suggestion(looked[place], float(doubt[place]), apart, reason))
    return suggestions


def _pose(one: Looked) -> Array:
    """Where the points of the object that is least sure lie, as fractions of the image."""
    worst = min(one.objects, key=lambda o: 1.0 if o.score is None else o.score)
    return np.asarray((worst.points / np.array(one.size)).ravel())


def table(suggestions: Sequence[Suggestion]) -> str:
    """Suggestions as CSV, with each reason's figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, (one, doubt, apart, reason) in enumerate(suggestions, 1):
        figures = [one.reasons.get(name) for name in REASONS]
        writer.writerow([
            number, name_to_text(one.name), name_to_text(one.file.as_posix()),
            "" if one.frame is None else one.frame,
            "" if one.time is None else f"{one.time:.3f}", f"{doubt:.3f}",
            *("" if figure is None else f"{figure:.4f}" for figure in figures),
            f"{apart:.3f}" if np.isfinite(apart) else "", reason,
        ])  # fmt: skip
    return text.getvalue()


def _write(
    predictor: Predictor,
    done: Suggested,
    sources: Sequence[Source],
    every: int,
    out: Path,
    formats: Sequence[str],
    model: str,
) -> None:
    """The suggested images, read again, with what was found in them."""
    wanted = {s.looked.name: s.looked for s in done.suggestions}
    files = {one.file for one in wanted.values()}
    own = [source for source in sources if source.path in files]
    with new_folder(out) as folder:
        about = About(model, predictor.skeleton, {"suggested": len(wanted)})
        writers = [
            LabelSetFiles(folder, about, LABEL_WRITERS[name]) for name in dict.fromkeys(formats)
        ]
        try:
            left = len(wanted)
            for image in read_images(own, every, predictor.image_options):
                if isinstance(image, InputImage) and image.name in wanted:
                    for writer in writers:
                        writer.add(image, wanted[image.name].objects)
                    left -= 1
                    if not left:
                        break
            names = [path.name for w in writers for path in w.finish(done.failures, True)]
            done.notes += [note for w in writers for note in w.notes]
        finally:
            for writer in writers:
                writer.discard()
        write_text(folder / TABLE, table(done.suggestions))
        values = {
            "made_by": MADE_BY,
            "heatkp": heatkp.__version__,
            "model": model,
            "suggested": len(done.suggestions),
            "images": done.images,
            "errors": [failure.as_dict() for failure in done.failures],
        }
        write_text(folder / SUMMARY, json_text(values, indent=1) + "\n")
    done.written = [out / name for name in (*names, TABLE, SUMMARY)]
