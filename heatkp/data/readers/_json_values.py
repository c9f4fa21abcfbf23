"""Values of JSON files, which may be of any type: numbers, ids, and how errors show them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp.data.readers._common import FURTHEST
from heatkp.errors import DataError
from heatkp.limits import Limit, read_text


def load_json(source: Path, expected: str) -> Any:
    """What a JSON file holds. Raises `DataError`; `expected` says what such a file has."""
    try:
        return json.loads(read_text(source, Limit.LABEL_BYTES, "utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{source} cannot be read as JSON ({error}); {expected}") from None


def objects_in(value: Any, place: str) -> list[dict[str, Any]]:
    """A list of JSON objects; an empty one for null. Raises `DataError` for anything else."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DataError(f"{place} is {shown(value)}; expected a list of JSON objects")
    return value


def pixel(value: Any, place: str) -> float:
    """A coordinate. Raises `DataError` for what is no finite number, or one beyond `FURTHEST`."""
    whole = isinstance(value, int | float) and not isinstance(value, bool)
    if not whole or not abs(value) <= FURTHEST:
        raise DataError(f"{place} is {shown(value)}; expected a number")
    return float(value)


def size_in(width: Any, height: Any) -> tuple[int, int] | None:
    """Width and height in pixels; None where either is none."""
    sides = (width, height)
    if all(type(side) in (int, float) and 1 <= side <= FURTHEST for side in sides):
        return round(width), round(height)
    return None


def shown(value: Any) -> str:
    """A value as JSON, cut to what fits a line."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def identity_of(value: Any, place: str, key: str) -> int | str:
    """Raises `DataError` for what is neither a whole number nor text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise DataError(f"{place}: {key!r} is {shown(value)}; expected a whole number or text")
    return value


def _as_text(identity: int | str) -> str:
    """One text for 7, "7" and "007"."""
    text = str(identity)
    return (text.lstrip("0") or "0") if text.isascii() and text.isdigit() else text


class Ids:
    """Finds ids in a list, also where one side wrote numbers and the other text."""

    def __init__(self, known: Iterable[int | str]) -> None:
        self._known = set(known)
        counts = Counter(map(_as_text, self._known))
        self._by_text = {_as_text(i): i for i in self._known if counts[_as_text(i)] == 1}
        self.rewritten: list[tuple[int | str, int | str]] = []

    def find(self, identity: int | str) -> int | str | None:
        """The id as the list has it; None where it is not there, or two would do."""
        if identity in self._known:
            return identity
        found = self._by_text.get(_as_text(identity))
        if found is not None:
            self.rewritten.append((identity, found))
        return found

    def notes(self, key: str) -> list[str]:
        """A line where ids were written in two ways."""
        if not self.rewritten:
            return []
        (one, other), count = self.rewritten[0], len(self.rewritten)
        return [
            f"annotations whose {key!r} is written in another way than the list that it is of "
            f"({one!r} for {other!r}), matched: {count}"
        ]


def numbers_in(value: Any) -> npt.NDArray[np.float64] | None:
    """A list of numbers, or a list of such lists of one length; None for anything else."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, OverflowError):
        return None
    # Text, objects, and numbers of more than 64 bits have other kinds.
    return array.astype(np.float64) if array.ndim and array.dtype.kind in "iuf" else None
