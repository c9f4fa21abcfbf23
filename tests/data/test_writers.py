"""Writers of label sets: what is written is read back, and what cannot be held is counted."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple
from uuid import uuid4

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from heatkp.data.images import STORED, ImageOptions
from heatkp.data.readers import READERS, read
from heatkp.data.samples import Labels, Sample
from heatkp.data.writers import LABEL_WRITERS, Holds, Scores, label_writer, write_labels
from heatkp.errors import DataError, SettingsError
from heatkp.skeletons import FACE68, named

NAMES = ("nose", "left_ear", "right_ear", "tail base", "Öhr 2")
FILES = {"a.png": (64, 48), "deep/b c.jpg": (48, 64), "deep/é.bmp": (33, 40)}
SKELETON = replace(
    named("mouse", NAMES, lines=((0, 1), (0, 2), (0, 3))).with_pairs([(1, 2)]),
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of images of known sizes."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "deep").mkdir()
    for i, (name, (width, height)) in enumerate(FILES.items()):
        image = np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8)
        (folder / name).write_bytes(cv2.imencode(Path(name).suffix, image)[1].tobytes())
    return folder


class One(NamedTuple):
    """An object to write: fractions of the image's size, so that it can be of any."""

    points: tuple[tuple[float, float], ...]
    codes: tuple[int, ...]
    box: tuple[float, float, float, float] | None
    ignored: bool
    person: str | None
    track: str | None


def fractions(least, most):
    return st.floats(least, most, width=32)


@st.composite
def objects(draw):
    codes = draw(st.tuples(*[st.sampled_from([0, 1, 2, 2])] * len(NAMES)))
    points = draw(st.tuples(*[st.tuples(fractions(-0.25, 1.25), fractions(-0.25, 1.25))]
                            * len(NAMES)))  # fmt: skip
    corner = draw(st.tuples(fractions(0, 0.5), fractions(0, 0.5)))
    extent = draw(st.tuples(fractions(0.125, 0.5), fractions(0.125, 0.5)))
    box = (*corner, corner[0] + extent[0], corner[1] + extent[1])
    person, track = draw(st.sampled_from([(None, None), ("p 1", "t1"), ("q", "t2")]))
    boxed = draw(st.booleans()) or not any(codes)
    ignored = draw(st.sampled_from([False, False, False, True]))
    return One(points, codes, box if boxed or ignored else None, ignored, person, track)


class Shot(NamedTuple):
    """An image to write."""

    name: str
    objects: list[One]
    split: str | None
    video: str | None


shots = st.lists(
    st.builds(
        Shot,
        st.sampled_from(list(FILES)),
        st.lists(objects(), max_size=3),
        st.sampled_from([None, "train", "val", "test"]),
        st.sampled_from([None, "clip_1", "clip_2"]),
    ),
    min_size=1,
    unique_by=lambda shot: shot.name,
)


def as_samples(folder, shot, frame):
    width, height = FILES[shot.name]
    for i, one in enumerate(shot.objects):
        points = np.float32(one.points) * np.float32([width, height])
        codes = np.array([0] * len(NAMES) if one.ignored else one.codes)
        points[codes == 0] = np.nan
        box = None
        if one.box is not None:
            box = np.float32(one.box) * np.float32([width, height] * 2) - 0.5
        yield Sample(
            folder / shot.name, points, visibility=codes, box=box, id=f"{shot.name}#{i}",
            ignored=one.ignored, person=one.person, split=shot.split,
            track=one.track and f"{one.track}-{i}",  # in an image once
            video=shot.video, frame=None if shot.video is None else frame,
        )  # fmt: skip


def held(writer, samples):
    """What is to be read back of an image's samples."""

    def has(what):
        return what in writer.holds

    kept = []
    for sample in samples:
        codes, points = sample.visibility.copy(), sample.points.copy()
        size = np.array(FILES[sample.id.partition("#")[0]])
        if not has(Holds.OUTSIDE):
            with np.errstate(invalid="ignore"):
                out = ((points < -0.5) | (points > size - 0.5)).any(1)
            codes[out] = 0
            if out.any() and not codes.any() and sample.box is None:
                continue
        if not has(Holds.OCCLUSION):
            codes[codes == 1] = 2
        if sample.ignored and not has(Holds.IGNORED):
            continue
        if not (codes > 0).any() and not has(Holds.BARE):
            continue
        if (codes > 0).any() and not (codes > 0).all() and not has(Holds.MISSING):
            continue
        points[codes == 0] = np.nan
        kept.append(replace(sample, points=points, visibility=codes))
    return kept if has(Holds.SEVERAL) else kept[:1]


