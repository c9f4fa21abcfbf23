"""Frames of videos by number, as images of samples."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from heatkp.data import video_reading
from heatkp.data.crops import CropSource
from heatkp.data.dataset import KeypointDataset
from heatkp.data.frames import VideoFrame
from heatkp.data.samples import Sample
from heatkp.data.transforms import Framing
from heatkp.data.video_reading import video_frame, video_size
from heatkp.errors import DataError
from heatkp.skeletons import named

COUNT, SIZE = 400, (64, 48)
FRAMING = Framing(SIZE)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A video with few key frames, each frame with its number in bits of black and white."""
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, SIZE)
    for number in range(COUNT):
        image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        for bit in range(9):
            image[:, 7 * bit : 7 * bit + 7] = 255 * (number >> bit & 1)
        video.write(image)
    video.release()
    return path


def number_in(image):
    return sum(int(image[24, 7 * bit + 3, 0] > 127) << bit for bit in range(9))


@pytest.fixture(autouse=True)
def nothing_open():
    video_reading._open.clear()


def test_exactly_the_frame_that_is_asked_for(clip):
    order = np.random.default_rng(0).permutation(COUNT)[:60]
    for number in (*order, *order[::-1], 0, COUNT - 1):
        assert number_in(video_frame(clip, int(number))) == number
    assert video_size(clip) == SIZE


def test_threads(clip):
    order = [*range(0, COUNT, 7), *range(COUNT - 1, 0, -31)]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda n: number_in(video_frame(clip, n)), order)
    assert list(found) == order


def test_times_that_are_of_no_use(clip, monkeypatch):
    """Then a video is read again from its beginning."""
    captured = video_reading._captured

    class Timeless:
        def __init__(self, path):
            self.capture = captured(path)

        def __getattr__(self, name):
            return getattr(self.capture, name)

        def get(self, what):
            return 0.0

    monkeypatch.setattr(video_reading, "_captured", Timeless)
    for number in (300, 100, 399, 250):
        assert number_in(video_frame(clip, number)) == number


def test_seeking_that_lands_elsewhere(clip, monkeypatch):
    captured = video_reading._captured

    class Astray:
        def __init__(self, path):
            self.capture = captured(path)

        def __getattr__(self, name):
            return getattr(self.capture, name)

        def set(self, what, value):
            return self.capture.set(what, value + 5)

    monkeypatch.setattr(video_reading, "_captured", Astray)
    for number in (390, 100, 396, 80, 200):
        assert number_in(video_frame(clip, number)) == number


def test_a_video_that_was_replaced(clip, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(clip.read_bytes())
    assert number_in(video_frame(path, 20)) == 20
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, SIZE)
    for _ in range(30):
        video.write(np.full((SIZE[1], SIZE[0], 3), 255, np.uint8))
    video.release()
    os.utime(path, (1, 1))
    assert number_in(video_frame(path, 20)) == 511


def test_what_is_no_video(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        video_frame(tmp_path / "gone.mp4", 0)
    (tmp_path / "a.mp4").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match="not a video"):
        video_frame(tmp_path / "a.mp4", 0)
    assert video_size(tmp_path / "a.mp4") is None


def samples_of(clip, numbers):
    points = np.array([[10, 10], [30, 30]])
    return [Sample(VideoFrame(clip, number=n), points, file=clip, id=f"f{n}") for n in numbers]


def test_samples(clip):
    one, other, same = samples_of(clip, [5, 6, 5])
    assert one.image_name == same.image_name != other.image_name
    assert one.image_part == "frame 5" and one.file == clip
    image = pickle.loads(pickle.dumps(one)).rgb()
    image[:] = 0  # one's own
    assert number_in(one.rgb()) == 5
    assert number_in(one.read_with(one.options).image()) == 5


def test_crops_are_cached_by_frame(clip, tmp_path, monkeypatch):
    numbers = [3, 3, 200, 17, 4]
    first = CropSource(samples_of(clip, numbers), FRAMING, folder=tmp_path / "cache")
    assert first.prepare() is None
    monkeypatch.setattr("heatkp.data.frames.video_frame", None)  # nothing is decoded now
    again = CropSource(samples_of(clip, numbers), FRAMING, folder=tmp_path / "cache")
    assert again.prepare() is None
    assert [number_in(again[i].image) for i in range(5)] == numbers
    monkeypatch.undo()
    other = CropSource(samples_of(clip, numbers[::-1]), FRAMING, folder=tmp_path / "cache")
    assert other.prepare() is None
    assert [number_in(other[i].image) for i in range(5)] == numbers[::-1]
    assert len(list((tmp_path / "cache").glob("crops-*"))) == 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers(clip, method):
    """Also where the parent has the video open, whose decoder does not come along."""
    if method not in torch.multiprocessing.get_all_start_methods():
        pytest.skip(f"there is no {method} here")
    video_frame(clip, 100)
    numbers = [7, 300, 12, 299, 150, 151]
    dataset = KeypointDataset(samples_of(clip, numbers), named("two", ["a", "b"]), FRAMING)
    loader = DataLoader(
        dataset, batch_size=2, num_workers=2, multiprocessing_context=method, timeout=120
    )
    found = [number_in(image.numpy().transpose(1, 2, 0)) for b in loader for image in b["image"]]
    assert found == numbers
    assert number_in(video_frame(clip, 50)) == 50
