from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from heatkp.config import (
    Settings,
    assign,
    conditions,
    expand_path,
    ignored,
    load_settings,
    parse_settings,
    read_yaml,
)
from heatkp.errors import SettingsError

CONFIGS = sorted(
    path
    for path in (Path(__file__).parent.parent / "configs").rglob("*.yaml")
    if path.parent.name != "sweeps"  # spaces, tested with heatkp.sweeps
)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_every_settings_file_loads(path):
    settings = load_settings(path)
    assert yaml.safe_load(settings.to_yaml()) == settings.model_dump()
    assert ignored(settings) == []


def test_defaults_survive_a_round_trip():
    settings = Settings()
    assert parse_settings(yaml.safe_load(settings.to_yaml())) == settings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model": {"strid": 2}}, ["model.strid", "unknown key", "stride", "encoder"]),
        ({"modle": {}}, ["modle", "unknown key", "model"]),
        ({"model": {"stride": 3}}, ["model.stride", "1, 2 or 4", "3"]),
        ({"trainer": {"epochs": "many"}}, ["trainer.epochs", "integer", "many"]),
        ({"trainer": {"epochs": 0}}, ["trainer.epochs", "greater than or equal to 1"]),
        ({"data": {"format": "imm"}}, ["data", "needs path"]),
        ({"data": {"format": "synthetic", "path": "x"}}, ["data", "reads no files"]),
        ({"data": {"points": [1, 1]}}, ["points", "distinct"]),
        ({"data": {"size": [96]}}, ["data.size", "at least 2"]),
        ({"optimiser": {"lr": float("nan")}}, ["optimiser.lr"]),
        (
            {"optimiser": {"schedule": "onecycle", "warmup_epochs": 2}},
            ["optimiser", "onecycle warms up by itself"],
        ),
        ({"head": 3}, ["head"]),
        ({"head": {"sigma": -1}}, ["head.sigma: Input should be greater than 0 (got -1)"]),
        ({"data": {"size": [96, "x"]}}, ["data.size.1:"]),
        ({"data": {"points": "mouth"}}, ["data.points:", "'all' or 'nose'"]),
        ({"data": {"path": ""}}, ["data: path (--data) is empty", "name a file", "drawn faces"]),
        ({"data": {"path": 2024}}, ["data.path:", "(got 2024)", "quotes make it text"]),
        ({"trainer": {"precision": 64}}, ["trainer.precision:", "'32', 'bf16' or '16'"]),
        (
            {"augmentation": {"box_jitter": 0.1}},
            ["augmentation.box_jitter", "data.crop: image", "set data.crop: box"],
        ),
        (
            {"head": {"regulariser": "none", "regulariser_weight": 2}},
            ["head: regulariser: none", "leave out regulariser_weight"],
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(values, words):
    with pytest.raises(SettingsError) as caught:
        parse_settings(values, "my.yaml")
    for word in ["my.yaml", *words]:
        assert word in str(caught.value)


def test_assign():
    values: dict = {"model": {"stride": 2}}
    for text in ("model.stride=4", "model.options.decoder_channels=[8, 8]", "optimiser.lr=1e-3"):
        assign(values, text)
    assert values == {
        "model": {"stride": 4, "options": {"decoder_channels": [8, 8]}},
        "optimiser": {"lr": 1e-3},
    }
    for bad in ("model.stride", "=3", "model..x=1", "model.stride.deep=1", "a.b=[1"):
        with pytest.raises(SettingsError, match=r"--set|is not a section"):
            assign(values, bad)


def test_quotes_make_text():
    """Without them 1e5 is a number, also to those who know what YAML 1.1 makes of it."""
    values: dict = {}
    for text in ("a.b='1e5'", 'a.c="32"', "a.d=1e5", "a.e=32", "a.f='2024-13-01'", "a.g=1e5 m"):
        assign(values, text)
    assert values == {"a": {"b": "1e5", "c": "32", "d": 1e5, "e": 32, "f": "2024-13-01",
                            "g": "1e5 m"}}  # fmt: skip
    assert load_settings(None, ["data.path='2024'"]).data.path == "2024"
    with pytest.raises(SettingsError, match="not valid YAML"):
        assign(values, "a.b=2024-13-01")  # to YAML a date, and there is none such


def test_precision_is_a_number_or_text(tmp_path):
    path = tmp_path / "a.yaml"
    for text in ("32", "'32'", "bf16", "16"):
        path.write_text(f"trainer: {{precision: {text}}}\n")
        for settings in (load_settings(path), load_settings(None, [f"trainer.precision={text}"])):
            assert settings.trainer.precision == text.strip("'")


PLAIN = {"architecture": "plain_unet", "options": {"widths": [8, 16]}}
LAYERS = {"layers": ["conv 8 3", "relu", "flatten"]}
REGRESSION = {"name": "regression"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"head": {"name": "kl"}, "model": {"pooling": "flatten"}}, "model.pooling"),
        ({"model": {"hidden": [8], "bias_spread": 0.1}}, "model.hidden, model.bias_spread"),
        ({"model": {"stride": 2, "options": {}}}, ""),
        (
            {"head": REGRESSION, "model": {"stride": 2, "options": {}, "loss_chunk": 2}},
            "model.stride, model.options, model.loss_chunk",
        ),
        ({"head": REGRESSION, "model": {"pooling": "flatten", "hidden": [8]}}, ""),
        ({"head": REGRESSION, "model": {"architecture": "fpn"}}, "model.architecture"),
        (
            {"head": REGRESSION, "model": {**PLAIN, "encoder": "resnet18"}},
            "model.architecture, model.options",
        ),
        ({"model": {**PLAIN, "encoder": "resnet18"}}, "model.encoder"),
        ({"model": {**PLAIN, "initialisation": "he"}}, ""),
        ({"model": {"initialisation": "he"}}, "model.initialisation"),
        ({"head": REGRESSION, "model": {**LAYERS, "pooling": "flatten"}}, "model.pooling"),
        ({"head": REGRESSION, "model": {**LAYERS, "encoder": "resnet18"}}, "model.encoder"),
        ({"model": {"first_layer": "fresh"}}, "model.first_layer"),
        ({"model": {"first_layer": "fresh", "encoder_weights": "imagenet"}}, ""),
        (
            {"model": {"transfer": "face68", "encoder_weights": "imagenet"}},
            "model.encoder_weights",
        ),
        ({"data": {"split": "person", "validation": 0.3}}, "data.split, data.validation"),
        ({"data": {"pairs": [[0, 1]], "leave_out_lookalikes": True}},
         "data.pairs, data.leave_out_lookalikes"),
        ({"data": {"path": "a", "split": "person", "pairs": [[0, 1]]}}, ""),
        ({"data": {"path": "a", "train_count": 5}}, "data.train_count"),
        ({"data": {"split_seed": 1}}, "data.split_seed"),
        ({"data": {"path": "a", "split": "person", "split_seed": 1}}, "data.split_seed"),
        ({"data": {"split_seed": 1, "train_limit": 9}}, ""),
        ({"data": {"box": "points", "box_scale": 2, "box_shift": [0.1, 0]}},
         "data.box, data.box_scale, data.box_shift"),
        ({"data": {"box_scale": 2, "crop": "box"}}, ""),
        ({"optimiser": {"momentum": 0.5}}, "optimiser.momentum"),
        ({"optimiser": {"momentum": 0.5, "name": "sgd"}}, ""),
        ({"trainer": {"animation_faces": 2}}, "trainer.animation_faces"),
        ({"data": {"cache": "none", "cache_mb": 1}}, "data.cache_mb"),
    ],
)  # fmt: skip
def test_settings_that_count_for_nothing(values, expected):
    found = ignored(parse_settings(values))
    assert ", ".join(line.partition(" (")[0] for line in found) == expected
    # A run's settings file says everything, and the same of it counts.
    assert ignored(parse_settings(yaml.safe_load(parse_settings(values).to_yaml()))) == found


