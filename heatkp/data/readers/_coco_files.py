"""Which files of a folder are COCO's, which split each is, and where its images may be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from heatkp.data.readers._common import files_of_type
from heatkp.data.readers._json_lists import ends_of
from heatkp.data.readers._places import LABEL_FOLDERS
from heatkp.data.readers._splits import SPLIT_FOLDERS, split_of

_LIST = re.compile(r'"(images|annotations|categories)"\s*:\s*(\[|null)')
_BY_ID = re.compile(r'"images"\s*:\s*\{')
IMAGE_FOLDERS = ("images", "data", "imgs", "img", "JPEGImages", "Images")


class Part(NamedTuple):
    """A file and the split that it holds; None where it is the only file."""

    file: Path
    split: str | None = None


def is_coco(file: Path) -> bool:
    """Whether a JSON file looks like COCO's: an object with lists of that name."""
    ends = ends_of(file)
    return (
        ends.lstrip("\ufeff \t\r\n").startswith("{")
        and _LIST.search(ends) is not None
        and _BY_ID.search(ends) is None
    )


def _labelled(folder: Path) -> list[Path]:
    """The COCO files right in a folder; of several those with keypoints, if there are any."""
    found = [file for file in files_of_type(folder, ".json") if is_coco(file)]
    if len(found) < 2:
        return found
    return [file for file in found if '"keypoints"' in ends_of(file)] or found


def _by_split(files: Sequence[Path], names: Sequence[str], where: Path) -> list[Part] | str:
    """The files as splits, by names; what to do where they are none."""
    if len(files) == 1:
        return [Part(files[0])]
    splits = [split_of(name) for name in names]
    shown = ", ".join(file.name for file in files[:3]) + ", ..." * (len(files) > 3)
    if None in splits or len(set(splits)) != len(splits):
        return (
            f"{where} holds {len(files)} COCO files ({shown}) that are not one each for train, val "
            "and test: give the path of one"
        )
    order = sorted(range(len(files)), key=lambda i: ("train", "val", "test").index(str(splits[i])))
    return [Part(files[i], splits[i]) for i in order]


def find_parts(path: Path) -> list[Part] | str:
    """The COCO files that a path means, or what hinders: itself; those right in a folder, in its
    `annotations`, or one in each of `train`, `valid` and `test`; several as splits by their names.

    Empty where there are none.
    """
    if not path.is_dir():
        return [Part(path)] if path.suffix.lower() == ".json" else []
    inner = sorted(p for p in path.iterdir() if p.is_dir())
    own = [p for p in inner if p.name.lower() in LABEL_FOLDERS]
    for folder in (path, *own):
        files = _labelled(folder)
        if files:
            return _by_split(files, [file.stem for file in files], folder)
    folders = [p for p in inner if p.name.lower() in SPLIT_FOLDERS]
    found = [(folder, _labelled(folder)) for folder in folders]
    several = next((folder for folder, files in found if len(files) > 1), None)
    if several is not None:
        return f"{several} holds several COCO files: give the path of one"
    kept = [(files[0], folder.name) for folder, files in found if files]
    if not kept:
        return []
    return _by_split([file for file, _ in kept], [name for _, name in kept], path)


def recognise_coco(path: Path) -> bool | str:
    """As `Reader.recognise`."""
    if not path.is_dir():
        if path.suffix.lower() != ".json":
            return False
        return is_coco(path) or f"{path.name} has no lists of images, annotations and categories"
    found = find_parts(path)
    if isinstance(found, str):
        return found
    if found:
        return True
    others = files_of_type(path, ".json")
    return f"{others[0].name} is no COCO file" if len(others) == 1 else False


def image_folders(source: Path) -> list[Path]:
    """Folders where the images of a COCO file may be, by its name: for
    annotations/person_keypoints_val2017.json val2017 and images/val2017 beside `annotations`,
    then images, data ..."""
    root = source.parent
    roots = [root.parent] if root.name.lower() in LABEL_FOLDERS else [root]
    starts = [0, *(match.end() for match in re.finditer(r"[_.\- ]", source.stem))]
    names = [source.stem[start:] for start in starts if source.stem[start:]]
    split = split_of(source.stem)
    names += [name for name in SPLIT_FOLDERS if split is not None and split_of(name) == split]
    found: dict[Path, None] = {}
    for base in roots:
        for name in dict.fromkeys(names):
            for place in (base / name, *(base / folder / name for folder in IMAGE_FOLDERS)):
                found[place] = None
        for folder in IMAGE_FOLDERS:
            found[base / folder] = None
    return [place for place in found if place.is_dir()]
