"""Samples of one image together, their boxes through augmentation, splits by frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from heatkp.config import Augmentation, frame_ranges, parse_settings
from heatkp.data.loading import in_parts, with_boxes
from heatkp.data.samples import KeypointData, Labels, Sample
from heatkp.data.scenes import SceneDataset, objects_seen, scenes_of, split_scenes, together
from heatkp.data.splitting import divide
from heatkp.data.synthetic.scenes import HIDDEN, draw_scene
from heatkp.errors import DataError, SettingsError
from heatkp.skeletons import skeleton_of

POINTS = np.array([[10, 12], [30, 12], [20, 40]], np.float32)
STILL = Augmentation(flip=0, rotation=0, scale=0, shift=0, photometric=0, grey=0, occlusion=0)


def blank(width=64, height=48):
    return np.zeros((height, width, 3), np.uint8)


def sample(image, shift=(0, 0), box=None, name="a", **more):
    return Sample(image, POINTS + np.float32(shift), box=box, id=name, **more)


def boxed(samples):
    return with_boxes(samples, "given")[0]


def test_samples_of_one_image_are_one_scene():
    one, other = blank(), blank()
    bare = Sample(one, np.full((3, 2), np.nan), box=(1, 2, 5, 9), id="a#2")
    crowd = Sample(one, np.full((3, 2), np.nan), box=(40, 1, 60, 20), id="a#3", ignored=True)
    none = Sample(blank(), np.full((3, 2), np.nan), id="empty")
    single = Sample(other, [[4, 5], [np.nan, np.nan], [np.nan, np.nan]], id="c")
    first, second, third = scenes_of([
        *boxed([sample(one, name="a#1"), sample(other, (5, 5), (0, 0, 40, 45), "b")]),
        bare, crowd, none, *boxed([single]),
    ])  # fmt: skip
    assert [s.id for s in (first, second, third)] == ["a", "b", "empty"]
    assert first.boxes.tolist() == [[10, 12, 30, 40], [1, 2, 5, 9]]
    assert np.array_equal(first.points[0], POINTS) and first.points[1] is None
    assert first.ignored.tolist() == [[40, 1, 60, 20]]
    assert second.boxes[0].tolist() == [0, 0, 40, 45] and np.isnan(second.boxes[1]).all()
    assert second.points[1].tolist() == [[4, 5]]
    assert third.boxes.shape == (0, 4)
    files = [Sample("x.png", POINTS, box=(0, 0, 9, 9), id=str(i), file="x.png") for i in range(3)]
    assert len(scenes_of(files)) == 1


def test_a_box_about_chosen_points_alone_is_not_taken_for_theirs():
    (whole,) = boxed([sample(blank())])
    (scene,) = scenes_of([whole.take([0, 1])])
    assert scene.points == (None,) and scene.boxes[0].tolist() == [10, 12, 30, 40]


def test_boxes_turn_with_their_points():
    """A quarter turn about the input's middle, known in closed form."""
    image = blank(64, 64)
    found = scenes_of([*boxed([sample(image)]), sample(image, box=(0, 20, 20, 30))])
    turned = SceneDataset(found, (64, 64), augmentation=STILL.model_copy(update={"angles": [90.0]}))
    item = turned[(0, 0)]
    # (x, y) -> (63 - y, x)
    assert np.allclose(item["boxes"][0], [63 - 26, 20, 28, 20], atol=1e-3)
    assert np.allclose(item["boxes"][1], [63 - 25, 10, 10, 20], atol=1e-3)
    half = SceneDataset(found, (64, 64), augmentation=STILL.model_copy(update={"angles": [45.0]}))
    w, h = half[(0, 0)]["boxes"][1, 2:].tolist()
    assert w == pytest.approx(h) == pytest.approx(math.sqrt(20**2 / 2 + 10**2 / 2), abs=1e-3)


def test_a_flipped_image_has_flipped_boxes_whatever_the_points():
    found = scenes_of([sample(blank(64, 64), box=(0, 20, 20, 30))])
    flipped = SceneDataset(found, (64, 64), augmentation=STILL.model_copy(update={"flip": 1.0}))
    assert np.allclose(flipped[(0, 0)]["boxes"], [[63 - 10, 25, 20, 10]], atol=1e-4)


