"""The network of head `grouped`: learning, boxes that are given, other strides, more points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from heatkp import create_model
from heatkp.config import parse_settings
from heatkp.data.samples import Sample
from heatkp.data.scenes import SceneDataset, scenes_of, together
from heatkp.data.synthetic.scenes import draw_scene
from heatkp.engine import SceneEngine, TorchBackend, make_engine
from heatkp.engine.engine import Region
from heatkp.engine.whole import WholeInput
from heatkp.errors import DataError, SettingsError
from heatkp.inference.finder import Finder
from heatkp.models import heads_alike
from heatkp.models.finder import Objects
from heatkp.models.grouped import Grouped, GroupedModel
from heatkp.runs import grouped_finder, loaded_model
from heatkp.skeletons import skeleton_of

SIZE = (96, 64)
POINTS = [30, 36, 45, 48, 54]
NAMES = ("nose", "right_eye", "left_eye", "right_mouth", "left_mouth")


def model(points=5, size=SIZE, **more):
    torch.manual_seed(0)
    return create_model("grouped", points=points, size=size, encoder="tu-mobilenetv3_small_050",
                        **more)  # fmt: skip


def batch(count=3):
    samples = [
        Sample(scene.image, face.points[POINTS], face.visibility[POINTS], face.box, id=f"{i}#{k}",
               source_image=str(i))
        for i, scene in enumerate(draw_scene(5, i, SIZE, (2, 3), (20, 30)) for i in range(count))
        for k, face in enumerate(scene.faces)
    ]  # fmt: skip
    dataset = SceneDataset(scenes_of(samples), SIZE, skeleton=skeleton_of(NAMES, 5))
    items = together([dataset[i] for i in range(len(dataset))])
    weights = (items["visibility"] > 0).float()
    return items, Grouped(Objects(items["boxes"], items["ignored"]), items["points"], weights)


def errors(network, items, scene):
    """Mean distance of the points of labelled objects, over the root of the box's area."""
    boxes = items["boxes"]
    image, place = torch.isfinite(boxes).all(-1).nonzero(as_tuple=True)
    own = boxes[image, place]
    edges = torch.cat([own[:, :2] - own[:, 2:] / 2, own[:, :2] + own[:, 2:] / 2], 1)
    with torch.no_grad():
        found = network.points_of(network(items["image"]), image, edges).points
    off = (found - scene.points[image, place]).norm(dim=-1) / own[:, 2:].prod(1).sqrt()[:, None]
    return float(off.mean())


def test_a_few_steps_teach_the_points_of_several_objects():
    items, scene = batch()
    network = model()
    assert items["points"].shape[:1] == items["boxes"].shape[:1] and scene.weights.sum() > 20
    optimiser = torch.optim.AdamW(network.parameters(), 4e-3)
    before = errors(network, items, scene)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = network.scene_loss(network(items["image"]), scene)
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.6 * losses[0], losses
    assert errors(network, items, scene) < 0.6 * before


def test_unlabelled_points_and_images_without_objects_count_nothing():
    network = model()
    maps = network(torch.zeros(2, 3, 64, 96, dtype=torch.uint8))
    boxes = torch.tensor([[[40.0, 30, 20, 24]], [[torch.nan] * 4]])
    points = torch.full((2, 1, 5, 2), torch.nan)
    scene = Grouped(Objects(boxes, torch.zeros(2, 0, 4)), points, torch.zeros(2, 1, 5))
    points_maps = maps[:, 5:]
    assert network.points_loss(points_maps, scene).item() == 0.0
    network.scene_loss(maps, scene).backward()
    assert torch.isfinite(network.map_layer.convolution.weight.grad).all()
    gradient = network.points_layer.convolution.weight.grad
    assert gradient is None or not gradient.any()


@pytest.mark.parametrize("stride", [2, 4])
def test_strides_read_points_where_they_are(stride):
    """Maps made by hand: one object, its points at places of the input."""
    network = model(points=2, stride=stride)
    height, width = 64 // stride, 96 // stride
    maps = torch.zeros(1, 5 + 6, height, width)
    maps[:, 0] = -9.0
    centre = (48.0 / stride - 0.5 + 0.5 / stride, 32.0 / stride - 0.5 + 0.5 / stride)
    column, row = round(centre[0]), round(centre[1])
    maps[0, :5, row, column] = torch.tensor(
        [4.0, centre[0] - column, centre[1] - row, np.log(40 / stride), np.log(30 / stride)]
    )
    expected = []
    for k, (x, y) in enumerate([(column - 3, row + 2), (column + 2, row - 1)]):
        maps[0, 5 + 3 * k, y, x] = 60.0
        maps[0, 6 + 3 * k, y, x] = (centre[0] - x) / 8
        maps[0, 7 + 3 * k, y, x] = (centre[1] - y) / 8
        expected.append([(x + 0.5) * stride - 0.5, (y + 0.5) * stride - 0.5])
    found = network.decode(maps)
    assert torch.allclose(found.points[0], torch.tensor(expected), atol=1e-2)
    assert found.covariance is not None and (found.scores > 0.99).all()
    boxes, scores = network.find(maps, 3)
    assert torch.allclose(boxes[0, 0], torch.tensor([28.0, 17.0, 68.0, 47.0]), atol=1e-3)
    assert scores[0].tolist() == pytest.approx([0.982, 0.0, 0.0], abs=1e-3)


