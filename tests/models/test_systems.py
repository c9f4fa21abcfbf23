"""Every file in configs/systems: it builds, trains a step, and is the network that it describes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from heatkp.config import load_settings
from heatkp.data.dataset import KeypointDataset
from heatkp.data.loading import load_data
from heatkp.data.transforms import Framing
from heatkp.models import build_model, create_model
from heatkp.training.module import make_optimiser

SYSTEMS = sorted((Path(__file__).parents[2] / "configs" / "systems").glob("*.yaml"))
NAMES = [path.stem for path in SYSTEMS]
NO_FILES = ("data.path=null", "data.format=auto", "data.skeleton=face58", "data.train_count=1",
            "data.val_count=1", "model.encoder_weights=none")  # fmt: skip


def settings_of(name, *more):
    """A system's settings, on drawn faces and without weights from elsewhere."""
    path = SYSTEMS[NAMES.index(name)]
    skeleton = "data.skeleton=face68" if "part3" in name else "data.skeleton=face58"
    return load_settings(path, [*NO_FILES, skeleton, *more])


def points_of(name):
    return 1 if "part1" in name else 58 if "part2" in name else 68


def outline(name, *more):
    """The model without its numbers: quick, and nothing is held."""
    with torch.device("meta"):
        return build_model(settings_of(name, *more), points_of(name))


def count(name, *more):
    return sum(p.numel() for p in outline(name, *more).parameters())


def convolutions(channels, kernel):
    return sum((a * kernel**2 + 1) * b for a, b in pairwise(channels))


def fully_connected(widths):
    return sum((a + 1) * b for a, b in pairwise(widths))


def test_all_systems_are_there():
    for system in "abcde":
        for part in (1, 2, 3):
            assert f"{system}_part{part}" in NAMES
    assert {"b_part3_pixel_unet", "c_part3_dense", "e_part3_unet"} <= set(NAMES)


