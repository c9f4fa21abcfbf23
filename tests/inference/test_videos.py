"""Which files are videos, by name and by trying; frames and times of animated images."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from PIL import Image, features

from heatkp.data.video_reading import named_as_video
from heatkp.errors import DataError
from heatkp.inference import videos
from heatkp.inference.sources import (
    Failure,
    find_sources,
    image_count,
    passed_over_note,
    read_images,
)
from tests.conftest import heatkp, write_image
from tests.inference.test_sources import video

CODECS = {
    ".flv": "FLV1", ".webm": "VP80", ".ogv": "VP80", ".ivf": "VP80", ".m1v": "MPG1",
    ".m2v": "MPG2", ".mxf": "MPG2", ".mjpg": "MJPG", ".mjpeg": "MJPG",
}  # fmt: skip
WRITTEN = (
    ".wmv", ".asf", ".ts", ".mts", ".m2ts", ".m2t", ".3gp", ".3g2", ".flv", ".mpg", ".mpeg", ".mov",
    ".m4v", ".vob", ".mkv", ".webm", ".ogv", ".nut", ".wtv", ".ivf", ".m1v", ".m2v", ".mxf",
    ".mjpg", ".mjpeg", ".MP4", ".AVI",
)  # fmt: skip


def items_of(path):
    return list(read_images(find_sources([str(path)]).sources))


def clip(path, frames=4, **options):
    """A small clip, or a skipped test where this OpenCV writes no such file."""
    codec = CODECS.get(path.suffix.lower(), "mp4v")
    if cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG):
        try:
            return video(path, frames, 25, (352, 288), codec, **options)
        except AssertionError:
            pass
    pytest.skip(f"OpenCV writes no {codec} in {path.suffix} here")


@pytest.mark.parametrize("suffix", WRITTEN)
def test_videos_are_found_in_folders_and_read(tmp_path, suffix):
    clip(tmp_path / f"a{suffix}")
    found = find_sources([str(tmp_path)])
    assert [s.name for s in found.sources] == [f"a{suffix}"] and found.passed_over == {}
    assert found.sources[0].is_video and not found.sources[0].is_unknown
    frames = list(read_images(found.sources))
    assert [f.frame for f in frames] == [0, 1, 2, 3]
    assert all(abs(f.image.mean() - 20 * f.frame) < 12 for f in frames)


@pytest.mark.parametrize(
    "name", ["clip", "clip.bin", "clip.dat", "clip.json", "clip.jpg", "clip.gif", "a.b", "clip.ts"]
)
def test_a_video_under_any_name_is_tried_where_it_is_named(tmp_path, name):
    path = clip(tmp_path / "clip.mp4").rename(tmp_path / name)
    assert [item.frame for item in items_of(path)] == [0, 1, 2, 3]
    pattern = tmp_path / f"*{path.suffix}"
    if path.suffix:
        assert [item.frame for item in items_of(pattern)] == [0, 1, 2, 3]


def test_an_image_under_any_name_is_tried_where_it_is_named(tmp_path):
    for name in ("photo", "photo.dat", "photo.mp4", "photo.ts"):
        path = write_image(tmp_path / "photo.png").rename(tmp_path / name)
        (input_image,) = items_of(path)
        assert input_image.image.shape == (48, 64, 3) and input_image.frame is None, name


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
@pytest.mark.parametrize("suffix", ["", ".dat", ".mp4"])
def test_half_an_image_is_never_a_video(tmp_path, kind, suffix):
    """FFmpeg would make one frame of it, whose missing rows are invented."""
    content = write_image(tmp_path / f"a{kind}", 300, 200).read_bytes()
    path = tmp_path / f"half{suffix}"
    path.write_bytes(content[: int(0.6 * len(content))])
    (failure,) = items_of(path)
    assert isinstance(failure, Failure) and "not an image" in failure.reason


TEXTS = {
    "a.txt": "image\n" * 3000,  # FFmpeg draws its letters
    "a.nfo": "hello ü\n" * 1000,
    "a.foo": "x",
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nclip.mp4\n#EXT-X-ENDLIST\n",
    "a.ts": "export const x: number = 1;\n" * 30,
    "a.mp4": "no video\n" * 500,
    "empty.bin": "",
    "zeros.bin": "\0" * 5000,
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_neither(tmp_path, name):
    path = tmp_path / name
    clip(tmp_path / "clip.mp4")  # which a playlist names
    path.write_text(TEXTS[name], encoding="utf-8")
    (failure,) = items_of(path)
    assert isinstance(failure, Failure)
    assert "neither an image nor a video" in failure.reason or "not a video" in failure.reason
    with pytest.raises(DataError):
        list(videos.frames(path))


def test_text_is_known_by_its_beginning(tmp_path):
    def is_text(content):
        (tmp_path / "a").write_bytes(content)
        return videos.is_text_file(tmp_path / "a")

    texts = "é" * 3000, "aé" * 2999, "line\n\t\x1b[31m\x1a"
    for encoding in ("utf-8", "cp850", "utf-16"):
        assert all(is_text(text.encode(encoding)) for text in texts), encoding
    assert not any(
        map(is_text, (b"", b"\0abc", b"\xff\xd8\xff\xe0\x00\x10JFIF", b"YUV4MPEG2 W4 H4\n"))
    )


def test_names_of_other_kinds_of_files(tmp_path):
    """TypeScript in .ts, the IMM Face Database's labels in .asf."""
    script, labels = tmp_path / "a.ts", tmp_path / "b.asf"
    script.write_text("export const x = 1;\n" * 20)
    labels.write_text("# labels of 58 points\n58\n")
    assert not named_as_video(script) and not named_as_video(labels)
    assert named_as_video(clip(tmp_path / "c.ts"))
    assert named_as_video(clip(tmp_path / "d.asf"))
    assert named_as_video(tmp_path / "gone.ts")  # whoever reads it says so
    found = find_sources([str(tmp_path)])
    assert [s.name for s in found.sources] == ["c.ts", "d.asf"]
    assert {suffix: n for suffix, (n, _) in found.passed_over.items()} == {".ts": 1}


