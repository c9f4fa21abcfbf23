from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.config import Data
from heatkp.data.loading import load_data
from heatkp.data.readers import READERS, read, recognise
from heatkp.data.readers._common import distinct, layout, source_images
from heatkp.data.readers.imglab import read_imglab
from heatkp.errors import DataError
from heatkp.skeletons import FACE58, FACE68, UNLABELLED, sides_by_name
from tests.conftest import box_of, damaged, imglab_text, reads_or_refuses, scratch, write_image

EYES = {"left_eye": (20, 11.5), "right_eye": (10, 12), "nose": (15.25, 20)}
BOX = box_of(8, 9, 14, 16, parts=EYES)


def write(folder, images, **options):
    for name in {name for name, _ in images}:
        write_image(folder / name)
    path = folder / "faces.xml"
    path.write_text(imglab_text(images, **options))
    return path


@pytest.mark.parametrize("double", [False, True])
def test_both_ways_of_writing(tmp_path, double):
    path = write(tmp_path, [("a.png", [BOX])], double=double)
    assert ("'a.png'" in path.read_text()) is not double
    assert recognise(path) == recognise(tmp_path) == "imglab"
    for place in (path, tmp_path):
        skeleton, samples, notes = read(place)
        assert skeleton.point_names == ("left_eye", "nose", "right_eye")
        assert skeleton.pairs == ((0, 2),) and notes == () and len(samples) == 1
        sample = samples[0]
        assert sample.points.tolist() == [[20, 11.5], [15.25, 20], [10, 12]]
        assert sample.points.dtype == sample.box.dtype == np.float32
        assert sample.visibility.tolist() == [2, 2, 2]
        assert sample.box.tolist() == [7.5, 8.5, 21.5, 24.5]  # pixels 8...21 and 9...24
        assert (sample.id, sample.source_image, sample.file) == ("a", "a", tmp_path / "a.png")
        assert sample.image().shape == (48, 64, 3)


def test_several_boxes_and_what_is_left_out(tmp_path):
    images = [
        ("d/b_1.png", [BOX, box_of(1, 2, 3, 4)]),
        ("d/b_2_mirror.png", [box_of(1, 2, 3, 4, ignore=0, parts={"nose": (1, 2)})]),
        ("c.png", []),
        ("d/b_1.png", [BOX]),
    ]
    _, samples, notes = read(write(tmp_path, images))
    assert [s.id for s in samples] == ["d/b_1", "d/b_1#2", "d/b_2_mirror", "d/b_1#3"]
    assert [s.source_image for s in samples] == ["d/b"] * 4
    assert [s.visibility.tolist() for s in samples] == [[2, 2, 2], [0, 0, 0], [0, 2, 0], [2, 2, 2]]
    assert np.isnan(samples[1].points).all() and samples[2].points[1].tolist() == [1, 2]
    assert np.isnan(samples[2].points[[0, 2]]).all()
    assert notes == (
        "images left out, for they have no box: 1",
        "boxes without parts, none of their points is labelled: 1",
    )


def test_ignored_boxes_are_predicted_and_not_trained_on(tmp_path):
    ignored = box_of(4, 5, 6, 7, ignore=1, parts=EYES | {"chin": (1, 1)})
    images = [
        ("a.png", [ignored, BOX, box_of(0, 0, -1, 0, ignore=1), BOX]),
        ("b.png", [BOX]),
        ("c.png", [BOX, box_of(1, 1, 5, 5, ignore="true")]),
    ]
    path = write(tmp_path, images)
    skeleton, samples, notes = read(path)
    assert "chin" not in skeleton.point_names
    assert [s.ignored for s in samples] == [True, False, False, False, False, True]
    # Those that count are called as if the others were not there.
    assert [s.id for s in samples] == ["a#3", "a", "a#2", "b", "c", "c#2"]
    assert samples[0].box.tolist() == [3.5, 4.5, 9.5, 11.5] and not samples[0].visibility.any()
    assert [(": 2, such as box 1 of image 1 (a.png)" in n, ": 1, such as box 3" in n)
            for n in notes] == [(True, False), (False, True)]  # fmt: skip
    data = load_data(Data(path=str(path), validation=0.4, pairs=[]))
    assert sorted(s.id for s in data.part("all")) == ["a", "a#2", "b", "c"]
    assert set(notes) <= set(data.notes)
    path.write_text(imglab_text([(name, [ignored]) for name in ("a.png", "b.png")]))
    with pytest.raises(DataError, match=r"no labelled object.*ignore='1'.*: 2"):
        load_data(Data(path=str(path), pairs=[]))


