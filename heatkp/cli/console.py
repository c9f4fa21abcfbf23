"""What commands print on: names stay as they are, whatever signs they hold."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from heatkp.text import one_line, without_codes


class PlainConsole(Console):
    """A console on which text is text: no markup, no `:emoji:`, no terminal codes in names."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(without_codes(text), **options)


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print a line as it is, however long."""
    console.print(one_line(text), highlight=False, markup=False, soft_wrap=True, style=style)


def figures_table(title: str) -> Table:
    """An empty table of three columns: what, its figure, and what the figure means."""
    table = Table(title=title, title_justify="left", show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    return table
