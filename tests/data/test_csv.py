from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.data.readers import read, recognise
from heatkp.errors import DataError
from heatkp.skeletons import FACE15, FACE58, FACE68
from tests.conftest import damaged, reads_or_refuses, scratch, write_image

ROWS = "a.png,1,2,3,4.5\nb.png,5,6,7,8\n"
NAMED = "image,left_x,left_y,right_x,right_y\n" + ROWS


def write(folder, text, pictures=("a.png", "b.png"), name="points.csv"):
    for picture in pictures:
        write_image(folder / picture)
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    ("header", "names", "points"),
    [
        (",0,1,2,3", ("point_0", "point_1"), [[1, 2], [3, 4.5]]),
        ("image,left_eye_x,left_eye_y,right_eye_x,right_eye_y", ("left_eye", "right_eye"),
         [[1, 2], [3, 4.5]]),
        ("Name,x0,y0,x1,y1", ("point_0", "point_1"), [[1, 2], [3, 4.5]]),
        ("image,x_0,x_1,y_0,y_1", ("point_0", "point_1"), [[1, 3], [2, 4.5]]),
        ("image,X1,X2,Y1,Y2", ("point_1", "point_2"), [[1, 3], [2, 4.5]]),
        ("image,y2,x2,y1,x1", ("point_1", "point_2"), [[4.5, 3], [2, 1]]),
        ("image,tip.y,tip.x,x-end,y-end", ("tip", "end"), [[2, 1], [3, 4.5]]),
        ("image, 0_x ,0_y,1_x,1_y", ("point_0", "point_1"), [[1, 2], [3, 4.5]]),
    ],
)  # fmt: skip
def test_headers(tmp_path, header, names, points):
    path = write(tmp_path, header + "\n" + ROWS)
    assert recognise(path) == recognise(tmp_path) == "csv"
    skeleton, samples, notes = read(path)
    assert skeleton.point_names == names and notes == ()
    assert skeleton.pairs == (((0, 1),) if "left" in header else ())
    assert [s.id for s in samples] == ["a", "b"]
    assert samples[0].points.tolist() == points and samples[0].points.dtype == np.float32
    assert samples[0].visibility.tolist() == [2, 2] and samples[0].box is None
    assert samples[0].file == tmp_path / "a.png"
    assert samples[0].image().shape == (48, 64, 3)


def test_points_without_label(tmp_path):
    text = "\ufeff" + NAMED.replace("3,4.5", "NaN, ").replace("5,6", ",") + "\n,,,,\n\n"
    samples = read(write(tmp_path, text.replace("\n", "\r\n"))).samples
    assert [s.visibility.tolist() for s in samples] == [[2, 0], [0, 2]]
    assert samples[0].points[0].tolist() == [1, 2] and np.isnan(samples[0].points[1]).all()
    assert np.isnan(samples[1].points[0]).all() and samples[1].points[1].tolist() == [7, 8]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize(
    "text",
    [
        "Bild;Kopf_x;Kopf_y;Fühler_x;Fühler_y\nä.png;1,5;2;;\nb.png;5;6,25;7;8\n",
        "Bild\tKopf_x\tKopf_y\tFühler_x\tFühler_y\nä.png\t1.5\t2\t\t\nb.png\t5\t6,25\t7\t8\n",
        "sep=;\nBild;Kopf_x;Kopf_y;Fühler_x;Fühler_y\nä.png;1,5;2;-;-\nb.png;5;6,25;7;8\n",
        "Bild,Kopf_x,Kopf_y,Fühler_x,Fühler_y,,\nä.png,1.5,2,NA,NA,,\nb.png,5,6.25,7,8,,\n",
    ],
    ids=["semicolons", "tabs", "sep", "empty columns"],
)
def test_tables_as_spreadsheets_write_them(tmp_path, encoding, text):
    path = write(tmp_path, "", ("ä.png", "b.png"))
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    skeleton, samples, notes = read(path)
    assert skeleton.point_names == ("Kopf", "Fühler") and notes == ()
    assert [s.id for s in samples] == ["ä", "b"]
    assert samples[0].points[0].tolist() == [1.5, 2] and samples[0].visibility.tolist() == [2, 0]
    assert samples[1].points.tolist() == [[5, 6.25], [7, 8]]


def test_a_cell_in_a_column_without_a_name(tmp_path):
    path = write(tmp_path, "image,x0,y0,\na.png,1,2,\nb.png,3,4,blurred\n")
    with pytest.raises(DataError, match=r"row 2 .* has something in a column without a name"):
        read(path)


def frames_table(count=68):
    """As in a well-known course: no name for the first column, then numbers."""
    header = ",".join(["", *map(str, range(2 * count))])
    rows = [
        ",".join([f"Luis_Fonsi_{n}.jpg", *(f"{n + i}.0" for i in range(2 * count))])
        for n in (21, 101)
    ]
    return "\n".join([header, *rows]) + "\n"


