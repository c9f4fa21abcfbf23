"""Videos that browsers play: H.264 in MP4, through PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from heatkp.data.samples import Image

CLOCK = 90_000
"""Ticks a second of the times that are written."""
_QUALITY = "20"
"""Constant rate factor: lower is better; 18 is hardly told from the original."""


def writes_h264() -> bool:
    """Whether PyAV is installed, with x264."""
    try:
        import av

        return "libx264" in av.codecs_available
    except ImportError:
        return False


class H264Writer:
    """Writes frames of one size, with even sides, each at its time.

    Args:
        path: ends in .mp4; players can begin before it is wholly loaded.
        size: (W, H), both even.
        rate: frames a second, where frames have no times.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        import av

        self._rate, self._last, self._start = rate, -1, 0.0
        self._container: Any = av.open(
            str(path), "w", format="mp4", options={"movflags": "+faststart"}
        )
        nominal = Fraction(rate).limit_denominator(1001)
        self._stream: Any = self._container.add_stream(
            "libx264", rate=nominal, options={"crf": _QUALITY, "preset": "veryfast"}
        )
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, CLOCK)
        self._container.start_encoding()  # the file is there, or cannot be, from now on

    def write(self, image: Image, time: float | None) -> None:
        """A frame, uint8 (H, W, 3) RGB, at a time in seconds, after those before."""
        import av

        if self._last < 0:
            self._start = time or 0.0
        given = None if time is None else round((time - self._start) * CLOCK)
        step = round(CLOCK / self._rate)
        tick = self._last + step if self._last >= 0 else 0
        if given is not None and given > self._last:
            tick = given
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = tick, Fraction(1, CLOCK)
        self._last = tick
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what is left, and close."""
        self._container.mux(self._stream.encode())
        self._container.close()

    def discard(self) -> None:
        """Close, whatever was written."""
        self._container.close()
