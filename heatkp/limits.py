"""How large may be what is read: looked at before anything is decoded.

The limits lie far above what people have. Whoever meets one raises it by its environment variable,
as in `HEATKP_MAX_IMAGE_PIXELS=1G heatkp predict scans/`.
"""

from __future__ import annotations

import os
import re
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from heatkp.errors import SettingsError

_FORM = re.compile(r"(\d{1,18})([KMGT]?)", re.IGNORECASE)
_TIMES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
LONGEST_NUMBER = 400
"""Digits of a whole number in YAML: no `float` has more."""
_BLOCK = 2**20
DEEPEST = 100
"""Values within each other in YAML; reading takes time as the square of it."""


class Limit(Enum):
    """What is limited; the value is the default. `HEATKP_MAX_` and the name is its variable."""

    IMAGE_PIXELS = 256_000_000
    """Width times height of an image or a frame of a video; as RGB it takes three bytes a pixel."""
    IMAGE_BYTES = 1_000_000_000
    """Of an image's file, also within a tar or an HDF5 file."""
    LABEL_BYTES = 2_000_000_000
    """Of a file of labels, boxes or predictions as text; of what an HDF5 file of labels unpacks
    to, and of the memory that reading a `.mat` file takes."""
    SETTINGS_BYTES = 16_000_000
    """Of a YAML file: settings, a sweep's space, `data.yaml`, `config.yaml`."""
    SETTINGS_VALUES = 1_000_000
    """In a YAML file, those behind aliases counted wherever they are used."""
    WEIGHTS_BYTES = 32_000_000_000
    """Of a file of weights, and of what it unpacks to."""

    @property
    def variable(self) -> str:
        """The environment variable that changes it."""
        return f"HEATKP_MAX_{self.name}"

    @property
    def most(self) -> int:
        """What is allowed now. Raises `SettingsError` for a variable that is no number."""
        text = os.environ.get(self.variable, "").strip()
        if not text:
            return int(self.value)
        found = _FORM.fullmatch(text)
        if not found or not int(found[1]):
            raise SettingsError(
                f"{self.variable} is {text!r}: give a whole number over 0, as in 500000, 500K or 2G"
            )
        return int(found[1]) * _TIMES[found[2].upper()]

    def refusal(self, count: int, unit: str) -> str | None:
        """What is wrong with so many, to stand behind "it has"; None where they are allowed."""
        if count <= self.most:
            return None
        return f"{count} {unit}, over the limit of {self.most} ({self.variable} changes it)"


class TooLarge(ValueError):
    """More than a `Limit` allows. Readers of files tell it as they tell other values that do not
    fit."""


def read_bytes(path: Path, limit: Limit) -> bytes:
    """A file's content. Raises `OSError`, and `TooLarge`, also for what has no end."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if said := limit.refusal(size, "bytes"):
            raise TooLarge(f"it has {said}")
        parts = [file.read(size)]  # never more at once, for memory is taken for what is asked
        while part := file.read(_BLOCK):  # devices and pipes have no size
            parts.append(part)
            if said := limit.refusal(sum(map(len, parts)), "bytes or more"):
                raise TooLarge(f"it has {said}")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_text(path: Path, limit: Limit, encoding: str = "utf-8", errors: str = "strict") -> str:
    """As `Path.read_text`. Raises `OSError`, and `ValueError` for what is no text or too large."""
    text = read_bytes(path, limit).decode(encoding, errors)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def load_yaml(text: str, loader: Any = yaml.SafeLoader) -> Any:
    """As `yaml.safe_load`, for a text that a stranger may have written.

    Values that say the same by aliases are one object in memory, until somebody writes or compares
    them: a kilobyte can stand for 10^9 of them.

    Raises `yaml.YAMLError`, and `ValueError` for what is nested too deep, refers to itself, holds
    numbers longer than any computation takes or more values than allowed.
    """
    reader = type("Bounded", (_Bounded, loader), {})(text)
    try:
        node = reader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return reader.construct_document(node)
    except OverflowError as error:  # of dates
        raise ValueError(str(error)) from None
    finally:
        reader.dispose()


class _Bounded:
    """Before a loader of PyYAML: stops where values are nested too deep."""

    flow_level = depth = 0

    def fetch_flow_collection_start(self, token: Any) -> None:
        self._require(self.flow_level)
        super().fetch_flow_collection_start(token)  # type: ignore[misc]

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._require(self.depth)
        self.depth += 1
        node = super().compose_node(parent, index)  # type: ignore[misc]
        self.depth -= 1
        return node

    def _require(self, depth: int) -> None:
        if depth > DEEPEST:
            raise TooLarge(f"values are nested more than {DEEPEST} deep")


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values there are in a node."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag == "tag:yaml.org,2002:int" and len(node.value) > LONGEST_NUMBER:
            raise TooLarge(f"a number of {len(node.value)} digits is too long")
        return 1
    if id(node) in known:
        if not known[id(node)]:
            raise ValueError("a value holds itself")
        return known[id(node)]
    known[id(node)] = 0
    total = 1
    for inner in node.value:
        for part in inner if isinstance(inner, tuple) else (inner,):
            total += _count(part, known)
        if said := Limit.SETTINGS_VALUES.refusal(total, "values or more"):
            raise TooLarge(f"it has {said}, by its aliases")
    known[id(node)] = total
    return total


def count_of(shape: tuple[int, ...]) -> int:
    """The product of sides, of an array that a file announces."""
    count = 1
    for side in shape:
        count *= max(int(side), 0)
    return count
