"""No network moves what it upsamples."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from heatkp import create_model
from heatkp.models.upsampling import _STAND_INS, Doubling, Fusion, Pooling, keep_centres

ARCHITECTURES = [*smp.MODEL_ARCHITECTURES_MAPPING, "plain_unet"]
"""All that `model.architecture` may say."""
OWN: dict[str, dict[str, Any]] = {
    "plain_unet": {"options": {"widths": [4, 8, 16]}},
    "dpt": {
        "encoder": "tu-vit_tiny_patch16_224",
        "options": {
            "dynamic_img_size": True,
            "decoder_intermediate_channels": [16, 16, 16, 16],
            "decoder_fusion_channels": 16,
        },
    },
}


class Alignments(TorchDispatchMode):
    """Whether corners are aligned in each operation that could do so."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        names = [argument.name for argument in func._schema.arguments]
        if "align_corners" in names:
            given = dict(zip(names, args)) | (kwargs or {})
            self.found.append(bool(given["align_corners"]))
        return func(*args, **(kwargs or {}))


def picture() -> torch.Tensor:
    return torch.rand(1, 3, 128, 160, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_architecture_aligns_corners(architecture):
    settings = {"encoder": "resnet18", "options": {}, **OWN.get(architecture, {})}
    model = create_model("kl", points=2, size=(160, 128), architecture=architecture, stride=1,
                         **settings).eval()  # fmt: skip
    with torch.no_grad(), Alignments() as seen:
        model(255 * picture())
    assert not any(seen.found)


def library_network(architecture: str) -> nn.Module:
    settings = {"encoder": "resnet18", "options": {}, **OWN.get(architecture, {})}
    torch.manual_seed(0)
    network = smp.create_model(
        architecture, settings["encoder"], encoder_weights=None, **settings["options"]
    )
    network.segmentation_head = nn.Identity()
    return network.eval()


@pytest.mark.parametrize("architecture", list(smp.MODEL_ARCHITECTURES_MAPPING))
def test_nothing_else_of_a_network_changes(architecture, monkeypatch):
    """Stored weights still fit, and features are the library's own with other upsampling."""
    own = library_network(architecture)
    with torch.no_grad(), Alignments() as seen:
        before = own(picture())
    changed = copy.deepcopy(own)
    keep_centres(changed)
    assert list(changed.state_dict()) == list(own.state_dict())
    with torch.no_grad():
        found = changed(picture())
    real = F.interpolate

    def never_aligned(x, size=None, factor=None, mode="nearest", align_corners=None, **options):
        factor = options.pop("scale_factor", factor)
        return real(x, size, factor, mode, align_corners and False, **options)

    monkeypatch.setattr(F, "interpolate", never_aligned)
    with torch.no_grad():
        expected = own(picture())
    assert torch.equal(found, expected)
    assert torch.equal(found, before) != any(seen.found)


BLOCKS = {"Conv3x3GNReLU": "fpn", "PSPBlock": "pspnet", "FusionBlock": "dpt"}
"""An architecture that has each block which is known by its class's name."""


@pytest.mark.parametrize("name", _STAND_INS)
def test_the_library_has_the_blocks_that_are_replaced(name):
    """By the same names, with the same layers: a renamed block would be left as it is."""
    made, layers = _STAND_INS[name]
    network = library_network(BLOCKS[name])
    blocks = [m for m in network.modules() if type(m).__name__ == name]
    assert blocks
    for block in blocks:
        assert type(block).__module__.startswith("segmentation_models_pytorch.")
        trained = {n for n, layer in block.named_children() if list(layer.parameters())}
        assert trained == set(layers)
    aligned = [block for block in blocks if getattr(block, "upsample", True)]
    keep_centres(network)
    replaced = [m for m in network.modules() if type(m) is made]
    assert len(replaced) == len(aligned) > 0
    left = [m for m in network.modules() if type(m).__name__ == name]
    assert len(left) == len(blocks) - len(aligned)
    assert not any(m.upsample for m in left)


def test_a_changed_network_is_copied_and_stored(tmp_path):
    network = library_network("fpn")
    keep_centres(network)
    again = copy.deepcopy(network)
    torch.save(network, tmp_path / "network.pt")
    stored = torch.load(tmp_path / "network.pt", weights_only=False)
    with torch.no_grad():
        for other in (again, stored):
            assert torch.equal(network(picture()), other(picture()))


def test_blocks_that_are_not_known_are_left_alone():
    class PSPBlock(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.other = nn.Identity()

    network = nn.Sequential(PSPBlock(), nn.Upsample(scale_factor=2))
    keep_centres(network)
    assert isinstance(network[0], PSPBlock) and network[1].align_corners is None


def test_blocks_keep_centres():
    """A ramp over coarse features stays a ramp at the finer pixels' own centres."""
    coarse = ((torch.arange(16.0) + 0.5) * 2 - 0.5).expand(1, 1, 16, 16)
    fine = torch.arange(32.0)[1:-1]
    same = nn.Identity()
    assert torch.equal(Doubling(same)(coarse)[0, 0, 0, 1:-1], fine)
    fusion = Fusion(same, same, same)
    assert torch.equal(fusion(coarse)[0, 0, 0, 1:-1], fine)
    assert torch.equal(fusion(coarse, coarse)[0, 0, 0, 1:-1], 2 * fine)
    even = torch.arange(32.0).expand(1, 1, 32, 32)
    assert torch.equal(Pooling(nn.AvgPool2d(2))(even)[0, 0, 0, 1:-1], fine)
