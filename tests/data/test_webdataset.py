"""Tar shards: what labels in them may say, and what is read of tars, folders and patterns."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.data.checks.sizes import read_headers, sizes_of
from heatkp.data.depth import depth_notes
from heatkp.data.readers import read, recognise
from heatkp.data.readers._tar_labels import TarLabels
from heatkp.data.samples import Labels, Sample
from heatkp.data.sets import subset_labels
from heatkp.data.writers import write_labels, write_parts
from heatkp.errors import DataError, SettingsError
from heatkp.skeletons import FACE68, named
from tests.conftest import heatkp, scratch
from tests.data.test_tars import packed

PNG = cv2.imencode(".png", np.zeros((40, 50, 3), np.uint8))[1].tobytes()
POINTS = {"nose": [1.5, 2], "left_ear": [3, 4, 1], "right_ear": None, "tail": [9, 9, 0]}


def sample_of(key, labels, image=PNG, suffix=".png"):
    text = labels if isinstance(labels, bytes) else json.dumps(labels).encode()
    return [(key + suffix, image), (f"{key}.json", text)]


def tar_of(path, *labels, **more):
    """A tar of images 0, 1 ... with these labels."""
    members = [m for i, told in enumerate(labels) for m in sample_of(str(i), told)]
    return packed(path, members, **more)


def test_what_labels_may_say(tmp_path):
    objects = [
        {"points": POINTS, "box": [0, 0, 10.5, 20], "person": 7, "track": "t", "score": 0.5},
        {"points": {"tail": [5, 6]}, "ignored": True},
    ]
    told = {"size": [50, 40], "objects": objects, "source": "s", "video": "v.mp4", "frame": 3}
    labels = read(tar_of(tmp_path / "a.tar", told, {"points": POINTS}, {"box": [1, 2, 3, 4]}))
    assert labels.skeleton.point_names == ("nose", "left_ear", "right_ear", "tail")
    assert labels.skeleton.pairs == ((1, 2),)
    first, second, third, bare = labels.samples
    assert first.points[:2].tolist() == [[1.5, 2], [3, 4]] and np.isnan(first.points[2:]).all()
    assert first.visibility.tolist() == [2, 1, 0, 0]
    assert (first.box.tolist(), first.person, first.track) == ([0, 0, 10.5, 20], "7", "t")
    assert first.declared_size == (50, 40) and not first.ignored and second.ignored
    assert (second.source_image, second.video, second.frame) == ("s", "v.mp4", 3)
    assert second.visibility.tolist() == [0, 0, 0, 2] and second.box is None
    assert [s.id for s in labels.samples] == ["0", "0#2", "1", "2"]
    assert third.visibility.tolist() == [2, 1, 0, 0] and third.split is None
    assert bare.box.tolist() == [1, 2, 3, 4] and not bare.visibility.any()
    assert first.image_name == f"{tmp_path / 'a.tar'}, 0.png" and first.rgb().shape == (40, 50, 3)


def test_points_in_a_list_and_cocos_triples(tmp_path):
    told = [{"points": [[1, 2], None, [3, 4, 1]]}, {"keypoints": [1, 2, 2, 0, 0, 0, 3, 4, 1]},
            {"keypoints": [[1, 2, 2], [0, 0, 0], [3, 4, 1]], "bbox": [1, 2, 30, 20]}]  # fmt: skip
    labels = read(tar_of(tmp_path / "a.tar", *told))
    assert labels.skeleton.point_names == ("point_0", "point_1", "point_2")
    for sample in labels.samples:
        assert sample.visibility.tolist() == [2, 0, 1]
        assert sample.points[[0, 2]].tolist() == [[1, 2], [3, 4]]
    assert labels.samples[2].box.tolist() == [0.5, 1.5, 30.5, 21.5]
    ones = read(tar_of(tmp_path / "b.tar", {"keypoints": [1, 2, 1, 0, 0, 0]}))
    assert ones.samples[0].visibility.tolist() == [2, 0]
    assert any("1 is read as visible" in note for note in ones.notes)
    kept = read(tar_of(tmp_path / "c.tar", {"points": [[1, 2, 1], [3, 4, 1]]}))
    assert kept.samples[0].visibility.tolist() == [1, 1]


def test_a_skeleton_beside_the_tars(tmp_path):
    text = {"name": "pig", "keypoints": ["tail", "nose", "left_ear", "right_ear"],
            "skeleton": [[1, 2]], "flip_idx": [0, 1, 3, 2]}  # fmt: skip
    (tmp_path / "skeleton.json").write_text(json.dumps(text))
    tar = tar_of(tmp_path / "a.tar", {"points": POINTS}, {"points": [[1, 1]] * 4})
    for path in (tar, tmp_path):
        labels = read(path)
        assert labels.skeleton.point_names == tuple(text["keypoints"])
        assert labels.skeleton.lines == ((0, 1),) and labels.skeleton.pairs == ((2, 3),)
        assert labels.samples[0].visibility.tolist() == [0, 2, 1, 0]
    tar_of(tmp_path / "b.tar", {"points": {"snout": [1, 1]}})
    with pytest.raises(DataError, match=r"0\.png in .*b\.tar has a point 'snout'"):
        read(tmp_path)
    (tmp_path / "skeleton.json").write_text("[]")
    with pytest.raises(DataError, match=r"skeleton\.json holds"):
        read(tmp_path)


def test_known_names_are_their_layout_and_numbers_are_in_their_order(tmp_path):
    names = {name: [i + 1, 1] for i, name in reversed(list(enumerate(FACE68.point_names)))}
    labels = read(tar_of(tmp_path / "a.tar", {"points": names}))
    assert labels.skeleton == FACE68
    assert labels.samples[0].points[:, 0].tolist() == list(range(1, 69))
    numbers = read(tar_of(tmp_path / "b.tar", {"points": {"10": [10, 0], "2": [2, 0]}}))
    assert numbers.skeleton.point_names == ("point_2", "point_10")
    assert numbers.samples[0].points[:, 0].tolist() == [2, 10]


WRONG = {
    "no JSON": (b"{", "JSON"),
    "not UTF-8": (b'{"points": "\xff"}', "JSON"),
    "deep": (b"[" * 100_000, "JSON"),
    "a list": ([], "expected a JSON object"),
    "a caption": ({"caption": "a cat"}, "'caption'; expected"),
    "nothing": ({}, "no key"),
    "objects": ({"objects": [{"points": {}}, 3]}, "'objects'"),
    "an empty object": ({"objects": [{"points": {}}, {}]}, r"objects\[1\]"),
    "text": ({"points": {"a": ["1", "2"]}}, r"points'\['a'\]"),
    "one number": ({"points": {"a": [1]}}, "expected \\[x, y\\]"),
    "infinite": (b'{"points": [[1, Infinity]]}', "Infinity"),
    "NaN": (b'{"points": [[NaN, 1], null]}', "NaN"),
    "far": ({"points": [[1, 1e7]]}, "10000000"),
    "true": ({"points": [[1, True], None]}, "true"),
    "visibility": ({"points": [[1, 2, 3]]}, "none of 0, 1, 2"),
    "both": ({"points": [], "keypoints": [1, 2, 2]}, "leave out one"),
    "triples": ({"keypoints": [1, 2]}, "triples"),
    "nowhere": (b'{"keypoints": [NaN, 1, 2]}', "nowhere"),
    "a box": ({"box": [1, 2, 3]}, "'box'"),
    "a box's order": ({"box": [3, 0, 1, 1]}, "'box'"),
    "COCO's box": ({"bbox": [1, 2, 3]}, "bbox"),
    "a size": ({"size": [0, 1], "points": []}, "'size'"),
    "a frame": ({"frame": -1, "points": []}, "'frame'"),
    "a name": ({"points": [], "person": ["x"]}, "'person'"),
    "ignored": ({"points": [], "ignored": 1}, "'ignored'"),
    "a word": ({"points": "nose"}, "'points'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_labels_that_do_not_fit(tmp_path, name):
    told, word = WRONG[name]
    tar = tar_of(tmp_path / "a.tar", {"points": {"a": [1, 2]}}, told)
    with pytest.raises(DataError, match=word) as caught:
        read(tar)
    assert f"1.json in the tar {tar}" in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["points", "keypoints", "box", "bbox", "objects", "size", "a", "frame",
                         "person", "ignored", "source"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["points", "keypoints", "box", "objects", "size"]),
                       json_values, max_size=3))  # fmt: skip
def test_whatever_a_json_holds(value):
    try:
        shot = TarLabels().read(json.dumps(value).encode(), "here")
    except DataError as error:
        assert "here" in str(error)
        return
    for found in shot.objects:
        labelled = found.triples[:, 2] > 0
        assert np.isfinite(found.triples[labelled]).all()
        assert np.isnan(found.triples[~labelled, :2]).all()
        assert set(found.triples[:, 2]) <= {0.0, 1.0, 2.0}


coordinates = st.floats(-1e5, 1e5, width=32)
points = st.none() | st.tuples(coordinates, coordinates) | st.tuples(
    coordinates, coordinates, st.sampled_from([0, 1, 2]))  # fmt: skip


@given(st.dictionaries(st.text(max_size=3), points, min_size=1, max_size=5))
def test_points_are_read_as_they_stand(given_points):
    content = json.dumps({"points": given_points}).encode()
    (found,) = TarLabels().read(content, "here").objects
    assert found.names == tuple(given_points)
    for row, point in zip(found.triples.tolist(), given_points.values(), strict=True):
        if point is None or (len(point) == 3 and point[2] == 0):
            assert np.isnan(row[:2]).all() and row[2] == 0
        else:
            assert row == [*point[:2], point[2] if len(point) == 3 else 2]


names_of_members = st.lists(
    st.sampled_from(["a", "a.x", "../a", "/a", "d/a", "d.e/a", ".hidden", "é", "a b", "", "./q"]),
    min_size=1, max_size=6, unique=True,
)  # fmt: skip


def test_what_members_are_called_is_only_a_name(tmp_path_factory):
    """Nothing is written, and what comes before the first dot is the sample's key."""
    folder = scratch(tmp_path_factory)

    @given(names_of_members)
    def check(keys):
        members = [m for key in keys for m in sample_of(key, {"points": [[1, 2]]})]
        kept = [k for k in keys if k in ("a", "../a", "/a", "d/a", "d.e/a", "é", "a b", "./q")]
        tar = packed(folder / "a.tar", members)
        if not kept:
            with pytest.raises(DataError, match="no labelled object"):
                read(tar)
            return
        labels = read(tar)
        assert [s.image_part for s in labels.samples] == [f"{key}.png" for key in kept]
        assert [s.id for s in labels.samples] == kept
        assert {p.name for p in folder.iterdir()} == {"a.tar"}
        assert all(s.rgb().shape == (40, 50, 3) for s in labels.samples)

    check()


