"""SLEAP's files, with images, videos and images inside."""

from __future__ import annotations

import json
import pickle
import sys
from shutil import copyfile, copytree

import cv2
import numpy as np
import pytest

from heatkp.data.readers import read, recognise
from heatkp.errors import DataError
from tests.conftest import heatkp, reads_or_refuses, write_image

h5py = pytest.importorskip("h5py")

NODES = ("nose", "left_ear", "right_ear")
FRAMES = [("frame_id", "u8"), ("video", "u4"), ("frame_idx", "u8"),
          ("instance_id_start", "u8"), ("instance_id_end", "u8")]  # fmt: skip
INSTANCES = [("instance_id", "i8"), ("instance_type", "u1"), ("frame_id", "u8"),
             ("skeleton", "u4"), ("track", "i4"), ("from_predicted", "i8"), ("score", "f4"),
             ("point_id_start", "u8"), ("point_id_end", "u8"),
             ("tracking_score", "f4")]  # fmt: skip
POINTS = [("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")]
EDGE, SYMMETRY = (
    {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [kind]}]} for kind in (1, 2)
)


def skeleton(nodes=(0, 1, 2), links=()):
    return {"graph": {"name": "mouse"}, "links": list(links), "nodes": [{"id": n} for n in nodes]}


def link(source, target, kind):
    return {"source": source, "target": target, "type": kind}


def write_slp(path, frames, videos, *, tracks=(), skeletons=None, format_id=1.4, names=NODES):
    """A file; frames are (video, number, instances), these (points, more) with columns' values."""
    skeletons = skeletons or [skeleton(links=[link(0, 1, EDGE), link(2, 1, SYMMETRY)])]
    rows, instances, points = [], [], []
    for video, number, found in frames:
        start = len(instances)
        for where, more in found:
            first = len(points)
            hidden = more.get("hidden", ())
            points += [(x, y, k not in hidden, False) for k, (x, y) in enumerate(where)]
            own = (more.get("skeleton", 0), more.get("track", -1), -1, 0, first, len(points), 0)
            instances.append((len(instances), more.get("type", 0), len(rows), *own))
        rows.append((len(rows), video, number, start, len(instances)))
    metadata = {"skeletons": skeletons, "nodes": [{"name": n} for n in names]}
    with h5py.File(path, "w") as file:
        group = file.create_group("metadata")
        group.attrs["format_id"] = format_id
        group.attrs["json"] = np.bytes_(json.dumps(metadata))
        for name, texts in (("videos_json", videos), ("tracks_json", tracks)):
            content = [json.dumps(text) for text in texts]
            file.create_dataset(name, data=content, dtype=h5py.string_dtype())
        file["frames"] = np.array(rows, FRAMES)
        file["instances"] = np.array(instances, INSTANCES)
        file["points"] = np.array(points, POINTS)
    return path


def images(*names):
    backend = {"type": "ImageVideo", "filename": names[0], "filenames": list(names)}
    return {"filename": list(names), "backend": backend}


def movie(name, size=(64, 48)):
    backend = {"type": "MediaVideo", "filename": name, "shape": [30, size[1], size[0], 3]}
    return {"filename": name, "backend": backend}


