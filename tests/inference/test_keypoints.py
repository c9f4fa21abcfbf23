from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from heatkp.data.readers import read
from heatkp.data.synthetic import draw_face
from heatkp.errors import DataError
from heatkp.inference.keypoints import POINT, Keypoints
from heatkp.skeletons import FACE68


def found_on(found, **more):
    size = found.image.shape[1], found.image.shape[0]
    points = found.points.astype(float)
    values = {"box": np.asarray(found.box, float), "box_score": 0.9, **more}
    return Keypoints(points, np.full(68, 0.5), None, FACE68, size, **values)


@pytest.fixture(scope="module")
def found():
    return draw_face(3, 1, 160)


def test_coco_is_read_back(found, tmp_path):
    """Through JSON and heatkp's own reader: points to 0.001 pixels, the box, what is missing."""
    keypoints = found_on(found)
    keypoints.points[5] = np.nan
    note = keypoints.to_coco(image_id=7, annotation_id=3, category_id=1)
    assert note["num_keypoints"] == 67 and note["score"] == 0.5 and note["iscrowd"] == 0
    assert replace(keypoints, object_score=0.45).to_coco()["score"] == 0.45
    assert note["keypoints"][15:18] == [0.0, 0.0, 0]
    content = {
        "images": [{"id": 7, "file_name": "a.png"}],
        "annotations": [note],
        "categories": [{"id": 1, "name": "face", "keypoints": list(FACE68.point_names)}],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content, allow_nan=False))
    found.image.tofile(tmp_path / "a.png")
    sample = read(path, "coco", strict=False).samples[0]
    kept = np.arange(68) != 5
    assert np.allclose(sample.points[kept], keypoints.points[kept], atol=6e-4)
    assert np.isnan(sample.points[5]).all() and sample.visibility[5] == 0
    assert np.allclose(sample.box, keypoints.box, atol=1e-3)
    assert note["area"] == pytest.approx(np.prod(keypoints.box[2:] - keypoints.box[:2]), rel=1e-4)


def test_coco_without_a_box_scores_or_points(found):
    keypoints = found_on(found, box=None, box_score=None)
    x, y, width, height = keypoints.to_coco()["bbox"]
    assert (x, y) == pytest.approx(keypoints.points.min(0) + 0.5, abs=1e-3)
    assert (width, height) == pytest.approx(np.ptp(keypoints.points, axis=0), abs=2e-3)
    none = replace(keypoints, scores=np.full(68, np.nan), points=np.full((68, 2), np.nan))
    note = none.to_coco()
    assert "score" not in note and note["num_keypoints"] == 0 and note["area"] == 0
    json.dumps(note, allow_nan=False)
    assert replace(none, box_score=0.7).to_coco()["score"] == 0.7


def test_drawing_is_where_the_points_are(found):
    """A dot's weighted middle is its point, to a part of a pixel; the image given stays."""
    keypoints = found_on(found)
    before = found.image.copy()
    black = np.zeros_like(found.image)
    one = replace(keypoints, points=keypoints.points.copy())
    one.points[1:] = np.nan
    one.points[0] = 70.3, 81.8
    drawn = one.draw(black, box=False).astype(float)[:, :, 0]
    y, x = np.mgrid[: drawn.shape[0], : drawn.shape[1]]
    middle = (x * drawn).sum() / drawn.sum(), (y * drawn).sum() / drawn.sum()
    assert middle == pytest.approx((70.3, 81.8), abs=0.15)
    drawn = keypoints.draw(found.image)
    assert drawn.shape == found.image.shape and (found.image == before).all()
    assert (drawn == POINT).all(axis=2).sum() >= 34
    boxed = (drawn != keypoints.draw(found.image, box=False)).any(axis=2)
    y, x = np.nonzero(boxed)
    assert (x.min(), y.min(), x.max(), y.max()) == pytest.approx(keypoints.box, abs=1.6)
    assert keypoints.draw(found.image[:, :, 0]).shape == (*found.image.shape[:2], 3)


@pytest.mark.parametrize(("size", "scale"), [(100, 100), (4000, 4000), (4000, 400), (60, 20)])
def test_sizes_suit_face_and_picture(size, scale):
    """Dots are seen (a pixel at least where an image fills 1000) and do not hide the face."""
    rng = np.random.default_rng(0)
    points = (size - scale) / 2 + rng.uniform(0.1, 0.9, (68, 2)) * scale
    keypoints = Keypoints(points, np.ones(68), None, FACE68, (size, size))
    drawn = keypoints.draw(np.zeros((size, size, 3), np.uint8), lines=False)
    share = (drawn[:, :, 0] > 100).sum() / scale**2
    assert 0.004 < share < (0.12 if scale > 50 else 0.7)
    widest = np.sqrt((drawn[:, :, 0] > 100).sum() / 68 / np.pi) * 2
    assert widest * 1000 / size >= 1


def test_what_cannot_be_drawn_is_left_out(found):
    """Nothing finite, points far outside, a flat ellipse: no error, and no line across."""
    image = found.image
    none = found_on(found, box=None)
    none.points[:] = np.nan
    assert (none.draw(image) == image).all()
    far = found_on(found)
    far.points[:] = 1e12
    assert (far.draw(image, box=False) == image).all()
    covariance = np.tile(np.diag([9.0, 4.0]), (68, 1, 1))
    covariance[3], covariance[4] = np.nan, 0.0
    spread = found_on(found, box=None)
    spread = replace(spread, covariance=covariance)
    plain, ringed = spread.draw(image), spread.draw(image, ellipses=True)
    assert (plain != ringed).any()
    with pytest.raises(DataError, match="floats from"):
        spread.draw(image.astype(float))


def test_drawing_on_a_file(found, tmp_path):
    keypoints, path = found_on(found), tmp_path / "face.png"
    cv2.imwrite(str(path), found.image[:, :, ::-1])
    assert (keypoints.draw(path) == keypoints.draw(found.image)).all()
    assert (keypoints.draw(str(path)) == keypoints.draw(found.image)).all()
    with pytest.raises(DataError, match="does not exist"):
        keypoints.draw(tmp_path / "gone.png")
