"""Published splits, by the names of files and folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

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


_WHOLE = {"afw": "train", "ibug": "test"}
"""Collections of 300-W that are in one part as they are (Sagonas et al. 2013)."""


def folder_splits(names: Sequence[str]) -> list[str | None]:
    """The part of the split that each image is in, by a folder in its name: `train`, `testset`.

    300-W has `trainset` and `testset` in some of its collections, beside others that train (`afw`)
    or test (`ibug`) as wholes.

    >>> folder_splits(["helen/trainset/1.jpg", "lfpw/testset/2.jpg", "afw/3.jpg", "more/4.jpg"])
    ['train', 'test', 'train', None]
    >>> folder_splits(["afw/3.jpg", "ibug/4.jpg"])
    [None, None]
    """
    folders = [[part.lower() for part in _parent(name).parts] for name in names]
    found = [
        _only([split_of(part) for part in parts if part in SPLIT_FOLDERS]) for parts in folders
    ]
    if not any(found):
        return found
    return [
        _only([_WHOLE[part] for part in parts if part in _WHOLE]) if split is None else split
        for parts, split in zip(folders, found)
    ]


def _parent(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/")).parent


def _only(splits: Sequence[str | None]) -> str | None:
    return splits[0] if len(set(splits)) == 1 else None