def test_what_is_passed_over_is_counted(tmp_path):
    write_image(tmp_path / "a.png")
    for name in ("x.blend", "y.BLEND", "deep/z.blend", "README", "a.csv", "b.json", ".hidden.abc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find_sources([str(tmp_path)])
    assert [s.name for s in found.sources] == ["a.png"]
    assert {suffix: n for suffix, (n, _) in found.passed_over.items()} == {".blend": 3, "": 1}
    note = passed_over_note(found.passed_over)
    assert "3 .blend" in note and "1 without extension" in note and ".csv" not in note
    assert passed_over_note({}) == ""
    by_pattern = find_sources([str(tmp_path / "*")])
    assert {suffix: n for suffix, (n, _) in by_pattern.passed_over.items()} == {".blend": 3, "": 1}
    asked_for = find_sources([str(tmp_path / "x.blend")])
    assert asked_for.passed_over == {} and asked_for.sources[0].is_unknown


def test_predict_says_what_it_passed_over(tiny_run, tmp_path):
    write_image(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.blend").write_text("x")
    done = heatkp("predict", tmp_path / "in", "--model", tiny_run, "--out", tmp_path / "out")
    assert done.exit_code == 0 and "1 .blend" in " ".join(done.output.split())
    assert '".blend": 1' in (tmp_path / "out" / "summary.json").read_text()


LAYERS = [np.full((48, 64, 3), 60 * i, np.uint8) for i in range(4)]


def animated(path, durations=(100, 200, 300, 400), **options):
    first, *others = map(Image.fromarray, LAYERS)
    first.save(path, save_all=True, append_images=others, duration=list(durations), **options)
    return path


ANIMATED = [".gif", ".apng", ".png", ".webp"] + [".avif"] * features.check("avif")


@pytest.mark.parametrize("suffix", ANIMATED)
@pytest.mark.parametrize("every", [1, 2])
def test_animated_images_come_frame_by_frame(tmp_path, suffix, every):
    format_ = "PNG" if suffix in (".apng", ".png") else None
    lossless = {"lossless": True} if suffix == ".webp" else {}
    path = animated(tmp_path / f"a{suffix}", format=format_, **lossless)
    sources = find_sources([str(tmp_path)]).sources
    frames = list(read_images(sources, every))
    assert [f.frame for f in frames] == [*range(0, 4, every)]
    assert image_count(sources[0], every) == len(frames)
    assert [f.time for f in frames] == pytest.approx([0.0, 0.1, 0.3, 0.6][::every], abs=0.011)
    assert [f.image.mean() for f in frames] == pytest.approx([0, 60, 120, 180][::every], abs=4)
    assert frames[0].file == path and frames[0].image.dtype == np.uint8


@pytest.mark.parametrize("suffix", ANIMATED)
def test_images_of_one_frame_are_images(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(LAYERS[1]).save(path, format="PNG" if suffix == ".apng" else None)
    (input_image,) = items_of(path)
    assert input_image.frame is None and input_image.name == path.name


def test_frames_that_hold_only_what_changed(tmp_path):
    """A dot that moves over a background that only the first frame has."""
    layers = []
    for i in range(3):
        image = np.full((48, 64, 3), 200, np.uint8)
        image[20:24, 10 * i : 10 * i + 4] = 0
        layers.append(Image.fromarray(image))
    layers[0].save(tmp_path / "a.gif", save_all=True, append_images=layers[1:], duration=50)
    frames = items_of(tmp_path / "a.gif")
    for frame, layer in zip(frames, layers, strict=True):
        assert np.abs(frame.image.astype(int) - np.asarray(layer)).max() < 8


def test_transparent_frames_are_on_white(tmp_path):
    layers = [Image.new("RGBA", (8, 8), (i, 0, 0, 0)) for i in (9, 200)]
    layers[0].save(tmp_path / "a.png", save_all=True, append_images=layers[1:], duration=100)
    assert [f.image.min() for f in items_of(tmp_path / "a.png")] == [255, 255]


def test_a_damaged_animation_gives_what_it_holds(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), np.uint8)
    first, *others = map(Image.fromarray, noise)
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, duration=100)
    content = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(content[: int(0.6 * len(content))])
    items = items_of(tmp_path / "a.gif")
    assert isinstance(items[-1], Failure) and all(
        item.frame == i for i, item in enumerate(items[:-1])
    )


def test_animations_without_times(tmp_path):
    animated(tmp_path / "a.gif", durations=(0, 0, 0, 0))
    times = [frame.time for frame in items_of(tmp_path / "a.gif")]
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.skipif(os.name != "posix", reason="names are bytes only on POSIX systems")
@pytest.mark.parametrize("name", [b"\xe9.mp4", b"d\xe9/a.mp4", b"\xe9.bin", b"\xe9.gif"])
def test_names_that_are_not_utf8(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    made = animated(tmp_path / "x.gif") if name.endswith(b"gif") else clip(tmp_path / "x.mp4")
    made.rename(path)
    (source,) = find_sources([str(path)]).sources
    assert [item.frame for item in read_images([source])] == [0, 1, 2, 3]
    assert image_count(source) == (1 if name.endswith(b"bin") else 4)
