"""Models by hub names: what names may be, what is fetched, what is refused, who takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import errors
from hypothesis import example, given
from hypothesis import strategies as st

import heatkp as library
from heatkp.errors import CheckpointError
from heatkp.runs import WEIGHTS, load_run, read_weights, save_weights, weights_path
from heatkp.runs.hub import HubName, is_hub_name, parse_hub_name
from tests.conftest import TINY, heatkp, write_image

NAME = "hf://ann/mouse-paws"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (NAME, HubName("ann/mouse-paws")),
        (f"{NAME}@v1.0", HubName("ann/mouse-paws", "v1.0")),
        (f"{NAME}@refs/pr/1", HubName("ann/mouse-paws", "refs/pr/1")),
        ("hf:/ann/mouse_paws.2", HubName("ann/mouse_paws.2")),
        (Path("hf://a/b@main"), HubName("a/b", "main")),
    ],
)
def test_names(text, name):
    assert is_hub_name(text) and parse_hub_name(text) == name
    assert parse_hub_name(str(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "hf://", "hf://mouse", "hf:///etc/passwd", "hf://a/b/c", "hf://../b", "hf://a/..",
        "hf://a/b--c", "hf://a/.b", "hf://a/b.git", "hf://a/b@", "hf://a/b@../../x", "hf://a/b@/x",
        "hf://a/b@x y", "hf://a/b@x//y", "hf://a b/c", "hf://a/" + "b" * 96, "hf://a/b\n", "hf://é/b",
        "hf://a/b@-x", "hf://a@b/c",
    ],
)  # fmt: skip
def test_names_that_cannot_be(text):
    with pytest.raises(CheckpointError, match=r"Hugging Face hub|revision"):
        weights_path(text)


@given(st.text(max_size=40), st.booleans())
@example("../..@x", True)
def test_no_name_leaves_the_cache_folder(text, prefixed):
    text = f"hf://{text}" if prefixed else text
    try:
        name = parse_hub_name(text)
    except CheckpointError as error:
        assert str(error)
        return
    owner, repository = name.repository.split("/")
    for part in (owner, repository, *(name.revision or "main").split("/")):
        assert part not in ("", ".", "..") and not set(part) & set("\\:\0 \n")


def test_a_model_in_the_cache_answers_as_its_run(cache, tiny_run, tmp_path):
    image = write_image(tmp_path / "a.png")
    snapshot = cache("ann/mouse-paws", tiny_run / WEIGHTS)
    cache("ann/mouse-paws", revision="v1")
    (snapshot / "evil.py").write_text("raise SystemExit")
    expected = library.load_model(tiny_run, "cpu").predict(image)[0].points
    for name in (NAME, f"{NAME}@v1", Path(NAME)):
        found = library.load_model(name, "cpu").predict(image)[0].points
        np.testing.assert_array_equal(found, expected)
    assert weights_path(NAME) == snapshot / WEIGHTS


def test_only_the_weights_are_asked_for(network, tiny_run):
    asked = network(tiny_run / WEIGHTS)
    load_run(f"{NAME}@v2")
    assert asked == [("ann/mouse-paws", WEIGHTS, "v2")]


def error_of(kind, text="no\nfurther lines"):
    """The library's error, made without its constructor, which differs between versions."""
    error = kind.__new__(kind)
    Exception.__init__(error, text)
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (error_of(errors.RepositoryNotFoundError), "is not on the Hugging Face hub"),
        (error_of(errors.GatedRepoError), "terms to be accepted"),
        (error_of(errors.RevisionNotFoundError), "has no revision v2"),
        (error_of(errors.EntryNotFoundError), "holds no model of heatkp"),
        (error_of(errors.LocalEntryNotFoundError), "cannot be reached"),
        (error_of(errors.OfflineModeIsEnabled), "cannot be reached"),
        (error_of(errors.HfHubHTTPError, "500 Server Error\nmore"), "500 Server Error"),
        (ConnectionError("refused"), "refused"),
        (OSError(28, "No space left on device"), "No space left"),
    ],
)
def test_what_goes_wrong_is_said(network, error, words):
    network(error)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_run(f"{NAME}@v2")
    assert str(caught.value).startswith(f"{NAME}@v2 ") and "\n" not in str(caught.value)


def test_offline_without_a_copy(cache):
    with pytest.raises(CheckpointError, match="cannot be reached"):
        load_run(NAME)
    result = heatkp("predict", "a.png", "--model", NAME)
    assert result.exit_code != 0 and "Traceback" not in result.output


def test_weights_of_something_else(cache, tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(2, np.float32)}, tmp_path / WEIGHTS)
    cache("ann/mouse-paws", tmp_path / WEIGHTS)
    with pytest.raises(CheckpointError, match="not a heatkp model's"):
        load_run(NAME)


def changed(run, target, **model):
    """The run's weights with other settings of section `model`."""
    loaded = load_run(run)
    _, description = read_weights(run / WEIGHTS)
    description["settings"]["model"].update(model)
    description["settings"]["data"]["cache"] = "/somewhere"
    save_weights(target, loaded.model, description)
    return target


@pytest.mark.parametrize(
    "model",
    [
        {"encoder": "os:system"},
        {"encoder": "tu-hf-hub:ann/other"},
        {"options": {"checkpoint_path": "secret.pt"}},
        {"options": {"pretrained": True}},
    ],
)
def test_nothing_from_the_hub_names_code_or_files(cache, tiny_run, tmp_path, model):
    cache("ann/mouse-paws", changed(tiny_run, tmp_path / WEIGHTS, **model))
    with pytest.raises(CheckpointError, match="names code or files"):
        load_run(NAME)


def test_nothing_from_the_hub_chooses_a_folder(cache, tiny_run, tmp_path):
    cache("ann/mouse-paws", changed(tiny_run, tmp_path / WEIGHTS))
    assert load_run(NAME).settings.data.cache == "auto"


def test_all_commands_take_hub_names(cache, tiny_run, tmp_path):
    cache("ann/mouse-paws", tiny_run / WEIGHTS)
    write_image(tmp_path / "a.png")
    for arguments in (
        ["predict", "a.png", "--model", NAME, "--no-images", "--out", "found"],
        ["eval", NAME],
        ["train", *TINY, "--epochs", "1", "--set", f"model.init={NAME}", "--out", "on"],
        ["train", *TINY, "--epochs", "1", "--head", "kl", "--set", f"model.transfer={NAME}@main",
         "--out", "other"],
        ["push", NAME, "--folder", "copy"],
    ):  # fmt: skip
        result = heatkp(*arguments)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "eval-val.json").is_file() and not (tmp_path / "hf:").exists()
    for run in ("on", "other"):
        assert NAME in (tmp_path / run / "settings.yaml").read_text()