def twice_and_once():
    """Maps of an object with two peaks, and of a less sure one."""
    maps = torch.zeros(1, 5 + 15, 16, 24)
    maps[:, 0] = -9.0
    for x, y, score in ((5, 5, 4.0), (7, 5, 3.0), (17, 10, 2.0)):
        maps[0, :5, y, x] = torch.tensor([score, (6 - x) / 2, 0.0, np.log(8.0), np.log(8.0)])
    return maps


def test_the_surest_objects_are_no_object_twice(monkeypatch):
    network = model().eval()
    found = network.objects(twice_and_once(), 2, 0.1, 0.6)
    assert found.box_scores[0].tolist() == pytest.approx([0.982, 0.881], abs=1e-3)
    alone = network.objects(twice_and_once(), 1, 0.1, 0.6)
    assert torch.equal(alone.points, found.points[:, :1])
    assert not network.objects(twice_and_once(), 2, 0.99, 0.6).points.any()
    monkeypatch.setattr("heatkp.inference.finder.run_whole", lambda *a: twice_and_once())
    finder = Finder(grouped_finder(loaded_model(network, NAMES)), min_score=0.1, most=2, nms=0.6)
    seen = finder(np.zeros((64, 96, 3), np.uint8))
    assert [one.score for one in seen] == pytest.approx([0.982, 0.881], abs=1e-3)


def engine(network, tile=0):
    if tile:
        network.settings.finder.tile = tile
    made = make_engine(TorchBackend(network), skeleton_of(NAMES, 5), network.settings.data, False)
    assert isinstance(made, SceneEngine)
    return made


class Counting(GroupedModel):
    """Counts the inputs that the network sees."""

    inputs = 0

    def features(self, images):
        self.inputs += len(images)
        return super().features(images)


def counting():
    network = model().eval()
    network.__class__ = Counting
    return network


def test_all_boxes_of_an_image_are_one_look():
    network = counting()
    image = draw_scene(5, 0, (192, 128), (2, 3), (20, 30)).image
    other = image[:, ::-1].copy()
    boxes = [np.array([20.0 * i, 10, 20.0 * i + 30, 50]) for i in range(6)]
    regions = [Region(image, box) for box in boxes] + [Region(other, boxes[0]), Region(image)]
    found = engine(network).look(regions, maps=True)
    assert network.inputs == 2 and found.points.shape == (8, 5, 2)
    assert found.maps.shape == (8, 5, 16, 24) and np.allclose(found.maps.sum((2, 3)), 1, atol=1e-4)
    alone = engine(network).look([regions[3]])
    assert np.allclose(alone.points[0], found.points[3], atol=1e-3)
    assert np.allclose(alone.covariance[0], found.covariance[3], atol=1e-2)
    back = found.map_matrix(0)
    assert np.allclose(back[:, :2], np.eye(2) * 8) and np.allclose(back[:, 2], [3.5, 3.5])


def test_large_images_are_looked_at_in_the_tile_of_each_box():
    network = counting()
    image = np.zeros((200, 400, 3), np.uint8)
    made = engine(network, tile=100)
    boxes = [[10, 10, 40, 40], [12, 20, 50, 60], [350, 150, 380, 190], [5, 5, 300, 190]]
    parts = [made._tile(Region(image, np.array(box, float))) for box in boxes]
    assert parts == [((0, 0), 100), ((0, 0), 100), ((300, 100), 100), ((0, 0), 0)]
    found = made.look([Region(image, np.array(box, float)) for box in boxes])
    assert network.inputs == 3
    for points, box in zip(found.points[:3], np.array(boxes, float)):  # blank: near the middle
        assert (points > box[:2] - 40).all() and (points < box[2:] + 40).all()


def test_what_it_cannot_do_is_said():
    made = engine(model().eval())
    image = np.zeros((64, 96, 3), np.uint8)
    for options in ({"passes": 2}, {"flip_test": True}):
        with pytest.raises(SettingsError, match="head grouped has no"):
            made.look([Region(image, np.array([1.0, 1, 20, 20]))], **options)
    with pytest.raises(DataError, match="the third: "):
        made.look([Region(image, np.array([200.0, 1, 220, 20]), "the third")])
    values = {"head": {"name": "grouped"}, "trainer": {"task": "finder+points"}}
    with pytest.raises(SettingsError, match="finds its objects itself"):
        parse_settings(values)
    with pytest.raises(SettingsError, match=r"data\.crop: head grouped sees whole images"):
        parse_settings({"head": {"name": "grouped"}, "data": {"crop": "box"}})
    assert parse_settings({"head": {"name": "grouped"}}).data.crop == "objects"
    for options in ({"kappa": 0.0}, {"weight": -1.0}, {"sigma": 2.0}, {"decoder": "dark"}):
        with pytest.raises(SettingsError, match=f"head.{next(iter(options))}"):
            model(head_options=options)
    assert heads_alike("grouped") == ["grouped"] and "grouped" not in heads_alike("ce")


@pytest.mark.parametrize("shape", [(100, 300), (310, 100), (64, 96), (31, 33)])
def test_whole_inputs_hold_the_image(shape):
    whole = WholeInput.of(shape, 128, 32)
    assert max(whole.size) == 128 and all(side % 32 == 0 for side in whole.size)
    height, width = shape
    corners = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    (low, high) = corners @ whole.matrix[:, :2].T + whole.matrix[:, 2]
    assert (low > -0.5 - 1e-6).all() and (high < np.array(whole.size) - 0.5 + 1e-6).all()
    assert (high - low).max() == pytest.approx(128)
