"""Videos whose frames carry their number, in twelve squares that are black or white."""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import cv2
import numpy as np

WIDTH, HEIGHT = 160, 120


def numbered(n, channels=3):
    """A frame with its number."""
    bits = np.array([n >> b & 1 for b in range(12)], np.uint8).reshape(3, 4) * 255
    image = np.kron(bits, np.ones((40, 40), np.uint8))
    return np.repeat(image[..., None], channels, 2)


def number_in(image):
    """The number that a frame carries."""
    middles = image[20:HEIGHT:40, 20:WIDTH:40].mean(-1).ravel()
    return sum(1 << b for b, value in enumerate(middles) if value > 127)


def write_h264(path, count=300, times=None, pixels="yuv420p", group=60, codec="libx264"):
    """H.264 with B-frames; `times` in milliseconds."""
    options = {"bf": "3", "g": str(group)} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.codec_context.time_base = Fraction(1, 1000)
        for n in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(n), "rgb24")
            frame.pts, frame.time_base = 40 * n if times is None else times[n], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_opencv(path, count=300, codec="mp4v"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for n in range(count):
        writer.write(numbered(n))
    writer.release()
    return path


def turn(path):
    """Have an MP4 file say that it is to be turned by a quarter, clockwise."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    one = 1 << 16
    content[place : place + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path
