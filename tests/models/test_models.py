from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import heatkp
from heatkp import create_model, head_names
from heatkp import heatmaps as hm
from heatkp.cli import main
from heatkp.config import Head, parse_settings
from heatkp.errors import CheckpointError, SettingsError
from heatkp.heatmaps import render_gaussians
from heatkp.models.encoders import input_statistics
from heatkp.registry import HEADS
from heatkp.training.module import make_optimiser, parameter_groups

SMALL = {"encoder": "tu-mobilenetv3_small_050"}


def images(size, batch=2, channels=3):
    torch.manual_seed(0)
    return torch.randint(0, 256, (batch, channels, size[1], size[0]), dtype=torch.uint8)


def test_help_names_the_heads():
    text = CliRunner().invoke(main, ["train", "--help"]).output
    assert all(name in text for name in head_names()) and len(head_names()) >= 9


@pytest.mark.parametrize("chunk", [0, 1])
def test_images_of_another_size_are_refused_in_training(chunk):
    """Points beyond the model's size would not count, and nobody would know."""
    model = create_model("kl", points=1, size=(64, 48), loss_chunk=chunk, **SMALL)
    points, weights = torch.full((2, 1, 2), 60.0), torch.ones(2, 1)
    for size in ((128, 96), (64, 64)):
        with pytest.raises(ValueError, match=r"size \(64, 48\)"):
            model.training_loss(images(size), points, weights)
    assert model(images((128, 96))).shape[2:] == (24, 32)


@pytest.mark.parametrize("name", head_names())
def test_every_head_trains_a_step_and_decodes(name):
    torch.manual_seed(0)
    model = create_model(name, points=5, size=(64, 48), stride=4 if name != "regression" else 2,
                         **SMALL)  # fmt: skip
    x = images((64, 48))
    points = torch.rand(2, 5, 2) * torch.tensor([64.0, 48.0]) - 0.5
    weights = torch.ones(2, 5)
    weights[0, 0] = 0
    points[0, 0] = torch.nan
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = model.training_loss(x, points, weights)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert losses[-1] < 0.9 * losses[0], losses
    model.eval()
    found = model.decode(model(x))
    assert found.points.shape == (2, 5, 2) and torch.isfinite(found.points).all()
    if name == "regression":
        assert found.scores.isnan().all() and found.covariance is None
    else:
        assert ((found.scores >= 0) & (found.scores <= 1)).all()


@pytest.mark.parametrize("name", ["kl", "regression"])
def test_a_batch_without_labels_gives_zero_not_nan(name):
    model = create_model(name, points=3, size=(32, 32), **SMALL)
    points = torch.full((2, 3, 2), torch.nan)
    loss = model.training_loss(images((32, 32)), points, torch.zeros(2, 3))
    loss.backward()
    assert loss.item() == 0
    for parameter in model.parameters():
        assert parameter.grad is None or (parameter.grad == 0).all()


@pytest.mark.parametrize(
    "architecture",
    ["unet", "fpn", "linknet", "manet", "pan", "deeplabv3plus", "segformer", "upernet", "pspnet"],
)
def test_any_architecture_gives_maps_of_the_asked_size(architecture):
    model = create_model(
        "kl", points=2, size=(128, 160), architecture=architecture, encoder="resnet18", stride=4
    ).eval()
    with torch.no_grad():
        assert model(images((128, 160))).shape == (2, 2, 40, 32)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("architecture", ["unet", "fpn"])