def test_a_key_has_one_image_and_one_json(tmp_path):
    both = [("a.png", PNG), ("a.jpg", PNG), ("a.json", b"{}")]
    with pytest.raises(DataError, match=r"a\.png and a\.jpg, two for one sample"):
        read(packed(tmp_path / "a.tar", both))
    with pytest.raises(DataError, match=r"holds a\.png twice"):
        read(packed(tmp_path / "b.tar", [("a.png", PNG)] * 2))
    more = [*sample_of("b.c", b"{}"), *sample_of("a", {"points": [[1, 2]]}), ("z.png", PNG)]
    labels = read(packed(tmp_path / "c.tar", [*more, ("a.txt", b"words"), ("a.seg.png", PNG)]))
    assert [s.id for s in labels.samples] == ["a"]
    told = " ".join(labels.notes)
    assert "without a .json beside them, left out: 1" in told
    assert "1 .c.json, 1 .c.png, 1 .seg.png, 1 .txt" in told


def test_labels_without_an_image(tmp_path):
    tar = packed(tmp_path / "a.tar", [("a.json", b'{"points": [[1, 2]]}'), *sample_of(
        "b", {"points": [[1, 2]]})])  # fmt: skip
    with pytest.raises(DataError, match=r"a\.json in .* has no image beside it \(1 of 2\)"):
        read(tar)
    first, second = read(tar, strict=False).samples
    assert second.rgb().shape == (40, 50, 3)
    with pytest.raises(DataError, match="holds no image of a"):
        first.rgb()


