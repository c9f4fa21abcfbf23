"""DeepLabCut: a project's folder or `config.yaml`, a folder of one video, or one label file.

Each folder in `labeled-data` is a video with `CollectedData_SCORER.csv` and the same as `.h5`;
rows are images, columns scorer, individual (of several animals), body part, x and y. Coordinates
are pixels with centres on integers: labels are made in napari, whose pixel centres lie there, and
written as they are (https://deeplabcut.github.io/DeepLabCut/docs/standardDeepLabCut_UserGuide).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from heatkp.data.frames import begins_as_hdf5
from heatkp.data.images import STORED, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import files_of_type
from heatkp.data.readers._pandas_hdf5 import read_frame
from heatkp.data.readers._scorer_samples import labels_from, names_in, points_of
from heatkp.data.readers._scorer_tables import (
    LABEL_DATA,
    ScorerTable,
    from_values,
    image_name,
    is_scorer_table,
    read_scorer_csv,
)
from heatkp.data.readers.pts import SUFFIXES
from heatkp.data.samples import Labels
from heatkp.errors import DataError
from heatkp.limits import Limit, load_yaml, read_text

CONFIG = "config.yaml"
_STEM = "CollectedData"
_KEY = r"^{}\s*:"
_PARTS = ("bodyparts", "multianimalbodyparts")


class _Config(NamedTuple):
    """What a project says of itself: its task, scorer, points in their order, lines."""

    title: str = ""
    scorer: str = ""
    names: tuple[str, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()


class _Project(NamedTuple):
    """Label files, the config (which need not be there), and notes."""

    files: list[Path]
    config: Path | None
    notes: list[str]


def is_config(path: Path) -> bool:
    """Whether a file is a project's `config.yaml`, by its keys."""
    try:
        text = read_text(path, Limit.SETTINGS_BYTES, errors="replace")
    except (OSError, ValueError):
        return False
    keys = (_PARTS, ("scorer", "video_sets"))
    return all(any(re.search(_KEY.format(k), text, re.M) for k in some) for some in keys)


def _is_labels(path: Path) -> bool:
    """Whether a file is a table of labels, by its first bytes."""
    if path.suffix.lower() == ".csv":
        return is_scorer_table(path)
    return path.suffix.lower() == ".h5" and begins_as_hdf5(path)


def _collected(folder: Path) -> dict[str, list[Path]]:
    """Label files right in a folder by their scorers' names, CSV files first."""
    found: dict[str, list[Path]] = {}
    for suffix in (".csv", ".h5"):
        for file in files_of_type(folder, suffix):
            if file.name.startswith(_STEM) and _is_labels(file):
                found.setdefault(file.stem.removeprefix(_STEM).lstrip("_"), []).append(file)
    return found


def _videos(folder: Path) -> list[Path]:
    """Folders of videos with labels in a folder that is, or holds, `labeled-data`."""
    inner = folder / LABEL_DATA if (folder / LABEL_DATA).is_dir() else folder
    below = sorted(place for place in inner.iterdir() if place.is_dir())
    return [place for place in below if _collected(place)]


def _recognise(path: Path) -> bool | str:
    if path.is_dir():
        if (path / CONFIG).is_file() and is_config(path / CONFIG):
            return True
        in_project = path.resolve().parent.name == LABEL_DATA
        return bool(_videos(path)) or (in_project and bool(_collected(path)))
    if path.suffix.lower() in (".yaml", ".yml"):
        return is_config(path)
    if not _is_labels(path):
        return False
    if path.suffix.lower() == ".h5" or path.resolve().parent.parent.name == LABEL_DATA:
        return True
    return path.name.startswith(f"{_STEM}_") and _config_above(path) is not None