def check_same(writer, labels, found, expected):
    """One object that was read, and the sample that was written."""
    near = 0.5 * 10.0**-writer.digits + 2e-4
    points, codes = found.points, found.visibility
    if Holds.NAMES in writer.holds:
        missing = [n for n in NAMES if n not in labels.skeleton.point_names]
        assert not (expected.visibility[[NAMES.index(n) for n in missing]] > 0).any()
        order = [labels.skeleton.point_names.index(n) for n in NAMES if n not in missing]
        there = [NAMES.index(n) for n in NAMES if n not in missing]
        points, codes = points[order], codes[order]
        expected = expected.take(there)
    assert codes.tolist() == expected.visibility.tolist()
    np.testing.assert_allclose(points, expected.points, atol=near, rtol=0)
    assert found.ignored == expected.ignored
    if Holds.BOXES in writer.holds and expected.box is not None:
        np.testing.assert_allclose(found.box, expected.box, atol=near, rtol=0)
    for what, key in ((Holds.PERSONS, "person"), (Holds.TRACKS, "track"),
                      (Holds.VIDEOS, "video"),
                      (Holds.VIDEOS, "frame")):  # fmt: skip
        if what in writer.holds and getattr(expected, key) is not None:
            assert getattr(found, key) == getattr(expected, key), key


def steps(skeleton):
    names = skeleton.point_names
    return {frozenset((names[a], names[b])) for run in skeleton.lines for a, b in pairwise(run)}


@pytest.mark.parametrize("how", ["copy", "link", "refer"])
@pytest.mark.parametrize("name", list(LABEL_WRITERS))
def test_what_is_written_is_read_back(images, name, how):
    writer = LABEL_WRITERS[name]
    assert name in READERS
    if how == "refer" and writer.beside:
        pytest.skip("its label files lie beside images")
    if how == "link" and writer.packed:
        pytest.skip("it holds images itself")

    @given(shots)
    @settings(max_examples=20 if how == "copy" else 5)
    def check(given_shots):
        parts = [list(as_samples(images, shot, i)) for i, shot in enumerate(given_shots)]
        samples = [sample for part in parts for sample in part]
        expected = {Path(shot.name).name: held(writer, part)
                    for shot, part in zip(given_shots, parts)}  # fmt: skip
        expected = {name: kept for name, kept in expected.items() if kept}
        out = images.parent / f"out-{uuid4().hex}"
        labels = Labels(SKELETON, samples)
        if not any((s.visibility > 1).any() for kept in expected.values() for s in kept):
            return  # of such a set names are not known, or 1 means visible
        try:
            written = write_labels(labels, out, name, images=how, first_only=True)
            assert written.path.exists() and written.objects == sum(map(len, expected.values()))
            found = READERS[name].read(written.path, True, STORED)  # placeholders stay
            assert_read_back(writer, found, expected)
            for sample in found.samples:
                own = next(n for n in FILES if sample.image_name.endswith(Path(n).name))
                with sample.open() as file:
                    assert file.read() == (images / own).read_bytes()
                assert sample.file.is_symlink() == (how == "link")
        finally:
            rmtree(out, ignore_errors=True)

    check()


def assert_read_back(writer, found, expected):
    by_name = {}
    for sample in found.samples:
        own = next(n for n in expected if sample.image_name.endswith(n))
        by_name.setdefault(own, []).append(sample)
    assert set(by_name) == set(expected)
    for own, kept in expected.items():
        assert len(by_name[own]) == len(kept)
        for one, other in zip(by_name[own], kept):
            check_same(writer, found, one, other)
    splits = {s.split or "train" for kept in expected.values() for s in kept}
    if Holds.SPLITS in writer.holds and len(splits) > 1:  # a file alone is no split
        for own, kept in expected.items():
            assert {s.split for s in by_name[own]} == {kept[0].split or "train"}
    skeleton = found.skeleton
    if Holds.PAIRS in writer.holds:
        pairs = {frozenset(skeleton.point_names[i] for i in pair) for pair in skeleton.pairs}
        assert pairs == {frozenset(("left_ear", "right_ear"))} and not skeleton.unpaired
    if Holds.LINES in writer.holds:
        assert steps(skeleton) == steps(SKELETON)


def set_of(folder, *names, **more):
    """A sample with every point labelled for each image."""
    points = np.arange(2 * len(NAMES), dtype=np.float32).reshape(-1, 2) + 1.25
    samples = [Sample(folder / n, points + i, id=f"{n}#{i}", **more) for i, n in enumerate(names)]
    return Labels(SKELETON, samples)


