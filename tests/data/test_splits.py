"""Sets: the labels' own splits, other files for each part, groups that a split keeps together."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.config import Data, ignored, parse_settings
from heatkp.data.drawn import drawn_sample
from heatkp.data.leaks import COPY, SOURCE, copy_leaks, source_leaks
from heatkp.data.loading import load_data, load_whole
from heatkp.data.readers._splits import folder_splits
from heatkp.data.samples import Sample
from heatkp.data.splitting import divide, groups_by
from heatkp.errors import DataError, SettingsError
from heatkp.skeletons import FACE68
from tests.conftest import heatkp, write_image


def sample(name, **known):
    return Sample(np.zeros((8, 8, 3), np.uint8), [[1.0, 2.0], [3.0, 4.0]], id=name, **known)


def many(count, **known):
    return [sample(f"{i:03d}", **known) for i in range(count)]


def ids(samples):
    return [s.id for s in samples]


def table(folder, rows, columns=("day",), name="points.csv", seed=0):
    """A CSV table with further columns, and its images."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [",".join(["image", "a_x", "a_y", "b_x", "b_y", *columns])]
    for i, row in enumerate(rows):
        write_image(folder / f"{seed + i}.png", seed=seed + i)
        lines.append(",".join([f"{seed + i}.png", "1", "2", "3", "4", *map(str, row)]))
    (folder / name).write_text("\n".join(lines) + "\n")
    return str(folder / name)


# The labels' own split ------------------------------------------------------------------------


def with_splits(*names):
    return [sample(f"{i:03d}", split=name) for i, name in enumerate(names)]


def test_the_labels_own_split_is_the_default():
    samples = with_splits("train", "test", "val", "train", None)
    parts = divide(samples, Data(path="x"))
    assert [ids(parts.train), ids(parts.val), ids(parts.test)] == [["000", "003"], ["002"], ["001"]]
    assert "data.split=file" in parts.notes[0] and "1 are in no part" in parts.notes[0]
    for kind in ("random", "person"):
        parts = divide(samples, Data(path="x", split=kind, validation=0.4))
        assert len(parts.train) == 3 and len(parts.val) == 2 and not parts.test and not parts.notes


def test_without_a_validation_part_a_fraction_of_training_validates():
    samples = [*with_splits(*["train"] * 10), sample("t", split="test")]
    parts = divide(samples, Data(path="x", validation=0.3))
    assert len(parts.train) == 7 and len(parts.val) == 3 and ids(parts.test) == ["t"]


def test_a_test_part_is_never_trained_on():
    samples = with_splits("train", "val", "test")
    parts = divide(samples, Data(path="x", validation=0))
    assert ids(parts.train) == ["000", "001"] and not parts.val and ids(parts.test) == ["002"]
    parts = divide([*samples, *with_splits("train")], Data(path="x", folds=2, fold=1))
    assert len(parts.train) + len(parts.val) == 3 and ids(parts.test) == ["002"]


def test_labels_of_one_part_have_no_split():
    samples = with_splits(*["val"] * 5)
    assert len(divide(samples, Data(path="x")).train) == 4
    with pytest.raises(DataError, match="no training part"):
        divide(samples, Data(path="x", split="file"))
    with pytest.raises(DataError, match="no training part"):
        divide(many(3), Data(path="x", split="file"))


def test_published_splits_of_real_layouts(formats_folder):
    yolo = load_data(Data(path=str(formats_folder / "yolo_pose")))
    assert (len(yolo.train), len(yolo.val), len(yolo.test)) == (3, 1, 0)
    path = str(formats_folder / "roboflow_coco")
    own = load_data(Data(path=path))
    assert (len(own.train), len(own.val), len(own.test)) == (4, 1, 1)
    assert len(own.part("all")) == 6 and own.part("test") == own.test
    taken = own.take([0])
    assert len(taken.test) == 1 and len(taken.test[0].points) == 1
    # Roboflow's augmented copies of img001 stay on one side of any other split, too.
    for seed in range(5):
        data = load_data(Data(path=path, split="random", validation=0.4, split_seed=seed))
        assert not {s.source_image for s in data.train} & {s.source_image for s in data.val}
    other = load_data(Data(path=path, train=["train", "val"], val="test"))
    assert {s.split for s in other.train} == {"train", "val"} and len(other.train) == 5
    assert {s.split for s in other.val} == {"test"} and not other.test
    fewer = load_data(Data(path=path, train="train", val="test"))
    assert len(fewer.train) == 4 and len(fewer.val) == 1 and not fewer.test