def clip(path, count=30, size=(64, 48)):
    """A video whose frames have the grey value 8 times their number."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, size)
    for i in range(count):
        video.write(np.full((size[1], size[0], 3), 8 * i, np.uint8))
    video.release()
    return path


ONE = ([(1, 2), (3, 4), (5, 6)], {})


@pytest.mark.parametrize("name", ["labels.slp", "labels.pkg.slp", "labels_format1.0.slp"])
def test_samples(formats_folder, name):
    folder = formats_folder / "sleap"
    expected = json.loads((folder / "expected.json").read_text())
    assert recognise(folder / name) == "sleap"
    found = read(folder / name)
    assert list(found.skeleton.point_names) == expected["names"] and found.notes == ()
    assert found.skeleton.pairs == ((1, 2),) and found.skeleton.lines == ((0, 3),)
    assert found.skeleton.sides_from == "symmetries" and not found.skeleton.unpaired
    for sample, one in zip(found.samples, expected["samples"], strict=True):
        points = np.array([p or [np.nan] * 2 for p in one["points"]])
        np.testing.assert_allclose(sample.points, points, atol=expected["tolerance"])
        assert sample.visibility.tolist() == one["visible"]
        assert sample.source_image == one["image"].removesuffix(".png")
        image = cv2.imread(str(folder / one["image"]))[:, :, ::-1]
        assert np.array_equal(pickle.loads(pickle.dumps(sample)).rgb(), image)
    assert len({s.id for s in found.samples}) == 4
    assert len({s.image_name for s in found.samples}) == 3


def test_other_tool_reads_the_same(formats_folder, data_folder):
    sleap_io = pytest.importorskip("sleap_io")
    for path in (*(formats_folder / "sleap").glob("*.slp"), data_folder / "flies" / "labels.slp"):
        theirs = [i.numpy() for frame in sleap_io.load_slp(str(path)) for i in frame.instances]
        ours = [s.points for s in read(path).samples]
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)


def test_real_video(data_folder):
    folder = data_folder / "flies"
    assert recognise(folder) == "sleap"
    found = read(folder)
    assert (len(found.samples), len(found.skeleton), found.notes) == (1600, 24, ())
    assert len(found.skeleton.pairs) == 10 and len(found.skeleton.midline) == 4
    assert {s.track for s in found.samples} == {"fly1", "fly2"}
    assert [s.frame for s in found.samples] == sorted([*range(800)] * 2)
    assert len({s.source_image for s in found.samples}) == 800
    capture = cv2.VideoCapture(str(folder / "video.mp4"))
    for number in range(8):
        frame = capture.read()[1][:, :, ::-1]
        for sample in found.samples[2 * number : 2 * number + 2]:
            assert np.array_equal(sample.image(), frame)


def test_frames_of_a_video(tmp_path):
    clip(tmp_path / "clip.mp4")
    frames = [(0, n, [ONE, ([(9, 9)] * 3, {"track": 0})]) for n in (29, 3, 17)]
    path = write_slp(tmp_path / "a.slp", frames, [movie("C:\\x\\clip.mp4")], tracks=[[0, "t"]])
    found = read(path)
    assert [s.frame for s in found.samples] == [29, 29, 3, 3, 17, 17]
    assert [s.track for s in found.samples[:2]] == [None, "t"]
    assert {s.file for s in found.samples} == {tmp_path / "clip.mp4"}
    assert {s.declared_size for s in found.samples} == {(64, 48)}
    for sample in found.samples:
        assert abs(float(sample.rgb().mean()) - 8 * sample.frame) < 3


def test_missing_videos_and_frames(tmp_path):
    path = write_slp(tmp_path / "a.slp", [(0, 40, [ONE])], [movie("clip.mp4")])
    with pytest.raises(DataError, match=r"video .*clip\.mp4 does not exist"):
        read(path)
    (sample,) = read(path, strict=False).samples
    with pytest.raises(DataError, match="does not exist"):
        sample.image()
    clip(tmp_path / "clip.mp4")
    with pytest.raises(DataError, match="has no frame 40: it ends after 30"):
        read(path).samples[0].image()
    (tmp_path / "clip.mp4").write_bytes(b"\0" * 500)
    with pytest.raises(DataError, match="not a video"):
        read(path).samples[0].image()


def embed(path, stored, *, dataset="video0/video", numbers=None, **attributes):
    with h5py.File(path, "r+") as file:
        rows = [np.frombuffer(cv2.imencode(".png", image)[1], np.int8) for image in stored]
        data = file.create_dataset(dataset, (len(rows),), h5py.vlen_dtype(np.int8))
        for i, row in enumerate(rows):
            data[i] = row
        data.attrs.update(format="png", **attributes)
        if numbers is not None:
            data.parent["frame_numbers"] = numbers


def package(dataset="video0/video"):
    backend = {"type": "HDF5Video", "filename": ".", "dataset": dataset}
    return {"filename": ".", "backend": backend}


def test_embedded_frames_by_their_numbers(tmp_path):
    rng = np.random.default_rng(0)
    bgr = rng.integers(0, 256, (2, 20, 30, 3), np.uint8)
    frames = [(15, 700, [ONE]), (15, 12, [ONE])]
    path = tmp_path / "a.pkg.slp"
    for order, format_id, swapped in (
        ({"channel_order": "RGB"}, 1.4, False), ({}, 1.4, False), ({}, 1.3, True),
        ({"channel_order": "BGR"}, 1.4, True),
    ):  # fmt: skip
        write_slp(path, frames, [package("video15/video")], format_id=format_id)
        embed(path, bgr, dataset="video15/video", numbers=[12, 700], height=20, width=30, **order)
        later, first = read(path).samples
        assert (later.frame, later.declared_size) == (700, (30, 20))
        for sample, image in ((first, bgr[0]), (later, bgr[1])):
            assert np.array_equal(sample.rgb(), image if swapped else image[:, :, ::-1])
    write_slp(path, [(0, 5, [ONE])], [package()])
    embed(path, bgr, numbers=[12, 700])
    with pytest.raises(DataError, match=r"frame 5 .* no image"):
        read(path)


def test_pixels_in_another_hdf5_file(tmp_path):
    """As pixels (N, C, W, H), which SLEAP calls channels_first."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 1), np.uint8)
    with h5py.File(tmp_path / "movie.h5", "w") as file:
        file["box"] = pixels
        file["turned"] = pixels.transpose(0, 3, 2, 1)
    for dataset, form in (("box", "channels_last"), ("turned", "channels_first")):
        video = movie("movie.h5")
        video["backend"].update(dataset=dataset, input_format=form)
        path = write_slp(tmp_path / "a.slp", [(0, 2, [ONE])], [video])
        image = read(path).samples[0].rgb()
        assert np.array_equal(image, np.repeat(pixels[2], 3, axis=2))