@pytest.mark.parametrize("size", [(64, 64), (80, 60), (61, 35)])
def test_map_size_and_stride(stride, architecture, size):
    model = create_model("kl", points=2, size=size, architecture=architecture, stride=stride,
                         **SMALL).eval()  # fmt: skip
    with torch.no_grad():
        maps = model(images(size))
    assert maps.shape == (2, 2, -(-size[1] // stride), -(-size[0] // stride))


def test_padding_is_unpadded_exactly():
    """An image of 80x60 gives the map that the same image in a 96x64 frame gives there."""
    torch.manual_seed(0)
    model = create_model("kl", points=3, size=(80, 60), stride=2, encoder="resnet18").eval()
    x = images((80, 60)).float()
    mean = model.mean
    framed = mean.expand(2, 3, 64, 96).clone()
    framed[:, :, :60, :80] = x
    with torch.no_grad():
        small, large = model(x), model(framed)
    assert torch.allclose(small, large[:, :, :30, :40], atol=1e-5)


def test_upsampling_does_not_align_corners():
    """A ramp over coarse features stays a ramp at the map's own pixel centres."""
    model = create_model("ce", points=1, size=(64, 64), architecture="fpn", stride=1,
                         encoder="resnet18").eval()  # fmt: skip
    assert model.map_layer.factor == 4
    coarse = ((torch.arange(16.0) + 0.5) * 4 - 0.5).expand(1, 1, 16, 16)  # x at their centres
    model.map_layer.convolution = torch.nn.Identity()
    with torch.no_grad():
        fine = model.map_layer(coarse)
    assert torch.allclose(fine[0, 0, 0, 2:-2], torch.arange(64.0)[2:-2])


def test_raw_pixels_go_in():
    model = create_model("kl", points=1, size=(32, 32), **SMALL).eval()
    x = images((32, 32))
    with torch.no_grad():
        assert torch.equal(model(x), model(x.float()))


def test_grey():
    model = create_model("kl", points=1, size=(32, 32), channels=1, **SMALL).eval()
    assert model.mean.shape == (1, 1, 1, 1)
    assert model(images((32, 32), channels=1)).shape == (2, 1, 8, 8)


def test_points_outside_the_input_do_not_count_for_maps_but_do_for_regression():
    points = torch.tensor([[[10.0, 10.0], [40.0, 10.0]]])
    x, weights = images((32, 32), batch=1), torch.ones(1, 2)
    dense = create_model("kl", points=2, size=(32, 32), **SMALL).eval()
    alone = dense.loss(dense(x), points, torch.tensor([[1.0, 0.0]]))
    assert torch.equal(dense.loss(dense(x), points, weights), alone)
    direct = create_model("regression", points=2, size=(32, 32), **SMALL).eval()
    alone = direct.loss(direct(x), points, torch.tensor([[1.0, 0.0]]))
    assert direct.loss(direct(x), points, weights) > alone


@pytest.mark.parametrize("sigma", [None, 1.0, [1.0, 1.5, 2.0, 3.0]])
def test_bce_starts_at_the_mean_of_its_targets(sigma):
    """From one half everywhere, the first epochs would only teach that most pixels are empty."""
    options = {} if sigma is None else {"sigma": sigma}
    model = create_model("bce", points=4, size=(96, 64), stride=4, head_options=options, **SMALL)
    maps = torch.sigmoid(model.map_layer.convolution.bias)
    width = torch.tensor(sigma or model.head.default_sigma).expand(4)
    centre = torch.tensor([12.0, 8.0]).expand(1, 4, 2)
    target = render_gaussians(centre, (16, 24), width, normalised=False)
    assert maps.tolist() == pytest.approx(target.mean((0, 2, 3)).tolist(), rel=0.05)
    assert create_model("kl", points=4, **SMALL).map_layer.convolution.bias.abs().max() == 0


def test_regression_starts_in_the_middle():
    model = create_model("regression", points=4, size=(64, 48), hidden=[16], **SMALL).eval()
    found = model.decode(model(images((64, 48)))).points
    assert (found - torch.tensor([31.5, 23.5])).abs().max() < 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"head": "softmax"}, r"head\.name.*softmax.*softargmax"),
        ({"architecture": "u-net"}, r"model\.architecture.*unet"),
        ({"encoder": "mobilenet_v3"}, r"model\.encoder.*mobilenet_v2"),
        ({"encoder": "tu-resnet81"}, r"model\.encoder.*resnet18"),
        ({"stride": 3}, r"model\.stride"),
        ({"options": {"decoder_chanels": 3}}, r"model\.options.*decoder_chanels.*decoder_channels"),
        ({"options": {"nosuch": 3}, "encoder": "tu-resnet18"}, "tu-resnet18.*'nosuch'"),
        (
            {"options": {"aux_params": {"classes": 3}}, "encoder": "tu-resnet18"},
            r"model\.options.*aux_params.*decoder_channels.*timm",
        ),
        ({"options": {"activation": "sigmoid"}, "encoder": "tu-resnet18"}, r"options.*activation"),
        ({"options": {"classes": 5}, "encoder": "tu-resnet18"}, r"model\.options.*classes"),
        ({"architecture": "pan"}, "pan-resnet18.*64x64"),
        ({"encoder_weights": "nowhere.pth"}, r"model\.encoder_weights"),
        ({"mean": [0.5], "std": [0.5]}, r"model\.mean"),
        ({"mean": [0.5, 0.5, 0.5]}, r"model\.mean.*model\.std"),
        ({"head": "regression", "head_options": {"sigma": 2.0}}, r"head\.sigma"),
        ({"head": "ce", "head_options": {"sigma": 2.0}}, r"head\.sigma"),
        ({"head_options": {"sigma": [1.0]}}, r"head\.sigma: 1 .* 2 "),
        ({"head": "kl", "head_options": {"regulariser": "js"}}, r"head\.regulariser"),
        (
            {"head": "argmax", "head_options": {"decoder": "expectation"}},
            r"head\.decoder: .*'expectation'.*: dark, ",
        ),
        ({"head": "softargmax", "head_options": {"decoder": "nosuch"}}, r"head\.decoder"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, words):
    arguments = {"head": "kl", "encoder": "resnet18", **arguments}
    with pytest.raises(SettingsError, match=words):
        create_model(points=2, size=(64, 64), **arguments)