def test_what_cannot_be_held_is_counted(images, tmp_path):
    labels = set_of(images, "a.png", "deep/b c.jpg", person="p", split="val", track="t",
                    visible=[1, 2, 2, 2, 2], box=[0, 0, 20, 20], video="v", frame=0)  # fmt: skip
    labels.samples[1] = replace(labels.samples[1], frame=1, ignored=True)
    notes = " ".join(write_labels(labels, tmp_path / "pts", "pts").notes)
    for words in ("names of points, which get numbers: 5", "left-right pairs of points: 1",
                  "objects that labels say to ignore, left out: 1", "boxes: 1", "tracks: 1",
                  "names of persons: 1", "occluded points, visible now: 1", "videos",
                  "parts of a split: 1", "lines between points: 3"):  # fmt: skip
        assert words in notes
    assert write_labels(set_of(images, "a.png"), tmp_path / "coco", "coco").notes == (
        "objects without a box, which get the extent of their points (COCO asks for boxes): 1",
    )


def test_several_objects_are_refused_with_their_count(images, tmp_path):
    labels = set_of(images, "a.png", "a.png", "deep/b c.jpg", "a.png")
    with pytest.raises(SettingsError, match="2 of 4 objects would be lost"):
        write_labels(labels, tmp_path / "out", "pts")
    assert not list(tmp_path.iterdir())
    done = write_labels(labels, tmp_path / "out", "pts", first_only=True)
    assert (done.images, done.objects) == (2, 2)
    assert any("further objects of their images, left out: 2" in note for note in done.notes)


def test_refusals_leave_nothing(images, tmp_path):
    labels = set_of(images, "a.png")
    with pytest.raises(SettingsError, match="coco, csv"):
        write_labels(labels, tmp_path / "out", "word")
    with pytest.raises(SettingsError, match="copy or link"):
        write_labels(labels, tmp_path / "out", "pts", images="refer")
    with pytest.raises(SettingsError, match="copy, link, refer"):
        write_labels(labels, tmp_path / "out", "csv", images="move")
    gone = Labels(SKELETON, [replace(labels.samples[0], file=tmp_path / "gone.png")])
    with pytest.raises(DataError, match="does not exist"):
        write_labels(gone, tmp_path / "out")
    bare = Labels(SKELETON, [Sample(images / "a.png", np.full((5, 2), np.nan))])
    with pytest.raises(DataError, match="objects without a labelled point, left out: 1"):
        write_labels(bare, tmp_path / "out", "pts")
    assert not list(tmp_path.iterdir())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    with pytest.raises(SettingsError, match="exists already"):
        write_labels(labels, tmp_path / "full")
    assert (tmp_path / "full" / "x").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert list(write_labels(labels, tmp_path / "empty").path.iterdir())


def test_a_writer_that_fails_leaves_nothing(images, tmp_path):

    @label_writer("broken", "fails", holds=Holds.SEVERAL)
    def write_broken(labels, folder):
        (folder / "labels.txt").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(SettingsError, match="the disk is full"):
        write_labels(set_of(images, "a.png"), tmp_path / "out", "broken")
    assert not list(tmp_path.iterdir())


def test_images_in_memory_and_frames_become_png(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), np.uint8)
    points = np.float32([[3, 4]])
    memory = [Sample(pixels[0], points, id="one"), Sample(pixels[1], points, id="two\n\\x")]
    frames = [
        Sample(lambda i=i: pixels[i], points + n, id=f"v#{i}{n}", video="a/clip.mp4", frame=7 * i)
        for i in (0, 1) for n in (0, 1)
    ]  # fmt: skip
    frames.append(replace(frames[0], video="b/clip.mp4", id="w"))
    done = write_labels(Labels(named("p", ["nose"]), [*memory, *frames]), tmp_path / "out", "coco")
    assert (done.images, done.objects) == (5, 7)
    assert any(note.endswith("written as PNG files: 5") for note in done.notes)
    found = read(done.path)
    assert len({s.file for s in found.samples}) == 5
    for sample, first in zip(found.samples, [0, 1, 0, 0, 1, 1, 0], strict=True):
        assert np.array_equal(sample.rgb(), pixels[first])
        assert sample.declared_size == (40, 30)
    names = sorted(p.relative_to(tmp_path / "out").as_posix() for p in
                   (tmp_path / "out").rglob("*.png"))  # fmt: skip
    assert "images/clip/000000.png" in names and "images/clip-2/000000.png" in names


def test_turned_images_are_written_upright(tmp_path):
    from PIL import Image

    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:10] = 255
    image, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    upright = Sample(tmp_path / "a.jpg", [[15, 25]]).read_with(ImageOptions(orient=True))
    labels = Labels(named("p", ["nose"]), [upright])
    found = read(write_labels(labels, tmp_path / "out", "coco").path).samples[0]
    assert found.file.suffix == ".png" and found.declared_size == (20, 30)
    assert np.array_equal(found.rgb(), upright.rgb())
    linked = write_labels(labels, tmp_path / "link", "coco", images="link")
    assert any("data.orient=true: 1" in note for note in linked.notes)
    assert read(linked.path).samples[0].declared_size == (20, 30)