def test_what_is_left_out_is_counted(tmp_path):
    nan = [(np.nan, np.nan)] * 3
    write_image(tmp_path / "a.png")
    write_image(tmp_path / "b.png")
    frames = [
        (0, 0, [ONE, ([(1, 1)] * 3, {"type": 1}), (nan, {}), ([(1, 1)], {"skeleton": 1})]),
        (0, 1, [(ONE[0], {"hidden": (0, 1, 2)})]),
        (0, 1, [(ONE[0], {"hidden": (1,)})]),
    ]
    skeletons = [skeleton(), skeleton([2])]
    path = write_slp(tmp_path / "x.slp", frames, [images("a.png", "b.png")], skeletons=skeletons)
    found = read(path)
    assert [s.visibility.tolist() for s in found.samples] == [[2, 2, 2], [2, 0, 2]]
    assert set(found.notes) == {
        "predicted instances, which are no labels, left out: 1",
        "instances of other skeletons, left out: 1",
        "instances left out, of which no point is labelled: 2",
        "frames left out, on which nothing is labelled: 1",
    }


def test_only_predictions(tmp_path):
    write_image(tmp_path / "a.png")
    path = write_slp(tmp_path / "x.slp", [(0, 0, [(ONE[0], {"type": 1})])], [images("a.png")])
    with pytest.raises(DataError, match="no labelled instance"):
        read(path)


def test_order_of_nodes_and_sides(tmp_path):
    """Nodes are in the skeleton's order; left is the one that its name tells; points without a
    symmetry are as names tell."""
    write_image(tmp_path / "a.png")
    names = ("pawR", "eyeL", "tail", "eyeR", "pawL")
    links = [link(3, 1, SYMMETRY), link(2, 0, EDGE), link(1, 3, {"py/id": 1})]
    skeletons = [skeleton([2, 3, 1, 0, 4], links)]
    where = [(k, k + 0.5) for k in range(5)]
    path = write_slp(tmp_path / "x.slp", [(0, 0, [(where, {})])], [images("a.png")],
                     skeletons=skeletons, names=names)  # fmt: skip
    found = read(path)
    called = found.skeleton.point_names
    assert called == ("tail", "eyeR", "eyeL", "pawR", "pawL")
    pairs = {(called[a], called[b]) for a, b in found.skeleton.pairs}
    assert pairs == {("eyeL", "eyeR"), ("pawL", "pawR")}
    assert found.skeleton.lines == ((0, 3),)
    np.testing.assert_array_equal(found.samples[0].points, where)


def test_old_files_count_from_the_corner(tmp_path):
    write_image(tmp_path / "a.png")
    for format_id, less in ((1.0, 0.5), (1.1, 0.0)):
        path = write_slp(
            tmp_path / "x.slp", [(0, 0, [ONE])], [images("a.png")], format_id=format_id
        )
        np.testing.assert_allclose(read(path).samples[0].points, np.array(ONE[0]) - less)