def test_images_of_ignored_boxes_need_not_be_there(tmp_path):
    path = write(tmp_path, [("a.png", [BOX]), ("b.png", [BOX | {"ignore": 1}])])
    (tmp_path / "b.png").unlink()
    assert [s.ignored for s in read(path).samples] == [False, True]
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png does not exist"):
        read(path)


def numbered(names):
    return box_of(1, 1, 9, 9, parts={n: (i, 2 * i + 1) for i, n in enumerate(names)})


def test_numbers_are_sorted(tmp_path):
    for names in ([f"{i:02d}" for i in range(68)], [str(i) for i in range(68, 0, -1)]):
        skeleton, samples, _ = read(write(tmp_path, [("a.png", [numbered(names)])]))
        assert skeleton.name == "points68" and len(skeleton.unpaired) == 68
        x = samples[0].points[:, 0].tolist()
        assert x == (list(range(68)) if names[0] == "00" else list(range(67, -1, -1)))
    for names, called in (
        (["10", "9", "08"], ("point_8", "point_9", "point_10")),
        (["p10", "p9", "q"], ("p9", "p10", "q")),
        ([str(i) for i in range(5, 73)], tuple(f"point_{i}" for i in range(5, 73))),
    ):
        skeleton, samples, _ = read(write(tmp_path, [("a.png", [numbered(names)])]))
        assert skeleton.point_names == called
    skeleton, samples, _ = read(write(tmp_path, [("a.png", [numbered(FACE58.point_names)])]))
    assert skeleton is FACE58 and samples[0].points[:, 0].tolist() == list(range(58))


def test_prediction_only(tmp_path):
    images = [("b.png", [box_of(1, 2, 3, 4), box_of(5, 6, 7, 8)]), ("a.png", [box_of(9, 9, 9, 9)])]
    skeleton, samples, notes = read(write(tmp_path, images, double=True))
    assert skeleton == UNLABELLED and len(skeleton) == 0 and notes == ()
    assert [s.id for s in samples] == ["b", "b#2", "a"]
    assert all(s.points.shape == (0, 2) and s.visibility.shape == (0,) for s in samples)
    assert [s.box[0] for s in samples] == [0.5, 4.5, 8.5]


def test_windows_paths(tmp_path):
    path = write(tmp_path, [("faces/a_3.png", [BOX])])
    path.write_text(path.read_text().replace("faces/", "faces\\"))
    sample = read(path).samples[0]
    assert (sample.id, sample.source_image) == ("faces/a_3", "faces/a")
    assert sample.file == tmp_path / "faces" / "a_3.png"