def test_folders_of_300_w():
    names = ["helen/trainset/1.jpg", "lfpw\\testset\\2.jpg", "afw/3.jpg", "ibug/4.jpg", "x/5.jpg"]
    assert folder_splits(names) == ["train", "test", "train", "test", None]
    assert folder_splits(["afw/1.jpg", "ibug/2.jpg"]) == [None, None]
    assert folder_splits(["train/test/1.jpg", "training.jpg"]) == [None, None]


# Other files for each part --------------------------------------------------------------------


def test_a_file_for_each_part(tmp_path):
    first = table(tmp_path / "a", [[1]] * 4)
    second = table(tmp_path / "b", [[1]] * 3, seed=20)
    third = table(tmp_path / "c", [[1]] * 2)
    data = load_data(Data(train=first, val=second, test=third, pairs=[]))
    assert (len(data.train), len(data.val), len(data.test)) == (4, 3, 2)
    assert len({s.id for s in data.part("all")}) == 9  # of the same names, but not the same images
    assert not any("show an image that training sees" in note for note in data.notes)
    together = load_data(Data(train=[first, second], pairs=[], validation=0.5))
    assert len(together.train) + len(together.val) == 7 and len(together.val) in (3, 4)
    beside = load_data(Data(path=first, val=second, pairs=[]))
    assert ids(beside.train) == ids(data.train) and len(beside.val) == 3
    whole = load_whole(Data(path=first, pairs=[], split="group", group="none"))
    assert len(whole.test) == 4 and whole.part("all") == whole.test


def test_the_same_file_on_both_sides_is_told(tmp_path):
    path = table(tmp_path / "a", [[1]] * 4)
    shutil.copy(path, tmp_path / "a" / "again.csv")
    data = load_data(Data(train=path, val=str(tmp_path / "a" / "again.csv"), pairs=[]))
    assert any(note.startswith("4 of 4 val samples show an image") for note in data.notes)


def test_other_points_are_refused(tmp_path):
    path = table(tmp_path / "a", [[1]] * 4)
    (tmp_path / "b.csv").write_text("image,a_x,a_y,c_x,c_y\na/0.png,1,2,3,4\n")
    with pytest.raises(DataError, match="other points"):
        load_data(Data(train=path, val=str(tmp_path / "b.csv"), pairs=[]))
    with pytest.raises(DataError, match="no parts"):
        load_data(Data(path=path, val="test", pairs=[]))
    with pytest.raises(DataError, match="no file or folder"):
        load_data(Data(path=path, val="none.csv", pairs=[]))


@pytest.mark.parametrize(
    "values",
    [
        {"val": "a"},
        {"test": ["a"]},
        {"path": "a", "train": "b"},
        {"train": "train"},
        {"path": "a", "train": ["train", "val"], "val": "val"},
        {"path": "a", "train": []},
        {"path": "a", "val": [1]},
        {"path": "a", "split": "group"},
        {"path": "a", "folds": 1},
        {"path": "a", "folds": 3},
        {"path": "a", "folds": 3, "fold": 4},
        {"path": "a", "fold": 1},
        {"path": "a", "folds": 3, "fold": 1, "val": "b"},
        {"path": "a", "split": "half"},
    ],
)
def test_parts_that_contradict_each_other(values):
    with pytest.raises(SettingsError):
        parse_settings({"data": values})


def test_settings_that_do_not_count():
    def told(**data):
        return " ".join(ignored(parse_settings({"data": data})))

    assert "data.group" in told(path="a", group="day")
    assert "data.validation" in told(path="a", val="b", validation=0.3)
    assert "data.validation" in told(path="a", folds=3, fold=1, validation=0.3)
    assert "data.split_seed" in told(path="a", split="person", split_seed=3)
    assert not told(train="a", val="b", test="c")
    assert not told(path="a", split="group", group="day", validation=0.3, split_seed=2)


