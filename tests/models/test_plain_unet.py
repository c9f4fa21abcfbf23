from __future__ import annotations

import pytest
import torch

from heatkp import create_model
from heatkp.errors import SettingsError
from heatkp.models.plain_unet import PlainUNet


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", [(64, 48), (61, 35)])
def test_map_size(stride, size):
    model = create_model("kl", points=2, size=size, architecture="plain_unet", stride=stride,
                         options={"widths": [4, 8, 16]}).eval()  # fmt: skip
    images = torch.zeros(1, 3, size[1], size[0], dtype=torch.uint8)
    assert model(images).shape == (1, 2, -(-size[1] // stride), -(-size[0] // stride))


def test_levels_keep_pixels_in_place():
    """Shifting the input by the coarsest pixel shifts the features by as much."""
    torch.manual_seed(0)
    network = PlainUNet(1, [4, 8, 16]).eval()
    image = torch.rand(1, 1, 96, 96)
    with torch.no_grad():
        here, there = network(image), network(image.roll((4, 4), (2, 3)))
    inner = slice(32, 64)  # away from the border's zeros
    assert torch.allclose(
        here.roll((4, 4), (2, 3))[..., inner, inner], there[..., inner, inner], atol=1e-5
    )
    assert not torch.allclose(here[..., inner, inner], there[..., inner, inner], atol=1e-2)


def test_it_learns():
    torch.manual_seed(0)
    model = create_model("softargmax", points=1, size=(32, 32), channels=1, stride=1,
                         architecture="plain_unet", options={"widths": [8, 16, 32]},
                         head_options={"regulariser": "none"})  # fmt: skip
    points = torch.rand(8, 1, 2) * 24 + 3
    images = torch.zeros(8, 1, 32, 32)
    for image, point in zip(images, points[:, 0].round().long()):
        image[0, point[1] - 1 : point[1] + 2, point[0] - 1 : point[0] + 2] = 255
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = model.training_loss(images, points, torch.ones(8, 1))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0], losses


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"options": {"width": [8, 16]}}, "'width'.*: widths"),
        ({"options": {"widths": [8]}}, r"widths .*\[8\]"),
        ({"options": {"widths": [8, 0]}}, r"widths .*\[8, 0\]"),
        ({"options": {"widths": "8"}}, "widths .*'8'"),
        ({"encoder_weights": "imagenet"}, r"encoder_weights: plain_unet"),
    ],
)
def test_what_is_refused(arguments, words):
    with pytest.raises(SettingsError, match=words):
        create_model("kl", points=1, architecture="plain_unet", **arguments)
