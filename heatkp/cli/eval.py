"""`heatkp eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from heatkp.cli.common import or_newest, progress_bar, target_path, write
from heatkp.cli.options import NameOption, device_option, runtime_options
from heatkp.files import check_file
from heatkp.registry import DETECTORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from heatkp.cli.eval_objects import Seeking
    from heatkp.evaluation.measure import InferenceOptions

EXAMPLES = """\b
Examples:
  heatkp eval
  heatkp eval runs/softargmax-1 --split all
  heatkp eval runs/kl-1 --data imm/
  heatkp eval runs/kl-1 --split test
  heatkp eval runs/kl-1/weights.safetensors --decoder dark --flip-test
  heatkp eval runs/kl-1 --kaggle --data labels_ibug_300W_test_parsed.xml --out submission.csv
  heatkp eval runs/kl-1 runs/kl-2 runs/kl-3 --out together.json
  heatkp eval runs/finder-kl-1 --min-score 0.2
"""


@click.command("eval", epilog=EXAMPLES)
@click.argument("names", type=click.Path(), metavar="[RUN_OR_CHECKPOINT]...", nargs=-1,
                callback=or_newest)  # fmt: skip
@click.option("--data", type=click.Path(), help="Other data than the run was trained on.")
@click.option(
    "--split", type=click.Choice(["train", "val", "test", "all"]),
    help="Which samples: test are those that the labels or data.test keep for it.  [default: val; "
    "all of other data]",
)  # fmt: skip
@click.option("--decoder", help="Read the maps by another decoder than the head's own.")
@click.option("--flip-test", is_flag=True, help="Average with the mirrored image.")
@click.option("--passes", type=click.IntRange(1, 2), default=1, show_default=True,
              help="2: look again at the box that belongs around what was found first, as "
              "`heatkp predict` does.")  # fmt: skip
@click.option("--boxes", "where", type=click.Choice(["labels", "objects"]),
              help="objects: measure from image to points, too: objects are found and matched with "
              "the labels; labels: only points in the boxes of the labels.  [default: objects for "
              "one run with a finder]")  # fmt: skip
@click.option("--detector", cls=NameOption, registry=DETECTORS,
              help="What finds objects instead: {names}, or a RUN that holds a finder, also on "
              "the hub (hf://owner/name).",
              )  # fmt: skip
@click.option("--min-score", type=float, help="Count only objects of which the finder is as sure.  "
              "[default: the finder's]")  # fmt: skip
@click.option("--nms-oks", type=click.FloatRange(0, 1, min_open=True),
              help="Of two objects whose points are more alike than this (OKS) leave out the less "
              "sure one.  [default: both stay]")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@device_option
@runtime_options
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
    where: str | None,
    detector: str | None,
    min_score: float | None,
    nms_oks: float | None,
    batch_size: int,
    device: str,
    runtime: str | None,
    precision: str | None,
    out: str | None,
    kaggle: bool,
    lookup: str | None,
) -> None:
    """Measure a trained model: MAE, MSE, NME, PCK, failures; a table here and JSON in the run.

    Without RUN it is the newest in runs/. Several are measured together, as the mean of the
    points that they find. A run with a finder is also measured from image to points: objects
    found, missed and wrong, average precision by OKS, errors of the objects that were found.
    """
    from heatkp.cli.console import PlainConsole
    from heatkp.cli.eval_objects import Seeking
    from heatkp.errors import SettingsError
    from heatkp.evaluation.measure import InferenceOptions

    console = PlainConsole()
    seeking = Seeking(where, detector, min_score, nms_oks)
    how = InferenceOptions(decoder, flip_test, passes, device, batch_size, runtime, precision)
    if len(names) > 1 and out is None:
        raise SettingsError(f"{len(names)} runs together: name the file to write with --out")
    seeking.check(names, kaggle)
    if kaggle:
        if data is None:
            raise SettingsError("--kaggle predicts the samples of a file: name it with --data")
        if split not in (None, "all"):
            raise SettingsError("--kaggle predicts all samples: leave out --split")
        submit(console, names, data, lookup, how, out)
        return
    if lookup is not None:
        raise SettingsError("--lookup belongs to --kaggle: add it, or leave out both")
    measure(console, names, data, split, how, out, seeking)


def measure(
    console: Console,
    names: Sequence[str],
    data: str | None,
    split: str | None,
    how: InferenceOptions,
    out: str | None,
    seeking: Seeking,
) -> None:
    """Evaluate on a split, print the table and write JSON."""
    from heatkp.evaluation import measure as measuring
    from heatkp.evaluation.evaluate import metrics_table, worst_points
    from heatkp.text import json_text

    models = measuring.open_runs(names, how)
    predictor = seeking.opened(names, models, how)
    split = measuring.chosen_split(names, models, data, split)
    target = target_path(names[0], out, f"eval-{split}.json")
    check_file(target)  # before minutes of work
    with progress_bar(console, "evaluating") as progress:
        metrics = measuring.measure(
            names, models, data, split, how, progress,
            lambda note: console.print(note, highlight=False, soft_wrap=True),
            None if predictor is None else seeking.measuring(predictor, split, how, progress),
        )  # fmt: skip
    write(target, json_text(metrics, indent=1) + "\n")
    what = (
        f"all of {Path(data).name or data}"
        if data is not None and split == "all"
        else f"split {split}"
    )
    title = f"{together(names)}: {metrics['images']} images, {what}"
    console.print(metrics_table(metrics, title))
    console.print(f"Largest errors (image pixels): {worst_points(metrics)}", highlight=False)
    if "objects" in metrics:
        from heatkp.cli.score_objects import objects_table

        objects = metrics["objects"]
        console.print(objects_table(objects, f"From image to points: {objects['images']} images"))
    console.print(f"Written to {target}", highlight=False, soft_wrap=True)


def together(names: Sequence[str]) -> str:
    """How a table calls the runs that it is of."""
    return names[0] if len(names) == 1 else f"the mean of {len(names)} runs"


def submit(
    console: Console,
    names: Sequence[str],
    data: str,
    lookup: str | None,
    how: InferenceOptions,
    out: str | None,
) -> None:
    """Write the submission, print its score, and write that beside it."""
    from heatkp.cli.score import print_score
    from heatkp.kaggle import submit as submission
    from heatkp.text import json_text

    target = target_path(names[0], out, "submission.csv")
    with progress_bar(console, "evaluating") as progress:
        done = submission.submit(
            names, data, target, lookup, how, progress,
            lambda note: console.print(note, highlight=False, soft_wrap=True),
        )  # fmt: skip
    if done.score is not None:
        print_score(console, done.score, str(target), done.source)
        beside = target.with_name(f"{target.stem}-score.json")
        write(beside, json_text(done.score, indent=1) + "\n")
        console.print(f"Score written to {beside}", highlight=False, soft_wrap=True)
    count = f"{done.samples} samples of {done.points} points"
    console.print(f"{count} written to {target}", highlight=False, soft_wrap=True)
