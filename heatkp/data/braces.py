"""Paths that mean several files by braces, as shells and webdataset write them."""

from __future__ import annotations

import itertools
import re

from heatkp.errors import DataError

MOST = 10**6
"""Files that a pattern may mean."""
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")


def has_braces(text: str) -> bool:
    """Whether `expand_braces` gives anything else than the text."""
    return _BRACES.search(text) is not None


def expand_braces(text: str) -> list[str]:
    """What a pattern means, in order; a range has as many digits as its ends where one begins with
    a zero. Raises `DataError` for more than `MOST`.

    >>> expand_braces("{train,val}-{08..10}.tar")[:4]
    ['train-08.tar', 'train-09.tar', 'train-10.tar', 'val-08.tar']
    """
    parts: list[list[str]] = []
    total, last = 1, 0
    for match in _BRACES.finditer(text):
        total *= _count(match)
        if total > MOST:
            raise DataError(f"{text} means more than {MOST} files: write a shorter range")
        parts += [[text[last : match.start()]], _values(match)]
        last = match.end()
    parts.append([text[last:]])
    return ["".join(choice) for choice in itertools.product(*parts)]


def _count(match: re.Match[str]) -> int:
    if match[3] is not None:
        return match[3].count(",") + 1
    # Numbers of thousands of digits are no numbers to Python.
    if max(len(match[1]), len(match[2])) > 18:
        return MOST + 1
    return abs(int(match[2]) - int(match[1])) + 1


def _values(match: re.Match[str]) -> list[str]:
    if match[3] is not None:
        return match[3].split(",")
    first, last = int(match[1]), int(match[2])
    step = 1 if first <= last else -1
    padded = any(len(end) > 1 and end.startswith("0") for end in (match[1], match[2]))
    width = max(len(match[1]), len(match[2])) if padded else 0
    return [f"{number:0{width}d}" for number in range(first, last + step, step)]
