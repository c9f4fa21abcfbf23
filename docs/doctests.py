"""A griffe extension: examples in docstrings are code on the site, wherever they stand."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)


def fenced(text: str) -> str:
    """A docstring with its doctests in fences, without their directives."""
    return _EXAMPLE.sub(
        lambda found: "```pycon\n" + re.sub(r"  # doctest: .*", "", found[0]) + "\n```", text
    )


class Doctests(griffe.Extension):
    """Puts fences around doctests."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
