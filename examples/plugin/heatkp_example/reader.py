"""A format of labels: a text file NAME.kp, with the points' names in its first line.

    nose tail
    a.png 12.5 40 80 41
    b.png - - 78 39

Then an image a line, beside the file, with x and y of each point in pixels; `-` where a point is
not labelled. Pixels are counted from 1, as MATLAB does.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from heatkp.data.images import ImageOptions
from heatkp.data.readers import reader
from heatkp.data.samples import Labels, Sample, Visibility, read_image
from heatkp.errors import DataError
from heatkp.skeletons import named


@reader(
    "kp_text",
    "a `.kp` text file: the points' names, then an image and its x and y a line",
    suffix=".kp",
    unlabelled="-",
    origin=1.0,
)
def read_kp_text(path: Path, strict: bool, options: ImageOptions) -> Labels:
    """All lines of the .kp file, or of the only one in a folder."""
    source = next(iter(sorted(path.glob("*.kp"))), path) if path.is_dir() else path
    try:
        names, *lines = (line.split() for line in source.read_text("utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {source}: {error}") from None
    samples = []
    for number, (image, *cells) in enumerate(filter(None, lines), 2):
        try:
            values = [np.nan if cell == "-" else float(cell) - 1.0 for cell in cells]
            points = np.array(values, np.float32).reshape(len(names), 2)
        except ValueError:
            raise DataError(
                f"{source}, line {number}: expected an image and {2 * len(names)} numbers or -"
            ) from None
        file = source.parent / image
        if strict and not file.is_file():
            raise DataError(f"{source}, line {number}: there is no image {file}")
        given = np.isfinite(points).all(1)
        samples.append(
            Sample(
                id=f"{number}:{image}",
                image=partial(read_image, file),
                points=points,
                visibility=np.where(given, Visibility.VISIBLE, 0).astype(np.uint8),
                file=file,
            )
        )
    return Labels(named(source.stem, names), samples)
