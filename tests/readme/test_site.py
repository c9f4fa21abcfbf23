"""What the site is made of: navigation, references from the code, images from our functions."""

from __future__ import annotations

import importlib.util
import re
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

import heatkp
from heatkp import heatmaps
from heatkp.config import Settings
from heatkp.registry import HEADS
from tests.readme.documents import PAGES, ROOT

LARGEST, ALL = 300_000, 2_000_000
"""Bytes of an image, and of all."""


def loaded(name):
    """A module of docs/, which is no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="module")
def reference():
    return loaded("reference")


@pytest.fixture(scope="module")
def figures():
    return loaded("figures")


def test_every_page_is_in_the_navigation():
    class Loader(yaml.SafeLoader):
        pass

    navigation = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"]
    named = set(re.findall(r"[\w/]+\.md", str(navigation)))
    assert {page.removeprefix("docs/") for page in PAGES} <= named


def test_every_setting_has_a_description(reference):
    page = reference.settings_page()
    rows = dict(re.findall(r"^\| `([\w.]+)` \|(.*)\|$", page, re.MULTILINE))
    for section, found in Settings.model_fields.items():
        for name in found.annotation.model_fields:
            kind, default, about = re.split(r"(?<!\\)\|", rows[f"{section}.{name}"])
            assert kind.strip() and default.strip() and len(about) > 8, f"{section}.{name}"
    for head in HEADS:
        assert all(f"head.{name}" in rows for name in HEADS[head].Options.model_fields)


def test_defaults_and_bounds_of_settings_are_the_models(reference):
    page = reference.settings_page()
    assert "| `optimiser.lr` | number (> 0) | `0.003` |" in page
    assert "| `data.size` | list of 2 x whole number (≥ 8 and ≤ 4096) | `[96, 96]` |" in page
    assert "| `model.stride` | `1`, `2`, `4` | `4` |" in page
    assert "| `trainer.compile` | true or false | `false` |" in page


def test_every_option_of_every_command(reference):
    from heatkp.cli import main

    page = reference.commands_page()
    parts = dict(re.findall(r"^## (heatkp .+?)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    every = dict(reference.commands(main))
    assert set(parts) == {" ".join(path) for path in every} and len(parts) > 15
    for path, command in every.items():
        for option in (o for p in command.params for o in p.opts if o.startswith("--")):
            assert f"`{option}" in parts[" ".join(path)] or f"{option}" in parts[" ".join(path)]


def test_public_names_are_in_the_reference():
    text = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^::: heatkp\.(\w+)", text, re.MULTILINE))
    assert named == set(heatkp.__all__) - {"__version__", "heatmaps"} | {"errors"}
    assert "::: heatkp.heatmaps" in (ROOT / "docs/reference/heatmaps.md").read_text()
    assert all((getattr(heatmaps, name).__doc__ or "").strip() for name in heatmaps.__all__
               if callable(getattr(heatmaps, name)) and name.islower())  # fmt: skip


def test_images_are_those_of_the_script_and_small(figures):
    made = {f"{name}.png" for name in figures.FIGURES}
    there = {path.name: path for path in (ROOT / "docs/images").iterdir()}
    assert set(there) == made
    sizes = [path.stat().st_size for path in there.values()]
    assert max(sizes) < LARGEST and sum(sizes) < ALL
    used = {
        name
        for page in PAGES
        for name in re.findall(r"\(images/([\w.]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    }
    assert used == made


@pytest.mark.parametrize("name", ["coordinates", "targets", "losses", "heads", "normalisers"])
def test_the_script_makes_them(figures, name, tmp_path):
    figures.save(figures.FIGURES[name](), tmp_path / "a.png")
    made, kept = Image.open(tmp_path / "a.png"), Image.open(ROOT / f"docs/images/{name}.png")
    assert np.allclose(made.size, kept.size, rtol=0.1)
    assert np.asarray(made.convert("L")).std() > 10


def test_what_the_images_show(figures):
    curves = figures.loss_curves(np.array([0.0, 2.0, 4.0, 8.0]))
    for name, values in curves.items():
        assert values[0] < 1e-3 and values[-1] == pytest.approx(1, abs=0.05), name
    for name in figures.PARABOLAS:  # as the page says: d squared over 64
        assert curves[name] == pytest.approx([0, 1 / 16, 1 / 4, 1], abs=0.01), name
    errors = figures.decoder_errors(np.array([-0.5, 0.25, 0.5]), 0.0)
    assert errors["argmax"].max() == pytest.approx(0.5, abs=1e-3)
    assert max(errors[n].max() for n in ("dark", "quadratic", "expectation")) < 1e-3
    tables = figures.tables()
    assert len(tables) == 5
    for rows in tables.values():
        best = min(rows, key=lambda row: row.mae)
        assert best.head == "ce"  # as the page says
        assert all(row.low <= row.mae <= row.high for row in rows)


def test_citation_and_workflows():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == heatkp.__version__ and citation["license"] == "Apache-2.0"
    flows = {path.stem: yaml.safe_load(path.read_text())
             for path in (ROOT / ".github/workflows").glob("*.yml")}  # fmt: skip
    assert set(flows) == {"tests", "docs", "release", "audit"}
    for flow in flows.values():  # what a job may do beside reading is said where it does it
        assert flow["permissions"] == {"contents": "read"}
    steps = [step for job in flows["release"]["jobs"].values() for step in job["steps"]]
    assert not any("cache" in str(step.get("with", "")) for step in steps)
    assert not any("actions/cache" in step.get("uses", "") for step in steps)
    may = {name: job.get("permissions") for name, job in flows["release"]["jobs"].items()}
    assert may.pop("publish") == {"id-token": "write"} and may.pop("attach") == {
        "contents": "write"
    }
    assert set(may.values()) == {None}
    run = flows["tests"]["jobs"]["tests"]
    assert run["strategy"]["matrix"]["python"][0] == "3.10"
    assert any(step.get("run") == ".ci/run" for step in run["steps"])
