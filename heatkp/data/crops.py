"""Images as a data set needs them: cropped, shrunk, and kept on disk once they were decoded."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import PIL

from heatkp import coordinates as co
from heatkp.data.boxes import box_error
from heatkp.data.images import Image
from heatkp.data.samples import Sample
from heatkp.data.transforms import Framing, shrink, shrink_factor
from heatkp.errors import DataError
from heatkp.files import reason

VERSION = 3
"""Of the files; part of their name."""
UNUSED_DAYS = 30
"""Crops in the user's cache folder that no run has opened for so long are deleted."""

FIRST, FAR = 64, 4
"""Where so many crops would take, at their mean size for all, so many times the room that there
is, no others are made."""


class Crop(NamedTuple):
    """A crop of an image, shrunk to about the network's resolution.

    Attributes:
        image: uint8 (H, W, 3) RGB; read only when it comes from the cache.
        matrix: image pixels to pixels of `image`.
        size: (W, H) of the whole image.
    """

    image: Image
    matrix: co.Matrix
    size: tuple[int, int]


def crop_image(sample: Sample, framing: Framing, reach: float) -> Crop:
    """What can be seen of a sample's image, when its region is enlarged `reach` times.

    Raises `DataError` for an image that is none, and for a box that `box_error` refuses.
    """
    image = sample.rgb()
    size = (image.shape[1], image.shape[0])
    if framing.box_scale is not None and sample.box is not None:
        wrong = box_error(sample.box, size)
        if wrong is not None:
            raise DataError(f"{sample.id}: {wrong}")
    try:
        region = framing.region(size, sample.box)
    except ValueError as error:
        raise DataError(f"{sample.id}: {error}") from None
    factor = shrink_factor(co.box_to_frame(region, *framing.size))
    region = framing.whole_region(size, sample.box)  # a jittered box may be cut less
    centre, half = (region[:2] + region[2:]) / 2, (region[2:] - region[:2]) / 2
    # A pixel more on each side for interpolation, whole blocks of what is shrunk.
    low = np.floor(centre - reach * half - 1 - factor).astype(int)
    high = np.ceil(centre + reach * half + 2 + factor).astype(int)
    low = np.clip(low, 0, np.asarray(size) - 1)
    high = np.clip(high, low + 1, size)
    part = image[low[1] : high[1], low[0] : high[0]]
    small, shrinking = shrink(part, factor)
    return Crop(small, co.compose(co.translation(-low[0], -low[1]), shrinking), size)


def default_folder() -> Path | None:
    """$HEATKP_CACHE, or `heatkp` in the user's cache folder; None for a user without home."""
    if os.environ.get("HEATKP_CACHE"):
        return Path(os.environ["HEATKP_CACHE"])
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heatkp"
    except RuntimeError:  # no $HOME, and the user is not known to the system
        return None


