"""`heatkp eval`."""

from __future__ import annotations

from pathlib import Path

import click

EXAMPLES = """\b
Examples:
  heatkp eval runs/softargmax-1
  heatkp eval runs/kl-1 --data imm/ --split all
  heatkp eval runs/kl-1/weights.safetensors --decoder dark --flip-test
"""


@click.command("eval", epilog=EXAMPLES)
@click.argument("run", type=click.Path(), metavar="RUN_OR_CHECKPOINT")
@click.option("--data", type=click.Path(), help="Other data than the run was trained on.")
@click.option(
    "--split", type=click.Choice(["train", "val", "all"]), default="val", show_default=True,
    help="Which samples; other data may be used whole.",
)  # fmt: skip
@click.option("--decoder", help="Read the maps by another decoder than the head's own.")
@click.option("--flip-test", is_flag=True, help="Average with the mirrored image.")
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@click.option("--out", type=click.Path(), help="JSON file.  [default: RUN/eval-SPLIT.json]")
def evaluate(
    run: str,
    data: str | None,
    split: str,
    decoder: str | None,
    flip_test: bool,
    batch_size: int,
    out: str | None,
) -> None:
    """Measure a trained model: MAE, MSE, NME, PCK, failures; a table here and JSON in the run."""
    import json

    from rich.console import Console
    from rich.progress import Progress

    from heatkp import runs
    from heatkp.data.dataset import KeypointDataset
    from heatkp.data.loading import load_data
    from heatkp.data.transforms import Framing
    from heatkp.errors import CheckpointError, DataError, SettingsError
    from heatkp.evaluation.evaluate import metrics_table, predict_dataset, worst_points
    from heatkp.evaluation.metrics import summarise
    from heatkp.models import DenseModel

    console = Console()
    loaded = runs.load_run(run)
    settings = loaded.settings.data.model_copy(deep=True)
    if data is not None:
        settings.format, settings.path = "auto", data
    if decoder is not None:
        if not isinstance(loaded.model, DenseModel):
            raise SettingsError("--decoder: the regression head has no maps to decode")
        loaded.model.head.use_decoder(decoder)
    found = load_data(settings)
    if found.skeleton.point_names != loaded.skeleton.point_names:
        raise CheckpointError(
            f"{run} finds the points of {loaded.skeleton.name!r} ({len(loaded.skeleton)}), but "
            f"the data is labelled with {found.skeleton.name!r} ({len(found.skeleton)})"
        )
    samples = found.part(split)
    if not any((s.visibility > 0).any() for s in samples):
        raise DataError(f"no {split} sample has a labelled point: nothing to measure")
    dataset = KeypointDataset(samples, found.skeleton, Framing.of(settings), grey=settings.grey)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("evaluating", total=len(dataset))
        errors = predict_dataset(
            loaded.model,
            dataset,
            batch_size,
            flip_test,
            progress=lambda done: progress.update(task, completed=done),
        )
    metrics = summarise(errors, found.skeleton)
    metrics.update(split=split, data=data, decoder=decoder, flip_test=flip_test)
    target = Path(out) if out else Path(run) if Path(run).is_dir() else Path(run).parent
    if not out:
        target = target / f"eval-{split}.json"
    try:
        runs.write_text(target, json.dumps(metrics, indent=1) + "\n")
    except OSError as error:
        raise SettingsError(f"cannot write {target}: {error}") from None
    console.print(metrics_table(metrics, f"{run}: {metrics['images']} images, split {split}"))
    console.print(f"Largest errors (photo pixels): {worst_points(metrics)}", highlight=False)
    console.print(f"Written to {target}", highlight=False, soft_wrap=True)
