"""`heatkp.plot`, and predictors of networks that were trained in a loop of one's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib import pyplot

import heatkp
from heatkp.errors import DataError, SettingsError

NAMES = ["tip", "left_end", "right_end"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = heatkp.create_model(
        "kl", points=3, size=(64, 48), encoder="tu-mobilenetv3_small_050", stride=4
    )
    return heatkp.Predictor(network, names=NAMES)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def test_points_and_maps_lie_on_the_image(model, image):
    found, maps = model.predict(image), model.heatmaps(image)
    axis = heatkp.plot(maps, image)
    assert heatkp.plot(found, axis=axis, names=True) is axis
    assert axis.get_xlim() == (-0.5, 127.5) and axis.get_ylim() == (95.5, -0.5)
    assert {text.get_text() for text in axis.texts} == set(NAMES)
    offsets = axis.collections[-1].get_offsets()
    np.testing.assert_allclose(offsets, found[0].points, atol=1e-4)
    drawn = axis.images[1]
    # The middle of the map's first pixel, on the screen and by the affine.
    middle = (drawn.get_transform() - axis.transData).transform((0.0, 0.0))
    np.testing.assert_allclose(middle, maps[0].to_image([0.0, 0.0]), atol=1e-6)


def test_one_map(model, image):
    maps = model.heatmaps(image)[0]
    by_name, by_number = (heatkp.plot(maps, point=p).images[0].get_array() for p in ("tip", 0))
    assert np.array_equal(by_name, by_number)
    with pytest.raises(KeyError, match="nose"):
        heatkp.plot(maps, point="nose")


def test_what_cannot_be_drawn(image):
    with pytest.raises(DataError, match="ndarray"):
        heatkp.plot([image])


def test_a_network_of_ones_own_is_saved_and_loaded(model, image, tmp_path):
    assert model.skeleton.point_names == tuple(NAMES) and model.skeleton.pairs == ((1, 2),)
    file = model.save(tmp_path / "mine")
    assert file == tmp_path / "mine" / "weights.safetensors"
    again = heatkp.load_model(tmp_path / "mine", device="cpu")
    assert again.skeleton.point_names == tuple(NAMES) and repr(again) == repr(model)
    a, b = (m.predict(image)[0].points for m in (model, again))
    np.testing.assert_allclose(a, b, atol=1e-4)
    with pytest.raises(SettingsError, match="overwrite"):
        model.save(tmp_path / "mine")
    assert model.save(tmp_path / "mine", overwrite=True) == file
    assert model.save(tmp_path / "a.safetensors").is_file()
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot write"):
        model.save(tmp_path / "file" / "below")


def test_what_it_was_shown_is_told(tmp_path):
    network = heatkp.create_model(
        "regression", points=68, size=(64, 64), channels=1, encoder="tu-mobilenetv3_small_050"
    )
    model = heatkp.Predictor(network, skeleton="face68", data={"crop": "box", "box_scale": 1.3})
    assert model.framing.box_scale == 1.3 and model.finds_objects
    again = heatkp.load_model(model.save(tmp_path / "m"))
    assert again.framing == model.framing and again.settings.data.grey


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": ["a"]}, "3 points, but 1"),
        ({"names": ["a", "a", "b"]}, "twice"),
        ({"skeleton": "cat"}, "face68"),
        ({"data": {"size": [8, 8]}}, r"data\.size"),
        ({"data": {"crop": "circle"}}, r"data\.crop"),
    ],
)
def test_what_a_network_is_not(options, words):
    network = heatkp.create_model("kl", points=3, size=(32, 32), encoder="tu-mobilenetv3_small_050")
    with pytest.raises(SettingsError, match=words):
        heatkp.Predictor(network, **options)
    network.settings = None
    with pytest.raises(SettingsError, match="create_model"):
        heatkp.Predictor(network)