@pytest.mark.parametrize("path", SYSTEMS, ids=NAMES)
def test_comment_has_the_command(path):
    text = path.read_text()
    assert f"#   heatkp train --config configs/systems/{path.name}\n" in text
    assert "ublished" in text.split("data:")[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_system_trains_a_step(name):
    settings = settings_of(name)
    data = load_data(settings.data)
    assert len(data.skeleton) == points_of(name)
    torch.manual_seed(0)
    model = build_model(settings, points_of(name))
    dataset = KeypointDataset(
        data.train, data.skeleton, Framing.of(settings.data), grey=settings.data.grey,
        augmentation=settings.augmentation,
    )  # fmt: skip
    item = dataset[(1, 0)]
    width, height = settings.data.size
    assert item["image"].shape == (1 if settings.data.grey else 3, height, width)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimiser = make_optimiser(model, settings.optimiser)
    weights = (item["visibility"] > 0).float()[None]
    loss = model.training_loss(item["image"][None], item["points"][None], weights)
    loss.backward()
    optimiser.step()
    assert torch.isfinite(loss) and loss > 0
    frozen = ("encoder.bn1.", "encoder.layer1.") if settings.model.freeze else ()
    after = model.state_dict()
    for key, parameter in model.named_parameters():
        changed = not torch.equal(before[key], after[key])
        assert parameter.requires_grad is not key.startswith(frozen or "-")
        assert changed or not parameter.requires_grad or (parameter.grad == 0).all(), key
    for key, value in after.items():  # statistics of batch norms too
        assert not frozen or not key.startswith(frozen) or torch.equal(value, before[key]), key


def test_a_part1():
    convs = convolutions([1, 64, 128, 256, 256], 5)
    assert count("a_part1") == convs + fully_connected([256 * 5 * 3, 128, 2])


def test_a_part2():
    model = outline("a_part2")
    convs = convolutions([1, 128, 128, 256, 256, 256, 256], 5)
    assert count("a_part2") == convs + fully_connected([256 * 30 * 22, 512, 116])
    assert model.encoder.conv1.weight.shape == (128, 1, 5, 5)


def test_resnets_on_grey():
    """Weights of torchvision's without fc: 11,176,512 (18), 23,508,032 (50)."""
    first = 2 * 64 * 7 * 7
    for name in ("a_part3", "d_part3"):
        assert count(name) == 11_176_512 - first + fully_connected([512, 136])
    assert count("e_part3") == 23_508_032 - first + fully_connected([2048, 136])
    assert outline("e_part3").encoder.conv1.weight.shape == (64, 1, 7, 7)
    assert count("c_part3") == 11_176_512 + fully_connected([512, 512, 136])


def test_b():
    assert count("b_part1") == convolutions([1, 16, 32, 64, 64], 3) + fully_connected(
        [64 * 5 * 4, 64, 2]
    )
    model = outline("b_part2")
    assert model.encoder.fc1.weight.shape == (2000, 64 * 20 * 15)
    convs = [m for m in model.encoder.children() if isinstance(m, torch.nn.Conv2d)]
    assert [c.out_channels for c in convs] == [32, 32, 32, 64, 64]
    assert count("b_part3") == 67_112_904


def test_b_starts_about_the_middle():
    torch.manual_seed(0)
    model = build_model(settings_of("b_part2"), 58)
    bias = model.layers[-1].bias
    assert abs(bias.mean().item() - 0.5) < 0.01
    assert abs(bias.std().item() / 2000**-0.5 - 1) < 0.2


@pytest.mark.parametrize("kernel", [3, 5, 7, 9])
def test_c_part2_has_8960_features(kernel):
    text = SYSTEMS[NAMES.index("c_part2")].read_text()
    assert text.count(" 7, relu, pool 2,") == 5
    lines = settings_of("c_part2").model.layers
    lines = [line.replace(" 7", f" {kernel}") if "conv" in line else line for line in lines]
    with torch.device("meta"):
        model = create_model("regression", points=58, size=(240, 180), channels=1, layers=lines)
    assert model.encoder.fc1.in_features == 8960


def test_c_part1_and_d_part1():
    for name, channels, kernel in [
        ("c_part1", [1, 16, 32, 64], 3), ("c_part1_4conv", [1, 16, 32, 64, 128], 3),
        ("c_part1_5x5", [1, 16, 32, 64], 5), ("d_part1", [1, 16, 32, 64], 3),
        ("d_part1_wide", [1, 36, 52, 84], 3),
    ]:  # fmt: skip
        halvings = len(channels) - 1
        features = channels[-1] * (80 >> halvings) * (60 >> halvings)
        assert count(name) == convolutions(channels, kernel) + fully_connected([features, 128, 2])


def test_e_part2_has_1120_features():
    model = outline("e_part2")
    assert model.encoder.fc1.weight.shape == (512, 1120)
    assert count("e_part2") == convolutions([1, 16, 16, 32, 32], 3) + fully_connected(
        [1120, 512, 116]
    )


@pytest.mark.parametrize("name", ["b_part3_pixel_unet", "e_part3_unet"])
def test_plain_unets(name):
    """Two 3x3 convolutions without bias, each with a batch norm, per level; 2x2 upwards."""
    widths, channels = [32, 64, 128, 256, 512], 1 if name == "e_part3_unet" else 3

    def pair(a, b):
        return 9 * (a * b + b * b) + 4 * b

    down = sum(pair(a, b) for a, b in zip([channels, *widths], widths))
    up = sum(4 * b * a + a + pair(2 * a, a) for a, b in pairwise(widths))
    assert count(name) == down + up + convolutions([32, 68], 3)
    assert outline(name).stride == 1


@pytest.mark.parametrize(
    ("encoder", "file", "first"),
    [
        ("mobilenet_v2", "mobilenet_v2-b0353104.pth", "features.0.0.weight"),
        ("tu-tf_efficientnet_lite0", "tf_efficientnet_lite0.safetensors", "model.conv_stem.weight"),
    ],
)
def test_first_layer_on_grey(weights_folder, encoder, file, first):
    path = str(weights_folder / file)

    def weights(channels, **more):
        torch.manual_seed(0)
        model = create_model("regression", points=1, size=(64, 64), channels=channels,
                             encoder=encoder, encoder_weights=path, **more)  # fmt: skip
        return model.encoder.state_dict()

    colour, kept, fresh = weights(3), weights(1), weights(1, first_layer="fresh")
    assert torch.allclose(kept[first], colour[first].sum(1, keepdim=True), atol=1e-6)
    differing = [k for k in kept if not torch.equal(kept[k], fresh[k])]
    assert differing == [first] and fresh[first].shape == kept[first].shape
