"""A run's finder goes with its points: in saved files, folders to share, and from the hub."""

from __future__ import annotations

import json

import numpy as np
import pytest

import heatkp as library
from heatkp.errors import CheckpointError, SettingsError
from heatkp.inference.finder import Finder
from heatkp.runs import FINDER, WEIGHTS, load_finder, read_weights, save_weights
from tests.conftest import heatkp

NAME = "hf://ann/crowds"


@pytest.fixture(scope="module")
def image(crowds):
    return sorted((crowds / "images").glob("*.png"))[0]


def told(model, image):
    return [(*one.box, one.box_score, *one.points.ravel()) for one in model.predict(image)]


def test_saved_models_find_their_objects(both, image, tmp_path):
    model = library.load_model(both, "cpu")
    model.detector = model.detector.with_options(most=2, nms=0.7, min_score=0.01, tile=0)
    expected = told(model, image)
    assert 1 <= len(expected) <= 2
    for place, source in (("saved", model.save("saved")), ("one.safetensors", None)):
        source = source or model.save(tmp_path / "file" / place)
        other = library.load_model(source if source.name != WEIGHTS else source.parent, "cpu")
        assert isinstance(other.detector, Finder) and other.usual_passes == 1
        assert (other.detector.most, other.detector.nms) == (2, 0.7)
        assert other.detector.min_score == 0.01
        np.testing.assert_array_equal(told(other, image), expected)
    before, after = (read_weights(folder / FINDER)[1] for folder in (both, tmp_path / "saved"))
    for key in ("training", "validation", "size", "task"):
        assert before[key] == after[key] is not None
    with pytest.raises(SettingsError, match="exists already"):
        model.save("saved")
    model.save("saved", overwrite=True)
    # A model without a finder is not given another's.
    model.detector = "auto"
    for overwrite in (False, True):
        with pytest.raises(SettingsError, match="another folder"):
            model.save("saved/points.safetensors", overwrite)
    assert (tmp_path / "saved" / FINDER).is_file()
    alone = model.save("points")
    assert not (tmp_path / "points" / FINDER).exists()
    assert read_weights(alone)[1]["settings"]["trainer"]["task"] == "points"


def test_folders_to_share_have_the_finder(both, image, tmp_path):
    model = library.load_model(both, "cpu")
    model.save_pretrained("shared")
    files = {p.name for p in (tmp_path / "shared").iterdir()}
    assert files == {WEIGHTS, FINDER, "config.json", "README.md"}
    other = library.load_model("shared", "cpu")
    np.testing.assert_array_equal(told(other, image), told(model, image))
    card = (tmp_path / "shared" / "README.md").read_text()
    assert "It finds its objects by itself" in card and "at most 3 boxes" in card
    assert "recall of objects" in card and "--box" not in card and "needs boxes" not in card
    model.detector = "auto"
    model.save_pretrained("shared", overwrite=True)
    assert not (tmp_path / "shared" / FINDER).exists()
    card = (tmp_path / "shared" / "README.md").read_text()
    assert "by itself" not in card and "--box" in card
    done = heatkp("push", both, "ann/crowds", "--folder", tmp_path / "pushed")
    assert done.exit_code == 0, done.output
    settings = read_weights(tmp_path / "pushed" / FINDER)[1]["settings"]
    assert "/" not in json.dumps(settings["data"]["path"])  # no folder of this computer
    assert load_finder(tmp_path / "pushed").min_score == 0.0


def test_the_hub_s_finder_is_found_in_the_cache(both, image, cache):
    cache("ann/crowds", both / WEIGHTS, both / FINDER)
    other, own = library.load_model(NAME, "cpu"), library.load_model(both, "cpu")
    assert isinstance(other.detector, Finder)
    np.testing.assert_array_equal(told(other, image), told(own, image))


def test_a_finder_from_the_hub_names_no_code(both, cache, tmp_path):
    state, description = read_weights(both / FINDER)
    description["settings"]["model"]["encoder"] = "evil:make"
    finder = load_finder(both).model
    finder.load_state_dict(state)
    save_weights(tmp_path / FINDER, finder, description)
    cache("ann/crowds", both / WEIGHTS, tmp_path / FINDER)
    with pytest.raises(CheckpointError, match="names code"):
        library.load_model(NAME, "cpu")


def test_points_alone_ask_for_no_finder(both, tmp_path, network):
    model = library.load_model(both, "cpu")
    model.detector = "auto"
    asked = network(model.save("points"))
    assert library.load_model(NAME, "cpu").detector == "auto"
    assert {file for _, file, _ in asked} == {WEIGHTS}
