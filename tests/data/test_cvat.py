from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.data.readers import read, recognise
from heatkp.errors import DataError
from tests.conftest import damaged, reads_or_refuses, scratch, write_image
from tests.data.format_samples import require_expected
from tests.data.test_labelme import points_of

SVG = (
    '&lt;line data-type="edge" data-node-from="1" data-node-to="2"&gt;&lt;/line&gt;'
    '&lt;circle data-node-id="1" data-label-name="{0}"&gt;&lt;/circle&gt;'
    '&lt;circle data-node-id="2" data-label-name="{1}"&gt;&lt;/circle&gt;'
)


def label(name, kind, parent="", svg=""):
    more = f"<parent>{parent}</parent>" * bool(parent) + f"<svg>{svg}</svg>" * bool(svg)
    return f"<label><name>{name}</name><type>{kind}</type>{more}</label>"


MOUSE = label("mouse", "skeleton") + "".join(label(n, "points", "mouse") for n in ("nose", "tail"))


def points(name, *pairs, **more):
    where = ";".join(f"{x},{y}" for x, y in pairs)
    extra = "".join(f' {k}="{v}"' for k, v in more.items())
    return f'<points label="{name}" points="{where}"{extra}/>'


def skeleton(*parts, name="mouse", **more):
    extra = "".join(f' {k}="{v}"' for k, v in more.items())
    return f'<skeleton label="{name}"{extra}>{"".join(parts)}</skeleton>'


def box(x0, y0, x1, y1, **more):
    extra = "".join(f' {k}="{v}"' for k, v in more.items())
    return f'<box label="b" xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}"{extra}/>'


def image(*shapes, name="a.png", **more):
    extra = "".join(f' {k}="{v}"' for k, v in more.items())
    shown = "".join(shapes)
    return f'<image id="0" name="{name}" width="64" height="48"{extra}>{shown}</image>'


def xml(*parts, labels=MOUSE, meta=""):
    task = f"<task><labels>{labels}</labels>{meta}</task>"
    return (
        f"<?xml version='1.0' encoding='utf-8'?>\n<annotations><version>1.1</version>"
        f"<meta>{task}</meta>{''.join(parts)}</annotations>"
    )


def write(folder, *parts, there=("images/a.png",), **more):
    path = folder / "annotations.xml"
    path.write_text(xml(*parts, **more))
    for name in there:
        write_image(folder / name)
    return path


@pytest.mark.parametrize("name", ["cvat_points", "cvat_skeleton"])
def test_the_samples(formats_folder, name):
    folder = formats_folder / name
    assert recognise(folder) == recognise(folder / "annotations.xml") == "cvat"
    labels = read(folder)
    require_expected(labels, folder)
    assert labels.skeleton.point_names == ("nose", "left_ear", "right_ear", "tail_base")


def test_the_drawing_tells_lines_and_names(tmp_path):
    told = label("mouse", "skeleton", svg=SVG.format("tail", "nose"))
    path = write(tmp_path, image(skeleton(points("nose", (1.5, 2.5)))), labels=told)
    labels = read(path)
    assert labels.skeleton.point_names == ("tail", "nose") and labels.skeleton.lines == ((0, 1),)
    assert labels.samples[0].visibility.tolist() == [0, 2]
    assert labels.samples[0].points[1].tolist() == [1, 2]


def test_boxes_of_a_group(tmp_path):
    shapes = [
        skeleton(points("nose", (5, 5)), group_id=3), box(1, 2, 11.5, 12.5, group_id=3),
        skeleton(points("nose", (9, 9)), group_id=0), box(0, 0, 64, 48),
        '<polygon label="c" points="1,2;3,4;5,6"/>',
    ]  # fmt: skip
    labels = read(write(tmp_path, image(*shapes)))
    assert labels.samples[0].box.tolist() == [0.5, 1.5, 11, 12]
    assert labels.samples[1].box is None
    assert any("1 box" in note and "1 polygon" in note for note in labels.notes)


def test_points_in_groups(tmp_path):
    shapes = [points(n, (x, 5), group_id=g) for g, x in ((1, 9), (2, 40)) for n in ("nose", "tail")]
    labels = read(write(tmp_path, image(*shapes, box(0, 0, 5, 5, group_id=1))))
    assert len(labels.samples) == 2 and labels.samples[0].box is not None
    assert points_of(labels.samples[1], labels) == {"nose": [39.5, 4.5], "tail": [39.5, 4.5]}
    with pytest.raises(DataError, match="skeleton"):
        read(write(tmp_path, image(points("nose", (1, 1)), points("nose", (2, 2)))))


def test_shapes_of_many_points(tmp_path):
    shapes = [points("face", *((x + i, i + 1) for i in range(12))) for x in (1, 30)]
    path = write(tmp_path, image(*shapes), labels=label("face", "any"))
    labels = read(path)
    assert len(labels.samples) == 2 and len(labels.skeleton) == 12
    assert labels.samples[1].points[11].tolist() == [40.5, 11.5]
    with pytest.raises(DataError, match="beside single ones"):
        read(write(tmp_path, image(*shapes, points("nose", (1, 2)))))


