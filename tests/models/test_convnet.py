"""Networks from lists of layers, their start, the regression head's losses, flattened maps."""

from __future__ import annotations

import contextlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heatkp import create_model
from heatkp.config import parse_settings
from heatkp.config.layers import parse_layer, parse_layers
from heatkp.errors import SettingsError
from heatkp.models.convnet import ConvNet
from heatkp.training.module import make_optimiser, make_schedule

WORDS = ["conv", "relu", "pool", "bn", "dropout", "flatten", "average", "fc", "stride", "padding",
         "0", "1", "2", "3", "16", "0.5", "-1", "x", "9999999", "²"]  # fmt: skip


def test_defaults_of_a_layer():
    assert parse_layer("conv 8 5")[1:5] == (8, 5, 1, 2)
    assert parse_layer("CONV 8 5 padding 0 stride 3")[1:5] == (8, 5, 3, 0)
    assert parse_layer("pool 3").stride == 3 and parse_layer("pool 3 stride 2").stride == 2


@given(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join) | st.text(max_size=20))
def test_any_line_is_read_or_refused(line):
    with contextlib.suppress(ValueError):
        parse_layer(line)


LINES = st.one_of(
    st.builds("conv {} {}".format, st.integers(1, 4), st.sampled_from([1, 3, 5])),
    st.builds("conv {} {} stride {} padding {}".format, st.integers(1, 4), st.integers(1, 5),
              st.integers(1, 3), st.integers(0, 2)),
    st.builds("pool {} stride {}".format, st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from(["relu", "bn", "dropout 0.2", "flatten", "average", "fc 3"]),
)  # fmt: skip


@given(st.lists(LINES, min_size=1, max_size=7), st.integers(1, 20), st.integers(1, 20))
def test_any_list_runs_or_is_refused(lines, width, height):
    """Sizes are foreseen: what is built takes its input."""
    try:
        parse_layers(lines)
        network = ConvNet(lines, 1, (width, height)).eval()
    except (ValueError, SettingsError) as error:
        assert "layer" in str(error) or "nothing to train" in str(error)
        return
    with torch.no_grad():
        assert network(torch.zeros(2, 1, height, width))[-1].numel() > 0


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (["convv 3 3"], r"model\.layers: layer 1: .*'convv 3 3'.* conv\b"),
        (["conv 3"], "'conv 3'.*CHANNELS KERNEL"),
        (["conv 3 4"], "'conv 3 4'.*padding"),
        (["conv 3 3 strid 2"], "'strid'"),
        (["conv 0 3"], "'0'.* 1 to"),
        (["conv 3 3", "dropout 1"], "layer 2: .*'1'"),
        (["conv 3 3", "fc 8"], "layer 2: 'fc 8'.*flatten or average"),
        (["conv 3 3", "flatten", "pool 2"], "layer 3: 'pool 2'.*flatten"),
        (["relu"], "conv or fc"),
        (["conv 3 3", *["pool 2"] * 7], "64x48.*layer 7"),
        ([3], r"model\.layers.* 3"),
    ],
)
def test_what_is_refused(layers, words):
    with pytest.raises(SettingsError, match=words):
        create_model("regression", points=1, size=(64, 48), layers=layers)


def test_where_layers_do_not_belong():
    with pytest.raises(SettingsError, match=r"model\.layers: .*'regression'.*'kl'.*plain_unet"):
        create_model("kl", points=1, layers=["conv 8 3"])
    with pytest.raises(SettingsError, match="encoder_weights"):
        create_model("regression", points=1, layers=["conv 8 3"], encoder_weights="imagenet")
    for name, value in (("loss", "mse"), ("unit", "normalised")):
        with pytest.raises(SettingsError, match=rf"head\.{name}: "):
            create_model("kl", points=1, head_options={name: value})


def test_maps_at_the_end_are_pooled():
    for pooling, width in (("avg", 4), ("flatten", 4 * 6)):
        model = create_model("regression", points=1, size=(12, 8), layers=["conv 4 3", "pool 4"],
                             pooling=pooling)  # fmt: skip
        assert model.layers[-1].in_features == width
    model = create_model("regression", points=1, size=(12, 8), layers=["conv 4 3", "average"],
                         hidden=[5, 6])  # fmt: skip
    assert [m.in_features for m in model.layers if hasattr(m, "in_features")] == [4, 5, 6]


