"""A finder as a detector: shapes of images, tiles, overlapping boxes, other objects."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from heatkp.config import parse_settings
from heatkp.engine import Region
from heatkp.errors import CheckpointError, SettingsError
from heatkp.inference.batches import PickyDetector
from heatkp.inference.detectors import Detection
from heatkp.inference.finder import Finder
from heatkp.inference.tiles import SMALLEST, Tiled, find_in_tiles, starts
from heatkp.runs import LoadedFinder, load_finder
from tests.inference.fakes import input_image, predictor


class Blobs(torch.nn.Module):
    """A network that finds white rectangles: their middles and sides, from the picture itself."""

    multiple = 32
    channels = 3

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.batches = []

    def forward(self, images):
        self.batches.append(tuple(images.shape))
        return images[:, 0].float()

    def find(self, images, most):
        from scipy import ndimage

        boxes = torch.zeros(len(images), most, 4)
        scores = torch.zeros(len(images), most)
        for i, image in enumerate(images.numpy()):
            labels, _ = ndimage.label(image > 127)
            for n, (rows, columns) in enumerate(ndimage.find_objects(labels)[:most]):
                edges = [columns.start, rows.start, columns.stop, rows.stop]
                boxes[i, n] = torch.tensor(edges) - 0.5
                area = (rows.stop - rows.start) * (columns.stop - columns.start)
                # The least of a rectangle that is seen well.
                scores[i, n] = min(0.9, area / 100) if area >= 16 else 0.0
        return boxes, scores


def finder(size=(128, 96), min_score=0.1, **options):
    settings = parse_settings({"trainer": {"task": "finder"}, "finder": {"max_objects": 60}})
    return Finder(LoadedFinder(Blobs(), settings, size, min_score), **options)


def picture(size, boxes):
    """White rectangles (x0, y0, x1, y1), pixels that are covered, on black (W, H)."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = 255
    return image


def edges(found):
    return np.array(sorted(one.box.tolist() for one in found)).reshape(-1, 4)