# What stays together --------------------------------------------------------------------------


def of_videos(*sizes):
    return [
        sample(f"{v}-{i:03d}", video=f"v{v}", frame=i, source_image=f"{v}-{i}")
        for v, size in enumerate(sizes)
        for i in range(size)
    ]


def test_frames_of_several_videos_stay_on_one_side():
    samples = of_videos(*[10] * 10)
    for seed in range(5):
        parts = divide(samples, Data(path="x", split_seed=seed))
        assert not {s.video for s in parts.train} & {s.video for s in parts.val}
        assert len(parts.val) == 20 and "data.split=video" in parts.notes[0]
    assert ids(parts.train) == sorted(ids(parts.train))


def test_one_video_is_cut_into_blocks():
    samples = of_videos(100)
    parts = divide(samples, Data(path="x"))
    frames = sorted(s.frame for s in parts.val)
    assert len(frames) == 20 and {f // 10 for f in frames} == {frames[0] // 10, frames[-1] // 10}
    assert "data.split=blocks" in parts.notes[0]
    # Two unlike videos: neither is about a fifth of the data.
    assert "too few" in divide(of_videos(55, 45), Data(path="x")).notes[0]
    assert "data.split=video" in divide(of_videos(80, 20), Data(path="x")).notes[0]


def test_blocks_go_by_number_and_keep_objects_of_a_frame_together():
    samples = [replace(s, id=f"{s.id}#{k}") for s in reversed(of_videos(40)) for k in range(2)]
    blocks = groups_by("blocks", samples, Data(path="x"))
    frames = {}
    for s, block in zip(samples, blocks):
        frames.setdefault(block, set()).add(s.frame)
    assert sorted(map(sorted, frames.values())) == [list(range(i, i + 4)) for i in range(0, 40, 4)]
    small = groups_by("blocks", of_videos(3), Data(path="x"))
    assert len(set(small)) == 3
    unnumbered = groups_by("blocks", many(20), Data(path="x"))
    assert unnumbered == [i // 2 for i in range(20)]


def test_groups_by_a_column(tmp_path):
    path = table(tmp_path, [[f"day {i % 5}", i] for i in range(20)], ("day", "row"))
    chosen = {}
    for seed in range(4):
        data = load_data(Data(path=path, split="group", group="day", pairs=[], split_seed=seed))
        days = [{s.columns["day"] for s in part} for part in (data.train, data.val)]
        assert len(days[1]) == 1 and not days[0] & days[1] and len(data.val) == 4
        chosen[seed] = days[1].pop()
    assert len(set(chosen.values())) > 1
    with pytest.raises(DataError, match=r"data\.group=month.* day, row"):
        load_data(Data(path=path, split="group", group="month", pairs=[]))


def test_images_that_are_there_again_stay_on_one_side():
    faces = [drawn_sample(0, i, FACE68) for i in range(6)]
    again = [replace(face, id=f"again-{i}") for i, face in enumerate(faces)]
    samples = [*faces, *again]
    groups = groups_by("lookalikes", samples, Data(path="x"))
    assert groups[:6] == groups[6:] == list(range(6))
    parts = divide(samples, Data(path="x", split="lookalikes", validation=0.34))
    assert len(parts.val) == 4 and {i.replace("again-", "") for i in ids(parts.val)}


def test_old_splits_stay_as_they_were():
    """What `random` and `person` chose before there were others."""
    samples = [sample(f"{i}", person=f"p{i // 2}", video=f"v{i}", split="val") for i in range(10)]
    order = np.random.default_rng(7).permutation(10)
    chosen = sorted(order[:2].tolist())
    parts = divide(samples, Data(path="x", split="random", split_seed=7))
    assert ids(parts.val) == [str(i) for i in chosen] and not parts.notes
    parts = divide(samples, Data(path="x", split="person", validation=0.4))
    assert ids(parts.val) == ["6", "7", "8", "9"]
    plain = [sample(f"{i}") for i in range(10)]
    assert ids(divide(plain, Data(path="x", split_seed=7)).val) == [str(i) for i in chosen]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=4, max_size=40),
    st.integers(2, 5),
    st.sampled_from(["auto", "random", "person", "video", "blocks"]),
    st.integers(0, 3),
)
def test_each_sample_validates_in_one_fold(drawn, folds, kind, seed):
    samples = [
        sample(f"{i:03d}", source_image=f"s{source}", person=f"p{person}", video=f"v{person}")
        for i, (source, person) in enumerate(drawn)
    ]
    found = []
    groups = None
    for fold in range(1, folds + 1):
        data = Data(path="x", folds=folds, fold=fold, split=kind, split_seed=seed)
        try:
            parts = divide(samples, data)
        except DataError:
            assert len(set(groups_by(kind if kind != "auto" else "random", samples, data))) < folds
            return
        assert len(parts.train) + len(parts.val) == len(samples) and parts.val
        assert groups in (None, parts.groups)
        groups = parts.groups
        held = {groups[s.id] for s in parts.val}
        assert not held & {groups[s.id] for s in parts.train}
        assert not {s.source_image for s in parts.train} & {s.source_image for s in parts.val}
        found += ids(parts.val)
    assert sorted(found) == ids(samples)


