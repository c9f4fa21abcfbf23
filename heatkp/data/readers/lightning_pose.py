"""Lightning Pose: a CSV file with the rows scorer, bodyparts, coords at the root of the project.

Images' names are relative to the file's folder. Coordinates are pixels with centres on integers,
as in DeepLabCut, from whose tools they come; an empty cell is a point that is not labelled. The
column `visible` after x and y is COCO's code
(https://lightning-pose.readthedocs.io, "Label CSV File Format").
"""

from __future__ import annotations

from pathlib import Path

from heatkp.data.images import STORED, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import files_of_type
from heatkp.data.readers._scorer_samples import labels_from, names_in, points_of
from heatkp.data.readers._scorer_tables import is_scorer_table, read_scorer_csv
from heatkp.data.samples import Labels
from heatkp.errors import DataError

_USUAL = "CollectedData.csv"


def _tables(path: Path) -> list[Path]:
    """The table that a path means, the first, and others beside it."""
    if not path.is_dir():
        return [path] if path.suffix.lower() == ".csv" and is_scorer_table(path) else []
    found = [file for file in files_of_type(path, ".csv") if is_scorer_table(file)]
    return sorted(found, key=lambda file: file.name != _USUAL)


def _recognise(path: Path) -> bool | str:
    found = _tables(path)
    if len(found) > 1 and found[0].name != _USUAL:
        names = ", ".join(file.name for file in found[:3])
        return f"it holds {len(found)} of Lightning Pose's label files ({names}): name one"
    return bool(found)


@reader(
    "lightning_pose",
    "[Lightning Pose](https://lightning-pose.readthedocs.io): a CSV file with the rows scorer, "
    "bodyparts, coords, maybe with `visible`",
    recognise=_recognise,
    files="Lightning Pose's CollectedData.csv",
    priority=0.96,
    unlabelled="empty cell, or visible 0",
)
def read_lightning_pose(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All rows of a label file, or of CollectedData.csv in a folder (or its only such file).

    Raises `DataError` with the row for what does not fit, and where `strict` for images that do
    not exist.
    """
    found = _tables(path)
    if not found:
        raise DataError(f"{path} is not, and does not hold, a CSV file that begins with scorer")
    if len(found) > 1 and found[0].name != _USUAL:
        raise DataError(f"{path} holds {len(found)} label files: give the path of one")
    table = read_scorer_csv(found[0])
    names = names_in([table])
    labels = labels_from([table], points_of(names, f"points{len(names)}"), strict)
    if len(found) == 1:
        return labels
    others = ", ".join(file.name for file in found[1:4])
    note = f"other label files beside {_USUAL}, left out: {len(found) - 1} ({others})"
    return labels._replace(notes=(*labels.notes, note))
