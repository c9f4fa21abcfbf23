"""Space files: read, checked, turned into settings, grids and names."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from heatkp.errors import SettingsError
from heatkp.sweeps.space import FRAMING, folder_safe, parse_space
from heatkp.sweeps.space_file import read_space_file, text

BASE = {"trainer": {"epochs": 3, "batch_size": 8}}

FULL = """
name: "{net}_{lr}_{batch_size}_{trainer.epochs}_{head.name}"
optimiser.lr: {low: 1e-4, high: 1e-2, log: true}
trainer.batch_size: {low: 4, high: 16, step: 4}
model.dropout: {low: 0, high: 0.5, step: 0.25}
model.hidden: {choices: [[], [64], [64, 32]]}
net:
  variants:
    small: {model.stride: 4, head.sigma: 1}
    large: {model.stride: 2, head.sigma: 1.5e+0}
"""


def space(content, base=BASE):
    return parse_space(yaml.safe_load(content), base, "space.yaml")


def test_settings_of_a_trial():
    found = space(FULL)
    chosen = {
        "optimiser.lr": 0.00123456, "trainer.batch_size": 12, "model.dropout": 0.25,
        "model.hidden": "64,32", "net": "large",
    }  # fmt: skip
    settings = found.settings(chosen)
    assert settings.optimiser.lr == 0.00123456 and settings.trainer.batch_size == 12
    assert settings.model.hidden == [64, 32] and settings.model.dropout == 0.25
    assert settings.model.stride == 2 and settings.head.sigma == 1.5
    assert settings.trainer.epochs == 3
    assert found.run_name(chosen) == "large_0.00123_12_3_softargmax"
    assert BASE == {"trainer": {"epochs": 3, "batch_size": 8}} and found.base == BASE


def test_integers_are_those_of_the_setting():
    """0 to 1 is a fraction for dropout, but 1 to 2 are whole numbers for epochs."""
    found = space("model.dropout: {low: 0, high: 0.5}\ntrainer.epochs: {low: 1, high: 2}")
    assert [p.whole for p in found.parameters] == [False, True]
    shares = space("augmentation.flip: {low: 0, high: 1}")
    assert not shares.parameters[0].whole


def test_grid():
    content = """
