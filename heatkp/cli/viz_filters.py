"""`heatkp viz filters`: what a convolution looks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from heatkp.cli.common import photos, png
from heatkp.files import writing

if TYPE_CHECKING:
    from torch import Tensor

    from heatkp.runs import Loaded
    from heatkp.viz.filters import Convolution

EXAMPLES = """\b
Examples:
  heatkp viz filters runs/kl-1 --out filters.png
  heatkp viz filters runs/kl-1 --layer list
  heatkp viz filters runs/kl-1 --layer map_layer.convolution --images me.jpg --out maps.png
"""
MOST_IMAGES = 6


@click.command(epilog=EXAMPLES)
@click.argument("run", type=click.Path(), metavar="RUN")
@click.option("--layer", metavar="NAME",
              help="A convolution, or `list` to print their names and shapes.  [default: the "
              "first that runs]")  # fmt: skip
@click.option("--images", multiple=True, metavar="PHOTO|val",
              help="Also draw what the layer gives for an image (the whole image), or for a "
              "sample of the validation data: val, val:7.  May be repeated.")  # fmt: skip
@click.option("--out", type=click.Path(), metavar="PNG", help="Needed except for `list`.")
def filters(run: str, layer: str | None, images: tuple[str, ...], out: str | None) -> None:
    """Draw the filters of a convolution: those that see a colour image in colour."""
    from heatkp.errors import SettingsError
    from heatkp.runs import load_run
    from heatkp.viz.filters import convolutions, filters_page

    if layer == "list" and (out is not None or images):
        raise SettingsError("--layer list only prints: leave out --out and --images")
    target = None if out is None else png(out)
    if target is None and layer != "list":
        raise SettingsError("--out is missing: name the PNG file to write")
    if len(images) > MOST_IMAGES:
        raise SettingsError(f"--images: {len(images)} are too many, {MOST_IMAGES} fit")
    loaded = load_run(run)
    found = convolutions(loaded.model)
    if layer == "list":
        width = max((len(c.name) for c in found), default=0)
        for c in found:
            click.echo(f"{c.name:{width}}  {c.words}, gives {c.size[0]}x{c.size[1]}")
        return
    chosen = _choose(found, layer)
    inputs = _inputs(run, loaded, images)
    assert target is not None
    with writing(target):
        filters_page(loaded.model, chosen, f"{run}"[-60:], inputs, target)
    click.echo(f"Written to {target}: {chosen.name}, {chosen.words}.")


def _choose(found: Sequence[Convolution], name: str | None) -> Convolution:
    """The convolution of that name, or the first. Raises `SettingsError`."""
    import difflib

    from heatkp.errors import SettingsError

    if not found:
        raise SettingsError("the network of this run has no convolution to draw")
    if name is None:
        return found[0]
    names = [c.name for c in found]
    if name not in names:
        near = difflib.get_close_matches(name, names, 3, 0.5) or names[:3]
        raise SettingsError(
            f"--layer: no convolution is called {name!r}; close to it: {', '.join(near)}; "
            "--layer list prints all"
        )
    return found[names.index(name)]


def _inputs(run: str, loaded: Loaded, images: Sequence[str]) -> list[tuple[str, Tensor]]:
    """Names and network inputs of images and validation samples. Raises `SettingsError`."""
    import re

    from heatkp.data.dataset import KeypointDataset
    from heatkp.data.transforms import Framing
    from heatkp.errors import SettingsError
    from heatkp.evaluation.measure import own_data, require_validation

    settings = loaded.settings.data
    own: KeypointDataset | None = None
    inputs = []
    for image in images:
        place = re.fullmatch(r"val(?::([0-9]{1,9}))?", image)
        if place is None:
            item = photos(loaded, [image], None)[0]
            inputs.append((image, item["image"]))
            continue
        if own is None:
            require_validation(run, loaded, "name images instead")
            samples = own_data(run, settings, "val").val
            own = KeypointDataset(
                samples, loaded.skeleton, Framing.of(settings), grey=settings.grey
            )
        index = int(place[1] or 0)
        if index >= len(own):
            raise SettingsError(f"--images {image}: there are {len(own)} validation samples, "
                                f"val:0 to val:{len(own) - 1}")  # fmt: skip
        inputs.append((own.samples[index].id, own[index]["image"]))
    return inputs