def test_missing_images(tmp_path):
    path = write(tmp_path, [(f"{n}.png", [BOX]) for n in "abcd"])
    (tmp_path / "b.png").unlink()
    (tmp_path / "d.png").unlink()
    with pytest.raises(DataError, match=r"faces\.xml: the image .*b\.png does not exist \(2 of 4"):
        read(path)
    samples = read(path, strict=False).samples
    assert len(samples) == 4
    with pytest.raises(DataError, match=r"b\.png does not exist"):
        samples[1].image()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("left='8'", "left='wide'", r"box 2 of image 1 \(a\.png\): left is 'wide'"),
        ("left='8'", "", "left is None"),
        ("width='14'", "width='0'", "0 wide and 16 high: it has no area"),
        ("height='16'", "height='nan'", "height is 'nan'"),
        ("x='15.25'", "x='inf'", "part 'nose': x is 'inf'"),
        ("x='15.25'", "x='1_5'", "x is '1_5'"),
        ("x='15.25'", "x='1e9'", "x is '1e9'"),
        ("'nose'", "'left_eye'", "box 2 of image 1 .*part 'left_eye' is there twice"),
        ("name='nose'", "", "a part has no name"),
        ("file='a.png'", "", "image 1 has no file name"),
        ("width='14'", "width='14' ignore='perhaps'", "ignore is 'perhaps'; expected 0 or 1"),
        ("</dataset>", "", "not well-formed"),
        ("UTF-8", "klingon", "not well-formed"),
        ("dataset>", "annotation>", "holds <annotation>, expected <dataset>"),
        ("box", "bax", "holds no boxes"),
        ("'nose'", "'nase'", None),
    ],
)
def test_bad_files(tmp_path, old, new, words):
    path = write(tmp_path, [("a.png", [box_of(0, 0, 5, 5), BOX])])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    if words is None:  # the same change in a name that may be anything
        assert "nase" in read(path).skeleton.point_names
        return
    with pytest.raises(DataError, match=words) as caught:
        read(path)
    assert "faces.xml" in str(caught.value)


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE d SYSTEM "http://127.0.0.1:9/imglab.dtd">',
        "<!DOCTYPE d>",
    ],
)
def test_document_types_are_refused(tmp_path, doctype):
    path = write(tmp_path, [("a.png", [BOX])])
    path.write_text(path.read_text().replace("<dataset>", doctype + "<dataset>"))
    with pytest.raises(DataError, match="document type or entities"):
        read(path)


def test_folders(tmp_path):
    path = write(tmp_path, [("a.png", [BOX])])
    (tmp_path / "more.XML").write_text(path.read_text())
    with pytest.raises(DataError, match=r"it holds 2 \.xml files: give the path of one"):
        read(tmp_path)
    with pytest.raises(DataError, match="not, and does not hold just one"):
        read(tmp_path, "imglab")
    assert len(read(tmp_path / "more.XML").samples) == 1


