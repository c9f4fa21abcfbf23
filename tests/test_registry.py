"""Extensions by name: heatkp's own, other packages', and those made in a program."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

import heatkp.registry as registry_module
from heatkp.errors import ExtensionError, SettingsError, UnknownNameError
from heatkp.registry import DECODERS, HEADS, RUNTIMES, Registry


class Distribution:
    def __init__(self, name):
        self.name = name


class Entry:
    """An entry point of a package that is not installed."""

    def __init__(self, name, package, load):
        self.name, self.value, self.dist = name, f"{package}:{name}", Distribution(package)
        self.load = load


@pytest.fixture
def registry(monkeypatch):
    """A registry of heads with the given entry points."""

    def make(*entries, module="heatkp.models.heads"):
        monkeypatch.setattr(registry_module, "entry_points", lambda group: list(entries))
        return Registry("head", module, "heatkp.heads")

    return make


def test_names_are_the_files(root):
    for found, folder, least in (
        (HEADS, "models/heads", 7),
        (DECODERS, "heatmaps/decoders", 7),
        (RUNTIMES, "engine/runtimes", 1),
    ):
        files = {p.stem for p in (root / "heatkp" / folder).glob("*.py") if p.stem[0] != "_"}
        assert files == set(found) and len(found) == len(files) >= least
        assert found.usable().keys() == files  # each registers itself under its file's name


def test_listing_names_imports_nothing():
    script = (
        "import sys; from heatkp.registry import HEADS, DECODERS, RUNTIMES\n"
        "assert 'kl' in HEADS and 'argmax' in list(DECODERS) and 'torch' in list(RUNTIMES)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_another_package_is_loaded_when_it_is_used(registry):
    loaded = []

    def load():
        loaded.append(1)
        heads.register("theirs", str, "theirs.module.Head")

    heads = registry(Entry("theirs", "theirs", load))
    assert "theirs" in heads and not loaded
    assert heads["theirs"] is str and heads["theirs"] is str and loaded == [1]


def test_a_broken_package_is_named_and_breaks_nothing_else(registry):
    def load():
        raise ImportError("no module named nowhere")

    heads = registry(Entry("broken", "their-package", load), Entry("empty", "other", lambda: None))
    assert {"broken", "kl"} <= set(heads)
    with pytest.raises(ExtensionError, match=r"their-package.*nowhere") as caught:
        heads["broken"]
    with pytest.raises(ExtensionError, match=r"other.*registers nothing"):
        heads["empty"]

    only = registry(Entry("broken", "their-package", load), module="heatkp.nowhere")
    only.register("mine", int, "__main__.Mine")
    assert only.usable() == {"mine": int}
    assert only.load_all()[1] == [str(caught.value)]


@pytest.mark.parametrize("name", ["theirs", "kl"])
def test_two_of_one_name_are_refused_with_both_packages(registry, name):
    heads = registry(*(Entry(name, package, lambda: None) for package in ("one", "two")))
    with pytest.raises(ExtensionError) as caught:
        heads[name]
    text = str(caught.value)
    assert "one" in text and "two" in text and ("heatkp" in text) == (name == "kl")


def test_names_in_a_program(registry):
    heads = registry()
    heads.register("mine", int, "__main__.Mine")
    heads.register("mine", float, "__main__.Mine")  # as when a notebook's cell runs again
    assert heads["mine"] is float
    with pytest.raises(ExtensionError, match=r"__main__\.Mine.*other\.Mine"):
        heads.register("mine", str, "other.Mine")
    with pytest.raises(ExtensionError, match="'kl' of its own"):
        heads.register("kl", str, "__main__.KL")


def test_unknown_names():
    with pytest.raises(UnknownNameError, match=r"no head 'softagmax'.*softargmax") as caught:
        HEADS["softagmax"]
    assert isinstance(caught.value, SettingsError) and isinstance(caught.value, KeyError)
    assert "\\" not in str(caught.value) and str(caught.value)[0] != '"'
    assert HEADS.get("nothing") is None and 3 not in HEADS


def test_entry_points_of_the_library_are_as_assumed():
    entry = EntryPoint("x", "package.module:attribute", "heatkp.heads")
    assert entry.dist is None and entry.value.partition(":")[0] == "package.module"
