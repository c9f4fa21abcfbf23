"""`heatkp eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from heatkp.cli.common import check_file, or_newest
from heatkp.cli.options import device_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from heatkp.data.samples import KeypointData, Sample
    from heatkp.evaluation.metrics import Errors
    from heatkp.runs import Loaded

EXAMPLES = """\b
Examples:
  heatkp eval
  heatkp eval runs/softargmax-1 --split all
  heatkp eval runs/kl-1 --data imm/ --split all
  heatkp eval runs/kl-1/weights.safetensors --decoder dark --flip-test
  heatkp eval runs/kl-1 --kaggle --data labels_ibug_300W_test_parsed.xml --out submission.csv
  heatkp eval runs/kl-1 runs/kl-2 runs/kl-3 --out together.json
"""


class Reading(NamedTuple):
    """How predictions are made: options of the command."""

    decoder: str | None
    flip_test: bool
    batch_size: int
    passes: int = 1
    device: str = "auto"


@click.command("eval", epilog=EXAMPLES)
@click.argument("names", type=click.Path(), metavar="[RUN_OR_CHECKPOINT]...", nargs=-1,
                callback=or_newest)  # fmt: skip
@click.option("--data", type=click.Path(), help="Other data than the run was trained on.")
@click.option(
    "--split", type=click.Choice(["train", "val", "all"]),
    help="Which samples; other data may be used whole.  [default: val; all of other data for a "
    "run without validation]",
)  # fmt: skip
@click.option("--decoder", help="Read the maps by another decoder than the head's own.")
@click.option("--flip-test", is_flag=True, help="Average with the mirrored image.")
@click.option("--passes", type=click.IntRange(1, 2), default=1, show_default=True,
              help="2: look again at the box that belongs around what was found first, as "
              "`heatkp predict` does.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@device_option
@click.option("--out", type=click.Path(),
              help="JSON file, or CSV with --kaggle; to be named for several runs.  [default: "
              "RUN/eval-SPLIT.json or RUN/submission.csv; of a model that comes with heatkp, in "
              "the current folder]")  # fmt: skip
@click.option("--kaggle", is_flag=True,
              help="Write predictions of all of --data as Kaggle takes them: 68 points "
              "(imglab .xml), or 15 (Facial Keypoints Detection).")  # fmt: skip
@click.option("--lookup", type=click.Path(),
              help="For 15 points: IdLookupTable.csv.  [default: the one beside --data]"
              )  # fmt: skip
def evaluate(
    names: tuple[str, ...],
    data: str | None,
    split: str | None,
    decoder: str | None,
    flip_test: bool,
    passes: int,
    batch_size: int,
    device: str,
    out: str | None,
    kaggle: bool,
    lookup: str | None,
) -> None:
    """Measure a trained model: MAE, MSE, NME, PCK, failures; a table here and JSON in the run.

    Without RUN it is the newest in runs/. Several are measured together, as the mean of the
    points that they find.
    """
    from heatkp.cli.console import PlainConsole
    from heatkp.errors import SettingsError

    console = PlainConsole()
    how = Reading(decoder, flip_test, batch_size, passes, device)
    if len(names) > 1 and out is None:
        raise SettingsError(f"{len(names)} runs together: name the file to write with --out")
    if kaggle:
        from heatkp.cli.kaggle import submit

        if data is None:
            raise SettingsError("--kaggle predicts the samples of a file: name it with --data")
        if split not in (None, "all"):
            raise SettingsError("--kaggle predicts all samples: leave out --split")
        submit(console, names, data, lookup, how, out)
        return
    if lookup is not None:
        raise SettingsError("--lookup belongs to --kaggle: add it, or leave out both")
    measure(console, names, data, split, how, out)


def measure(
    console: Console,
    names: Sequence[str],
    data: str | None,
    split: str | None,
    how: Reading,
    out: str | None,
) -> None:
    """Evaluate on a split, print the table and write JSON."""
    from heatkp.errors import DataError
    from heatkp.evaluation.evaluate import metrics_table, worst_points
    from heatkp.evaluation.metrics import mean_of, summarise
    from heatkp.text import json_text

    models = open_runs(names, how)
    split = chosen_split(names, models, data, split)
    target = target_path(names[0], out, f"eval-{split}.json")
    check_file(target)  # before minutes of work
    found = [load(name, loaded, data, split) for name, loaded in zip(names, models)]
    for note in found[0].notes:
        console.print(note, highlight=False, soft_wrap=True)
    parts = [one.part(split) for one in found]
    demand_same(names, parts, split, own=data is None)
    if not any((s.visibility > 0).any() for s in parts[0]):
        raise DataError(f"no {split} sample has a labelled point: nothing to measure")
    errors = mean_of([predict(console, *each, how) for each in zip(models, parts)])
    metrics = summarise(errors, found[0].skeleton)
    metrics.update(split=split, data=data, decoder=how.decoder, flip_test=how.flip_test,
                   passes=how.passes, runs=list(names))  # fmt: skip
    write(target, json_text(metrics, indent=1) + "\n")
    title = f"{together(names)}: {metrics['images']} images, split {split}"
    console.print(metrics_table(metrics, title))
    console.print(f"Largest errors (photo pixels): {worst_points(metrics)}", highlight=False)
    console.print(f"Written to {target}", highlight=False, soft_wrap=True)


def open_run(run: str, how: Reading) -> Loaded:
    """The model of a run or checkpoint, reading its maps by another decoder if one is named."""
    from heatkp import runs
    from heatkp.engine import require_box_style, require_mirrored
    from heatkp.errors import SettingsError
    from heatkp.models import DenseModel

    loaded = runs.load_run(run, how.device)
    if how.passes == 2:
        require_box_style(loaded.box_style)
    if how.flip_test:
        require_mirrored(loaded.skeleton)
    if how.decoder is not None:
        if not isinstance(loaded.model, DenseModel):
            raise SettingsError("--decoder: the regression head has no maps to decode")
        loaded.model.head.use_decoder(how.decoder)
    return loaded


def open_runs(names: Sequence[str], how: Reading) -> list[Loaded]:
    """Models that find the same points, in the first one's order. Raises `CheckpointError`."""
    return agreeing(names, [open_run(name, how) for name in names])


