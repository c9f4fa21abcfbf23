"""Labels whose tool counts pixels from another number than their format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heatkp.data.readers._base import Reader
from heatkp.data.samples import Labels
from heatkp.errors import SettingsError


def counted_from(labels: Labels, reader: Reader, first: float, y_up: bool) -> Labels:
    """Labels as a reader gives them, whose points call the centre of the first pixel `first`.

    Boxes stay: a detector has found them, or they lie half a pixel around whole pixels anyway.

    Raises `SettingsError` for formats that do not count pixels from the upper left corner.
    """
    shift = reader.origin - first
    if shift == 0:
        return labels
    if reader.of_size or y_up:
        why = "gives fractions of the image" if reader.of_size else "counts y upwards"
        raise SettingsError(
            f"data.first_pixel={first:g}: format {reader.name} {why} and not pixels from the upper "
            "left corner; leave it out"
        )
    moved = np.float32(shift)
    samples = [replace(s, points=s.points + moved) for s in labels.samples]
    note = (
        f"points count pixels from {first:g}, as data.first_pixel says, and {reader.name} from "
        f"{reader.origin:g}: all are moved by {shift:+g}"
    )
    made = Labels(labels.skeleton, samples, (*labels.notes, note))
    return made.with_empty(labels.empty)