@pytest.mark.parametrize("size", [(128, 96), (256, 192), (512, 384), (300, 100), (100, 310)])
def test_boxes_are_in_pixels_of_the_image(size):
    """Whatever the image's shape, its longest side is that of training."""
    width, height = size
    box = (width // 4, height // 4, width // 2, 3 * height // 4)
    model = finder()
    (found,) = model(picture(size, [box]))
    scale = max(size) / 128
    assert np.allclose(found.box, np.array(box) - 0.5, atol=max(1.01, 0.8 * scale))
    (shape,) = model.model.batches
    assert max(shape[2:]) == 128 and all(side % 32 == 0 for side in shape[2:])


def test_images_of_one_shape_go_together_and_come_back_in_order():
    model = finder()
    images = [
        picture((128, 96), [(10, 10, 30, 30)] * (i % 3 > 0)) for i in range(10)
    ] + [picture((64, 128), [(5, 5, 40, 60)])]  # fmt: skip
    found = model.many(images)
    assert [len(f) for f in found] == [0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1]
    assert [shape[0] for shape in model.model.batches] == [8, 2, 1]


def test_options():
    image = picture((128, 96), [(10, 10, 14, 14), (40, 40, 60, 60), (80, 10, 90, 20)])
    model = finder()
    assert len(model(image)) == 3
    assert [len(model.with_options(min_score=s)(image)) for s in (0.1, 0.5, 0.95)] == [3, 2, 0]
    assert len(model.with_options(most=2)(image)) == 2
    assert model.with_options(nms=0.3).nms == 0.3 and model.with_options().min_score == 0.1
    scores = [one.score for one in model(image)]
    assert scores == sorted(scores, reverse=True)
    for options, words in (({"nms": 0.0}, "nms"), ({"tile": 5}, "tile"), ({"nms": 1.5}, "nms")):
        with pytest.raises(SettingsError, match=words):
            finder(**options)


def test_tiles_find_what_is_too_small_in_the_whole():
    """Rectangles of 10 pixels in an image of 1024: a pixel each at the size of training."""
    rng = np.random.default_rng(0)
    places = [(int(x), int(y)) for x in range(20, 1000, 70) for y in range(20, 740, 70)]
    places = [(x + int(rng.integers(20)), y + int(rng.integers(20))) for x, y in places]
    boxes = [(x, y, x + 10, y + 10) for x, y in places] + [(1, 1, 11, 11), (1013, 757, 1023, 767)]
    image = picture((1024, 768), boxes)
    whole = finder()
    assert len(whole(image)) == 0
    found = whole.with_options(tile=128, most=300)(image)
    assert np.allclose(edges(found), np.array(sorted(boxes)) - 0.5, atol=0.01)


def test_an_object_larger_than_the_overlap_is_found_once():
    box = (100, 60, 400, 300)  # through many tiles
    small = (600, 400, 620, 420)
    found = finder().with_options(tile=128)(picture((800, 600), [box, small]))
    assert np.allclose(edges(found), np.array([box, small]) - 0.5, atol=7)


@pytest.mark.parametrize(("length", "tile"), [(100, 100), (101, 100), (1000, 64), (333, 100)])
def test_tiles_cover_an_image_and_overlap(length, tile):
    begins = starts(length, tile)
    assert begins[0] == 0 and begins[-1] == max(0, length - tile)
    steps = np.diff(begins)
    assert (steps <= 0.76 * tile + 1).all() and (steps > 0).all()


def test_any_detector_can_look_at_tiles():
    class Whites:
        name, box_style = "whites", None

        def __call__(self, image):
            return [Detection(b.box, b.score) for b in finder()(image)]

    image = picture((1024, 768), [(500, 500, 510, 510)])
    tiled = Tiled(Whites(), 128)
    assert len(tiled(image)) == 1 and tiled.name == "whites"
    with pytest.raises(ValueError, match=str(SMALLEST)):
        find_in_tiles(lambda images: [[] for _ in images], image, 8)


def test_overlapping_boxes_of_any_detector():
    found = [Detection(np.array([0.0, 0, 10, 10]) + shift, s)
             for shift, s in ((0, 0.9), (1, 0.8), (6, 0.7))]  # fmt: skip

    class Told:
        name = "told"

        def __call__(self, image):
            return found

    for nms, scores in ((None, [0.9, 0.8, 0.7]), (0.5, [0.9, 0.7]), (0.7, [0.9, 0.8, 0.7])):
        kept = PickyDetector(Told(), nms=nms)(np.zeros((20, 20, 3), np.uint8))
        assert [one.score for one in kept] == scores


def test_a_model_asks_its_own_finder_about_several_images_at_once():
    image, points, boxes = input_image([(60, 70, 50), (150, 80, 30)])

    class Own:
        name, asked = "own", []

        def many(self, images):
            self.asked.append(len(images))
            return [[Detection(b, 0.9) for b in boxes] for _ in images]

        def __call__(self, image):
            raise AssertionError

    model = predictor(name="mouse")
    model.detector = Own()
    found = model.predict([image] * 11)
    assert Own.asked == [8, 3] and [f.image for f in found] == [i for i in range(11) for _ in "ab"]
    assert np.allclose([f.points for f in found[:2]], points, atol=0.3)


def test_a_second_look_stays_away_from_other_objects():
    """First points that lie on a neighbour's place do not draw the second look there."""
    image, points, boxes = input_image([(70, 80, 50), (120, 80, 50)])
    engine = predictor().engine
    mine, other = np.asarray(boxes[0], float), np.asarray(boxes[1], float)
    alone = Region(image, mine)
    beside = Region(image, mine, "image", other[None])
    halfway = points[0] + [30, 0]  # nearer to the other's box
    assert engine._refined(alone, halfway) is not None
    assert engine._refined(beside, halfway) is None
    near = points[0] + [10, 0]
    assert np.array_equal(engine._refined(beside, near), engine._refined(alone, near))


def test_what_is_no_finder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no finder"):
        load_finder(tmp_path)
    (tmp_path / "finder.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_finder(tmp_path)