def test_subsets_of_a_project(tmp_path):
    parts = [
        image(skeleton(points("nose", (x, 5))), subset=s, task_id=1)
        for s, x in (("Train", 5), ("Validation", 9), ("default", 7))
    ]
    there = ("images/Train/a.png", "images/Validation/a.png", "images/default/a.png")
    labels = read(write(tmp_path, *parts, there=there))
    assert [s.split for s in labels.samples] == ["train", "val", None]
    assert [s.file.parent.name for s in labels.samples] == ["Train", "Validation", "default"]


def test_kinds_of_skeletons(tmp_path):
    both = [skeleton(points("nose", (5, 5))), skeleton(points("wheel", (5, 5)), name="car")]
    with pytest.raises(DataError, match="1 mouse, 1 car"):
        read(write(tmp_path, image(*both)))
    labels = read(write(tmp_path, image(both[0], points("door", (9, 9)))))
    assert labels.skeleton.point_names == ("nose", "tail")
    assert any("beside skeletons" in note for note in labels.notes)


def test_videos(tmp_path):
    shapes = "".join(
        skeleton(
            points("nose", (5 + f, 5), outside=0, keyframe=1),
            points("tail", (9, 9), outside=1, keyframe=1),
            frame=f, keyframe=int(f != 1), outside=int(f == 3),
        )
        for f in range(4)
    )  # fmt: skip
    size = "<original_size><width>64</width><height>48</height></original_size>"
    video = f"{size}<source>mouse.mp4</source>"
    track = f'<track id="4" label="mouse" source="manual">{shapes}</track>'
    path = write(tmp_path, track, meta=video, there=())
    assert recognise(path) == "cvat"
    with pytest.raises(DataError, match=r"mouse\.mp4"):
        read(path)
    for frame in range(3):
        write_image(tmp_path / "images" / f"frame_{frame:06d}.PNG")
    labels = read(path)
    assert [s.frame for s in labels.samples] == [0, 1, 2]
    assert {(s.video, s.track, s.declared_size) for s in labels.samples} == {
        ("mouse.mp4", "4", (64, 48))
    }
    assert labels.samples[2].points[0].tolist() == [6.5, 4.5]
    assert any("interpolated" in note and note.endswith("1") for note in labels.notes)


def test_frames_of_the_video_itself(tmp_path):
    shapes = "".join(skeleton(points("nose", (5, 5)), frame=f) for f in (0, 2))
    track = f'<track id="4" label="mouse">{shapes}</track>'
    path = write(tmp_path, track, meta="<source>mouse.avi</source>", there=())
    film = cv2.VideoWriter(
        str(tmp_path / "mouse.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 9, (64, 48)
    )
    for level in (0, 100, 200):
        film.write(np.full((48, 64, 3), level, np.uint8))
    film.release()
    means = [s.rgb().mean() for s in read(path).samples]
    assert np.allclose(means, [0, 200], atol=4)


def test_without_points(tmp_path):
    path = write(tmp_path, image(box(0, 0, 5, 5)), image())
    assert recognise(path) == "cvat"
    with pytest.raises(DataError, match="CVAT's, without points"):
        read(path)


def test_other_xml_is_not_taken(tmp_path):
    path = tmp_path / "voc.xml"
    path.write_text("<annotation><object/></annotation>")
    assert recognise(path) != "cvat"
    with pytest.raises(DataError, match="not CVAT's"):
        read(path, "cvat")
    path.write_text('<!DOCTYPE d [<!ENTITY a "ha">]><annotations/>')
    with pytest.raises(DataError, match="do harm"):
        read(path, "cvat")


@pytest.mark.parametrize(
    "shape",
    [
        skeleton(points("nose", (1, 2), (3, 4))), skeleton(points("", (1, 2))),
        skeleton(points("nose", (1, 2)), points("nose", (1, 2))), points("nose", ("x", 2)),
        '<points label="nose" points=""/>', box("", 0, 1, 1), points("nose", (1, "nan")),
    ],
)  # fmt: skip
def test_bad_shapes(tmp_path, shape):
    with pytest.raises(DataError):
        read(write(tmp_path, image(shape)))


@given(st.data())
def test_damaged_files(tmp_path_factory, data):
    track = f'<track id="1" label="mouse">{skeleton(points("nose", (1, 2)), frame=0)}</track>'
    shapes = [skeleton(points("nose", (1, 2)), group_id=1), points("d", (3, 4)), box(0, 0, 1, 1)]
    told = MOUSE + label("d", "points") + label("cat", "skeleton", svg=SVG.format("a", "b"))
    text = xml(image(*shapes, subset="train"), track, labels=told)
    path = scratch(tmp_path_factory) / "cvat.xml"
    reads_or_refuses(path, data.draw(damaged(text)), "cvat")
