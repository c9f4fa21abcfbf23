"""Networks written as a list of layers: what a line may say, and reading it.

layers: [conv 16 3, relu, pool 2, conv 32 3 stride 2, relu, flatten, fc 256, relu]
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import NamedTuple

_FORMS = {
    "conv": "conv CHANNELS KERNEL [stride N] [padding N]",
    "relu": "relu",
    "pool": "pool KERNEL [stride N]",
    "bn": "bn",
    "dropout": "dropout PROBABILITY",
    "flatten": "flatten",
    "average": "average",
    "fc": "fc WIDTH",
}
_ON_MAPS = ("conv", "pool", "flatten", "average")


class Layer(NamedTuple):
    """One layer of a list.

    Attributes:
        kind: `conv`, `relu`, `pool`, `bn`, `dropout`, `flatten`, `average` or `fc`.
        width: channels of a convolution, outputs of an fc layer.
        kernel: edge of the window of a convolution or max-pooling.
        stride: of a convolution or max-pooling; by default 1 and the kernel.
        padding: zeros on each side; by default a convolution keeps the size at stride 1.
        probability: of dropout.
    """

    kind: str
    width: int = 0
    kernel: int = 0
    stride: int = 1
    padding: int = 0
    probability: float = 0.0


def _whole(word: str, least: int) -> int:
    if not word.isascii() or not word.isdigit() or len(word) > 6 or int(word) < least:
        raise ValueError(f"{word!r} is no whole number from {least} to 999999")
    return int(word)


def _fraction(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise ValueError(f"{word!r} is no probability from 0 up to 1")
    return value


def _options(words: Sequence[str], allowed: Sequence[str]) -> dict[str, int]:
    """`stride 2 padding 0` as a dictionary."""
    found: dict[str, int] = {}
    if len(words) % 2:
        raise ValueError(f"{words[-1]!r} is left over")
    for name, value in zip(words[::2], words[1::2]):
        if name not in allowed or name in found:
            raise ValueError(f"{name!r} is not expected")
        found[name] = _whole(value, 0 if name == "padding" else 1)
    return found


def _layer(words: Sequence[str]) -> Layer:
    kind, given = words[0], words[1:]
    if len(given) < {"conv": 2, "pool": 1}.get(kind, 0):
        raise ValueError("a number is missing")
    if kind == "conv":
        width, kernel = _whole(given[0], 1), _whole(given[1], 1)
        options = _options(given[2:], ("stride", "padding"))
        if kernel % 2 == 0 and "padding" not in options:
            raise ValueError("an even kernel needs its padding")
        padding = options.get("padding", kernel // 2)
        return Layer(kind, width, kernel, options.get("stride", 1), padding)
    if kind == "pool":
        kernel = _whole(given[0], 1)
        return Layer(kind, 0, kernel, _options(given[1:], ("stride",)).get("stride", kernel))
    if len(given) != _FORMS[kind].count(" "):
        raise ValueError("wrong number of words")
    if kind == "dropout":
        return Layer(kind, probability=_fraction(given[0]))
    return Layer(kind, _whole(given[0], 1)) if kind == "fc" else Layer(kind)


def parse_layer(text: str) -> Layer:
    """One line of a list. Raises `ValueError` that says what is allowed.

    >>> parse_layer("conv 16 3 stride 2")
    Layer(kind='conv', width=16, kernel=3, stride=2, padding=1, probability=0.0)
    """
    words = text.lower().split()
    if not words or words[0] not in _FORMS:
        close = difflib.get_close_matches(words[0], _FORMS, 1) if words else []
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"there is no layer {text!r}{hint} Allowed: {'; '.join(_FORMS.values())}")
    try:
        return _layer(words)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}; write {_FORMS[words[0]]}") from None


def parse_layers(lines: Sequence[str]) -> list[Layer]:
    """A list of layers whose order makes sense: maps, then once a vector, then fc layers.

    Raises `ValueError` with the number of the layer, counted from 1.
    """
    layers: list[Layer] = []
    vector = False
    for number, line in enumerate(lines, 1):
        try:
            layer = parse_layer(line)
            if layer.kind == "fc" and not vector:
                raise ValueError(f"{line!r} takes a vector: put flatten or average before it")
            if layer.kind in _ON_MAPS and vector:
                raise ValueError(
                    f"{line!r} takes maps, but after flatten or average there are none"
                )
        except ValueError as error:
            raise ValueError(f"layer {number}: {error}") from None
        vector = vector or layer.kind in ("flatten", "average")
        layers.append(layer)
    if not any(layer.kind in ("conv", "fc") for layer in layers):
        raise ValueError("nothing to train: give at least one conv or fc")
    return layers
