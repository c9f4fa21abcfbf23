"""Paths that mean several files by braces, as shells and webdataset write them."""

from __future__ import annotations

import itertools
import re

from heatkp.errors import SettingsError

MOST_OF_A_PATTERN = 10**6
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")


def has_braces(text: str) -> bool:
    """Whether `expand_braces` gives anything else than the text."""
    return _BRACES.search(text) is not None


def expand_braces(text: str) -> list[str]:
    """What a pattern with braces means, in order, as shells and webdataset have it.

    A range has as many digits as its first number where that begins with a zero. Raises
    `SettingsError` for more than `MOST_OF_A_PATTERN`.

    >>> expand_braces("{train,val}-{08..10}.tar")[:4]
    ['train-08.tar', 'train-09.tar', 'train-10.tar', 'val-08.tar']
    """
    parts: list[list[str]] = []
    total, last = 1, 0
    for match in _BRACES.finditer(text):
        count = _count(match)
        total *= count
        if total > MOST_OF_A_PATTERN:
            raise SettingsError(
                f"{text} means more than {MOST_OF_A_PATTERN} files: write a shorter range, or name "
                "them in a file (predict --list)"
            )
        parts += [[text[last : match.start()]], _values(match)]
        last = match.end()
    parts.append([text[last:]])
    return ["".join(choice) for choice in itertools.product(*parts)]


def _count(match: re.Match[str]) -> int:
    if match[3] is not None:
        return match[3].count(",") + 1
    # Numbers of thousands of digits are no numbers to Python.
    if max(len(match[1]), len(match[2])) > 18:
        return MOST_OF_A_PATTERN + 1
    return abs(int(match[2]) - int(match[1])) + 1


def _values(match: re.Match[str]) -> list[str]:
    if match[3] is not None:
        return match[3].split(",")
    first, last = int(match[1]), int(match[2])
    step = 1 if first <= last else -1
    padded = any(len(m) > 1 and m.startswith("0") for m in (match[1], match[2]))
    width = max(len(match[1]), len(match[2])) if padded else 0
    return [f"{number:0{width}d}" for number in range(first, last + step, step)]
