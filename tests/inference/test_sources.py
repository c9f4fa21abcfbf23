from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest

from heatkp.data import exif, predicted
from heatkp.inference import sources as src
from heatkp.inference.sources import Failure, find_sources, read_images
from tests.conftest import write_image

EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0%c\0\0\0\0\0\0"


def turned(path, orientation=6, width=40, height=20):
    """A JPEG whose left half is white as it is stored, with an EXIF entry."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2] = 255
    content = cv2.imencode(".jpg", image)[1].tobytes()
    exif = EXIF % orientation
    marker = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path.write_bytes(content[:2] + marker + content[2:])
    return path


def video(path, frames=6, rate=12.5, size=(64, 48), codec="mp4v"):
    """Frame i has brightness 20 i."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, size)
    assert writer.isOpened()
    for i in range(frames):
        writer.write(np.full((size[1], size[0], 3), 20 * i % 256, np.uint8))
    writer.release()
    return path


@pytest.fixture
def tree(tmp_path):
    for name in ("a/1.png", "a/2.JPG", "a/deep/1.png", "b/1.png", "b/x [1].png", "a/.hidden.png"):
        write_image(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    return tmp_path


def names(found):
    return [source.name for source in found.sources]


def test_a_folder_is_searched_to_any_depth(tree):
    found = find_sources([str(tree / "a")])
    assert names(found) == ["1.png", "2.JPG", "deep/1.png"] and not found.failures
    assert found.sources[2].path == tree / "a" / "deep" / "1.png"


def test_names_keep_folders_where_they_would_be_equal(tree):
    found = find_sources([str(tree / "a"), str(tree / "b" / "1.png")])
    assert names(found) == ["a/1.png", "a/2.JPG", "a/deep/1.png", "b/1.png"]
    assert names(find_sources([str(tree / "a" / "2.JPG"), str(tree / "b" / "1.png")])) == [
        "2.JPG",
        "1.png",
    ]


def test_names_that_differ_in_capitals_alone_are_equal(tmp_path):
    for name in ("a/X.png", "b/x.png"):
        write_image(tmp_path / name)
    assert names(find_sources([str(tmp_path / "a"), str(tmp_path / "b")])) == ["a/X.png", "b/x.png"]


def test_patterns(tree):
    assert names(find_sources([str(tree / "**" / "1.png")])) == ["a/1.png", "a/deep/1.png",
                                                                "b/1.png"]  # fmt: skip
    assert names(find_sources([str(tree / "a" / "*.JPG")])) == ["2.JPG"]
    # a pattern that says nothing of the kind takes images only, one that does takes all
    assert "notes.txt" not in names(find_sources([str(tree / "a" / "*")]))
    assert names(find_sources([str(tree / "a" / "*.txt")])) == ["notes.txt"]
    # a file of that very name is no pattern
    assert names(find_sources([str(tree / "b" / "x [1].png")])) == ["x [1].png"]


def test_patterns_in_a_folder_with_brackets(tree, monkeypatch):
    inside = tree / "images [2023]"
    (tree / "a").rename(inside)
    monkeypatch.chdir(inside)
    assert names(find_sources(["*.png"])) == ["1.png"]
    assert sorted(names(find_sources(["**/*.png"]))) == ["1.png", "deep/1.png"]
    assert names(find_sources(["../b/*.png"])) == ["1.png", "x [1].png"]


def test_relative_arguments_and_files_named_twice(tree, monkeypatch):
    monkeypatch.chdir(tree / "a")
    found = find_sources(["1.png", "./deep/../1.png", "*.png", "."])
    assert names(found) == ["1.png", "2.JPG", "deep/1.png"]


def test_what_means_nothing_is_named(tree):
    found = find_sources([str(tree / f) for f in ("none.jpg", "empty", "a/*.tiff")])
    assert not found.sources
    assert [failure.reason for failure in found.failures] == [
        "there is no such file or folder",
        "the folder holds no image and no video, nor do the folders in it",
        "no image and no video matches",
    ]
    assert names(find_sources([str(tree / "none.jpg"), str(tree / "b" / "1.png")])) == ["1.png"]


def test_earlier_predictions_are_no_photos(tree):
    out = tree / "a" / "deep" / "found"
    write_image(out / "images" / "9.png")
    (out / predicted.SUMMARY).write_text(json.dumps({"made_by": predicted.MADE_BY}))
    for pattern in (str(tree / "a"), str(tree / "a" / "**" / "*.png"), str(tree / "a" / "*")):
        found = find_sources([pattern])
        assert found.left_out == [out] and "deep/1.png" in names(found)
        assert not any("9.png" in name for name in names(found))
    assert names(find_sources([str(out / "images")])) == ["9.png"]  # asked for by name
    (out / predicted.SUMMARY).write_text("{}")  # somebody else's
    assert len(find_sources([str(tree / "a")]).sources) == 4


def test_photos_are_upright_and_say_so(tmp_path):
    turned(tmp_path / "a.jpg")
    write_image(tmp_path / "b.png")
    first, second = read_images(find_sources([str(tmp_path)]).sources)
    assert first.orientation == 6 and first.image.shape == (40, 20, 3)
    assert first.image[:10].mean() > 200 > 50 > first.image[-10:].mean()
    assert second.orientation == 1 and second.image.shape == (48, 64, 3)


def test_a_large_photo_says_that_it_is_turned(tmp_path, monkeypatch):
    monkeypatch.setattr(exif.PillowImage, "MAX_IMAGE_PIXELS", 10)
    turned(tmp_path / "a.jpg")
    (photo,) = read_images(find_sources([str(tmp_path)]).sources)
    assert photo.orientation == 6 and exif.PillowImage.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("every", [1, 4])
def test_videos_come_frame_by_frame(tmp_path, every):
    path = video(tmp_path / "clip.mp4", frames=10)
    found = find_sources([str(tmp_path)])
    frames = list(read_images(found.sources, every))
    assert [f.frame for f in frames] == list(range(0, 10, every))
    assert [f.name for f in frames][:2] == ["clip.mp4/000000", f"clip.mp4/{every:06d}"]
    for f in frames:
        assert f.time == pytest.approx(f.frame / 12.5, abs=1e-3)
        assert f.image.mean() == pytest.approx(20 * f.frame, abs=6)
        assert f.rate == pytest.approx(12.5 / every) and f.file == path
    assert src.image_count(found.sources[0], every) == len(frames)


def test_other_kinds_of_video(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    video(tmp_path / "a.avi", codec="MJPG")
    video(tmp_path / "b.mkv", codec="MJPG")
    inputs = [pillow.fromarray(np.full((48, 64), 50 * i, np.uint8)) for i in range(3)]
    inputs[0].save(tmp_path / "c.gif", save_all=True, append_images=inputs[1:], duration=100)
    counts = [6, 6, 3]
    for source, count in zip(find_sources([str(tmp_path)]).sources, counts):
        assert sum(1 for _ in read_images([source])) == count, source.name


def test_a_bad_file_does_not_stop_the_others(tmp_path):
    write_image(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("a text")
    (tmp_path / "c.mp4").write_bytes(b"no video" * 100)
    (tmp_path / "d.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "e.png").write_bytes(b"")
    write_image(tmp_path / "z.png")
    found = find_sources([str(tmp_path), str(tmp_path / "z.png")])
    os.unlink(tmp_path / "a.png")  # gone since
    items = list(read_images(found.sources))
    assert [type(i) for i in items] == [Failure] * 5 + [src.InputImage]
    reasons = [item.reason for item in items[:5]]
    words = ("does not exist", "not an image", "not a video", "HEIC", "not an image")
    assert [item.name[0] for item in items[:5]] == [*"abcde"]
    for word, reason in zip(words, reasons):
        assert word in reason and reason.count("image") < 2


def test_a_folder_that_ends_like_a_video(tmp_path):
    write_image(tmp_path / "clip.mp4" / "1.png")
    assert names(find_sources([str(tmp_path / "clip.mp4")])) == ["1.png"]


def test_a_video_that_was_cut_off(tmp_path):
    path = video(tmp_path / "a.avi", frames=40, codec="MJPG")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    items = list(read_images(find_sources([str(path)]).sources))
    assert 0 < len(items) - 1 < 40
    assert isinstance(items[-1], Failure) and "cut off" in items[-1].reason