def test_points_that_differ_between_objects(tmp_path):
    with pytest.raises(DataError, match=r"0\.png has 2 points, 1\.png has 1 points"):
        read(tar_of(tmp_path / "a.tar", {"points": [[1, 2]] * 2}, {"points": [[1, 2]]}))
    with pytest.raises(DataError, match=r"names in some objects and none in others, as in 1\.png"):
        read(tar_of(tmp_path / "b.tar", {"points": {"a": [1, 2]}}, {"points": [[1, 2]]}))
    for told in ({"objects": []}, {"box": [1, 2, 3, 4]}, {"points": []}):
        with pytest.raises(DataError, match="no labelled object"):
            read(tar_of(tmp_path / "c.tar", told))


def test_folders_splits_and_patterns(tmp_path):
    told = {"points": [[1, 2]]}
    (tmp_path / "flat").mkdir()
    for name in ("train-10", "train-9", "val-0"):
        tar_of(tmp_path / "flat" / f"{name}.tar", told, told)
    labels = read(tmp_path / "flat")
    assert recognise(tmp_path / "flat") == "webdataset"
    assert [s.file.stem for s in labels.samples] == ["train-9"] * 2 + ["train-10"] * 2 + [
        "val-0"] * 2  # fmt: skip
    assert [s.split for s in labels.samples] == ["train"] * 4 + ["val"] * 2
    assert len({s.id for s in labels.samples}) == 6  # though the tars have the same keys
    assert len({s.source_image for s in labels.samples}) == 6
    some = read(tmp_path / "flat" / "train-{9..10}.tar")
    assert [s.file for s in some.samples] == [s.file for s in labels.samples[:4]]
    assert {s.split for s in some.samples} == {None}
    every = read(tmp_path / "flat" / "{train-9,val-0}.tar")
    assert [s.split for s in every.samples] == ["train", "train", "val", "val"]
    with pytest.raises(DataError, match=r"train-11\.tar does not exist \(1 of the 3 files"):
        read(tmp_path / "flat" / "train-{9..11}.tar")
    with pytest.raises(DataError, match=r"no file or folder .*a\{1\.\.2\}\.json"):
        read(tmp_path / "a{1..2}.json", "coco")
    for folder in ("train", "test"):
        (tmp_path / "deep" / folder).mkdir(parents=True)
        tar_of(tmp_path / "deep" / folder / "0.tar", told)
    assert [s.split for s in read(tmp_path / "deep").samples] == ["test", "train"]
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match="compressed"):
        recognise(tmp_path / "a.tar.gz")


