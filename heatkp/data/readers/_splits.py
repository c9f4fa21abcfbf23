"""Published splits, by the names of files and folders."""

from __future__ import annotations

import re

_WORDS = {
    "train": "train", "training": "train", "trainval": "train", "trainset": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "valset": "val",
    "test": "test", "testing": "test", "testset": "test",
}  # fmt: skip
SPLIT_FOLDERS = ("train", "training", "trainset", "val", "valid", "validation", "test", "testset")
_TOKEN = re.compile(r"[A-Za-z]+")


def split_of(name: str) -> str | None:
    """`train`, `val` or `test`, by a word in a name; None without one, or with several.

    >>> split_of("person_keypoints_val2017"), split_of("valid"), split_of("ap10k-train-split1")
    ('val', 'val', 'train')
    >>> split_of("latest"), split_of("train_and_test")
    (None, None)
    """
    found = {_WORDS[word] for t in _TOKEN.findall(name) if (word := t.lower()) in _WORDS}
    return found.pop() if len(found) == 1 else None