def agreeing(names: Sequence[str], models: Sequence[Loaded]) -> list[Loaded]:
    """Models with their points in the first one's order, by name. Raises `CheckpointError` where
    they have other points."""
    first = models[0].skeleton
    return [model.in_order_of(first, names[0], name) for name, model in zip(names, models)]


def chosen_split(
    names: Sequence[str], models: Sequence[Loaded], data: str | None, split: str | None
) -> str:
    """The split that is asked for, or what is meant without. Raises `SettingsError` for the
    validation samples of a run that kept none."""
    for name, loaded in zip(names, models):
        own = loaded.settings.data
        none = not (own.val_count if own.path is None and data is None else own.validation)
        if none and split is None and data is not None:
            split = "all"
        if none and split in (None, "val"):
            advice = f"measure it on other data with: heatkp eval {name} --data FILE"
            demand_validation(
                name, loaded, f"{advice} (--split all measures what it was trained on)"
            )
    return split or "val"


def demand_validation(run: str, loaded: Loaded, advice: str | None = None) -> None:
    """Raises `SettingsError`, which ends with the advice, for a run that kept no sample for
    validation."""
    from heatkp.errors import SettingsError

    if not loaded.settings.data.validates:
        raise SettingsError(
            f"{run} was trained on all of its data (data.validation: 0) and has no validation "
            "samples; "
            + (advice or f"measure it on other data with: heatkp eval {run} --data FILE")
        )


def load(name: str, loaded: Loaded, data: str | None, split: str) -> KeypointData:
    """The data of a run, or other data, under the run's settings, for a split of it; points are
    in the run's order.

    Raises `CheckpointError` for data with other points, and what `load_data` raises.
    """
    from heatkp.config import parse_settings
    from heatkp.data.loading import load_data
    from heatkp.data.matching import in_order_of, whole

    settings = loaded.settings.data
    if data is not None:  # pairs are of the run's own layout, by which pictures are mirrored
        other = {"format": "auto", "path": data, "pairs": None}
        settings = parse_settings({"data": settings.model_dump() | other}, "--data").data
    found = load_data(whole(settings), chosen=data is None and split != "val")
    found = in_order_of(loaded.skeleton, name, settings, found)
    if data is None:
        loaded.demand_same_split(name, found.val)
    return found


def demand_same(
    names: Sequence[str], parts: Sequence[Sequence[Sample]], split: str, own: bool
) -> None:
    """Raises `SettingsError` where runs have other samples in a split, and so perhaps were
    trained on what they would be measured on, where the data is their `own`."""
    import numpy as np

    from heatkp.errors import SettingsError

    first = parts[0]
    for name, part in zip(names, parts):
        alike = sum(
            a.id == b.id and np.array_equal(a.points, b.points, equal_nan=True)
            for a, b in zip(first, part)
        )
        if not len(first) == len(part) == alike:
            common = len({s.id for s in first} & {s.id for s in part})
            advice = (
                "what one is measured on may have trained the other; measure them one by one, or "
                "on other data (--data)"
                if own
                else "they split this data differently; measure them on all of it (--split all)"
            )
            raise SettingsError(
                f"{names[0]} and {name} have {len(first)} and {len(part)} {split} samples, with "
                f"{common} names in common: {advice}"
            )


def together(names: Sequence[str]) -> str:
    """How a table calls the runs that it is of."""
    return names[0] if len(names) == 1 else f"the mean of {len(names)} runs"


def predict(
    console: Console,
    loaded: Loaded,
    samples: Sequence[Sample],
    how: Reading,
) -> Errors:
    """Predictions of samples beside their truth, under a progress bar."""
    from rich.progress import Progress

    from heatkp.data.dataset import KeypointDataset
    from heatkp.data.images import ImageOptions
    from heatkp.data.transforms import Framing
    from heatkp.evaluation.evaluate import predict_dataset

    settings = loaded.settings.data
    samples = [sample.read_with(ImageOptions.of(settings)) for sample in samples]
    dataset = KeypointDataset(samples, loaded.skeleton, Framing.of(settings), grey=settings.grey)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("evaluating", total=len(dataset))

        def told(done: int) -> None:
            progress.update(task, completed=done)

        return predict_dataset(
            loaded.model, dataset, how.batch_size, how.flip_test, told, how.passes, loaded.box_style
        )


def target_path(run: str, out: str | None, name: str) -> Path:
    """Where to write: `out`, or a file of that name in the run's folder."""
    from heatkp.runs import run_folder

    return Path(out) if out else run_folder(run) / name


def write(target: Path, text: str) -> None:
    """Write a file whole or not at all. Raises `SettingsError` where it cannot be."""
    from heatkp.errors import SettingsError
    from heatkp.files import reason, write_text

    try:
        write_text(target, text)
    except OSError as error:
        raise SettingsError(f"cannot write {target}: {reason(error)}") from None
