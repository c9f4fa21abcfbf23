"""Encoders of one's own under heatkp's architectures and heads."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from heatkp import create_model
from heatkp.config import parse_settings
from heatkp.errors import SettingsError
from heatkp.models.own_encoder import OwnEncoder


class Pyramid(nn.Module):
    """Features at strides 2, 4, 8 and 16."""

    def __init__(self, in_channels=3):
        super().__init__()
        widths = (in_channels, 4, 6, 8, 10)
        self.levels = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(widths))

    def forward(self, images):
        features = []
        for level in self.levels:
            images = level(images).relu()
            features.append(images)
        return features


class Coarse(nn.Module):
    """One map at stride 8, in a dictionary, from 3 channels only."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 8, 8)

    def forward(self, images):
        return {"out": self.layer(images)}


class Vector(nn.Module):
    def forward(self, images):
        return images.mean((2, 3))


class NeedsWidth(Coarse):
    def __init__(self, width):
        super().__init__()


@pytest.mark.parametrize("architecture", ["unet", "linknet", "manet", "pspnet", "segformer"])
@pytest.mark.parametrize("encoder", [Pyramid(), Coarse()])
def test_dense_models_on_it_train(encoder, architecture):
    torch.manual_seed(0)
    model = create_model("kl", points=2, size=(64, 48), encoder=encoder, architecture=architecture)
    images = torch.randint(0, 256, (2, 3, 48, 64))
    assert model(images).shape == (2, 2, 12, 16)
    model.training_loss(images, torch.full((2, 2, 2), 20.0), torch.ones(2, 2)).backward()
    own = [p for name, p in model.named_parameters() if ".module." in name]
    assert own and sum(float(p.grad.abs().sum()) for p in own if p.grad is not None) > 0


def test_its_weights_are_kept_and_copied():
    encoder = Pyramid()
    weight = encoder.levels[0].weight
    model = create_model("kl", points=1, size=(32, 32), encoder=encoder)
    inside = model.network.encoder.module.levels[0].weight
    assert torch.equal(inside, weight)


def test_regression_on_it():
    model = create_model("regression", points=3, size=(32, 32), encoder=Coarse())
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 3, 2)


@pytest.mark.parametrize("channels", [1, 3])
def test_by_name(channels):
    encoder = f"{Pyramid.__module__}:Pyramid"
    model = create_model("kl", points=1, size=(32, 32), channels=channels, encoder=encoder)
    assert model.network.encoder.out_channels == [channels, 4, 6, 8, 10]


def test_settings_hold_it_and_files_name_it():
    settings = parse_settings({"model": {"encoder": Pyramid()}})
    assert settings.model_dump()["model"]["encoder"] == f"{Pyramid.__module__}:Pyramid"
    assert isinstance(settings.model.encoder, Pyramid)
    assert "Pyramid" in settings.to_yaml()


def test_features_between_what_it_gives_have_no_channels():
    encoder = OwnEncoder(Coarse(), 3)
    shapes = [tuple(f.shape) for f in encoder(torch.zeros(2, 3, 64, 32))]
    assert shapes == [(2, 3, 64, 32), (2, 0, 32, 16), (2, 0, 16, 8), (2, 8, 8, 4)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoder": Vector()}, "Vector"),
        ({"encoder": Coarse(), "channels": 1}, r"Coarse.* 1\b"),
        ({"encoder": Coarse(), "architecture": "fpn"}, r"strides 8"),
        ({"encoder": Coarse(), "encoder_weights": "imagenet"}, r"encoder_weights"),
        ({"encoder": "no.such.module:Net"}, r"no\.such\.module"),
        ({"encoder": "heatkp.models:head_names"}, r"nn\.Module"),
        ({"encoder": f"{Coarse.__module__}:NeedsWidth"}, r"NeedsWidth.*width"),
        ({"encoder": 5}, r"model\.encoder"),
        ({"encoder": "resnet"}, r"resnet18"),
    ],
)
def test_what_is_none_is_refused(options, words):
    with pytest.raises(SettingsError, match=words):
        create_model("kl", points=1, size=(32, 32), **options)
