"""`heatkp score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = """\b
Examples:
  heatkp score submission.csv labels.xml
  heatkp score submission.csv labels.xml --json > score.json
  heatkp score results.json --data person_keypoints_val2017.json
  heatkp score predictions/coco.json --data labels.slp --frames 600-799
"""


@click.command(epilog=EXAMPLES)
@click.argument("submission", type=click.Path(), metavar="SUBMISSION")
@click.argument("labels", type=click.Path(), metavar="LABELS", required=False)
@click.option("--data", type=click.Path(), metavar="LABELS", help="The labels, instead of LABELS.")
@click.option("--sigmas", metavar="S",
              help="Of COCO results: `coco`, one sigma for all points, or one for each, separated "
              "by commas.  [default: COCO's for its 17 points, else 0.05]")  # fmt: skip
@click.option("--frames", "frame_range", metavar="A-B",
              help="Of COCO results: count only these frames of a video.")  # fmt: skip
@click.option("--first-pixel", type=click.FloatRange(-1, 2), metavar="NUMBER",
              help="Of COCO results: what LABELS call the centre of the first pixel, 1 where they "
              "count from 1, as the run was trained with (data.first_pixel); results of heatkp "
              "count from 0.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def score(
    submission: str,
    labels: str | None,
    data: str | None,
    sigmas: str | None,
    frame_range: str | None,
    first_pixel: float | None,
    as_json: bool,
) -> None:
    """Score what `heatkp eval --kaggle` wrote, or COCO results of any tool, against labels.

    SUBMISSION is a CSV file with rows Id,Predicted, or a JSON file of keypoints in COCO's form of
    results, or of annotations with scores. LABELS is a file or folder that heatkp can train on,
    for a CSV file with the same entries in the same order. Results name their images by COCO's
    image_id; where LABELS are frames of a video, by the frame's number.
    """
    from heatkp.errors import SettingsError

    if (labels is None) == (data is None):
        raise SettingsError("name the labels once: heatkp score SUBMISSION LABELS, or with --data")
    target = labels if data is None else data
    assert target is not None
    if submission.lower().endswith(".json"):
        from heatkp.cli.score_objects import score_objects

        score_objects(submission, target, sigmas, frame_range, as_json, first_pixel)
        return
    if any(given is not None for given in (sigmas, frame_range, first_pixel)):
        raise SettingsError(
            "--sigmas, --frames and --first-pixel are about COCO results, a .json file"
        )
    _score_submission(submission, target, as_json)


def _score_submission(submission: str, labels: str, as_json: bool) -> None:
    from heatkp.config import expand_path
    from heatkp.data.readers import READERS, read, recognise
    from heatkp.errors import DataError
    from heatkp.kaggle import forms
    from heatkp.text import json_text

    source = expand_path(labels, "LABELS")
    # Images are needed only where there is no box, and for labels that are fractions of them.
    format = recognise(source)
    read_labels = read(source, format, strict=READERS[format].of_size)
    if not any((s.visibility > 0).any() for s in read_labels.samples):
        raise DataError(f"{source} holds no labelled point: there is nothing to score against")
    size = len(read_labels.samples), len(read_labels.skeleton)
    result = forms.score(forms.read_submission(Path(submission), *size), read_labels)
    if as_json:
        click.echo(json_text(result, indent=1))
        return

    from heatkp.cli.console import PlainConsole

    console = PlainConsole()
    for note in read_labels.notes:
        console.print(note, highlight=False, soft_wrap=True)
    print_score(console, result, submission, source)


def print_score(console: Console, result: dict[str, Any], title: str, source: Path) -> None:
    """The figures of `heatkp.kaggle.forms.score` as a table, and the worst images below it."""
    from heatkp.cli.console import figures_table, say

    def figure(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    table = figures_table(f"{title}: {result['images']} images")
    points = result["labelled_points"]
    table.add_row("MAE", figure(result["mae"], ".4f"), f"pixels, x and y of {points} points")
    table.add_row("RMSE", figure(result["rmse"], ".4f"), "pixels")
    table.add_row("distance", figure(result["distance"], ".4f"), "pixels, mean over points")
    for name, block in result["normalised"].items():
        note = f"of {block['images']} images"
        if block["images_without"]:
            note += f", {block['images_without']} without this length"
        table.add_row(f"NME, {name}", figure(block["nme"], ".2%"), note)
        table.add_row("  failures", figure(block["failure_rate"], ".1%"), "images over 10 %")
        table.add_row("  area under curve", figure(block["auc"], ".3f"), "up to 10 %; 1 is best")
    table.add_row(
        "normalised sum", figure(result["normalised_sum"], ".4f"),
        "|errors| / box size, summed over an image",
    )  # fmt: skip
    console.print(table)
    console.print("Largest errors (MAE of an image, pixels):")
    for image in result["worst"]:
        file = Path(image["file"])
        root = source if source.is_dir() else source.parent
        name = file.relative_to(root) if file.is_relative_to(root) else file
        say(console, f"  {image['mae']:8.2f}  {name} (entry {image['entry']})")
