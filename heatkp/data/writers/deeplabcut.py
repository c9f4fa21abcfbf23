"""DeepLabCut: a project: `config.yaml`, and `labeled-data/VIDEO/` with images and a label file.

https://deeplabcut.github.io/DeepLabCut/docs/standardDeepLabCut_UserGuide: rows scorer, individuals
(where an image has several objects, or these have tracks), bodyparts, coords; three columns name
the image. Pixel centres lie on integers. DeepLabCut finds the folders by `video_sets`, corrects
`project_path` itself, and trains on `.h5` files, which `deeplabcut.convertcsv2h5` makes of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from heatkp.data.writers._base import (
    Holds,
    LabelledImage,
    LabelSet,
    Object,
    ToPlace,
    label_writer,
)
from heatkp.data.writers._scorer import (
    SCORER,
    cells,
    in_labelled_data,
    points_of,
    video_folder,
    write_table,
)
from heatkp.text import printable

_UNIQUE = "single"
"""An individual that has another meaning: the points that an image has once."""
Individuals = dict[str, Object]


def _place(image: ToPlace) -> str:
    if image.video is not None:
        return in_labelled_data(image, video_folder(image.video))
    return in_labelled_data(image, image.name.rpartition("/")[0].replace("/", "_") or "images")


def _individuals(image: LabelledImage) -> tuple[Individuals, int]:
    """An image's objects by individual, called as their tracks, and how many had to get another
    name, for an image has an individual once."""
    taken = {found.sample.track for found in image.objects}
    named: Individuals = {}
    changed = 0
    for number, found in enumerate(image.objects, 1):
        track = found.sample.track
        name = track or ""
        if not name or name in named or name == _UNIQUE:
            changed += track is not None
            free = (f"individual{i}" for i in range(number, number + 2 + len(taken | {*named})))
            name = next(n for n in free if n not in taken and n not in named)
        named[name] = found
    return named, changed


def _ordered(images: list[Individuals]) -> list[str]:
    """All individuals, so that the objects of each image keep their order, if that can be."""
    before: dict[str, set[str]] = {}
    for named in images:
        for name in named:
            before.setdefault(name, set())
        for first, second in pairwise(named):
            before[second].add(first)
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError:
        return list(before)


def _config(labels: LabelSet, individuals: list[str]) -> dict[str, Any]:
    skeleton = labels.skeleton
    names = [printable(name) for name in skeleton.point_names]
    edges = [[names[a], names[b]] for run in skeleton.lines for a, b in pairwise(run)]
    videos: dict[str, Any] = {}
    for image in labels.images:
        width, height = image.size
        videos.setdefault(f"videos/{_folder(image)}.mp4", {"crop": f"0, {width}, 0, {height}"})
    several = bool(individuals)
    points: dict[str, Any] = {"bodyparts": names}
    if several:
        points = {
            "individuals": individuals,
            "uniquebodyparts": [],
            "multianimalbodyparts": names,
            "bodyparts": "MULTI!",
        }
    return {
        "Task": printable(skeleton.name),
        "scorer": SCORER,
        "date": "Jan1",
        "multianimalproject": several,
        "identity": False,
        "project_path": ".",
        "engine": "pytorch",
        "video_sets": videos,
        **points,
        "start": 0,
        "stop": 1,
        "numframes2pick": 20,
        "skeleton": edges,
        "skeleton_color": "black",
        "pcutoff": 0.6,
        "dotsize": 12,
        "alphavalue": 0.7,
        "colormap": "rainbow",
        "TrainingFraction": [0.95],
        "iteration": 0,
        "default_net_type": "resnet_50",
        "default_augmenter": "default",
        "snapshotindex": -1,
        "batch_size": 8,
        "cropping": False,
        "x1": 0,
        "x2": 640,
        "y1": 277,
        "y2": 624,
        "corner2move2": [50, 50],
        "move2corner": True,
    }


def _folder(image: LabelledImage) -> str:
    return image.name.split("/")[1]


@label_writer(
    "deeplabcut",
    "a DeepLabCut project: `config.yaml`, and `labeled-data/` with images and `.csv` files",
    holds=Holds.NAMES | Holds.LINES | Holds.OUTSIDE | Holds.MISSING | Holds.SEVERAL
    | Holds.VIDEOS | Holds.TRACKS,
    place=_place,
    beside=True,
)  # fmt: skip
def write_deeplabcut(labels: LabelSet, folder: Path) -> list[str]:
    """As a project of several animals where an image has several objects, or these have tracks."""
    told = [_individuals(image) for image in labels.images]
    objects = [found for named, _ in told for found in named.values()]
    several = any(len(named) > 1 for named, _ in told)
    several |= any(found.sample.track is not None for found in objects)
    individuals = _ordered([named for named, _ in told]) if several else []
    columns = points_of(labels)
    header: tuple[str, ...] = ("bodyparts", "coords")
    if several:
        header = ("individuals", *header)
        columns = [(name, *column) for name in individuals for column in columns]
    count = len(labels.skeleton)

    def rows(place: str) -> Iterator[tuple[list[str], list[str]]]:
        for image, (named, _) in zip(labels.images, told):
            if _folder(image) == place:
                alone = next(iter(named.values()), None)
                own = [named.get(name) for name in individuals] if several else [alone]
                yield image.name.split("/"), [c for one in own for c in cells(one, count, False)]

    for place in dict.fromkeys(_folder(image) for image in labels.images):
        path = folder / "labeled-data" / place / f"CollectedData_{SCORER}.csv"
        write_table(path, header, columns, rows(place), 3)
    with (folder / "config.yaml").open("w", encoding="utf-8") as file:
        yaml.safe_dump(_config(labels, individuals), file, sort_keys=False, allow_unicode=True)
    changed = sum(count for _, count in told)
    note = "objects whose track is that of another in the image, called individualN"
    return [
        *[f"{note}: {changed}"] * bool(changed),
        "DeepLabCut trains on .h5 files: make them with deeplabcut.convertcsv2h5",
    ]