def test_numbers_without_names(tmp_path):
    """As h5wasm writes tables, for SLEAP in the browser."""
    write_image(tmp_path / "a.png")
    path = write_slp(tmp_path / "x.slp", [(0, 0, [ONE])], [images("a.png")])
    expected = read(path).samples[0].points
    with h5py.File(path, "r+") as file:
        for name in ("frames", "instances", "points"):
            table = file[name][()]
            del file[name]
            file[name] = np.array(table.tolist(), np.float64)
            file[name].attrs["field_names"] = json.dumps(table.dtype.names)
    np.testing.assert_array_equal(read(path).samples[0].points, expected)


def test_which_file_of_a_folder(formats_folder, tmp_path):
    folder = copytree(formats_folder / "sleap", tmp_path / "f")
    found = read(folder)
    assert recognise(folder) == "sleap" and len(found.samples) == 4
    assert any("left out: 2" in note for note in found.notes)
    (folder / "labels.slp").rename(folder / "labels.v001.slp")
    (folder / "expected.json").unlink()
    with pytest.raises(DataError, match=r"holds 3 \.slp files"):
        recognise(folder)


def test_command_line(formats_folder, tmp_path):
    """Images inside a file are told apart, and are of the size that the file says."""
    for name in ("labels.slp", "labels.pkg.slp"):
        out = heatkp("data", "info", formats_folder / "sleap" / name, "--json")
        assert out.exit_code == 0, out.output
        told = json.loads(out.output)
        assert (told["images"], told["samples"], told["notes"]) == (3, 4, [])
        assert told["missing"] == told["unreadable"] == told["same_image"] == []
        assert told["outside_image"] == {"points": 0, "samples": 0}


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        ("frames", "video", 7, "of video 7"),
        ("frames", "frame_idx", 2**62, "number"),
        ("frames", "frame_idx", 9, "labels of image 9"),
        ("instances", "point_id_end", 2, "points 0 to 2"),
        ("instances", "point_id_start", 2**60, "damaged"),
        ("instances", "skeleton", 3, "skeleton 3"),
    ],
)
def test_numbers_that_fit_nothing(tmp_path, table, column, value, words):
    write_image(tmp_path / "a.png")
    path = write_slp(tmp_path / "x.slp", [(0, 0, [ONE])], [images("a.png")])
    with h5py.File(path, "r+") as file:
        rows = file[table][()]
        rows[column] = value
        file[table][...] = rows
    with pytest.raises(DataError, match=words):
        read(path)


def test_other_files(tmp_path):
    path = tmp_path / "x.slp"
    path.write_text("no HDF5")
    with pytest.raises(DataError, match="no known format"):
        recognise(path)
    with pytest.raises(DataError, match="cannot be read as HDF5"):
        read(path, "sleap")
    with h5py.File(path, "w") as file:
        file["tracks"] = [1]
    with pytest.raises(DataError, match="it holds tracks"):
        read(path)
    write_image(tmp_path / "a.png")
    write_slp(path, [(0, 0, [ONE])], [images("a.png")], format_id=3.0)
    with pytest.raises(DataError, match="format 3"):
        read(path)
    write_slp(path, [(0, 0, [ONE])], [images("a.png")])
    with h5py.File(path, "r+") as file:
        file["video_crops"] = json.dumps([{"video": 0, "crop": [0, 0, 5, 5]}])
    with pytest.raises(DataError, match="video_crops"):
        read(path)


@pytest.mark.parametrize("name", ["labels.slp", "labels.pkg.slp"])
def test_damaged_files(formats_folder, tmp_path, name):
    whole = bytearray((formats_folder / "sleap" / name).read_bytes())
    rng = np.random.default_rng(0)
    for end in (0, 8, 1000, len(whole) // 2, len(whole) - 1):
        reads_or_refuses(tmp_path / "x.slp", bytes(whole[:end]), "sleap")
    for _ in range(150):
        changed = whole.copy()
        for place in rng.integers(0, len(whole), 8):
            changed[place] = rng.integers(256)
        reads_or_refuses(tmp_path / "x.slp", bytes(changed), "sleap")


def test_damaged_image_inside(formats_folder, tmp_path):
    path = tmp_path / "x.pkg.slp"
    copyfile(formats_folder / "sleap" / "labels.pkg.slp", path)
    with h5py.File(path, "r+") as file:
        file["video0/video"][1, 40:400] = 0
    found = read(path)
    assert found.samples[0].rgb().shape == (48, 64, 3)
    with pytest.raises(DataError, match=r"video0/video\[1\].* cannot be read"):
        found.samples[1].rgb()


def test_without_h5py(formats_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"pip install 'heatkp\[sleap\]'"):
        read(formats_folder / "sleap" / "labels.slp")
