"""`heatkp data`: make data sets and look into them."""

from __future__ import annotations

from pathlib import Path

import click

EXAMPLES = """\b
Examples:
  heatkp data synth --n 500 faces/
  heatkp data synth --n 100 --size 256 --skeleton face58 --seed 7 faces58/
"""


@click.group()
def data() -> None:
    """Make data sets and look into them."""


@data.command(epilog=EXAMPLES)
@click.argument("out", type=click.Path())
@click.option("--n", "count", type=click.IntRange(1), default=500, show_default=True)
@click.option("--size", type=click.IntRange(48, 512), default=128, show_default=True,
              help="Width and height in pixels.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--skeleton", type=click.Choice(["face68", "face58"]), default="face68",
              show_default=True, help="Layout of the labels.")  # fmt: skip
def synth(out: str, count: int, size: int, seed: int, skeleton: str) -> None:
    """Draw faces with exact labels: PNG files and COCO keypoints in a new folder OUT."""
    import json
    import shutil

    import cv2
    from rich.console import Console
    from rich.progress import track

    from heatkp.data.loading import drawn_sample
    from heatkp.data.readers.coco import coco_dictionary
    from heatkp.errors import SettingsError
    from heatkp.skeletons import SKELETONS

    target = Path(out)
    part = target.with_name(target.name + ".part")
    if target.exists():
        raise SettingsError(f"{target} exists already: choose a new folder")
    try:
        part.mkdir(parents=True)
        (part / "images").mkdir()
    except OSError as error:
        raise SettingsError(f"cannot make the folder {part}: {error}") from None
    console = Console()
    try:
        samples, files = [], []
        for index in track(range(count), "drawing", console=console, transient=True):
            sample = drawn_sample(seed, index, SKELETONS[skeleton], size)
            name = f"images/{index:06d}.png"
            cv2.imwrite(str(part / name), sample.image()[:, :, ::-1])
            samples.append(sample)
            files.append((name, size, size))
        content = coco_dictionary(SKELETONS[skeleton], samples, files)
        (part / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    console.print(f"{count} faces in {target}; train with: heatkp train --data {target}",
                  highlight=False, soft_wrap=True)  # fmt: skip
