"""Options that several commands share, and those whose choices are names of extensions."""

from __future__ import annotations

from typing import Any

import click

from heatkp.registry import Registry


class NameOption(click.Option):
    """An option that takes the name of an extension; its help lists them when it is asked for.

    `registry` is their registry; `{names}` in the help stands for the names.
    """

    def __init__(self, *arguments: Any, registry: Registry[Any], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._registry = registry

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        template = self.help or ""
        self.help = template.replace("{names}", ", ".join(self._registry))
        try:
            return super().get_help_record(ctx)
        finally:
            self.help = template


device_option = click.option(
    "--device", default="auto", show_default=True, metavar="NAME",
    help="Where the network runs: cpu, cuda (or cuda:1 ...), mps; auto takes a GPU where there is "
    "one.",
)  # fmt: skip
"""`--device` of commands that run a network, as `heatkp.models.devices.choose_device` takes it."""