optimiser.lr: {choices: [1e-3, 3e-4]}
trainer.batch_size: {low: 2, high: 6, step: 2}
"""
    found = space(content)
    combinations = list(found.grid())
    assert combinations[:3] == [
        {"optimiser.lr": "0.001", "trainer.batch_size": n} for n in (2, 4, 6)
    ]
    assert len(combinations) == 6
    assert found.settings(combinations[3]).optimiser.lr == 3e-4
    assert found.run_name(combinations[3]) == "lr=0.0003,batch_size=2"
    shares = space("model.dropout: {low: 0, high: 0.3, step: 0.1}").parameters[0].grid()
    assert shares == [0.0, 0.1, 0.2, 0.3]
    with pytest.raises(SettingsError, match="low, high and step"):
        list(space("optimiser.lr: {low: 1e-4, high: 1e-2}").grid())


def test_choices_with_names():
    found = space("model.hidden: {choices: {none: [], wide: [512, 512]}}")
    assert [c["model.hidden"] for c in found.grid()] == ["none", "wide"]
    assert found.settings({"model.hidden": "wide"}).model.hidden == [512, 512]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", ["nothing varies"]),
        ("name: '{lr}'", ["nothing varies"]),
        ("optimiser.lr: 3", ["optimiser.lr", "choices"]),
        ("optimiser.lr: {choices: []}", ["optimiser.lr, choices", "at least one"]),
        ("optimiser.lr: {choices: [1e-3, -1]}", ["optimiser.lr, -1", "greater than 0"]),
        ("optimiser.lr: {choices: [1e-3, 0.001]}", ["two choices", "0.001"]),
        ("optimiser.lr: {choices: [1e-3], low: 2}", ["optimiser.lr, low", "unknown key"]),
        ("optimiser.rate: {choices: [1e-3]}", ["optimiser.rate", "unknown key", "lr"]),
        ("lr: {choices: [1e-3]}", ["lr", "section.key"]),
        ("lr: {low: 0.1, high: 0.2}", ["lr", "section.key"]),
        ("optimizer.lr: {choices: [1e-3]}", ["optimizer", "unknown key", "optimiser"]),
        ("optimiser.lr: {low: 0.1}", ["optimiser.lr, high", "missing"]),
        (
            "optimiser.lr: {low: 0.1, high: 0.2, lgo: true}",
            ["optimiser.lr, lgo", "log: true"],
        ),
        ("optimiser.lr: {low: 0.2, high: 0.1}", ["optimiser.lr", "low 0.2", "high 0.1"]),
        ("optimiser.lr: {low: 0.1, high: fast}", ["optimiser.lr, high", "number", "'fast'"]),
        ("optimiser.lr: {low: .nan, high: 1}", ["optimiser.lr, low", "number", "nan"]),
        ("optimiser.lr: {low: 0, high: 1, log: true}", ["log"]),
        ("optimiser.lr: {low: 1, high: 2, log: 1}", ["optimiser.lr, log", "boolean"]),
        ("optimiser.lr: {low: 1, high: true}", ["optimiser.lr, high", "number", "True"]),
        ("optimiser.lr: {choices: 3}", ["optimiser.lr, choices", "list"]),
        ("net: {variants: {a: {}}}", ["net, variants, a", "at least one"]),
        ("name: ' '\noptimiser.lr: {choices: [1]}", ["name", "1 character"]),
        (
            "optimiser.lr: {low: 0.1, high: 1, step: -1}",
            ["step", "greater than 0", "-1"],
        ),
        ("model.dropout: {low: 0, high: 1.5}", ["model.dropout, 1.5", "less than 1"]),
        ("net: {variants: [1]}", ["net, variants", "names"]),
        ("net: {variants: {a: 3}}", ["net, variants, a", "settings below it"]),
        ("net: {variants: {a: {lr: 3}}}", ["net, variants, a, lr", "section.key"]),
        ("net: {variants: {a: {model.strid: 2}}}", ["net, a", "model.strid", "unknown key"]),
        (
            "net: {variants: {a: {optimiser.lr: 1}}}\noptimiser.lr: {choices: [1]}",
            ["net and optimiser.lr both set optimiser.lr"],
        ),
        ("data.split: {choices: [person, random]}", ["data.split", "validated on"]),
        ("name: '{lrr}'\noptimiser.lr: {choices: [1]}", ["{lrr}", "lr"]),
        ("name: 3\noptimiser.lr: {choices: [1]}", ["name", "string", "3"]),
    ],
)
def test_refused(content, words):
    with pytest.raises(SettingsError) as error:
        space(content)
    for word in words:
        assert word in str(error.value), str(error.value)


def test_all_errors_are_said_at_once():
    with pytest.raises(SettingsError) as error:
        space("optimiser.lr: {low: 0.1}\nnet: {variants: {a: {lr: 3}}}")
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize("content", [[1], "optimiser.lr", 3, {"optimiser.lr": 3}])
def test_values_of_python_that_are_no_space(content):
    with pytest.raises(SettingsError, match="expected"):
        parse_space(content, BASE)


def test_values_of_python():
    """Tuples and numpy's numbers, as a program has them."""
    content = {
        "model.hidden": {"choices": ((), (64,))},
        "trainer.epochs": {"low": np.int64(2), "high": np.int64(4)},
        "optimiser.lr": {"low": np.float32(0.25), "high": np.float64(0.5)},
    }
    hidden, epochs, rate = parse_space(content, BASE).parameters
    assert [hidden.value(label) for label in hidden.grid()] == [[], [64]]
    assert epochs.whole and epochs.extremes() == [2, 4]
    assert not rate.whole and rate.extremes() == [0.25, 0.5]