def test_images_that_a_tool_does_not_take_become_png(images, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    (tmp_path / "a.pgm").write_bytes(cv2.imencode(".pgm", pixels)[1].tobytes())
    labels = set_of(tmp_path, "a.pgm")
    done = write_labels(labels, tmp_path / "yolo", "yolo", images="link")
    assert any("does not take, written as PNG files: 1" in note for note in done.notes)
    found = read(done.path).samples[0]
    assert found.file.suffix == ".png" and np.array_equal(found.rgb()[:, :, 0], pixels)
    kept = read(write_labels(labels, tmp_path / "coco", "coco").path).samples[0]
    assert kept.file.suffix == ".pgm"


def test_names_that_collide_get_numbers(tmp_path):
    for name in ("x/a.png", "y/a.PNG", "x/a.bmp", "y/b/c.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(cv2.imencode(
            ".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes())  # fmt: skip
    files = sorted(p for p in (tmp_path / "in").rglob("*.*"))
    labels = Labels(named("p", ["nose"]), [Sample(f, [[1, 2]], id=str(f)) for f in files])
    write_labels(labels, tmp_path / "out", "pts")
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.pts")}
    assert found == {"x/a.pts", "x/a-2.pts", "y/a.pts", "y/b/c.pts"}
    assert len(read(tmp_path / "out").samples) == 4


def test_scores_are_written(images, tmp_path):
    labels = set_of(images, "a.png", "deep/b c.jpg")
    scores = [Scores(np.linspace(0.0, 1, 5), 0.5), Scores(None, 0.25)]
    done = write_labels(labels, tmp_path / "coco", "coco", scores=scores)
    first, second = json.loads((done.path / "annotations.json").read_text())["annotations"]
    assert first["score"] == 0.5 and first["keypoint_scores"] == [0, 0.25, 0.5, 0.75, 1]
    assert second["score"] == 0.25 and "keypoint_scores" not in second
    done = write_labels(labels, tmp_path / "csv", "csv", scores=[scores[0]] * 2)
    assert "nose_likelihood" in done.path.read_text().partition("\n")[0]
    assert (read(done.path).samples[0].visibility == 2).all()


def test_face68_stays_itself(images, tmp_path):
    points = np.random.default_rng(0).uniform(0, 40, (68, 2)).astype(np.float32)
    labels = Labels(FACE68, [Sample(images / "a.png", points)])
    for name, writer in LABEL_WRITERS.items():
        done = write_labels(labels, tmp_path / name, name)
        if Holds.NAMES in writer.holds:
            found = read(done.path, name)
            assert set(found.skeleton.point_names) == set(FACE68.point_names), name
            assert not any("lines" in note or "pairs" in note for note in done.notes), name


def test_coco_that_was_written_is_written_again_the_same(images, tmp_path):
    first = write_labels(set_of(images, "a.png", "a.png", "deep/é.bmp"), tmp_path / "a", "coco")
    second = write_labels(read(first.path), tmp_path / "b", "coco")
    texts = [(done.path / "annotations.json").read_bytes() for done in (first, second)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", list(LABEL_WRITERS))
def test_samples_of_real_formats(formats_folder, tmp_path, name):
    """Whatever heatkp reads is written in each format, and read back as it was."""
    writer, compared = LABEL_WRITERS[name], 0
    for folder in sorted(p for p in formats_folder.iterdir() if p.is_dir()):
        try:
            labels = read(folder)
        except DataError:  # what is not read yet, other tests tell
            continue
        done = write_labels(labels, tmp_path / folder.name, name, first_only=True)
        back = read(done.path, name)
        assert len(back.samples) == done.objects
        if len(back.samples) < len(labels.samples) or Holds.NAMES not in writer.holds:
            continue
        order = [back.skeleton.point_names.index(n) if n in back.skeleton.point_names else None
                 for n in labels.skeleton.point_names]  # fmt: skip
        kept = [i for i in order if i is not None]
        there = [k for k, i in enumerate(order) if i is not None]
        near = 0.5 * 10.0**-writer.digits + 2e-4
        found = [np.nan_to_num(s.take(kept).points, nan=-1e3) for s in back.samples]
        wanted = [np.nan_to_num(s.take(there).points, nan=-1e3) for s in labels.samples]
        cost = np.array([[np.abs(w - f).max() for f in found] for w in wanted])
        rows, columns = linear_sum_assignment(cost)
        assert cost[rows, columns].max() <= near, folder.name
        compared += len(found)
    assert compared > 20 or Holds.NAMES not in writer.holds
