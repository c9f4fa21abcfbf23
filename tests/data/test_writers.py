"""Writers of label sets: what is written is read back, and what cannot be held is counted."""

from __future__ import annotations

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

from heatkp.data.images import STORED
from heatkp.data.readers import READERS
from heatkp.data.samples import Labels, Sample
from heatkp.data.writers import LABEL_WRITERS, Holds, write_labels
from heatkp.skeletons import named

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
            ignored=one.ignored, person=one.person, track=one.track, split=shot.split,
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
                      (Holds.SPLITS, "split"), (Holds.VIDEOS, "video"),
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
        if not any((s.visibility > 0).any() for kept in expected.values() for s in kept):
            return  # of such a set names are not known
        try:
            written = write_labels(labels, out, name, images=how, first_only=True)
            assert written.path.exists() and written.objects == sum(map(len, expected.values()))
            found = READERS[name].read(written.path, True, STORED)  # placeholders stay
            assert_read_back(writer, found, expected)
            for sample in found.samples:
                own = next(n for n in FILES if sample.file.name.endswith(Path(n).name))
                assert sample.file.read_bytes() == (images / own).read_bytes()
                assert sample.file.is_symlink() == (how == "link")
        finally:
            rmtree(out, ignore_errors=True)

    check()


def assert_read_back(writer, found, expected):
    by_name = {}
    for sample in found.samples:
        own = next(n for n in expected if sample.file.name.endswith(n))
        by_name.setdefault(own, []).append(sample)
    assert set(by_name) == set(expected)
    for own, kept in expected.items():
        assert len(by_name[own]) == len(kept)
        for one, other in zip(by_name[own], kept):
            check_same(writer, found, one, other)
    skeleton = found.skeleton
    if Holds.PAIRS in writer.holds:
        pairs = {frozenset(skeleton.point_names[i] for i in pair) for pair in skeleton.pairs}
        assert pairs == {frozenset(("left_ear", "right_ear"))} and not skeleton.unpaired
    if Holds.LINES in writer.holds:
        assert steps(skeleton) == steps(SKELETON)
