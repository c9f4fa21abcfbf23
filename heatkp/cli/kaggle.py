"""`heatkp eval --kaggle`: predictions of a whole file, in the form that Kaggle takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from heatkp.cli.common import progress_bar, target_path, write
from heatkp.files import check_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from heatkp.data.samples import Labels, Sample
    from heatkp.evaluation.measure import InferenceOptions
    from heatkp.evaluation.metrics import Array
    from heatkp.skeletons import Skeleton

FIFTEEN = "kaggle15"
TABLE = "IdLookupTable.csv"
POINTS = 68
"""What the other competition wants, of files without labels."""


def submit(
    console: Console,
    names: Sequence[str],
    data: str,
    lookup: str | None,
    how: InferenceOptions,
    out: str | None,
) -> None:
    """Predict all samples of a file and write the submission; where they are labelled, score it."""
    import numpy as np

    from heatkp.config import expand_path
    from heatkp.data.images import ImageOptions
    from heatkp.data.readers import read, recognise
    from heatkp.data.samples import Labels
    from heatkp.errors import SettingsError
    from heatkp.evaluation import kaggle
    from heatkp.evaluation.measure import open_runs, predict_samples
    from heatkp.evaluation.metrics import mean_of
    from heatkp.files import reason

    target = target_path(names[0], out, "submission.csv")
    demand_place(target)
    models = open_runs(names, how)
    source = expand_path(data, "--data")
    format = recognise(source)
    # As the first run reads images; each reads them in its own way later.
    labels = read(source, format, options=ImageOptions.of(models[0].settings.data))
    for note in labels.notes:
        console.print(note, highlight=False, soft_wrap=True)
    skeleton = wanted(names[0], models[0].skeleton, labels, format)
    models = [m.in_order_of(skeleton, str(source), name) for name, m in zip(names, models)]
    samples = with_points(labels, skeleton)
    labels = Labels(skeleton, samples)
    if format == FIFTEEN:
        table = kaggle.read_lookup(lookup_path(source, lookup), skeleton, samples)
    elif lookup is not None:
        raise SettingsError(f"--lookup belongs to the 15-point competition; {data} is {format}")
    settings = [loaded.settings.data for loaded in models]
    # Labels never give a box here, whatever `data.box` says: they are what is to be found.
    without = sum(s.box is None for s in samples)
    if any(data.crop == "box" and data.box == "points" for data in settings):
        console.print("trained on boxes around labelled points, given the file's boxes instead")
    if any(data.crop == "box" for data in settings) and without:
        console.print(f"samples without a box, the whole picture is used: {without}")
    with progress_bar(console, "evaluating") as progress:
        each = [predict_samples(loaded, samples, how, progress) for loaded in models]
    found = mean_of(each).photo
    try:
        if format == FIFTEEN:
            found = np.clip(found, *kaggle.LOCATIONS)
            kaggle.write_locations(target, table, found)
        else:
            kaggle.write_submission(target, found)
            found = kaggle.read_submission(target, len(samples), len(skeleton))
    except OSError as error:
        raise SettingsError(f"cannot write {target}: {reason(error)}") from None
    if any((s.visibility > 0).any() for s in samples):
        report(console, found, labels, source, target, how)
    count = f"{len(samples)} samples of {len(skeleton)} points"
    console.print(f"{count} written to {target}", highlight=False, soft_wrap=True)


def report(
    console: Console,
    found: Array,
    labels: Labels,
    source: Path,
    target: Path,
    how: InferenceOptions,
) -> None:
    """Print the score, and write it beside the submission."""
    from heatkp.cli.score import print_score
    from heatkp.evaluation.kaggle import score
    from heatkp.text import json_text

    result = score(found, labels)
    print_score(console, result, str(target), source)
    beside = target.with_name(f"{target.stem}-score.json")
    result.update(submission=str(target), data=str(source))
    result.update(decoder=how.decoder, flip_test=how.flip_test, passes=how.passes)
    write(beside, json_text(result, indent=1) + "\n")
    console.print(f"Score written to {beside}", highlight=False, soft_wrap=True)


def demand_place(target: Path) -> None:
    """Raises `SettingsError` where no file can be, before the work rather than after it."""
    from heatkp.errors import SettingsError

    if target.is_dir():
        raise SettingsError(f"cannot write {target}: it is a folder; name a .csv file with --out")
    check_file(target)


def wanted(run: str, finds: Skeleton, labels: Labels, format: str) -> Skeleton:
    """The points that a submission holds, in its order: the file's, or the competition's.

    Raises `CheckpointError` where neither tells, and the model does not find as many.
    """
    from heatkp.errors import CheckpointError
    from heatkp.skeletons import FACE15, FACE68

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
    from dataclasses import replace

    import numpy as np

    if len(labels.skeleton):
        return labels.samples
    blank = np.full((len(skeleton), 2), np.nan, np.float32)
    return [
        replace(s, points=blank, visibility=np.zeros(len(skeleton), np.uint8))
        for s in labels.samples
    ]


def lookup_path(source: Path, lookup: str | None) -> Path:
    """The table that `--lookup` names, or the one beside the data. `SettingsError` without."""
    from heatkp.config import expand_path
    from heatkp.errors import SettingsError

    if lookup is not None:
        return expand_path(lookup, "--lookup")
    beside = (source if source.is_dir() else source.parent) / TABLE
    if not beside.is_file():
        raise SettingsError(
            f"the 15-point competition asks for rows by {TABLE}, and {beside} does not exist: "
            "name it with --lookup"
        )
    return beside
