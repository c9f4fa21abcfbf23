"""Large JSON files, element by element: the lists of a COCO file do not fit memory as Python holds
them. And what a JSON file is, told by a few bytes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from heatkp.limits import Limit, read_bytes

ENDS = 64 * 1024
"""Bytes from the start and the end of a file that are looked at to tell what it is."""
_space = re.compile(r"[ \t\n\r]*").match
Convert = Callable[[Any, int], Any]
"""Called with an element of a list and its place; gives what is kept of it."""


def ends_of(path: Path) -> str:
    """The first and the last bytes of a file as text; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            first = file.read(ENDS)
            size = file.seek(0, 2)
            file.seek(max(len(first), size - ENDS))
            last = file.read()
    except OSError:
        return ""
    joint = b"" if size <= 2 * ENDS else b"\n"
    return (first + joint + last).decode("utf-8", "replace")


def load_lists(source: Path, convert: Mapping[str, Convert]) -> Any:
    """A JSON file's content, of which the lists named in `convert` are kept as that says.

    Raises `OSError`, `ValueError` and `RecursionError` as `json.loads` does, and whatever
    `convert` raises.
    """
    text = read_bytes(source, Limit.LABEL_BYTES).decode("utf-8-sig")
    start = _space(text, 0).end()  # type: ignore[union-attr]
    if not text.startswith("{", start):
        return json.loads(text)
    decode = json.JSONDecoder().raw_decode
    content: dict[str, Any] = {}
    place = _after_space(text, start + 1)
    if text.startswith("}", place):
        return _ended(content, text, place)
    while True:
        key, place = decode(text, place)
        if not isinstance(key, str):
            raise json.JSONDecodeError("Expecting property name", text, place)
        place = _after_space(text, _expected(":", text, place))
        if key in convert and text.startswith("[", place):
            content[key], place = _elements(text, place, decode, convert[key])
        else:
            content[key], place = decode(text, place)
        place = _after_space(text, place)
        if text.startswith("}", place):
            return _ended(content, text, place)
        place = _after_space(text, _expected(",", text, place))


def _after_space(text: str, place: int) -> int:
    return _space(text, place).end()  # type: ignore[union-attr]


def _expected(mark: str, text: str, place: int) -> int:
    place = _after_space(text, place)
    if not text.startswith(mark, place):
        raise json.JSONDecodeError(f"Expecting {mark!r} delimiter", text, place)
    return place + 1


def _ended(content: dict[str, Any], text: str, place: int) -> dict[str, Any]:
    place = _after_space(text, place + 1)
    if place != len(text):
        raise json.JSONDecodeError("Extra data", text, place)
    return content


def _elements(
    text: str, place: int, decode: Callable[[str, int], tuple[Any, int]], convert: Convert
) -> tuple[list[Any], int]:
    """The elements of the list that starts at a place, and where it ends."""
    kept: list[Any] = []
    place = _after_space(text, place + 1)
    if text.startswith("]", place):
        return kept, place + 1
    while True:
        value, place = decode(text, place)
        kept.append(convert(value, len(kept)))
        if text.startswith(", {", place):  # what nearly all files have
            place += 2
            continue
        place = _after_space(text, place)
        if text.startswith("]", place):
            return kept, place + 1
        place = _after_space(text, _expected(",", text, place))