def test_folds_of_persons_videos_and_few_of_them():
    persons = [sample(f"{i:02d}", person=f"p{i // 4}") for i in range(40)]
    parts = divide(persons, Data(path="x", folds=5, fold=2))
    assert len(parts.val) == 8 and not {s.person for s in parts.val} & {
        s.person for s in parts.train
    }
    one = divide(of_videos(50), Data(path="x", folds=5, fold=1))
    assert "blocks" in one.notes[0] and len(one.val) == 10
    thirds = [divide(of_videos(48), Data(path="x", folds=3, fold=i)) for i in (1, 2, 3)]
    assert [len(parts.val) for parts in thirds] == [16] * 3
    with pytest.raises(DataError, match="too few for 5 folds"):
        divide(of_videos(20, 20), Data(path="x", folds=5, fold=1, split="video"))


# Leaks ----------------------------------------------------------------------------------------


def test_leaks_by_name_and_by_look():
    samples = [
        sample("a", source_image="one", split="train"),
        sample("b", source_image="one", split="val"),
        sample("c", source_image="two", split="val"),
        sample("d", split="test"),
    ]
    parts = {part: [s for s in samples if s.split == part] for part in ("train", "val", "test")}
    (leak,) = source_leaks(parts)
    assert leak == ("val", ("b",), ("a",), SOURCE) and leak.note(2).startswith("1 of 2 val samples")
    found = copy_leaks(samples, [(3, 0), (1, 2), (0, 2)])
    assert [(leak.part, leak.samples, leak.seen) for leak in found] == [
        ("val", ("c",), ("a",)), ("test", ("d",), ("a",)),
    ]  # fmt: skip
    assert {leak.how for leak in found} == {COPY}


def test_data_info_tells_splits_and_leaks(formats_folder, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(formats_folder / "roboflow_coco", folder)
    clean = json.loads(heatkp("data", "info", folder, "--json").stdout)
    assert clean["splits"] == {"train": 4, "val": 1, "test": 1}
    assert not [leak for leak in clean["leaks"] if leak["how"] == SOURCE]
    # One of img001's augmented copies is put into the validation part, too.
    name = next((folder / "train").glob("img001*.jpg")).name
    other = name.replace(".rf.", ".rf.0")[:-5] + ".jpg"
    shutil.copy(folder / "train" / name, folder / "valid" / other)
    path = folder / "valid" / "_annotations.coco.json"
    content = json.loads(path.read_text())
    content["images"].append({**content["images"][0], "id": 99, "file_name": other})
    content["annotations"].append({**content["annotations"][0], "id": 999, "image_id": 99})
    path.write_text(json.dumps(content))
    leaky = json.loads(heatkp("data", "info", folder, "--json").stdout)
    (leak,) = [leak for leak in leaky["leaks"] if leak["how"] == SOURCE]
    assert leak["part"] == "val" and len(leak["samples"]) == 1
    shown = heatkp("data", "info", folder)
    assert shown.exit_code == 0 and "warning: 1 of 2 val samples" in shown.output
    assert any("training sees" in note for note in load_data(Data(path=str(folder))).notes)