@pytest.mark.parametrize(("kind", "variance"), [("he", 2 / 576), ("xavier", 2 / (576 + 1152))])
def test_initialisation(kind, variance):
    torch.manual_seed(0)
    model = create_model("regression", points=1, size=(16, 16), initialisation=kind,
                         layers=["conv 64 3", "relu", "conv 128 3"], hidden=[300])  # fmt: skip
    second = model.encoder.conv2
    assert second.weight.var().item() == pytest.approx(variance, rel=0.05)
    assert (second.bias == 0).all() and (model.layers[0].bias == 0).all()


@pytest.mark.parametrize("size", [(16, 16), (48, 32)])
@pytest.mark.parametrize("pooling", ["avg", "flatten"])
def test_first_outputs_spread_alike_however_wide_features_are(pooling, size):
    torch.manual_seed(0)
    model = create_model("regression", points=40, size=size, layers=["conv 64 3"], pooling=pooling)
    features = torch.randn(8, model.layers[-1].in_features)
    with torch.no_grad():
        assert model.layers(features).std().item() == pytest.approx(0.25, rel=0.15)
    other = create_model("regression", points=40, size=size, layers=["conv 64 3"], output_spread=1)
    assert other.layers[-1].weight.std().item() == pytest.approx(1 / 8, rel=0.1)


def test_flattened_maps_move_the_output_as_averages_do():
    """A step at the same rate; 1024 places a map would else move it so many times further."""
    moved = {}
    images = torch.randint(0, 256, (4, 1, 32, 32), dtype=torch.uint8)
    for pooling in ("avg", "flatten"):
        torch.manual_seed(0)
        model = create_model("regression", points=2, size=(32, 32), channels=1, pooling=pooling,
                             layers=["conv 16 3", "relu"])  # fmt: skip
        chosen = parse_settings({"optimiser": {"lr": 1e-3}}).optimiser
        optimiser = make_optimiser(model, chosen)
        before = model(images)
        model.loss(before, torch.full((4, 2, 2), 25.0), torch.ones(4, 2)).backward()
        optimiser.step()
        with torch.no_grad():
            moved[pooling] = float((model(images) - before).abs().mean())
        make_schedule(optimiser, chosen, 20, 5)
        rates = {
            round(g["lr"] / optimiser.param_groups[0]["lr"], 9) for g in optimiser.param_groups
        }
        assert rates == ({1.0} if pooling == "avg" else {1.0, round(1 / 1024, 9)})
    assert moved["flatten"] < 3 * moved["avg"]


@pytest.mark.parametrize("unit", ["pixels", "normalised"])
@pytest.mark.parametrize(("loss", "of"), [
    ("mse", lambda e: e**2), ("l1", abs), ("smooth_l1", lambda e: e * e / 2 if e < 1 else e - 0.5),
])  # fmt: skip
def test_losses(loss, of, unit):
    """Means over coordinates of labelled points, also of those outside the input."""
    model = create_model("regression", points=2, size=(40, 20), layers=["conv 4 3"],
                         head_options={"loss": loss, "unit": unit})  # fmt: skip
    output = torch.full((1, 2, 2), 0.5)  # pixel 19.5, 9.5
    points = torch.tensor([[[23.5, 9.0], [torch.nan, torch.nan]]])
    errors = (4.0, 0.5) if unit == "pixels" else (0.1, 0.025)
    found = model.loss(output, points, torch.tensor([[1.0, 0.0]]))
    assert float(found) == pytest.approx(sum(map(of, errors)) / 2, rel=1e-4)
    far = model.loss(output, points + 100, torch.tensor([[1.0, 0.0]]))
    assert far > found


def test_defaults_of_the_loss_are_smooth_l1_in_pixels():
    output, points = torch.rand(1, 2, 2), torch.rand(1, 2, 2) * 30
    plain, named = (
        create_model("regression", points=2, size=(32, 32), layers=["conv 4 3"], head_options=o)
        for o in ({}, {"loss": "smooth_l1", "unit": "pixels"})
    )
    weights = torch.ones(1, 2)
    assert plain.loss(output, points, weights) == named.loss(output, points, weights)
