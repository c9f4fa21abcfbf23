"""Writes the format that `reader.py` reads: `labels.kp` beside a folder of images."""

from __future__ import annotations

from pathlib import Path

from heatkp.data.writers import Holds, LabelSet, label_writer
from heatkp.errors import DataError
from heatkp.text import one_line


def _word(name: str) -> str:
    return one_line(name).replace(" ", "_")


@label_writer(
    "kp_text",
    "`labels.kp`: the points' names, then an image and its x and y a line",
    holds=Holds.NAMES | Holds.OUTSIDE | Holds.MISSING | Holds.SEVERAL,
    digits=3,
    read_from="labels.kp",
)
def write_kp_text(labels: LabelSet, folder: Path) -> list[str]:
    """A line an object; pixels are counted from 1. Raises `DataError` for names with spaces."""
    spaced = next((image.name for image in labels.images if " " in image.name), None)
    if spaced is not None:
        raise DataError(f"kp_text cannot hold an image's name with spaces: {spaced!r}; rename it")
    lines = [" ".join(map(_word, labels.skeleton.point_names))]
    for image in labels.images:
        for found in image.objects:
            cells = [
                f"{x + 1:.3f} {y + 1:.3f}" if code else "- -"
                for (x, y), code in zip(found.points, found.visibility)
            ]
            lines.append(" ".join([image.name, *cells]))
    (folder / "labels.kp").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return []