def test_points_of_all_objects_move_and_change_sides():
    """A flip, x -> W - 1 - x, then left and right change places, with their visibility; objects
    outside the input take their points along."""
    image = blank(64, 64)
    pair = skeleton_of(["nose", "left_eye", "right_eye"], 3)
    some = sample(image, box=(0, 20, 20, 30))
    some.visibility[:] = [1, 2, 0]
    far = sample(image, (2, 3), box=(-60, 20, -20, 30))
    near = sample(image, (5, 1), box=(10, 10, 40, 45))
    found = scenes_of([some, far, near])
    plain = SceneDataset(found, (64, 64), skeleton=pair)[0]
    assert plain["points"].shape == (2, 3, 2) and plain["visibility"].tolist()[0] == [1, 2, 0]
    assert np.allclose(plain["points"][0, :2], POINTS[:2]) and plain["points"][0, 2].isnan().all()
    assert np.allclose(plain["points"][1], POINTS + np.float32([5, 1]))
    flip = STILL.model_copy(update={"flip": 1.0})
    turned = SceneDataset(found, (64, 64), skeleton=pair, augmentation=flip)[(0, 0)]
    expected = (POINTS + np.float32([5, 1])) * [-1, 1] + [63, 0]
    assert np.allclose(turned["points"][1], expected[[0, 2, 1]], atol=1e-4)
    assert turned["visibility"].tolist()[0] == [1, 0, 2] and turned["points"][0, 1].isnan().all()
    numbered = skeleton_of(None, 3)  # nobody knows which change places: no flip
    kept = SceneDataset(found, (64, 64), skeleton=numbered, augmentation=flip)[(0, 0)]
    assert np.allclose(kept["points"][1], POINTS + np.float32([5, 1]), atol=1e-4)
    batch = together([plain, SceneDataset(scenes_of([near]), (64, 64), skeleton=pair)[0]])
    assert batch["points"].shape == (2, 2, 3, 2) and batch["visibility"][1, 1].tolist() == [0, 0, 0]
    assert batch["points"][1, 1].isnan().all()


def test_the_image_moves_with_its_boxes():
    """A bright square stays where its box is, through scale, shift, rotation and shape."""
    image = blank(90, 60)
    image[20:30, 50:62] = 255
    scene = scenes_of([Sample(image, np.full((1, 2), np.nan), box=(49.5, 19.5, 61.5, 29.5))])
    wild = STILL.model_copy(update={"rotation": 30.0, "scale": 0.2, "shift": 0.1, "flip": 0.5})
    data = SceneDataset(scene, (96, 64), augmentation=wild, seed=3)
    for epoch in range(8):
        item = data[(epoch, 0)]
        light = item["image"][0].double()
        rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
        middle = [(light * v).sum() / light.sum() for v in (columns, rows)]
        assert np.allclose(item["boxes"][0, :2], middle, atol=0.15)


def test_what_lies_outside_does_not_count():
    image = blank(64, 64)
    found = scenes_of([sample(image, box=(-30, 0, 20, 20)), sample(image, box=(10, 10, 30, 30))])
    matrix = SceneDataset(found, (64, 64)).framing.matrix((64, 64))
    boxes, ignored, _ = objects_seen(found[0], matrix, (64, 64))
    assert np.allclose(boxes, [[20, 20, 20, 20]]) and np.allclose(ignored, [[-30, 0, 20, 20]])


def test_batches_are_filled_up():
    one, other = blank(64, 64), blank(64, 64)
    found = scenes_of([sample(one, box=(0, 0, 9, 9)), sample(one, box=(5, 5, 20, 20)),
                       Sample(other, np.full((3, 2), np.nan))])  # fmt: skip
    data = SceneDataset(found, (32, 32))
    batch = together([data[0], data[1]])
    assert batch["boxes"].shape == (2, 2, 4) and batch["ignored"].shape == (2, 0, 4)
    assert torch.isnan(batch["boxes"][1]).all() and torch.isfinite(batch["boxes"][0]).all()


def test_tiles_hold_objects_at_their_size():
    """Parts of a large image, none larger than asked for, two of three about an object."""
    image = blank(400, 300)
    found = scenes_of([sample(image, box=(300, 200, 320, 230))])
    data = SceneDataset(found, (64, 64), tile=80, augmentation=STILL)
    items = [data[(epoch, 0)] for epoch in range(60)]
    scale = 64 / 80
    seen = [item["boxes"] for item in items if len(item["boxes"])]
    assert 30 < len(seen) < 60
    assert all(np.allclose(b[0, 2:], [20 * scale, 30 * scale], atol=1e-3) for b in seen)


def data(samples, **values):
    """Samples in parts, as a finder asks for them."""
    settings = parse_settings({"data": {"crop": "box", "format": "memory", **values}})
    return in_parts(Labels(skeleton_of(None, 3), samples), settings.data, "here", boxes=True)


