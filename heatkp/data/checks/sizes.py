"""Sizes of images: what the files' headers say, and whether labels contradict them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data import exif
from heatkp.data.checks.finding import Finding, spread_evenly
from heatkp.data.samples import Sample
from heatkp.data.video_reading import named_as_video, video_size
from heatkp.errors import DataError

ON_ITS_SIDE = 5
"""EXIF orientations from here on exchange width and height."""


class Header(NamedTuple):
    """Width and height of the pixels as stored, and the EXIF orientation, 1 to 8."""

    size: tuple[int, int]
    orientation: int

    def seen(self, orient: bool) -> tuple[int, int]:
        """Width and height of the image as it is read, upright if `orient`."""
        turned = orient and self.orientation >= ON_ITS_SIDE
        return self.size[::-1] if turned else self.size


def read_header(path: Path) -> Header | None:
    """Of an image file or a video. None for what Pillow does not know, and for TIFF files on their
    side, of which versions of Pillow give the one size or the other."""
    if named_as_video(path):
        size = video_size(path)
        return None if size is None else Header(size, 1)
    return _image_header(path)


def _image_header(opened: Path | BinaryIO) -> Header | None:
    try:
        with exif.opened(opened) as file:
            if file.format == "TIFF" and file.getexif().get(0x0112, 1) >= ON_ITS_SIDE:
                return None
            size = file.size
            return Header(size, exif.orientation_of(file))
    except Exception:  # whatever Pillow makes of it, for another library reads the pixels
        return None


Key = tuple[Path, str]
"""A file, and the name of an image file in it, which is empty where the file is the image."""


def header_key(sample: Sample) -> Key | None:
    """Of the file whose header tells a sample's size; frames of a video have one."""
    if sample.file is None:
        return None
    return sample.file, sample.image_part if sample.has_image_file else ""


def shown_key(key: Key) -> str:
    """What messages call a file, as `Sample.image_name`."""
    return ", ".join(str(part) for part in key if part)


def header_of(sample: Sample) -> Header | None:
    """`read_header` of a sample's image file, also where it lies within a tar."""
    if sample.file is None:
        return None
    if not (sample.has_image_file and sample.image_part):
        return read_header(sample.file)
    try:
        with sample.open() as file:
            return _image_header(file)
    except (DataError, OSError):
        return None


def read_headers(samples: Sequence[Sample], limit: int | None) -> dict[Key, Header]:
    """Of at most `limit` of the samples' files, evenly spread, those that can be read."""
    files: dict[Key, Sample] = {}
    for sample in samples:
        if (key := header_key(sample)) is not None:
            files.setdefault(key, sample)
    keys = list(files)
    looked_at = [keys[i] for i in spread_evenly(len(keys), limit)]
    headers = ((key, header_of(files[key])) for key in looked_at)
    return {key: header for key, header in headers if header is not None}


def declared_findings(
    samples: Sequence[Sample], headers: dict[Key, Header], orient: bool
) -> list[Finding]:
    """Where labels declare another size than the image has."""
    declared = {
        key: s.declared_size
        for s in samples
        if s.declared_size and (key := header_key(s)) is not None and key in headers
    }
    groups: dict[str, list[str]] = {}
    for key, size in declared.items():
        header = headers[key]
        seen = header.seen(orient)
        if size == seen:
            continue
        kind = "resized"
        if size == seen[::-1]:
            turned = header.orientation >= ON_ITS_SIDE
            kind = ("stored" if orient else "upright") if turned else "exchanged"
        width, height = seen
        example = (
            f"{shown_key(key)}, {size[0]}x{size[1]} in the labels and {width}x{height} in the file"
        )
        groups.setdefault(kind, []).append(example)
    return [
        Finding(
            f"{len(found)} of {len(declared)} images looked at are not of the size that the labels "
            f"declare ({found[0]}): {_ADVICE[kind]}",
            refused=True,
        )
        for kind, found in groups.items()
    ]


_ADVICE = {
    "resized": "take the images that were labelled, or scale the points and correct width and "
    "height in the labels",
    "upright": "the labels were made in an upright view; data.orient=true reads images that way",
    "stored": "the labels are of the pixels as stored; data.orient=false reads images that way",
    "exchanged": "the labels are of turned images, or width and height are exchanged in them; "
    "turn the images, or correct the labels",
}


def sizes_of(
    samples: Sequence[Sample],
    headers: dict[Key, Header],
    orient: bool,
    declared: bool,
    limit: int | None,
) -> npt.NDArray[np.float64]:
    """Width and height (S, 2) of the samples' images; NaN where they are not known.

    Args:
        declared: take what the labels declare for files without a header here.
        limit: so many images without a file are made, to see how large they are.
    """
    sizes = np.full((len(samples), 2), np.nan)
    without = [i for i, s in enumerate(samples) if s.file is None]
    for place in spread_evenly(len(without), limit):
        i = without[place]
        try:
            sizes[i] = samples[i].image().shape[1::-1]
        except DataError:
            continue
    for i, sample in enumerate(samples):
        key = header_key(sample)
        header = None if key is None else headers.get(key)
        if header is not None:
            sizes[i] = header.seen(orient)
        elif declared and sample.declared_size is not None:
            sizes[i] = sample.declared_size
    return sizes