def test_frames_in_a_folder_named_like_the_table(tmp_path):
    pictures = ["training/Luis_Fonsi_21.jpg", "training/Luis_Fonsi_101.jpg",
                "test/Luis_Fonsi_21.jpg", "train/Luis_Fonsi_21.jpg"]  # fmt: skip
    path = write(tmp_path, frames_table(), pictures, "training_frames_keypoints.csv")
    skeleton, samples, _ = read(path)
    assert skeleton.name == "points68" and len(skeleton.unpaired) == 68  # these lie on a line
    assert [s.file.relative_to(tmp_path).as_posix() for s in samples] == pictures[:2]
    assert [s.source_image for s in samples] == ["Luis_Fonsi", "Luis_Fonsi_101"]
    assert samples[0].points[0].tolist() == [21, 22] and samples[1].points[67, 1] == 101 + 135


def test_where_images_are_found(tmp_path):
    path = write(tmp_path, NAMED, ["deep/er/a.png", "b.png", "other/b.png"])
    files = [s.file.relative_to(tmp_path).as_posix() for s in read(path).samples]
    assert files == ["deep/er/a.png", "b.png"]
    write_image(tmp_path / "third" / "a.png")
    with pytest.raises(DataError, match=r"row 1 \(line 2\): image 'a\.png' could be .* or "):
        read(path)


def test_missing_images(tmp_path):
    path = write(tmp_path, NAMED, ["b.png"])
    with pytest.raises(DataError, match=r"the image .*a\.png does not exist \(1 of 2"):
        read(path)
    assert len(read(path, strict=False).samples) == 2


def test_an_image_twice(tmp_path):
    samples = read(write(tmp_path, NAMED + "a.png,1,1,1,1\n")).samples
    assert [s.id for s in samples] == ["a", "b", "a#2"]
    assert samples[0].source_image == samples[2].source_image


@pytest.mark.parametrize("known", [FACE15, FACE58, FACE68])
def test_known_names_in_any_order(tmp_path, known):
    names = known.point_names[::-1]
    header = ",".join(f"{n}_{axis}" for n in names for axis in "xy")
    values = ",".join(f"{i},{-i - 2}" for i in range(len(names)))
    skeleton, samples, _ = read(write(tmp_path, f"file,{header}\na.png,{values}\n"))
    assert skeleton is known
    assert samples[0].points[:, 0].tolist() == list(range(len(names)))[::-1]


def test_a_table_with_more_than_points(tmp_path):
    text = (
        "# made by hand\nframe,image,width,height,nose_x,nose_y,nose_likelihood,ear_x,ear_y,"
        "ear_likelihood,split\n0,a.png,64,48,1,2,0.9,3,4,0,train\n#,\n1,b.png,64,48,5,6,0.5,,,,val\n"
    )
    skeleton, samples, notes = read(write(tmp_path, text))
    assert skeleton.point_names == ("nose", "ear")
    assert [s.id for s in samples] == ["a", "b"]
    assert [s.visibility.tolist() for s in samples] == [[2, 0], [2, 0]]
    said = " ".join(notes)
    assert all(word in said for word in ("4 (", "frame", "split", "likelihoods of 2 points: 1"))


@pytest.mark.parametrize(
    ("cells", "codes"),
    [
        (("0", "1", "2"), [0, 1, 2]),
        (("0", "1", "1"), [0, 2, 2]),
        (("false", "True", ""), [0, 2, 2]),
    ],
)
def test_columns_of_visibility(tmp_path, cells, codes):
    rows = "".join(f"{c}.png,3,4,{v}\n" for c, v in zip("abc", cells))
    path = write(tmp_path, "file,tip_X,tip_Y,tip_visible\n" + rows, ("a.png", "b.png", "c.png"))
    assert [int(s.visibility[0]) for s in read(path).samples] == codes
    path.write_text(path.read_text().replace(f",{cells[1]}\n", ",maybe\n"))
    with pytest.raises(DataError, match=r"row 2 .*point tip is 'maybe'"):
        read(path)


def test_the_corner_of_a_box_is_no_point(tmp_path):
    path = write(tmp_path, "image,box_x,box_y,box_w,box_h,tip_x,tip_y\na.png,1,2,3,4,5,6\n")
    skeleton, samples, notes = read(path)
    assert skeleton.point_names == ("tip",) and samples[0].points.tolist() == [[5, 6]]
    assert "box_x" in notes[0]


DIALECTS = st.fixed_dictionaries(
    {
        "separator": st.sampled_from([",", ";", "\t", "|"]),
        "comma": st.booleans(),  # as decimal point
        "index": st.sampled_from([None, "", "Unnamed: 0", "frame"]),
        "image": st.sampled_from(["image", "", "filename", "image of it", "Path"]),
        "extra": st.booleans(),
        "trailing": st.booleans(),
        "comments": st.booleans(),
        "quoted": st.booleans(),
        "axes": st.sampled_from([("_x", "_y"), (".X", ".Y"), (" x", " y"), ("-y", "-x")]),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
        "end": st.sampled_from(["\n", "\r\n"]),
    }
)
PLACEHOLDERS = [(0, 0), (-4, -4)]  # of points that are not labelled
POINT = st.none() | st.tuples(*[st.integers(-300, 8000)] * 2).filter(
    lambda p: p not in PLACEHOLDERS
)
VALUES = st.lists(st.lists(POINT, min_size=3, max_size=3), min_size=1, max_size=4)


