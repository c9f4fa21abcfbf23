"""Images that are one of many in a file: frames of videos, and images that HDF5 files hold."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from heatkp.data.decoding import Undecodable, decode
from heatkp.data.images import Image, ImageSource, as_rgb, as_uint8_rgb
from heatkp.data.video_reading import video_frame
from heatkp.errors import DataError
from heatkp.limits import Limit, TooLarge

if TYPE_CHECKING:
    import h5py

MOST_BYTES, _LARGER = 2**22, 100
"""What an array in an HDF5 file may have, and so many times the file's size: such is compressed."""
_DEFLATE = 1
"""The number of that filter."""
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class VideoFrame(ImageSource):
    """A frame of a video, counted from 0; videos are turned as they say, whatever the options."""

    number: int = 0

    @property
    def part(self) -> str:
        return f"frame {self.number}"

    def __call__(self) -> Image:
        return video_frame(self.path, self.number).copy()


@dataclass(frozen=True)
class StoredImage(ImageSource):
    """An image within an HDF5 file, as stored: neither tool that writes such turns it.

    Attributes:
        dataset: its place: bytes of an image file in each row, or pixels (N, H, W, C).
        index: the row.
        bgr: whether red and blue were exchanged when it was stored.
        channels_first: whether pixels are (N, C, W, H), as SLEAP has it.
    """

    dataset: str = ""
    index: int = 0
    bgr: bool = False
    channels_first: bool = False

    @property
    def part(self) -> str:
        return f"{self.dataset}[{self.index}]"

    def __call__(self) -> Image:
        place = f"image {self.part} of {self.path}"
        with open_hdf5(self.path) as file:
            stored = np.asarray(read_array(file[self.dataset], self.index))
        if stored.ndim > 1:
            pixels = stored.T if self.channels_first else stored
            return np.array(as_rgb(_of_levels(pixels), self.options.intensity))
        try:
            found = decode(stored.tobytes())
            image = as_uint8_rgb(found.values, found.alpha, self.options.intensity, found.inverted)
        except (Undecodable, MemoryError) as error:
            raise DataError(f"{place} cannot be read ({error})") from None
        return np.ascontiguousarray(image[:, :, ::-1]) if self.bgr else image


def _of_levels(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Pixels as whole numbers; those from 0 to 1, as some tools store them, in 256 levels."""
    if pixels.dtype.kind != "f":
        return pixels
    scale = 255.0 if np.nanmax(pixels, initial=0) <= 1 else 1.0
    return np.clip(np.rint(np.nan_to_num(pixels) * scale), 0, 255).astype(np.uint8)


def begins_as_hdf5(path: Path) -> bool:
    """Whether a file's first bytes are those of an HDF5 file."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except OSError:
        return False


def read_array(data: h5py.Dataset, index: Any = ()) -> Any:
    """A dataset's content, or a row of it.

    Raises `ValueError` where it would be far larger than its file, or than `Limit.LABEL_BYTES`: a
    damaged one may say so, and HDF5 makes up what it does not find.
    """
    shape = data.shape if index == () else data.shape[1:]
    stored = int(data.file.id.get_filesize())
    most = min(MOST_BYTES + _LARGER * stored, Limit.LABEL_BYTES.most)
    if math.prod(shape) * data.dtype.itemsize > most:
        raise TooLarge(f"{data.name} is of shape {data.shape}")
    if _of_any_length(data.dtype):
        _require_lengths(data, index, stored)
    if index != () or len(shape) != 1 or not shape[0] or not _of_any_length(data.dtype):
        return data[index]
    parts, total, step = [], 0, max(1, most // stored)  # each row is no longer than the file
    for start in range(0, shape[0], step):
        parts.append(data[start : start + step])
        total += sum(getattr(row, "nbytes", None) or len(row) for row in parts[-1])
        if total > most:  # rows may be the same bytes of the file again and again
            raise TooLarge(f"{data.name} holds more than {most} bytes")
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _require_lengths(data: h5py.Dataset, index: Any, stored: int) -> None:
    """Raises `TooLarge` where a row says that it is longer than the file: HDF5 takes so much memory
    before it looks."""
    address, _ = data.file.id.get_create_plist().get_sizes()
    # As HDF5 stores them: length, then where in which of the file's heaps the row is.
    kind = np.dtype([("length", "<u4"), ("place", f"V{address + 4}")])
    for content in _stored_rows(data, index, kind.itemsize):
        rows = np.frombuffer(content[: len(content) // kind.itemsize * kind.itemsize], kind)
        if (rows["length"] > stored).any():
            raise TooLarge(f"{data.name} has a row of {rows['length'].max()} bytes")


def _stored_rows(data: h5py.Dataset, index: Any, itemsize: int) -> Iterator[bytes]:
    """The bytes of a dataset's elements as the file has them: all, or those about a row.

    Of chunks that are compressed otherwise than by deflate, nothing.
    """
    with open(data.file.filename, "rb") as file:
        if data.chunks is None:
            offset = data.id.get_offset()
            if offset is not None:
                row = itemsize * math.prod(data.shape[1:])
                file.seek(offset + (0 if index == () else index * row))
                yield file.read(itemsize * data.size if index == () else row)
            return
        filters = data.id.get_create_plist()
        kinds = [filters.get_filter(i)[0] for i in range(filters.get_nfilters())]
        if kinds not in ([], [_DEFLATE]):
            return
        most = itemsize * math.prod(data.chunks)
        chunks: list[Any] = []
        if index == () and hasattr(data.id, "chunk_iter"):  # not with HDF5 before 1.12.3
            data.id.chunk_iter(chunks.append)
        elif index == ():
            chunks += map(data.id.get_chunk_info, range(data.id.get_num_chunks()))
        else:
            place = (index // data.chunks[0] * data.chunks[0], *[0] * (len(data.shape) - 1))
            chunks.append(data.id.get_chunk_info_by_coord(place))
        for chunk in chunks:
            if chunk.byte_offset is None:  # none of its rows was written
                continue
            file.seek(chunk.byte_offset)
            content = file.read(min(chunk.size, 2 * most + 2**10))
            packed = kinds and not chunk.filter_mask
            yield zlib.decompressobj().decompress(content, most) if packed else content


def _of_any_length(kind: np.dtype[Any]) -> bool:
    import h5py

    return h5py.check_vlen_dtype(kind) is not None or (
        (text := h5py.check_string_dtype(kind)) is not None and text.length is None
    )


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file, opened for reading; for as short as possible, for it is not shared by forks.

    Raises `DataError` where h5py is not installed, and for whatever goes wrong within: damaged
    files make h5py raise errors of many kinds.
    """
    try:
        import h5py
    except ImportError:
        raise DataError(
            f"{path} is an HDF5 file, which needs h5py: pip install 'heatkp[sleap]'"
        ) from None
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except Exception as error:
        why = str(error).replace("\n", " ") or type(error).__name__
        raise DataError(f"{path} cannot be read as HDF5 ({why}): damaged, or cut off") from None