def test_values_to_show():
    """A setting's value, but the name of a choice or a variant that has one."""
    found = space(
        "optimiser.lr: {choices: [1e-3, 1e-4]}\nmodel.hidden: {choices: {none: []}}\n"
        "net: {variants: {a: {model.stride: 2}}}\nmodel.dropout: {low: 0, high: 0.5}"
    )
    drawn = {"optimiser.lr": "0.001", "model.hidden": "none", "net": "a", "model.dropout": 0.25}
    assert found.values(drawn) == {"lr": 1e-3, "hidden": "none", "net": "a", "dropout": 0.25}
    assert found.values({}) == {}


def test_whole_numbers_that_are_written_with_a_point():
    (epochs,) = space("trainer.epochs: {low: 1.0, high: 4.0, step: 2.0}").parameters
    assert epochs.whole and epochs.grid() == [1, 3]
    assert epochs.distribution().to_internal_repr(3) == 3 and epochs.distribution().high == 3


def test_base_must_be_valid():
    with pytest.raises(SettingsError, match=r"trainer\.epochs"):
        space("optimiser.lr: {choices: [1]}", {"trainer": {"epochs": 0}})


def test_input_pixels_do_not_compare_between_sizes():
    assert "data.size" in FRAMING
    assert space(
        "data.size: {choices: [[64, 64], [96, 96]]}", {"data": {"path": "x"}}
    ).varies_framing
    assert not space("optimiser.lr: {choices: [1]}").varies_framing


@pytest.mark.parametrize(
    "content",
    ["data.size: {choices: [[64, 64], [96, 96]]}", "net: {variants: {a: {data.size: [64, 64]}}}"],
)
def test_drawn_faces_of_several_sizes_do_not_compare(content):
    """Their images are as large as the input, so the smallest would have the smallest errors."""
    with pytest.raises(SettingsError) as error:
        space(content)
    for word in ("drawn as large as data.size", "heatkp data synth", "data.path"):
        assert word in str(error.value)
    # Other framings are of the same images, and so are other sizes of images in files.
    assert space("data.crop: {choices: [image, box]}").varies_framing
    assert space(content, {"data": {"path": "x"}}).varies_framing


NAMES = """
switch:
  variants:
    on: &shared {augmentation.flip: 0.5, data.grey: yes}
    off: {<<: *shared, augmentation.flip: 0}
    010: {augmentation.flip: 0.1}
    2024-01-01: {augmentation.flip: 1e-1}
model.hidden: {choices: {no: [], yes: [64]}}
"""


def test_names_are_as_they_are_written(tmp_path):
    """YAML reads some as booleans, octal numbers or dates."""
    path = tmp_path / "space.yaml"
    path.write_text(NAMES)
    found = parse_space(read_space_file(path), BASE, "space.yaml")
    assert [list(p.options) for p in found.parameters] == [
        ["on", "off", "010", "2024-01-01"], ["no", "yes"],
    ]  # fmt: skip
    chosen = {"switch": "off", "model.hidden": "yes"}
    settings = found.settings(chosen)
    assert settings.augmentation.flip == 0 and settings.data.grey and settings.model.hidden == [64]
    assert found.run_name(chosen) == "switch=off,hidden=yes"
    assert found.content == json.loads(json.dumps(found.content))


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("", "nothing varies"),
        ("- 1", "must hold"),
        ("a: [", "not valid YAML"),
        (None, "cannot read"),
    ],
)
def test_files_that_are_no_spaces(tmp_path, written, words):
    path = tmp_path / "space.yaml"
    if written is not None:
        path.write_text(written)
    with pytest.raises(SettingsError, match=words):
        parse_space(read_space_file(path), BASE, str(path))


@given(st.text(max_size=200))
def test_names_are_single_folders(name):
    safe = folder_safe(name)
    assert 0 < len(safe) <= 120 and safe not in (".", "..")
    assert not set(safe) & set('/\\:*?"<>| \n\0')
    assert folder_safe(safe) == safe


@given(st.floats(1e-8, 1e8))
def test_numbers_in_names_are_numbers(value):
    assert float(text(value)) == pytest.approx(value, rel=1e-5)