def many(count=10):
    images = [blank() for _ in range(count)]
    return images, [
        sample(images[i], (k, k), name=f"{i}#{k}", source_image=str(i))
        for i in range(count) for k in range(2)
    ]  # fmt: skip


def test_scenes_have_all_objects_of_their_images():
    images, samples = many()
    extra = [
        Sample(images[i], np.full((3, 2), np.nan), box=(1, 1, 9, 9), id=f"{i}#bare",
               source_image=str(i)) for i in range(10)
    ]  # fmt: skip
    crowd = [
        Sample(images[i], np.full((3, 2), np.nan), box=(2, 2, 7, 7), id=f"{i}#crowd",
               source_image=str(i), ignored=True) for i in range(10)
    ]  # fmt: skip
    empty = [Sample(blank(), np.full((3, 2), np.nan), id=f"empty{i}") for i in range(10)]
    train, val = split_scenes(data([*samples, *extra, *crowd, *empty]))
    assert len(train) + len(val) == 20 and len(val) == 4
    for scene in [*train, *val]:
        expected = 0 if scene.id.startswith("empty") else 3
        assert len(scene.boxes) == expected and len(scene.ignored) == bool(expected)
    limited = data([*samples, *extra], train_limit=3)
    assert len(limited.train) == 3
    some, _ = split_scenes(limited, limited=True)
    assert len(some) <= 3 and all(len(scene.boxes) == 3 for scene in some)


def test_no_boxes_are_said_before_training():
    images = [blank() for _ in range(4)]
    samples = [
        Sample(image, [[4, 5], [np.nan] * 2, [np.nan] * 2], id=str(i))
        for i, image in enumerate(images)
    ]
    with pytest.raises(DataError, match="a finder learns boxes"):
        split_scenes(data(samples))
    with pytest.raises(DataError, match="no labelled object"):
        data([Sample(blank(), np.full((3, 2), np.nan), id=str(i)) for i in range(4)])
    skeleton = skeleton_of(None, 3)
    assert split_scenes(KeypointData(skeleton, boxed(many(1)[1]), []))[1] == []


def test_frames_that_validate():
    samples = [sample(blank(), name=str(i), video="v", frame=i) for i in range(10)]

    def parts(text):
        settings = parse_settings({"data": {"path": "x", "val_frames": text}})
        return divide(samples, settings.data)

    found = parts("2-3, 7")
    assert [s.frame for s in found.val] == [2, 3, 7] and len(found.train) == 7
    assert "3 of 10" in found.notes[0]
    for text, words in (("20-30", "no sample is of such a frame"), ("0-99", "all samples are")):
        with pytest.raises(DataError, match=words):
            parts(text)
    for bad in ("7-2", "a", "", "1-2-3", "-4"):
        with pytest.raises(SettingsError, match="are no frames"):
            parts(bad)
    with pytest.raises(SettingsError, match="leave out val and folds"):
        parse_settings({"data": {"path": "x", "val_frames": "1", "val": "y"}})
    assert frame_ranges("3") == [range(3, 4)]


def test_drawn_scenes_are_repeatable_and_leave_faces_to_be_seen():
    one, again = draw_scene(3, 1, (200, 160), (3, 6), (20, 80)), draw_scene(
        3, 1, (200, 160), (3, 6), (20, 80))  # fmt: skip
    assert np.array_equal(one.image, again.image) and one.image.shape == (160, 200, 3)
    assert not np.array_equal(one.image, draw_scene(3, 2, (200, 160), (3, 6), (20, 80)).image)
    for seed in range(4):
        scene = draw_scene(seed, 0, (200, 160), (8, 8), (20, 80))
        boxes = np.array([f.box for f in scene.faces])
        assert 1 <= len(boxes) <= 8
        sides = boxes[:, 2] - boxes[:, 0]
        assert (sides > 15).all() and (sides < 85).all()
        assert (boxes[:, :2] > -2).all() and (boxes[:, 2:] < [201, 161]).all()
        for i, behind in enumerate(boxes):
            for front in boxes[i + 1 :]:
                low, high = np.maximum(front[:2], behind[:2]), np.minimum(front[2:], behind[2:])
                common = np.clip(high - low, 0, None).prod()
                assert common <= (HIDDEN + 0.01) * (behind[2:] - behind[:2]).prod()
        for face in scene.faces:
            assert face.points.shape == (68, 2) and set(face.visibility) <= {1, 2}
    for wrong in ({"objects": (0, 3)}, {"sides": (3, 9)}, {"size": (20, 90)}):
        with pytest.raises(ValueError, match=r"objects|sides"):
            draw_scene(0, 0, **wrong)
