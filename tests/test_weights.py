"""The model that comes with heatkp: small, documented, without a machine's paths, and good."""

from __future__ import annotations

import json

import pytest
from safetensors import safe_open

import heatkp
from heatkp import runs
from heatkp.data.dataset import KeypointDataset
from heatkp.data.loading import load_data
from heatkp.data.transforms import Framing
from heatkp.evaluation.evaluate import predict_dataset
from heatkp.evaluation.metrics import summarise

NAMES = sorted(path.stem for path in runs.PACKAGED.glob("*.safetensors"))


def test_models_are_there():
    assert {"face68", "face68-small"} <= set(NAMES)


def test_the_small_one_is_small():
    model = heatkp.load_model("face68-small", runtime="torch").model
    assert sum(p.numel() for p in model.parameters()) < 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_packaged_files(name):
    path = runs.PACKAGED / f"{name}.safetensors"
    assert path.stat().st_size < 25e6
    card = path.with_suffix(".md").read_text()
    assert all(word in card for word in ("Data", "Terms", "Error", "Bad at"))
    with safe_open(path, "pt") as file:
        settings = json.loads(file.metadata()["heatkp"])["settings"]
    assert settings["model"]["encoder_weights"] in ("imagenet", "none")
    assert settings["model"]["init"] is None and settings["data"]["path"].startswith("${")
    assert heatkp.load_model(name).skeleton.name == name.partition("-")[0]


def test_all_of_them_are_a_small_download():
    files = [path for path in runs.PACKAGED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25e6


@pytest.mark.parametrize(("name", "most"), [("face68", 0.034), ("face68-small", 0.038)])
def test_faces_are_found(name, most, data_folder):
    """On some validation faces of the run that it comes from; less on all of them."""
    model = heatkp.load_model(name)
    data = load_data(model.settings.data)
    assert len(data.val) == 167
    dataset = KeypointDataset(data.val[::8], model.skeleton, Framing.of(model.settings.data))
    found = summarise(predict_dataset(model.model, dataset), model.skeleton)
    assert found["normalised"]["inter-ocular"]["nme"] < most