def _config_above(path: Path) -> Path | None:
    """The config of the project that a label file lies in."""
    above = (folder / CONFIG for folder in path.resolve().parents[:4])
    return next((file for file in above if file.is_file() and is_config(file)), None)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _read_config(path: Path, notes: list[str]) -> _Config:
    try:
        found = load_yaml(read_text(path, Limit.SETTINGS_BYTES, "utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        notes.append(
            f"{path} cannot be read ({' '.join(str(error).split())[:120]}): points are in the "
            "order of the label files, without lines"
        )
        return _Config()
    if not isinstance(found, dict):
        return _Config()
    parts = _texts(found.get("bodyparts")) or _texts(found.get("multianimalbodyparts"))
    pairs = [_texts(pair) for pair in found.get("skeleton") or () if isinstance(pair, list)]
    edges = tuple((pair[0], pair[1]) for pair in pairs if len(pair) == 2)
    title, scorer = (str(found.get(key) or "") for key in ("Task", "scorer"))
    return _Config(title, scorer, parts, edges)


def _of_scorer(folder: Path, scorer: str, notes: list[str]) -> Path:
    """The label file of a folder that has some; raises `DataError` where several would do."""
    found = _collected(folder)
    if scorer not in found and len(found) > 1:
        names = ", ".join(files[0].name for files in found.values())
        raise DataError(
            f"{folder} has labels of {len(found)} scorers ({names}), none of them the project's, "
            f"{scorer!r}: give the path of one file"
        )
    chosen = scorer if scorer in found else next(iter(found))
    if len(found) > 1:
        notes.append(f"{folder.name}: label files of other scorers, left out: {len(found) - 1}")
    return found[chosen][0]


def _project(path: Path, notes: list[str]) -> tuple[list[Path], _Config]:
    """The label files that a path means, and the project's config."""
    if path.is_file() and path.suffix.lower() not in (".yaml", ".yml"):
        above = _config_above(path)
        return [path], _Config() if above is None else _read_config(above, notes)
    folder = path if path.is_dir() else path.parent
    own = path if path.is_file() else folder / CONFIG
    found = own if own.is_file() else _config_above(folder / "any")
    config = _Config() if found is None else _read_config(found, notes)
    videos = [folder] if path.is_dir() and _collected(folder) else _videos(folder)
    if not videos:
        raise DataError(
            f"{folder} holds no labels: expected {_STEM}_{config.scorer or 'SCORER'}.csv or .h5 in "
            f"the folders of {LABEL_DATA}"
        )
    return [_of_scorer(video, config.scorer, notes) for video in videos], config


def read_labels(path: Path) -> ScorerTable:
    """The table in a CSV or HDF5 file. Raises `DataError`."""
    if path.suffix.lower() != ".h5":
        return read_scorer_csv(path)
    frame = read_frame(path)
    if {len(name) for name in frame.columns} - {3, 4}:
        levels = len(frame.columns[0]) if frame.columns else 0
        raise DataError(
            f"{path}: columns have {levels} names each; expected scorer, body part and coordinate"
        )
    return from_values(path, frame.columns, [image_name(row) for row in frame.rows], frame.values)


def _other_form(table: ScorerTable) -> list[str]:
    """A note where the HDF5 file beside a CSV file, which DeepLabCut reads, holds other labels."""
    other = table.source.with_suffix(".h5")
    if table.source == other or not other.is_file() or not importlib.util.find_spec("h5py"):
        return []
    try:
        stored = read_labels(other)
    except DataError as error:
        return [f"{other.name} beside {table.source.name} was not compared: {error}"]
    same = stored.keys == table.keys and stored.images == table.images
    if same and np.allclose(stored.points, table.points, rtol=0, atol=1e-3, equal_nan=True):
        return []
    return [
        f"{table.source} and {other.name} hold different labels: the first is read, DeepLabCut "
        "trains on the second; give its path to read that"
    ]


def _unlabelled(tables: Sequence[ScorerTable]) -> list[str]:
    """A note of images in the folders of tables that these do not name."""
    count = 0
    for table in tables:
        known = {name.rsplit("/", 1)[-1] for name in table.images}
        images = (p for p in table.source.parent.iterdir() if p.suffix.lower() in SUFFIXES)
        count += sum(p.name not in known and not p.name.startswith(".") for p in images)
    return [f"images beside the label files that have no labels, left out: {count}"] * bool(count)


@reader(
    "deeplabcut",
    "[DeepLabCut](https://github.com/DeepLabCut/DeepLabCut): a project, its `config.yaml`, or one "
    "CollectedData file (`.csv`, or `.h5` with `pip install 'heatkp[sleap]'`)",
    recognise=_recognise,
    files="DeepLabCut's config.yaml or CollectedData_SCORER.csv",
    priority=0.97,
    unlabelled="empty cell",
)
def read_deeplabcut(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All labelled animals of a project, of one video's folder, or of one label file.

    Where a CSV file is there, it is read, and compared with the `.h5` file beside it where h5py
    is installed. A sample's `track` is the individual; unique body parts (`single`) are left out,
    with a note, where there are individuals. Raises `DataError` for what does not fit, and where
    `strict` for images that do not exist.
    """
    notes: list[str] = []
    files, config = _project(path, notes)
    tables = [read_labels(file) for file in files]
    found = names_in(tables)
    names = [name for name in config.names if name in found]
    names += [name for name in found if name not in names]
    labels = labels_from(tables, points_of(names, config.title, config.edges), strict)
    for table in tables:
        notes += _other_form(table)
    missing = [name for name in config.names if name not in found]
    if missing:
        notes.append(f"points of {CONFIG} that no label file has, left out: {', '.join(missing)}")
    notes += _unlabelled(tables)
    return labels._replace(notes=(*labels.notes, *notes))