@given(DIALECTS, VALUES)
def test_any_dialect(tmp_path_factory, dialect, values):
    """What is written in quarters of a pixel is read as that."""
    folder = scratch(tmp_path_factory) / "dialects"
    folder.mkdir(exist_ok=True)

    def cell(text):
        quotes = dialect["quoted"] or dialect["separator"] in text
        return f'"{text}"' if quotes else text

    def coordinate(value):
        text = f"{value / 4}"
        return text.replace(".", ",") if dialect["comma"] else text

    axes = dialect["axes"]
    names = [name + axis for name in ("tip", "root", "end") for axis in axes]
    header = [dialect["image"], *names]
    rows = []
    for n, points in enumerate(values):
        pairs = [("", "") if p is None else map(coordinate, p) for p in points]
        rows.append([f"{n}.png", *(c for pair in pairs for c in pair)])
    table = [header, *rows]
    if dialect["index"] is not None:
        table = [[dialect["index"] if n == 0 else str(n - 1), *r] for n, r in enumerate(table)]
    if dialect["extra"]:
        table = [[*r, "split" if n == 0 else "train"] for n, r in enumerate(table)]
    lines = [dialect["separator"].join(map(cell, r)) for r in table]
    lines = [line + dialect["separator"] * dialect["trailing"] for line in lines]
    if dialect["comments"]:
        lines = ["# by hand, with commas", *lines[:1], "# rows", *lines[1:]]
    path = folder / "points.csv"
    path.write_bytes(dialect["end"].join(lines).encode(dialect["encoding"]))
    labels = read(path, "csv", strict=False)
    assert labels.skeleton.point_names == ("tip", "root", "end")
    assert [s.id for s in labels.samples] == [str(n) for n in range(len(values))]
    for sample, points in zip(labels.samples, values):
        expected = np.array([(np.nan, np.nan) if p is None else np.divide(p, 4) for p in points])
        expected = expected[:, ::-1] if axes[0] == "-y" else expected
        assert np.array_equal(sample.points, expected, equal_nan=True)
        assert sample.visibility.tolist() == [0 if p is None else 2 for p in points]


def test_68_points_of_other_names_are_not_the_face(tmp_path):
    header = ",".join(f"p{i}_x,p{i}_y" for i in range(68))
    path = write(tmp_path, f"file,{header}\na.png,{','.join('1' * 136)}\n")
    skeleton = read(path).skeleton
    assert skeleton.name == "points68" and skeleton.point_names[67] == "p67"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("left_y", "left", "point 'left' has a column of x alone"),
        ("left_y", "", "point 'left' has a column of x alone"),
        ("left_y", "left_x", "column 3, 'left_x', is there twice"),
        ("left_y", "top_y", "point 'left' has a column of x alone"),
        (NAMED, "image\na.png\n", "no columns of coordinates"),
        (NAMED, "image,0,1,2\na.png,1,2,3\n", "3 coordinate columns"),
        (NAMED, "a.png,1.5,2,3,4\n", r"no columns of coordinates .*'1\.5'"),
        (NAMED, "", "is empty"),
        (ROWS, "", "a header but no rows"),
        ("7,8", "7", r"row 2 \(line 3\) has 4 cells; the header has 5"),
        ("7,8", "7,8,9", "row 2 .* has 6 cells"),
        ("7,8", "7,eight", r"row 2 \(line 3\): y of point right is 'eight'"),
        ("7,8", "7,", "row 2 .*: y of point right is ''"),
        ("7,8", "nan,8", "row 2 .*: x of point right is 'nan'"),
        ("7,8", "inf,8", "row 2 .*: x of point right is 'inf'"),
        ("b.png", "", "row 2 .*: no image is named in column 1"),
        (NAMED, "\0", "points.csv"),
    ],
)
def test_bad_tables(tmp_path, old, new, words):
    assert old in NAMED
    path = write(tmp_path, NAMED.replace(old, new))
    with pytest.raises(DataError, match=words) as caught:
        read(path)
    assert "points.csv" in str(caught.value)


def test_not_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as a CSV file"):
        read(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text(NAMED)
    with pytest.raises(DataError, match="not, and does not hold just one"):
        read(tmp_path, "csv")


@given(damaged(NAMED))
def test_junk(tmp_path_factory, content):
    folder = scratch(tmp_path_factory) / "csv"
    folder.mkdir(exist_ok=True)
    reads_or_refuses(folder / "junk.csv", content, "csv")


def test_real_table_of_another_kind(data_folder):
    with pytest.raises(DataError, match=r"CollectedData\.csv has no columns of coordinates"):
        read(data_folder / "mirror_mouse", "csv")
