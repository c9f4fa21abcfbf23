from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load_file

from heatkp import create_model, load_model
from heatkp.config import assign, load_settings, parse_settings
from heatkp.errors import SettingsError
from heatkp.models import build_model
from heatkp.training.module import make_optimiser
from tests.conftest import ENCODER, TINY, heatkp

LAYERS = ["conv 4 3", "bn", "relu", "conv 8 3", "bn", "relu", "flatten", "fc 8", "relu"]


def small(*patterns, head="regression"):
    torch.manual_seed(0)
    return create_model(head, points=2, size=(8, 8), channels=1, layers=LAYERS, freeze=patterns)


def step(model):
    optimiser = make_optimiser(model, parse_settings({"optimiser": {"lr": 1e-2}}).optimiser)
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    before = copy.deepcopy(model.state_dict())
    model.training_loss(images, torch.rand(4, 2, 2) * 7, torch.ones(4, 2)).backward()
    optimiser.step()
    after = model.state_dict()
    given = sum(len(g["params"]) for g in optimiser.param_groups)
    return {k for k in after if not torch.equal(before[k], after[k])}, given


@pytest.mark.parametrize(
    ("patterns", "frozen"),
    [
        (["encoder.conv1"], ["encoder.conv1."]),
        (["encoder.bn1"], ["encoder.bn1."]),
        (["encoder.*1"], ["encoder.conv1.", "encoder.bn1.", "encoder.fc1."]),
        (["encoder.bn1.weight", "encoder.bn1.bias"], ["encoder.bn1."]),
        (["encoder.bn?.bias"], ["encoder.bn1.bias", "encoder.bn2.bias"]),
        (["encoder"], ["encoder."]),
    ],
)
def test_what_is_frozen_does_not_change_and_the_rest_does(patterns, frozen):
    model = small(*patterns).eval().train()  # as Lightning does around a validation
    changed, given = step(model)
    expected = {k for k in model.state_dict() if not k.startswith(tuple(frozen))}
    assert changed == expected
    assert given == sum(p.requires_grad for p in model.parameters())


def test_frozen_norms_stay_in_evaluation_mode():
    model = small("encoder.bn1")
    assert not model.encoder.bn1.training and model.encoder.bn2.training
    copied = copy.deepcopy(model).train()
    assert not copied.encoder.bn1.training and copied.encoder.bn2.training


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("encoder.conv9", r"'encoder\.conv9'.*encoder\.conv1"),
        ("qqq", "'qqq'.*encoder, layers"),
        ("*", r"model\.freeze"),
    ],
)
def test_what_is_refused(pattern, words):
    with pytest.raises(SettingsError, match=words):
        small(pattern)


def test_dense_networks_freeze_too():
    model = create_model("kl", points=1, size=(32, 32), encoder="resnet18",
                         freeze=["network.encoder.layer[12]"])  # fmt: skip
    frozen = {n.split(".")[2] for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"layer1", "layer2"}


def test_a_run_keeps_what_is_frozen(tmp_path):
    """Weights that were trained, averaged, validated and kept: the frozen ones as at the start."""
    run = tmp_path / "run"
    extra = ["trainer.ema=0.9", "model.freeze=[network.encoder]", "data.train_count=16",
             "data.val_count=4"]  # fmt: skip
    flags = [f for e in extra for f in ("--set", e)]
    result = heatkp("train", *TINY, *ENCODER, *flags, "--epochs", 1, "--out", run)
    assert result.exit_code == 0, result.output
    kept = load_file(run / "weights.safetensors")
    torch.manual_seed(0)
    fresh = build_model(load_settings(run / "settings.yaml"), 68).state_dict()
    encoder = [k for k in kept if k.startswith("network.encoder.")]
    assert len(encoder) > 50 and all(torch.equal(kept[k], fresh[k]) for k in encoder)
    others = [k for k in kept if k.startswith("network.decoder.") and k.endswith("weight")]
    assert others and not any(torch.equal(kept[k], fresh[k]) for k in others)
    assert load_model(run).settings.model.freeze == ["network.encoder"]


def test_assignable():
    values: dict = {}
    assign(values, "model.freeze=[encoder.bn1, 'encoder.layer*']")
    assert parse_settings(values).model.freeze == ["encoder.bn1", "encoder.layer*"]