def test_conditions_can_be_said():
    """Each in one of the fields, with words that settings fill."""
    sections = [field.annotation for field in Settings.model_fields.values()]
    fields = [field for section in sections for field in section.model_fields.values()]
    found = {c for field in fields for c in field.metadata if isinstance(c, conditions.CountsWhere)}
    assert found == {c for c in vars(conditions).values() if isinstance(c, conditions.CountsWhere)}
    assert all(c.otherwise.format(Settings()) for c in found)


@given(st.text(max_size=40))
def test_assign_never_raises_anything_else(text):
    with contextlib.suppress(SettingsError):
        assign({}, text)


@given(st.binary(max_size=60))
def test_reading_rubbish_gives_a_settings_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("yaml") / "x.yaml"
    path.write_bytes(content)
    try:
        load_settings(path)
    except SettingsError as error:
        assert "x.yaml" in str(error)


def test_yaml_that_is_no_dictionary(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("- 1\n- 2\n")
    with pytest.raises(SettingsError, match="sections"):
        read_yaml(path)
    with pytest.raises(SettingsError, match="cannot read"):
        read_yaml(tmp_path / "missing.yaml")


def test_variables_in_paths(monkeypatch):
    monkeypatch.setenv("SOME_FOLDER", "/somewhere")
    assert expand_path("${SOME_FOLDER}/imm", "data.path") == Path("/somewhere/imm")
    monkeypatch.delenv("SOME_FOLDER")
    with pytest.raises(SettingsError, match=r"data\.path.*not set"):
        expand_path("${SOME_FOLDER}/imm", "data.path")
    monkeypatch.setenv("SOME_FOLDER", "")  # not the current folder
    with pytest.raises(SettingsError, match=r"data\.path.*is empty"):
        expand_path("${SOME_FOLDER}", "data.path")


@pytest.mark.parametrize("key", ["augmentation.flip", "trainer.epochs", "optimiser.lr"])
def test_yes_is_no_number(key):
    values = {}
    assign(values, f"{key}=yes")
    with pytest.raises(SettingsError, match="a number is expected, not yes"):
        parse_settings(values)
    parse_settings({"data": {"grey": True}, "trainer": {"deterministic": False}})
