from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from heatkp.config import Settings, assign, expand_path, load_settings, parse_settings, read_yaml
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