class Crops(NamedTuple):
    """An opened cache: all crops' pixels in one memory-mapped file, and where each begins."""

    pixels: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    shapes: npt.NDArray[np.int64]
    matrices: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path) -> Crops:
        """Raises `OSError`, `ValueError` or `KeyError` where the folder is not whole."""
        try:
            with np.load(folder / "index.npz", allow_pickle=False) as index:
                arrays = [index[name] for name in cls._fields[1:]]
        except (EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{folder} is damaged: {error}") from None
        pixels = np.memmap(folder / "pixels.bin", np.uint8, "r")
        if len(pixels) != arrays[0][-1]:
            raise ValueError(f"{folder} is cut off")
        return cls(pixels, *arrays)

    def crop(self, index: int) -> Crop:
        flat = self.pixels[self.offsets[index] : self.offsets[index + 1]]
        width, height = (int(n) for n in self.sizes[index])
        # A plain array over the mapped memory: OpenCV takes no subclass's word for it.
        image = np.asarray(flat).reshape(*self.shapes[index], 3)
        return Crop(image, self.matrices[index], (width, height))


class CropSource:
    """The images of a list of samples, by index, decoded or from the cache.

    Args:
        samples: those without a file are never cached.
        framing: the region that the network sees of each.
        reach: how much more than that region augmentation may ask for; see
            `transforms.reach`.
        folder: where the cache lies; None keeps none.
        limit: the largest size of this list's crops, in bytes.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        framing: Framing,
        reach: float = 1.0,
        folder: Path | None = None,
        limit: int = 2**62,
    ) -> None:
        self.samples, self.framing, self.reach = samples, framing, reach
        self.folder, self.limit = folder, limit
        self._place: Path | None = None
        self._crops: Crops | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_crops": None}  # a spawned worker maps the file itself

    def __getitem__(self, index: int) -> Crop:
        if self._crops is None and self._place is not None:
            self._crops = Crops.open(self._place)
        if self._crops is not None:
            return self._crops.crop(index)
        return crop_image(self.samples[index], self.framing, self.reach)

    def _key(self) -> str:
        """Changes with whatever the crops depend on: files and how they are read, boxes, framing,
        this code."""
        seen: list[Any] = [VERSION, cv2.__version__, PIL.__version__]
        seen += [repr(self.framing), self.reach]
        files: dict[Path, list[Any]] = {}  # of tars and videos many samples are one's
        for s in self.samples:
            assert s.file is not None
            box = None if s.box is None else [float(v) for v in s.box]
            file = files.get(s.file)
            if file is None:
                status = s.file.stat()
                file = [str(s.file.resolve()), status.st_size, status.st_mtime_ns]
                files[s.file] = file
            part = [s.image_part] if s.image_part else []
            seen.append([*file, *part, box, repr(s.options)])
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:24]

    def prepare(self, progress: Callable[[int], None] = lambda done: None) -> str | None:
        """Open the cache, or make it first; gives a note where there can be none.

        Several processes may do so at once: each makes its own and the first to finish wins.
        Raises `DataError` for the first image that cannot be read.
        """
        if self.folder is None or not self.samples or any(s.file is None for s in self.samples):
            return None
        place = self.folder / f"crops-{self._key()}"
        with suppress(OSError, ValueError, KeyError):  # not there, or damaged: made anew
            self._open(place)
            return None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(prefix="part-", dir=self.folder))
        except OSError as error:
            return f"no cache of images: {reason(error)}"
        try:
            if not self._fill(part, progress):
                return (
                    f"the images' crops take more than {self.limit / 2**20:.0f} MB "
                    "(data.cache_mb): each is decoded when it is needed"
                )
            self._keep(part, place)
            return None
        except (OSError, ValueError, KeyError) as error:
            return f"no cache of images in {self.folder}: {_why(error)}"
        finally:
            shutil.rmtree(part, ignore_errors=True)
            with suppress(OSError):
                _forget_unused(self.folder)

    def _keep(self, part: Path, place: Path) -> None:
        """Put finished crops in their place, or take those that somebody else put there."""
        with suppress(OSError):  # somebody was faster, or what is there is damaged
            os.rename(part, place)
        try:
            self._open(place)
        except (OSError, ValueError, KeyError):
            shutil.rmtree(place, ignore_errors=True)
            with suppress(OSError):
                os.rename(part, place)
            self._open(place)

    def _open(self, place: Path) -> None:
        self._crops = Crops.open(place)
        if len(self._crops.shapes) != len(self.samples):
            raise ValueError(f"{place} holds other samples")
        self._place = place
        with suppress(OSError):  # somebody else's, or read-only: it can be read all the same
            os.utime(place)

    def _decoded(self) -> Iterator[Crop]:
        def load_all(samples: list[Sample]) -> list[Crop]:
            return [crop_image(sample, self.framing, self.reach) for sample in samples]

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            # In portions, so that not all images are in memory before the first is written.
            for start in range(0, len(self.samples), 64):
                runs = pool.map(load_all, _runs(self.samples[start : start + 64]))
                yield from chain.from_iterable(runs)

    def _fill(self, folder: Path, progress: Callable[[int], None]) -> bool:
        """Write all crops; False where they would take too much room."""
        offsets, shapes, matrices, sizes = [0], list[tuple[int, ...]](), [], []
        total = len(self.samples)
        with (folder / "pixels.bin").open("wb") as file:
            for crop in self._decoded():
                if len(shapes) == FIRST and offsets[-1] / FIRST * total > FAR * self.limit:
                    return False
                offsets.append(offsets[-1] + crop.image.nbytes)
                if offsets[-1] > self.limit:
                    return False
                file.write(np.ascontiguousarray(crop.image).data)
                shapes.append(crop.image.shape[:2])
                matrices.append(crop.matrix)
                sizes.append(crop.size)
                progress(len(shapes))
        np.savez(
            folder / "index.npz",
            offsets=np.asarray(offsets, np.int64),
            shapes=np.asarray(shapes, np.int64),
            matrices=np.asarray(matrices, np.float64),
            sizes=np.asarray(sizes, np.int64),
        )
        return True


def _runs(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    """Samples one by one; those of one video after each other together, for it is read in
    order."""
    for file, run in groupby(samples, lambda s: None if s.has_image_file else s.file):
        together = list(run)
        yield from [together] if file is not None else ([sample] for sample in together)


def _why(error: Exception) -> str:
    return reason(error) if isinstance(error, OSError) else str(error)


def _forget_unused(folder: Path) -> None:
    """Delete crops of data sets and settings that are gone, and what a killed run left.

    Whatever else is in the folder stays, even under such a name.
    """
    now = time.time()
    for old in folder.iterdir():
        if not re.fullmatch(r"crops-[0-9a-f]{24}|part-\w{8}", old.name):
            continue
        days = UNUSED_DAYS if old.name.startswith("crops-") else 1
        try:
            files = list(old.iterdir())
            unused = now - old.stat().st_mtime > days * 86400
        except OSError:
            continue
        if unused and {file.name for file in files} <= {"pixels.bin", "index.npz"}:
            shutil.rmtree(old, ignore_errors=True)
