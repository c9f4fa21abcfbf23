"""Predictions of a whole file, in the form that a competition of Kaggle takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from heatkp.config import expand_path
from heatkp.data.images import ImageOptions
from heatkp.data.readers import READERS, read, recognise
from heatkp.data.samples import Labels, Sample
from heatkp.errors import CheckpointError, SettingsError
from heatkp.evaluation import measure
from heatkp.evaluation.measure import InferenceOptions, Note, Progress
from heatkp.evaluation.metrics import mean_of
from heatkp.files import check_file, reason
from heatkp.kaggle import forms
from heatkp.skeletons import FACE15, FACE68, Skeleton

FIFTEEN = "kaggle15"
TABLE = "IdLookupTable.csv"
POINTS = 68
"""What the other competition wants, of files without labels."""


class Submission(NamedTuple):
    """What `submit` wrote.

    Attributes:
        path: the file.
        samples, points: how many samples it holds, and points of each.
        source: the file or folder of samples.
        score: what `forms.score` gives and how it was reached, where the samples are labelled.
    """

    path: Path
    samples: int
    points: int
    source: Path
    score: dict[str, Any] | None


def submit(
    runs: str | PathLike[str] | Sequence[str | PathLike[str]],
    data: str | PathLike[str],
    out: str | PathLike[str],
    lookup: str | PathLike[str] | None = None,
    options: InferenceOptions | None = None,
    progress: Progress | None = None,
    note: Note = print,
) -> Submission:
    """Predict all samples of a file and write the submission; where they are labelled, score it.

    Points count pixels as the labels did that the first run was trained on (`data.first_pixel`),
    where the file is in their format.

    Args:
        runs: a run, or several whose points are averaged; as `measure_runs` takes them.
        data: 68 points: imglab .xml, with or without points. 15: the competition's CSV.
        out: the CSV file to write, whole or not at all; one that is there is replaced.
        lookup: of 15 points: IdLookupTable.csv; None: the one beside `data`.
        options: how predictions are made; None: as by default.
        progress, note: as in `measure_runs`.

    Raises:
        CheckpointError: for what is no run, and for runs with other points.
        DataError: for data that cannot be read, and predictions that are not finite.
        SettingsError: for options that do not fit, and a file that cannot be written.
    """
    names = [fspath(run) for run in ([runs] if isinstance(runs, str | PathLike) else runs)]
    options = options or InferenceOptions()
    target = Path(out)
    require_place(target)
    models = measure.open_runs(names, options)
    source = expand_path(fspath(data), "--data")
    format = recognise(source)
    # As the first run reads images; each reads them in its own way later.
    labels = read(source, format, options=ImageOptions.of(models[0].settings.data))
    for line in labels.notes:
        note(line)
    skeleton = expected(names[0], models[0].skeleton, labels, format)
    models = [m.in_order_of(skeleton, str(source), name) for name, m in zip(names, models)]
    samples = with_points(labels, skeleton)
    labels = Labels(skeleton, samples)
    if format == FIFTEEN:
        table = forms.read_lookup(lookup_path(source, lookup), skeleton, samples)
    elif lookup is not None:
        raise SettingsError(f"--lookup belongs to the 15-point competition; {data} is {format}")
    settings = [loaded.settings.data for loaded in models]
    # Labels never give a box here, whatever `data.box` says: they are what is to be found.
    without = sum(s.box is None for s in samples)
    if any(data.crop == "box" and data.box == "points" for data in settings):
        note("trained on boxes around labelled points, given the file's boxes instead")
    if any(data.crop != "image" for data in settings) and without:
        note(f"samples without a box, the whole image is used: {without}")
    found = mean_of(
        [measure.predict_samples(loaded, samples, options, progress) for loaded in models]
    ).image_points
    first = settings[0].first_pixel
    if first is not None and measure.in_own_format(settings[0], fspath(data)):
        found = found + (first - READERS[format].origin)
        note(f"points count pixels from {first:g}, as data.first_pixel of {names[0]} says")
    try:
        if format == FIFTEEN:
            found = np.clip(found, *forms.LOCATIONS)
            forms.write_locations(target, table, found)
        else:
            forms.write_submission(target, found)
            found = forms.read_submission(target, len(samples), len(skeleton))
    except OSError as error:
        raise SettingsError(f"cannot write {target}: {reason(error)}") from None
    score: dict[str, Any] | None = None
    if any((s.visibility > 0).any() for s in samples):
        score = forms.score(found, labels)
        score.update(submission=str(target), data=str(source))
        score.update(decoder=options.decoder, flip_test=options.flip_test, passes=options.passes)
    return Submission(target, len(samples), len(skeleton), source, score)


def require_place(target: Path) -> None:
    """Raises `SettingsError` where no file can be, before the work rather than after it."""
    if target.is_dir():
        raise SettingsError(f"cannot write {target}: it is a folder; name a .csv file with --out")
    check_file(target)


def expected(run: str, finds: Skeleton, labels: Labels, format: str) -> Skeleton:
    """The points that a submission holds, in its order: the file's, or the competition's.

    Raises `CheckpointError` where neither tells, and the model does not find as many.
    """
    if len(labels.skeleton):
        return labels.skeleton
    if format == FIFTEEN:
        return FACE15
    if len(finds) != POINTS:
        raise CheckpointError(
            f"{run} finds the points of {finds.name!r} ({len(finds)}), but the "
            f"competition wants {POINTS}: give a run that was trained on {POINTS} points"
        )
    return FACE68 if set(finds.point_names) == set(FACE68.point_names) else finds


def with_points(labels: Labels, skeleton: Skeleton) -> list[Sample]:
    """The samples, with blank points where the file has none."""
    if len(labels.skeleton):
        return labels.samples
    blank = np.full((len(skeleton), 2), np.nan, np.float32)
    return [
        replace(s, points=blank, visibility=np.zeros(len(skeleton), np.uint8))
        for s in labels.samples
    ]


def lookup_path(source: Path, lookup: str | PathLike[str] | None) -> Path:
    """The table that `lookup` names, or the one beside the data. `SettingsError` without."""
    if lookup is not None:
        return expand_path(fspath(lookup), "--lookup")
    beside = (source if source.is_dir() else source.parent) / TABLE
    if not beside.is_file():
        raise SettingsError(
            f"the 15-point competition asks for rows by {TABLE}, and {beside} does not exist: "
            "name it with --lookup"
        )
    return beside