def test_tars_of_tars(tmp_path):
    """What is read of tars is written again, to tars and files, byte for byte."""
    exif = cv2.imencode(".jpg", np.full((30, 20, 3), 77, np.uint8))[1].tobytes()
    members = [*sample_of("d/b", {"points": {"p": [1, 2], "q": None}}, exif, ".JPG"),
               *sample_of("a", {"points": {"q": [3, 4]}})]  # fmt: skip
    first = read(packed(tmp_path / "a.tar", members))
    coco = read(write_labels(first, tmp_path / "coco", "coco").path)
    assert [s.file.read_bytes() for s in coco.samples] == [exif, PNG]
    assert [s.declared_size for s in coco.samples] == [(20, 30), (50, 40)]
    done = write_labels(first, tmp_path / "again", "webdataset", per_shard=1)
    assert sorted(p.name for p in done.path.iterdir()) == [
        "000000.tar", "000001.tar", "skeleton.json"]  # fmt: skip
    again = read(done.path)
    assert [s.image.content() for s in again.samples] == [exif, PNG]
    assert [s.image_part for s in again.samples] == ["d/b.JPG", "a.png"]
    other = write_labels(again, tmp_path / "third", "webdataset", per_shard=1)
    for name in ("000000.tar", "000001.tar", "skeleton.json"):
        assert (other.path / name).read_bytes() == (done.path / name).read_bytes()