def test_unknown_formats_are_told_all_that_are_known(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    for place in (tmp_path, tmp_path / "a.txt"):
        with pytest.raises(DataError) as caught:
            recognise(place)
        assert all(f" {name}" in str(caught.value) for name in READERS)


def test_photos_of():
    same = ["h/1_1.jpg", "h/1_2.png", "h/1_12_mirror.jpg", "./h/1.jpg", "h\\1_mirror.jpg"]
    apart = ["image_0735.jpg", "image_0736.jpg", "image_073.jpg", "g/1_1.jpg", "h/1_1_1.jpg"]
    found = source_images([*same, *apart])
    assert found == ["h/1"] * 5 + ["image_0735", "image_0736", "image_073", "g/1", "h/1_1"]


def test_numbered_pictures_are_photos_of_their_own():
    """A folder of img_1 ... img_99 is not 99 faces of one image, nor two of a_1 ... b_50."""
    assert len(set(source_images([f"img_{i}.png" for i in range(99)]))) == 99
    two = [f"{letter}_{i:02d}.jpg" for letter in "ab" for i in range(50)]
    assert len(set(source_images(two))) == 100
    mirrored = [f"img_{i}{m}.png" for i in range(9) for m in ("", "_mirror")]
    assert source_images(mirrored) == [f"img_{i // 2}" for i in range(18)]
    assert len(set(source_images([f"img_{i}.png" for i in range(500)]))) == 500


def test_photos_with_many_faces():
    assert len(set(source_images([f"{p:04d}_{i}.jpg" for p in range(20) for i in (1, 2, 3)]))) == 20
    animals = [f"{name}_{i:02d}.jpg" for name in ("cat", "cow", "dog", "hen", "pig")
               for i in range(20)]  # fmt: skip
    assert len(set(source_images(animals))) == 100


@given(st.lists(st.sampled_from(["a", "b", "a#2", "a#2#2", "a#3"])))
def test_distinct(names):
    ids = distinct(names)
    assert len(set(ids)) == len(names)
    assert all(i == n or i.startswith(n + "#") for i, n in zip(ids, names))


@given(st.lists(st.text("left rightLRlr_", min_size=1, max_size=12), unique=True, max_size=12))
def test_pairs_never_overlap(names):
    pairs, unpaired = sides_by_name(names)
    used = [*(i for pair in pairs for i in pair), *unpaired]
    assert len(used) == len(set(used))
    for a, b in pairs:
        assert names[a] != names[b] and "l" in names[a].lower() and "r" in names[b].lower()


def test_names_that_become_the_same():
    with pytest.raises(DataError, match="twice"):
        layout(["3", "03"])
    with pytest.raises(DataError, match="twice"):
        layout(["3", "point_3", "x"])


names = st.text(string.ascii_letters + string.digits + "_<>&\"' é", min_size=1, max_size=8)
pixels = st.one_of(st.integers(-999, 9999), st.floats(-1e4, 1e4).map(lambda v: round(v, 3)))
boxes = st.builds(
    box_of, pixels, pixels, st.integers(1, 500), st.integers(1, 500),
    parts=st.dictionaries(names.map(lambda n: "n" + n), st.tuples(pixels, pixels), max_size=6),
)  # fmt: skip
images = st.lists(st.tuples(names, st.lists(boxes, min_size=1, max_size=3)), min_size=1, max_size=4)


@given(images, st.booleans())
def test_round_trip(tmp_path_factory, images, double):
    path = scratch(tmp_path_factory) / "round.xml"
    path.write_text(imglab_text(images, double), encoding="utf-8")
    skeleton, samples, _ = read_imglab(path, strict=False)
    written = [(name, box) for name, given in images for box in given]
    assert len(samples) == len(written)
    assert set(skeleton.point_names) == {part for _, box in written for part in box["parts"]}
    for sample, (name, box) in zip(samples, written):
        assert sample.file == path.parent / name
        edges = [box["left"], box["top"], box["left"] + box["width"], box["top"] + box["height"]]
        assert np.array_equal(sample.box, np.float32(np.array(edges, np.float64) - 0.5))
        for part, point, code in zip(skeleton.point_names, sample.points, sample.visibility):
            assert code == (2 if part in box["parts"] else 0)
            expected = box["parts"].get(part, (np.nan, np.nan))
            assert np.array_equal(point, np.float32(expected), equal_nan=True)


@given(damaged(imglab_text([("a.png", [BOX, box_of(1, 2, 3, 4)]), ("b/c.png", [BOX])])))
def test_junk(tmp_path_factory, content):
    reads_or_refuses(scratch(tmp_path_factory) / "junk.xml", content, "imglab")


def test_real_training_file(data_folder):
    path = data_folder / "ibug" / "labels_ibug_300W_train.xml"
    assert recognise(path) == "imglab"
    skeleton, samples, notes = read(path)
    assert skeleton is FACE68 and len(samples) == 1730 and len(notes) == 1
    assert all((s.visibility == 2).all() for s in samples)
    assert len({s.id for s in samples}) == 1730 and len({s.source_image for s in samples}) == 1552
    first = samples[0]
    assert first.id == "afw/1051618982_1" and first.source_image == "afw/1051618982"
    assert np.allclose(first.points[[0, 16]], [[191.30, 223.98], [415.29, 233.53]])
    assert first.box.tolist() == [190.5, 166.5, 414.5, 390.5]
    assert first.image().ndim == 3
    # The subject's left eye lies to the right of the right one.
    assert all(s.points[45, 0] > s.points[36, 0] for s in samples)


def test_real_prediction_file(data_folder):
    skeleton, samples, _ = read(data_folder / "ibug" / "labels_ibug_300W_test_parsed.xml")
    assert skeleton == UNLABELLED and len(samples) == 716
    assert [s.id for s in samples[:2]] == ["helen/trainset/146827737_1", "lfpw/trainset/image_0735"]
    assert samples[715].id == "lfpw/trainset/image_0854_mirror"
    assert sum(s.id.endswith("_mirror") for s in samples) == 358
    assert samples[0].box.tolist() == [51.5, 144.5, 269.5, 362.5]
    assert all(s.points.shape == (0, 2) for s in samples)
    assert len({s.source_image for s in samples}) == 352
