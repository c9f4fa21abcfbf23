from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

import heatkp
from heatkp import coordinates as co
from heatkp import runs
from heatkp.config import Data, Model, Settings
from heatkp.data.boxes import BoxStyle
from heatkp.data.dataset import KeypointDataset
from heatkp.data.loading import load_data
from heatkp.data.transforms import Framing
from heatkp.errors import CheckpointError, DataError
from heatkp.evaluation.evaluate import predict_dataset
from heatkp.runs import weights
from heatkp.training.fit import prepare


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
    assert np.allclose([f.points for f in found], errors.image_points, atol=1e-3)
    (one,) = predictor.predict(samples[3].image())
    assert np.allclose(one.points, found[3].points, atol=1e-3)
    assert np.asarray(one).shape == (68, 2) and one.scores.shape == (68,)
    assert one.skeleton.name == "face68"


def test_paths_grey_and_alpha(predictor, samples, tmp_path):
    image = samples[0].image()
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image[:, :, ::-1])
    expected = predictor.predict(image)[0].points
    assert np.allclose(predictor.predict(path)[0].points, expected)
    assert np.allclose(predictor.predict([str(path)])[0].points, expected)
    alpha = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    assert np.allclose(predictor.predict(alpha)[0].points, expected)
    assert predictor.predict(image[:, :, 0])[0].points.shape == (68, 2)


def test_covariance_goes_to_the_photo_too(predictor, samples):
    image = samples[0].image()
    (small,) = predictor.predict(image)
    double = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    (large,) = predictor.predict(double)
    assert small.covariance.shape == (68, 2, 2)
    ratio = np.median(np.trace(large.covariance, axis1=1, axis2=2)
                      / np.trace(small.covariance, axis1=1, axis2=2))  # fmt: skip
    assert ratio == pytest.approx(4, rel=0.2)


def test_what_is_refused(predictor, tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(DataError, match="does not exist"):
        predictor.predict(tmp_path / "none.jpg")
    with pytest.raises(DataError, match=r"image 1: .*int64"):
        predictor.predict([image, image.astype(int)])


def test_boxes(tiny_run, samples):
    predictor = heatkp.load_model(tiny_run)
    predictor.engine.framing = Framing((64, 64), box_scale=1.0)
    image, box = samples[0].image(), samples[0].box
    points = predictor.predict(image, box)[0].points
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
    monkeypatch.setattr(weights, "PACKAGED", tmp_path)
    named = heatkp.load_model("half1")
    assert all(v.dtype != torch.float16 for v in named.model.state_dict().values())
    image = samples[0].image()
    one, other = named.predict(image)[0], predictor.predict(image)[0]
    assert np.allclose(one.points, other.points, atol=0.1)
    with pytest.raises(CheckpointError, match="no run folder or checkpoint"):
        heatkp.load_model("half2")


def test_how_boxes_lie_is_kept_with_the_weights(predictor, tmp_path):
    """Measured on the training boxes; read back from the file; a damaged one is refused."""
    data = {"train_count": 12, "val_count": 4, "size": [64, 64], "workers": 0}
    model = {"encoder": "tu-mobilenetv3_small_050"}
    styles = {}
    for crop in ("box", "image"):
        settings = Settings(data=Data(**data, crop=crop), model=Model(**model))
        prepared = prepare(settings, Console(quiet=True))
        styles[crop] = prepared.module.description["box_style"]
    assert styles["image"] is None and predictor.box_style is None
    expected = BoxStyle.of(load_data(Data(**data, crop="box")).train)
    assert BoxStyle.read(styles["box"]) == expected
    description = runs.describe(predictor.settings, predictor.skeleton, expected)
    path = tmp_path / "styled.safetensors"
    runs.save_weights(path, predictor.model, description)
    assert heatkp.load_model(path).box_style == expected
    description["box_style"] = {"shift": [0, 0]}
    runs.save_weights(path, predictor.model, description)
    with pytest.raises(CheckpointError, match="description is damaged"):
        heatkp.load_model(path)


def test_face68_finds_faces_by_itself(data_folder):
    """In images of IMM: one face where it is labelled; none where there is none."""
    labels = load_data(Data(format="imm", path=str(data_folder / "imm"))).train[0]
    model = heatkp.load_model("face68")
    (found,) = model.predict(labels.file)
    assert found.box_score > 0.9 and found.image_size == (640, 480)
    middle = found.points[36:48].mean(0)  # of the eyes, which both layouts have
    assert np.abs(middle - labels.points[13:29].mean(0)).max() < 8
    twice = model.predict([labels.file, np.zeros((90, 90, 3), np.uint8), labels.file])
    assert [f.image for f in twice] == [0, 2]
    assert np.allclose([f.points for f in twice], found.points, atol=0.01)
