"""Options that several commands share, and those whose choices are names of extensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from heatkp.registry import RUNTIMES, Registries, Registry


class NameOption(click.Option):
    """An option that takes the name of an extension; its help lists them when it is asked for.

    `registry` is their registry; `{names}` in the help stands for the names. With `also`, names
    that may be given beside them, others are refused at once; without, whoever uses them does.
    """

    def __init__(
        self,
        *arguments: Any,
        registry: Registry[Any] | Registries,
        also: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **{"metavar": "NAME", **options})
        self._registry, self._also = registry, also

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        template = self.help or ""
        self.help = template.replace("{names}", ", ".join(self._registry))
        try:
            return super().get_help_record(ctx)
        finally:
            self.help = template

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        found = super().type_cast_value(ctx, value)
        if self._also is not None and found is not None:
            for name in found if self.multiple else [found]:
                if name not in self._also and name not in self._registry:
                    text = str(self._registry.unknown(name, self._also))
                    raise click.BadParameter(text, ctx, self)
        return found


def runtime_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--runtime` and `--precision`, as `heatkp.export.open_runtime` takes them."""
    for option in reversed((
        click.option("--runtime", cls=NameOption, registry=RUNTIMES, also=("auto",),
                     help="What runs the network: {names}, or auto, the quickest that is "
                     "installed. Others than torch export a run once, into the cache folder.  "
                     "[default: an exported folder's own; the quickest for a model that comes with "
                     "heatkp; else torch]"),
        click.option("--precision", type=click.Choice(["f32", "bf16", "f16"]),
                     help="What the network computes in: bf16 with torch and openvino, f16 weights "
                     "with onnx and openvino.  [default: f32; an exported folder's own]"),
    )):  # fmt: skip
        command = option(command)
    return command


LAYOUTS = ("auto", "face68", "face58", "face15", "none")
"""As of `heatkp.config`, which is not imported for this."""


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--orient`, `--y-up`, `--first-pixel` and `--layout`: what files do not tell of labels."""
    for option in reversed((
        click.option("--orient", is_flag=True,
                     help="The labels are of images turned upright as EXIF entries say "
                     "(data.orient)."),
        click.option("--y-up/--no-y-up", default=None,
                     help="The file counts y upwards from the images' lower edge, as tpsDig does "
                     "(data.y_up).  [default: as its format does]"),
        click.option("--first-pixel", type=click.FloatRange(-1, 2), metavar="NUMBER",
                     help="What points call the centre of the first pixel: 1 where they count from "
                     "1 (data.first_pixel).  [default: as their format does]"),
        click.option("--layout", type=click.Choice(LAYOUTS), default="auto", show_default=True,
                     help="What numbered points are (data.layout); auto: face68 where they have "
                     "the shape of a face."),
    )):  # fmt: skip
        command = option(command)
    return command


device_option = click.option(
    "--device", default="auto", show_default=True, metavar="NAME",
    help="Where the network runs: cpu, cuda (or cuda:1 ...), mps; auto takes a GPU where there is "
    "one.",
)  # fmt: skip
"""`--device` of commands that run a network, as `heatkp.models.devices.choose_device` takes it."""
