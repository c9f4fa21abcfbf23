"""Exactly the frames that were asked for, with their times, from videos of many kinds."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatkp.data.frame_range import FrameRange, parse_frames
from heatkp.data.video_times import frame_times
from heatkp.errors import DataError, SettingsError
from heatkp.inference import videos
from heatkp.inference.sources import Failure, find_sources, image_count, read_images
from tests.conftest import write_image
from tests.inference.numbered_videos import number_in, numbered, turn, write_h264, write_opencv


@pytest.fixture(scope="module")
def h264(tmp_path_factory):
    """300 frames with B-frames, a key frame in sixty."""
    return write_h264(tmp_path_factory.mktemp("clips") / "clip.mp4")


def numbers(path, text, every=1):
    found = list(videos.frames(path, chosen=parse_frames(text, every)))
    assert [f.number for f in found] == [number_in(f.image) for f in found]
    return [f.number for f in found]


RANGES = ["0-3", "5", "63-66", "64-70", "65-67", "119-121", "180-182", "237", "290-", "299", "-2"]


@pytest.mark.parametrize("text", RANGES)
def test_frames_carry_the_number_that_was_asked_for(h264, text):
    chosen = parse_frames(text)
    expected = [n for n in range(300) if n in chosen]
    assert numbers(h264, text) == expected


@pytest.mark.parametrize("text", RANGES[3:8])
def test_so_they_do_without_pyav(h264, text, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert frame_times(h264) is None
    assert numbers(h264, text) == [n for n in range(300) if n in parse_frames(text)]


@pytest.mark.parametrize("name", ["a.avi", "b.mp4", "c.mkv"])
def test_other_codecs(tmp_path, name):
    codec = "MJPG" if name.endswith("avi") else "mp4v"
    path = write_opencv(tmp_path / name, codec=codec)
    assert numbers(path, "200-205") == [*range(200, 206)]
    assert numbers(path, "100-", 50) == [100, 150, 200, 250]


def test_a_seek_passes_few_frames(h264, monkeypatch):
    """Else long videos would be decoded from their beginning."""
    grabbed = []

    class Counting:
        def __init__(self, name):
            self._capture = real(name)

        def __getattr__(self, name):
            grabbed.extend([1] * (name == "grab"))
            return getattr(self._capture, name)

    real = cv2.VideoCapture
    monkeypatch.setattr(videos.cv2, "VideoCapture", Counting)
    assert numbers(h264, "280-281") == [280, 281]
    assert len(grabbed) < 10


def test_a_seek_that_lands_elsewhere_is_noticed(h264, monkeypatch):
    """Times of another video: the frames are passed from the beginning."""
    monkeypatch.setattr(videos, "frame_times", lambda path: 33.3 * np.arange(300))
    assert numbers(h264, "200-202") == [200, 201, 202]


def test_uneven_times(tmp_path):
    """Frames of a phone, which come as they like: number and time are those of each frame."""
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.integers(7, 200, 300)).tolist()
    path = write_h264(tmp_path / "clip.mkv", times=times)
    first = times[0]
    found = list(videos.frames(path, chosen=parse_frames("150-160")))
    assert [number_in(f.image) for f in found] == [*range(150, 161)]
    given = [round(1000 * f.time) for f in found]
    assert given in (times[150:161], [t - first for t in times[150:161]])
    assert np.allclose(frame_times(path), np.array(times) - first, atol=1)
    whole = list(videos.frames(path))
    assert [f.time for f in found] == pytest.approx([f.time for f in whole[150:161]])
    assert [number_in(f.image) for f in whole] == [*range(300)]


def test_ten_bits(tmp_path):
    path = write_h264(tmp_path / "deep.mp4", 90, pixels="yuv420p10le")
    assert numbers(path, "70-75") == [*range(70, 76)]
    frame = next(videos.frames(path, chosen=parse_frames("7")))
    assert (
        frame.image.dtype == np.uint8 and np.abs(frame.image - numbered(7).astype(float)).mean() < 6
    )


def test_a_turned_clip_is_upright(tmp_path):
    path = turn(write_h264(tmp_path / "turned.mp4", 100))
    (frame,) = videos.frames(path, chosen=parse_frames("80"))
    assert frame.image.shape == (160, 120, 3)
    assert number_in(np.ascontiguousarray(np.rot90(frame.image))) == 80


def test_animated_images(tmp_path):
    from PIL import Image

    made = [Image.fromarray(numbered(n)) for n in range(12)]
    made[0].save(tmp_path / "a.gif", save_all=True, append_images=made[1:], duration=100)
    found = list(videos.animation(tmp_path / "a.gif", chosen=FrameRange(4, 9, 2)))
    assert [f.number for f in found] == [number_in(f.image) for f in found] == [4, 6, 8]
    assert [f.time for f in found] == pytest.approx([0.4, 0.6, 0.8])


def test_a_video_that_ends_early_is_used_as_far_as_it_goes(tmp_path, h264):
    """Cut off after the index, which stands first."""
    whole = write_opencv(tmp_path / "clip.avi", 200, "MJPG").read_bytes()
    (tmp_path / "clip.avi").write_bytes(whole[: len(whole) // 2])
    items = list(read_images(find_sources([str(tmp_path / "clip.avi")]).sources))
    good = [i for i in items if not isinstance(i, Failure)]
    assert 80 < len(good) < 120 and [number_in(i.image) for i in good] == [*range(len(good))]
    assert isinstance(items[-1], Failure) and "200" in items[-1].reason


def test_a_broken_frame_ends_what_is_used_and_is_named(tmp_path, h264):
    import av

    with av.open(str(h264)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    broken = sorted(packets, key=lambda p: p.pts)[150]
    content = bytearray(h264.read_bytes())
    content[broken.pos : broken.pos + broken.size] = b"\xff" * broken.size
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    items = list(read_images(find_sources([str(path)]).sources))
    good = [i for i in items if not isinstance(i, Failure)]
    assert len(good) > 100 and [number_in(i.image) for i in good] == [i.frame for i in good]
    assert len(good) >= 299 or isinstance(items[-1], Failure)


def test_frames_that_a_video_has_not(h264):
    with pytest.raises(DataError, match="300 frames"):
        list(videos.frames(h264, chosen=parse_frames("300-310")))
    assert numbers(h264, "298-310") == [298, 299]


def test_ranges_count_for_videos_alone(tmp_path, h264):
    (tmp_path / "clip.mp4").write_bytes(h264.read_bytes())
    write_image(tmp_path / "photo.png")
    found = find_sources([str(tmp_path)])
    items = list(read_images(found.sources, 2, frames=parse_frames("100-105")))
    assert [i.frame for i in items] == [100, 102, 104, None]
    counts = [image_count(s, 2, parse_frames("100-105")) for s in found.sources]
    assert counts == [3, 1]


@settings(max_examples=50)
@given(st.integers(0, 50), st.one_of(st.none(), st.integers(0, 50)), st.integers(1, 9),
       st.integers(0, 60))  # fmt: skip
def test_counts(first, last, every, frames):
    chosen = FrameRange(first, last, every)
    inside = [n for n in range(frames) if n in chosen]
    assert (
        chosen.count(frames) == len(inside)
        and inside == list(chosen.as_range(frames))[: len(inside)]
    )
    assert not inside or not chosen.ends_before(inside[-1])


@pytest.mark.parametrize("text", ["", "-", "a-b", "5-3", "1.5", "-1-4", "3-4-5"])
def test_what_is_no_range(text):
    with pytest.raises(SettingsError):
        parse_frames(text)
