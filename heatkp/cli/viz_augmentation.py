"""`heatkp viz augmentation`: training samples as the network sees them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heatkp.cli.common import chosen_settings, png, target_path
from heatkp.files import writing

if TYPE_CHECKING:
    from heatkp.config import Settings
    from heatkp.data.dataset import KeypointDataset
    from heatkp.data.samples import Sample
    from heatkp.skeletons import Skeleton

EXAMPLES = """\b
Examples:
  heatkp viz augmentation runs/kl-1
  heatkp viz augmentation --config configs/part2_face.yaml --set augmentation.rotation=30
  heatkp viz augmentation --data faces/ --samples 6 --draws 4 --out faces.png
"""


@click.command(epilog=EXAMPLES)
@click.argument("run", type=click.Path(), required=False, metavar="[RUN]")
@click.option("--config", type=click.Path(), help="YAML file of settings instead of a run.")
@click.option("--data", type=click.Path(), help="Other data than the settings name.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE",
    help="Another setting, as in augmentation.rotation=30; may be repeated.",
)  # fmt: skip
@click.option("--samples", type=click.IntRange(1, 24), default=4, show_default=True,
              help="Rows.")  # fmt: skip
@click.option("--draws", type=click.IntRange(1, 12), default=5, show_default=True,
              help="Augmented draws of each.")  # fmt: skip
@click.option("--out", type=click.Path(), metavar="PNG",
              help="[default: RUN/augmentation.png, or augmentation.png]")  # fmt: skip
def augmentation(
    run: str | None,
    config: str | None,
    data: str | None,
    assignments: tuple[str, ...],
    samples: int,
    draws: int,
    out: str | None,
) -> None:
    """Draw augmented training samples, a row for each: the original crop, then random draws.

    With the settings of a run (also one that has only begun), of a file or the defaults; without
    any data they are drawn faces. Pairs of points have their colours, so that a flip which
    exchanges the wrong labels is seen at once.
    """
    from heatkp.errors import SettingsError
    from heatkp.viz.augmentation import augmentation_sheet

    if run is not None and config is not None:
        raise SettingsError("a run has its settings already: leave out --config, or the run")
    settings = _settings(run, config, data, assignments)
    name = "augmentation.png"
    target = png(out or (name if run is None else str(target_path(run, None, name))))
    plain, augmented, chosen = _datasets(run if data is None else None, settings, samples)
    with writing(target):
        flips = augmentation_sheet(plain, augmented, chosen, draws, target)
    click.echo(
        f"Written to {target}: {len(chosen)} samples, {flips} of {len(chosen) * draws} draws are "
        "mirrored. In each row the colours must keep the sides that they have in the first image."
    )


def _settings(
    run: str | None, config: str | None, data: str | None, assignments: tuple[str, ...]
) -> Settings:
    """Settings of a run, a file or the defaults, with what was changed."""
    from heatkp import runs
    from heatkp.config import read_yaml

    values: dict[str, Any] = {}
    if config is not None:
        values = read_yaml(config)
    elif run is not None:
        saved = Path(run) / runs.SETTINGS
        # A run that has only begun holds settings, but no weights yet.
        values = read_yaml(saved) if saved.is_file() else runs.load_run(run).settings.model_dump()
    flags = {} if data is None else {"data": data}
    return chosen_settings(values, flags, assignments, config or run or "settings")


def _datasets(
    run: str | None, settings: Settings, count: int
) -> tuple[KeypointDataset, KeypointDataset, list[int]]:
    """The training samples as they are and augmented, and which of them to draw."""
    import numpy as np

    from heatkp.data.dataset import KeypointDataset
    from heatkp.data.loading import load_data
    from heatkp.data.transforms import Framing
    from heatkp.errors import DataError
    from heatkp.evaluation.measure import own_data

    data = settings.data
    if data.drawn:  # faces take time to draw, and each is as good as the others
        data.train_count, data.val_count = min(count, data.train_count), 1
    other = ", or name other data with --data"
    found = load_data(data) if run is None else own_data(run, data, "train", other)
    samples, skeleton, seed = found.train, found.skeleton, settings.trainer.seed
    framing = Framing.of(data)

    def dataset(samples: list[Sample], skeleton: Skeleton, **more: Any) -> KeypointDataset:
        return KeypointDataset(samples, skeleton, framing, grey=data.grey, seed=seed, **more)

    plain = dataset(samples, skeleton)
    if not any((s.visibility > 0).any() for s in samples):
        raise DataError("no training sample has a labelled point: there is nothing to show")
    if data.skip_outside:  # training goes without these, and draws by place in what is left
        known = [s.visibility > 0 for s in samples]
        samples = [s for i, s in enumerate(samples) if plain.inside(i)[known[i]].all()]
        plain = dataset(samples, skeleton)
    useful = [i for i, s in enumerate(samples) if (s.visibility > 0).any()]
    if not useful:
        raise DataError("data.skip_outside leaves nothing: enlarge data.box_scale")
    places = np.linspace(0, len(useful) - 1, min(count, len(useful))).round().astype(int)
    augmented = dataset(samples, skeleton, augmentation=settings.augmentation)
    return plain, augmented, [useful[i] for i in places]
