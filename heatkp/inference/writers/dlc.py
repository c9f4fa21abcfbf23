"""DeepLabCut's layout of analysed videos: what its own tools, and those for its files, open.

Rows of the header: scorer, individuals (where there are tracks, or several objects), bodyparts,
coords; then a row a frame with x, y and likelihood of each point. Pixel centres lie on integers.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heatkp.files import AtomicFolder, Names
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.inference.writers._base import About, BaseWriter
from heatkp.inference.writers._sequences import FrameSequence, SequenceCollector
from heatkp.registry import register_writer
from heatkp.text import printable

SCORER = "DLC_heatkp"


@register_writer
class DlcTables(BaseWriter):
    """A folder `dlc` with `VIDEODLC_heatkp.csv` for each video, and `.h5` where pandas and PyTables
    are installed.

    Attributes:
        notes: what was not written, once it is finished.
    """

    name = "dlc"
    pipes = False

    def __init__(self, folder: Path | None, about: About) -> None:
        assert folder is not None
        self._about, self._found, self.notes = about, SequenceCollector(), list[str]()
        self._folder = AtomicFolder(folder / "dlc")

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        self._found.add(input_image, objects)

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        if not self._found.all:
            return []
        names = Names()
        for sequence in self._found.all.values():
            stem = printable(Path(sequence.name).stem or "video") + SCORER
            self._write(self._folder.part / names.claim(stem, ".csv"), sequence)
        self._folder.finish()
        return [self._folder.path]

    def discard(self) -> None:
        self._folder.discard()

    def _write(self, path: Path, sequence: FrameSequence) -> None:
        numbers = sorted({number for found in sequence.objects for number in found})
        several = sequence.tracked or len(numbers) > 1
        points = [printable(name) for name in self._about.skeleton.point_names]
        columns = [
            (SCORER, *([f"track{number}"] if several else []), point, axis)
            for number in numbers or [1]
            for point in points
            for axis in ("x", "y", "likelihood")
        ]
        levels = ["scorer", *["individuals"] * several, "bodyparts", "coords"]
        table = np.full((len(sequence.frames), len(columns)), np.nan)
        width = 3 * len(points)
        for row, found in enumerate(sequence.objects):
            for number, (values, _) in found.items():
                place = numbers.index(number) * width
                table[row, place : place + width] = values.ravel()
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            for level, name in enumerate(levels):
                rows.writerow([name, *(column[level] for column in columns)])
            for frame, cells in zip(sequence.frames, table.tolist()):
                rows.writerow([frame, *("" if np.isnan(v) else v for v in cells)])
        if not _write_hdf5(path.with_suffix(".h5"), levels, columns, sequence.frames, table):
            self.notes = ["DeepLabCut's .h5 files are left out: pip install pandas tables"]


def _write_hdf5(
    path: Path, levels: list[str], columns: list[tuple[str, ...]], frames: list[int], table: Any
) -> bool:
    """As DeepLabCut stores it; False where pandas or PyTables are not installed."""
    try:
        import pandas
        import tables  # noqa: F401
    except ImportError:
        return False
    index = pandas.MultiIndex.from_tuples(columns, names=levels)
    frame = pandas.DataFrame(table, columns=index, index=frames)
    frame.to_hdf(path, key="df_with_missing", mode="w", format="table")
    return True