def test_names_with_dots_and_kinds_of_files(tmp_path):
    """A key ends at the first dot; which image an image is from is kept, whatever its name."""
    names = ("x_jpg.rf.0123456789.png", "x_jpg.rf.abcdef0123.png", "v1.2.webp", "c.unknown")
    for i, name in enumerate(names):
        pixels = np.full((9, 9, 3), i, np.uint8)
        suffix = ".webp" if name.endswith("webp") else ".png"
        (tmp_path / name).write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())
    samples = [Sample(tmp_path / n, [[1, 2]], source_image=n[:1]) for n in names]
    done = write_labels(Labels(named("p", ["nose"]), samples), tmp_path / "out", "webdataset")
    assert any("webdataset does not take, written as PNG files: 1" in note for note in done.notes)
    labels = read(done.path)
    assert [s.image_part for s in labels.samples] == [
        "x_jpg_rf_0123456789.png", "x_jpg_rf_abcdef0123.png", "v1_2.webp", "c.png"]  # fmt: skip
    assert [s.source_image for s in labels.samples] == ["x", "x", "v", "c"]
    assert [int(s.rgb()[0, 0, 0]) for s in labels.samples] == [0, 1, 2, 3]
    assert sorted(p.name for p in done.path.iterdir()) == ["000000.tar", "skeleton.json"]


def test_splits_are_tars_of_their_own(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    samples = [Sample(tmp_path / "a.png", [[1, 2]], id=str(i), split=s)
               for i, s in enumerate(["val", "train"])]  # fmt: skip
    samples[1] = Sample(np.zeros((9, 9, 3), np.uint8), [[1, 2]], id="m", split="train")
    done = write_parts(Labels(named("p", ["nose"]), samples), tmp_path / "out", "webdataset")
    assert sorted(p.name for p in done[""].path.glob("*.tar")) == [
        "train-000000.tar", "val-000000.tar"]  # fmt: skip
    assert {s.id: s.split for s in read(done[""].path).samples} == {"a": "val", "m": "train"}


def test_what_cannot_be_asked_of_a_writer(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    labels = Labels(named("p", ["nose"]), [Sample(tmp_path / "a.png", [[1, 2]])])
    with pytest.raises(SettingsError, match=r"per-shard.*webdataset"):
        write_labels(labels, tmp_path / "out", "coco", per_shard=3)
    with pytest.raises(SettingsError, match="per-shard"):
        write_labels(labels, tmp_path / "out", "webdataset", per_shard=0)
    with pytest.raises(SettingsError, match="files of its own"):
        write_labels(labels, tmp_path / "out", "webdataset", images="link")
    assert {p.name for p in tmp_path.iterdir()} == {"a.png"}


def test_checks_look_into_tars(tmp_path):
    """Sizes, depth and names of images are told as of files."""
    deep = cv2.imencode(".png", np.arange(1200, dtype=np.uint16).reshape(40, 30))[1].tobytes()
    told = {"points": [[1, 2]]}
    members = [*sample_of("deep", told, deep), *sample_of("d/b", told)]
    labels = read(packed(tmp_path / "a.tar", members))
    headers = read_headers(labels.samples, None)
    sizes = sizes_of(labels.samples, headers, False, False, None)
    assert sizes.tolist() == [[30, 40], [50, 40]]
    (note,) = depth_notes(labels.samples)
    assert "1 of 2 images hold more than 8 bits" in note and "deep.png" in note
    assert [s.id for s in subset_labels(labels, names=["d/*.png"]).samples] == ["d/b"]
    wrong = {"size": [40, 50], "points": [[1, 2]]}
    done = heatkp("data", "info", tar_of(tmp_path / "b.tar", wrong))
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "not of the size that the labels declare" in said and "0.png, 40x50 in the" in said


def test_damaged_tars_are_named_on_the_command_line(tmp_path):
    tar = tar_of(tmp_path / "a.tar", {"points": [[1, 2]]})
    tar.write_bytes(tar.read_bytes()[:700])
    for command in (["data", "info", tar], ["train", "--data", tar, "--out", tmp_path / "run"]):
        done = heatkp(*command)
        assert done.exit_code and "a.tar cannot be read after 0.png" in done.output.replace(
            "\n", ""
        )
        assert "Traceback" not in done.output
    assert {p.name for p in tmp_path.iterdir()} == {"a.tar"}