def test_sigma_goes_from_start_to_end():
    with pytest.raises(SettingsError, match=r"head\.sigma_final: .*'nll'"):
        HEADS["nll"](Head(name="nll", sigma_final=1.0), 2)
    head = HEADS["kl"](Head(name="kl", sigma=3.0, sigma_final=1.0), 2)
    head.progress = 0.0
    assert head.sigma == 3.0
    head.progress = 0.5
    assert head.sigma == 2.0
    head.progress = 1.0
    assert head.sigma == 1.0


@pytest.mark.parametrize("name", ["kl", "argmax", "nll", "softargmax"])
def test_each_point_may_have_its_own_sigma(name):
    options = {"sigma": [0.7, 1.5, 3.0]}
    model = create_model(name, points=3, size=(32, 32), head_options=options, **SMALL)
    points, weights = torch.rand(2, 3, 2) * 30, torch.ones(2, 3)
    model.training_loss(images((32, 32)), points, weights).backward()
    assert model.decode(model(images((32, 32)))).points.shape == (2, 3, 2)
    maps = torch.randn(2, 3, 8, 8)
    for k, sigma in enumerate(options["sigma"]):
        alone = HEADS[name](Head(name=name, sigma=sigma), 1)
        where = points[:, k : k + 1] / 4
        one = alone.loss(maps[:, k : k + 1], where, weights[:, :1])
        together = model.head.loss(maps, points / 4, weights)[:, k : k + 1]
        assert torch.allclose(one, together, rtol=1e-5)


def test_every_dense_head_has_a_decoder_that_reads_it():
    from heatkp.heatmaps import decoders_of

    for name in HEADS:
        if HEADS[name].kind is not None:
            head = HEADS[name](Head(name=name), 2)
            assert head.default_decoder in decoders_of(head.content)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("encoder", "file", "mean"),
    [
        ("mobilenet_v2", "mobilenet_v2-b0353104.pth", 0.485),
        ("tu-tf_efficientnet_lite0", "tf_efficientnet_lite0.safetensors", 0.5),
    ],
)
def test_weights_from_a_file(weights_folder, encoder, file, mean, channels):
    path = str(weights_folder / file)
    loaded = create_model("kl", points=1, size=(64, 64), encoder=encoder, encoder_weights=path,
                          channels=channels)  # fmt: skip
    again = create_model("kl", points=1, size=(64, 64), encoder=encoder, encoder_weights=path,
                         channels=channels)  # fmt: skip
    fresh = create_model("kl", points=1, size=(64, 64), encoder=encoder, channels=channels)
    a, b, c = (m.network.encoder.state_dict() for m in (loaded, again, fresh))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert sum(not torch.equal(a[k], c[k]) for k in a) > 100
    settings = parse_settings({"model": {"encoder": encoder, "encoder_weights": path}})
    assert input_statistics(settings.model)[0][0] == mean
    first = next(iter(a.values()))
    assert first.shape[1] == channels
    direct = create_model("regression", points=1, size=(64, 64), encoder=encoder,
                          encoder_weights=path, channels=channels)  # fmt: skip
    assert torch.equal(next(iter(direct.encoder.state_dict().values())), first)


def test_weights_of_another_encoder(weights_folder, tmp_path):
    path = weights_folder / "mobilenet_v2-b0353104.pth"
    with pytest.raises(
        CheckpointError, match=r"mobilenet_v2-b0353104\.pth .* 100 .* 120 .*conv1\.weight"
    ):
        create_model("kl", points=1, encoder="resnet18", encoder_weights=str(path))
    # timm takes what fits and leaves the rest random.
    lite = load_file(weights_folder / "tf_efficientnet_lite0.safetensors")
    half, other = tmp_path / "half.safetensors", tmp_path / "other.safetensors"
    save_file({k: v for k, v in lite.items() if not k.startswith("blocks.5")}, half)
    save_file({"anything": torch.ones(3, 3)}, other)
    face68 = Path(heatkp.__file__).parent / "weights" / "face68.safetensors"
    for file in (half, other, face68):
        with pytest.raises(CheckpointError, match=r"lacks .*model\.init"):
            create_model("kl", points=1, encoder="tu-tf_efficientnet_lite0",
                         encoder_weights=str(file))  # fmt: skip
    broken = tmp_path / "broken.pth"
    broken.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"broken\.pth"):
        create_model("kl", points=1, encoder="mobilenet_v2", encoder_weights=str(broken))


