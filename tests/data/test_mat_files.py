"""MATLAB's files: Leeds Sports Pose, its extension, MPII."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from heatkp.data.readers import read, recognise
from heatkp.errors import DataError, HeatkpError
from tests.conftest import scratch, write_image


def lsp(folder, count=3, extended=False):
    rng = np.random.default_rng(0)
    joints = rng.uniform(2, 40, (14, 3, count))
    joints[:, 2] = rng.integers(0, 2, (14, count))
    digits = 5 if extended else 4
    for i in range(count):
        write_image(folder / "images" / f"im{i + 1:0{digits}d}.jpg", seed=i)
    savemat(folder / "joints.mat", {"joints": joints if extended else joints.transpose(1, 0, 2)})
    return joints


@pytest.mark.parametrize("count", [1, 3, 14])
def test_lsp(tmp_path, count):
    joints = lsp(tmp_path, count)
    assert recognise(tmp_path) == recognise(tmp_path / "joints.mat") == "lsp"
    skeleton, samples, _ = read(tmp_path)
    assert len(samples) == count and samples[-1].file.name == f"im{count:04d}.jpg"
    assert np.allclose(samples[0].points, joints[:, :2, 0] - 1, atol=1e-5)
    assert (samples[0].visibility == np.where(joints[:, 2, 0] > 0, 1, 2)).all()
    assert len(skeleton.pairs) == 6 and len(skeleton.midline) == 2


def test_lsp_extended(tmp_path):
    joints = lsp(tmp_path, extended=True)
    samples = read(tmp_path).samples
    assert samples[2].file.name == "im00003.jpg"
    for i, sample in enumerate(samples):
        labelled = joints[:, 2, i] > 0
        assert (sample.visibility == np.where(labelled, 2, 0)).all()
        assert np.allclose(sample.points[labelled], joints[labelled, :2, i] - 1, atol=1e-5)


def test_lsp_is_split_in_halves(tmp_path):
    savemat(tmp_path / "joints.mat", {"joints": np.ones((3, 14, 2000)) * 5})
    splits = [s.split for s in read(tmp_path, strict=False).samples]
    assert splits == ["train"] * 1000 + ["test"] * 1000


def array(*items):
    """What MATLAB holds as a row of structures."""
    row = np.empty((1, len(items)), object)
    row[0] = items
    return row


def point(number, x, y, visible):
    return {"x": x, "y": y, "id": number, "is_visible": visible}


def mpii(folder):
    """The documented structure: RELEASE.annolist(i).annorect(j).annopoints.point(k)."""
    person = {
        "scale": 0.5, "objpos": {"x": 31.0, "y": 21.0}, "x1": 1, "y1": 2, "x2": 3, "y2": 4,
        "annopoints": {"point": array(point(0, 11.0, 21.0, 1), point(9, 12.5, 2.0, []),
                                      point(15, 5.0, 6.0, "0"))},
    }  # fmt: skip
    single = {**person, "annopoints": {"point": point(6, 8.0, 9.0, 0)}}
    bare = {"scale": 1.0, "objpos": {"x": 1.0, "y": 1.0}}
    entries = array(
        {"image": {"name": "a.jpg"}, "annorect": array(person, bare), "vididx": 1, "frame_sec": 5},
        {"image": {"name": "b.jpg"}, "annorect": single, "vididx": [], "frame_sec": []},
        {"image": {"name": "c.jpg"}, "annorect": [], "vididx": [], "frame_sec": []},
    )
    release = {
        "annolist": entries, "img_train": [[1, 1, 0]], "video_list": array("vid0", "vid1"),
    }  # fmt: skip
    savemat(folder / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": release})
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write_image(folder / "images" / name)
    return folder


def test_mpii(tmp_path):
    folder = mpii(tmp_path)
    assert recognise(folder) == "mpii"
    skeleton, samples, notes = read(folder)
    assert len(skeleton) == 16 and len(skeleton.pairs) == 6 and skeleton.unpaired == ()
    first, second = samples
    assert first.points[0].tolist() == [10, 20] and first.points[9].tolist() == [11.5, 1]
    assert np.flatnonzero(first.visibility).tolist() == [0, 9, 15]
    assert first.visibility[[0, 9, 15]].tolist() == [2, 2, 1]
    assert first.box.tolist() == [30 - 50, 20 - 50, 30 + 50, 20 + 50]
    assert second.visibility[6] == 1 and [s.split for s in samples] == ["train", "train"]
    assert [s.video for s in samples] == ["vid0", None]
    assert [s.file.name for s in samples] == ["a.jpg", "b.jpg"]
    text = " ".join(notes)
    assert "persons without points, left out: 1" in text and "left out: 1" in notes[-1]


def test_damaged(tmp_path):
    mpii(tmp_path)
    path = tmp_path / "mpii_human_pose_v1_u12_1.mat"
    content = path.read_bytes()
    for size in (10, 128, 200, len(content) // 2):
        path.write_bytes(content[:size])
        with pytest.raises(DataError):
            read(path)
    savemat(path, {"RELEASE": {"annolist": 5}})
    with pytest.raises(DataError, match="has no name"):
        read(path)
    savemat(path, {"joints": np.ones((3, 15, 2))})
    with pytest.raises(DataError, match="no known format"):
        read(path)


@settings(max_examples=8)  # each starts a process
@given(st.integers(0, 3000), st.integers(0, 255))
def test_any_byte_changed_is_read_or_refused(tmp_path_factory, place, value):
    folder = scratch(tmp_path_factory) / "mat"
    path = folder / "changed.mat"
    if not (folder / "mpii_human_pose_v1_u12_1.mat").exists():
        folder.mkdir()
        mpii(folder)
    content = bytearray((folder / "mpii_human_pose_v1_u12_1.mat").read_bytes())
    content[place % len(content)] = value
    path.write_bytes(content)
    try:
        labels = read(path, "mpii", strict=False)
    except HeatkpError:
        return
    assert all(np.isfinite(s.points[s.visibility > 0]).all() for s in labels.samples)
