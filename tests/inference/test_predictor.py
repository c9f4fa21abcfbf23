from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

import heatkp
from heatkp import coordinates as co
from heatkp import runs
from heatkp.data.dataset import KeypointDataset
from heatkp.data.loading import load_data
from heatkp.data.samples import read_image
from heatkp.data.transforms import Framing
from heatkp.errors import CheckpointError, DataError
from heatkp.evaluation.evaluate import predict_dataset


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return heatkp.load_model(tiny_run)


@pytest.fixture(scope="module")
def samples(predictor):
    return load_data(predictor.settings.data).val


def test_the_library_sees_what_evaluation_sees(predictor, samples):
    data = predictor.settings.data
    dataset = KeypointDataset(samples, predictor.skeleton, Framing.of(data))
    errors = predict_dataset(predictor.model, dataset)
    found = predictor.predict([s.image() for s in samples])
    assert np.allclose([f.points for f in found], errors.photo, atol=1e-3)
    one = predictor.predict(samples[3].image())
    assert np.allclose(one.points, found[3].points, atol=1e-3)
    assert np.asarray(one).shape == (68, 2) and one.scores.shape == (68,)
    assert one.skeleton.name == "face68"


def test_paths_grey_and_alpha(predictor, samples, tmp_path):
    image = samples[0].image()
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image[:, :, ::-1])
    expected = predictor.predict(image).points
    assert np.allclose(predictor.predict(path).points, expected)
    assert np.allclose(predictor.predict([str(path)])[0].points, expected)
    alpha = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    assert np.allclose(predictor.predict(alpha).points, expected)
    assert predictor.predict(image[:, :, 0]).points.shape == (68, 2)


def test_covariance_goes_to_the_photo_too(predictor, samples):
    image = samples[0].image()
    small = predictor.predict(image)
    large = predictor.predict(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    assert small.covariance.shape == (68, 2, 2)
    ratio = np.median(np.trace(large.covariance, axis1=1, axis2=2)
                      / np.trace(small.covariance, axis1=1, axis2=2))  # fmt: skip
    assert ratio == pytest.approx(4, rel=0.2)


def test_pictures_are_turned_as_exif_says(tmp_path):
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, :20] = 255
    ok, encoded = cv2.imencode(".jpg", image)
    assert ok
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    content = encoded.tobytes()
    marker = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path = tmp_path / "turned.jpg"
    path.write_bytes(content[:2] + marker + content[2:])
    assert read_image(path).shape == (20, 40, 3)
    assert read_image(path, orient=True).shape == (40, 20, 3)


def test_what_is_refused(predictor, tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(DataError, match="2 boxes were given for 1 pictures"):
        predictor.predict([image], [[0, 0, 5, 5], [0, 0, 5, 5]])
    with pytest.raises(DataError, match="does not exist"):
        predictor.predict(tmp_path / "none.jpg")
    with pytest.raises(DataError, match="an image is uint8"):
        predictor.predict(image.astype(float))


def test_boxes(tiny_run, samples):
    predictor = heatkp.load_model(tiny_run)
    predictor.framing = Framing((64, 64), box_scale=1.0)
    image, box = samples[0].image(), samples[0].box
    points = predictor.predict(image, box).points
    crop = predictor.framing.matrix((64, 64), box)
    assert (np.abs(co.apply(crop, points)) < 300).all()
    with pytest.raises(DataError, match="no area"):
        predictor.predict(image, [5, 5, 5, 9])


def test_lazy_names():
    assert set(heatkp.__all__) <= set(dir(heatkp))
    for name in heatkp.__all__:
        assert getattr(heatkp, name) is not None
    with pytest.raises(AttributeError):
        heatkp.nonsense  # noqa: B018


def test_half_precision_files_and_models_by_name(predictor, samples, tmp_path, monkeypatch):
    description = runs.describe(predictor.settings, predictor.skeleton)
    for half in (False, True):
        path = tmp_path / f"half{half:d}.safetensors"
        runs.save_weights(path, predictor.model, description, half)
    sizes = [(tmp_path / f"half{i}.safetensors").stat().st_size for i in range(2)]
    assert 0.5 < sizes[1] / sizes[0] < 0.6
    (tmp_path / "plain").write_text("")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode  # others may read it
    monkeypatch.setattr(runs, "PACKAGED", tmp_path)
    named = heatkp.load_model("half1")
    assert all(v.dtype != torch.float16 for v in named.model.state_dict().values())
    image = samples[0].image()
    assert np.allclose(named.predict(image).points, predictor.predict(image).points, atol=0.1)
    with pytest.raises(CheckpointError, match="no run folder or checkpoint"):
        heatkp.load_model("half2")