@pytest.mark.parametrize("name", ["kl", "regression"])
def test_export_takes_raw_pixels(name):
    model = create_model(name, points=2, size=(64, 48), encoder="resnet18").eval()
    x = images((64, 48), batch=1)
    exported = torch.export.export(model, (x,)).module()
    with torch.no_grad():
        assert torch.allclose(exported(x), model(x), atol=1e-5)


def test_biases_and_norms_do_not_decay():
    model = create_model("kl", points=2, size=(32, 32), **SMALL)
    decayed, free = parameter_groups(model, 0.1)
    assert all(p.ndim > 1 for p in decayed["params"]) and decayed["weight_decay"] == 0.1
    assert all(p.ndim <= 1 for p in free["params"]) and free["weight_decay"] == 0
    total = sum(p.numel() for p in model.parameters())
    assert sum(p.numel() for g in (decayed, free) for p in g["params"]) == total
    for name, kind in (("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")):
        settings = parse_settings({"optimiser": {"name": name}}).optimiser
        assert type(make_optimiser(model, settings)).__name__ == kind


class Reader(torch.nn.Module):
    """A model with its decoder, as one would deploy it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model.decode(self.model(images)).points


def test_model_with_head_compiles_and_exports():
    torch._dynamo.reset()
    small = {"architecture": "plain_unet", "options": {"widths": [4, 8]}}
    model = create_model("softargmax", points=2, size=(64, 48), **small).eval()
    x, points, weights = images((64, 48)), torch.rand(2, 2, 2) * 40, torch.ones(2, 2)
    compiled = torch.compile(model.training_loss, backend="aot_eager")
    loss = compiled(x, points, weights)
    loss.backward()
    found = {k: p.grad.clone() for k, p in model.named_parameters()}
    model.zero_grad()
    plain = model.training_loss(x, points, weights)
    plain.backward()
    assert torch.allclose(loss, plain, rtol=1e-5)
    last = model.map_layer.convolution.weight
    assert torch.allclose(found["map_layer.convolution.weight"], last.grad, rtol=1e-3, atol=1e-6)
    reader = Reader(model)
    with torch.no_grad():
        exported = torch.export.export(reader, (x,)).module()
        assert torch.allclose(exported(x), reader(x), atol=1e-3)


@pytest.mark.parametrize("chunk", [0, 1])
@pytest.mark.parametrize("head", [n for n, h in HEADS.items() if h.takes_mixtures])
def test_mixtures_of_one_point_are_that_point(head, chunk):
    torch.manual_seed(0)
    more = {"loss_chunk": chunk} if HEADS[head].kind else {}
    model = create_model(head, points=3, size=(40, 32), **SMALL, **more).eval()
    points = torch.rand(2, 3, 2) * 44 - 4  # some lie outside
    points[0, 1] = torch.nan
    weights = torch.ones(2, 3)
    weights[0, 1] = 0
    alone = hm.Mixture(points[:, :, None], torch.zeros(2, 3, 1, 2, 2), weights[:, :, None])
    given = images((40, 32), batch=2)
    found = model.training_loss(given, alone, weights)
    assert torch.allclose(found, model.training_loss(given, points, weights), rtol=1e-5)
    assert torch.equal(model.counted(alone, weights), model.counted(points, weights))


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "mobilenetv3_small_050"])
@pytest.mark.parametrize("depth", [3, 4, 5])
def test_stages_that_are_not_used_are_not_there(name, depth):
    """timm keeps and computes those behind the last feature map that it is asked for."""
    options = {"encoder_depth": depth, "decoder_channels": [16] * depth}
    model = create_model("kl", points=2, encoder=f"tu-{name}", stride=4, options=options).eval()
    encoder = model.network.encoder
    whole = timm.create_model(name, features_only=True).eval()
    kept = encoder.model.state_dict()
    whole.load_state_dict(kept, strict=False)
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        for found, expected in zip(encoder(images)[1:], whole(images), strict=False):
            assert torch.equal(found, expected)
    stages = whole.feature_info.get_dicts()[depth - 1]["stage"]
    assert len(encoder.model.blocks) == stages
    assert (len(kept) < len(whole.state_dict())) == (depth < 5)
