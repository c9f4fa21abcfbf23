"""Training from Python, with files and with samples in memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import heatkp
from heatkp.cli import main
from heatkp.data.drawn import drawn_sample
from heatkp.errors import CheckpointError, DataError, SettingsError
from heatkp.skeletons import FACE68

SMALL = {
    "epochs": 1,
    "batch_size": 4,
    "encoder": "tu-mobilenetv3_small_050",
    "threads": 1,
    "workers": 0,
    "progress": False,
}
SIZE = "data.size=[64, 64]"


def spots(count, seed=0, size=64):
    """Images with a bright spot at each of two points."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        points = rng.uniform(8, size - 8, (2, 2))
        image = np.zeros((size, size, 3), np.uint8)
        for x, y in points.round().astype(int):
            image[y - 2 : y + 3, x - 2 : x + 3] = 255
        yield image, points


class Torch(torch.utils.data.Dataset):
    """A data set of tuples that counts how often it is asked."""

    def __init__(self, count):
        self.items, self.asked = list(spots(count)), 0

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        self.asked += 1
        return self.items[index]


def test_samples_in_memory(tmp_path, capsys):
    samples = [heatkp.Sample(image, points) for image, points in spots(8)]
    others = [heatkp.Sample(image, points) for image, points in spots(4, 1)]
    out = tmp_path / "mine"
    run = heatkp.train(samples, SIZE, val=others, skeleton=["tip", "root"], head="ce", out=out,
                       **SMALL)  # fmt: skip
    assert capsys.readouterr().out == ""
    assert run.folder == out and run.metrics == json.loads((out / "metrics.json").read_text())
    assert run.metrics["images"] == 4 and run.settings.head.name == "ce"
    assert [p["name"] for p in run.metrics["points"]] == ["tip", "root"]
    assert "mine" in repr(run) and "MAE" in repr(run)
    found = run.model.predict(others[0].image())
    assert found[0].points.shape == (2, 2)
    with pytest.raises(SettingsError, match="given by a program"):
        heatkp.load_data(run.settings.data)
    again = heatkp.train(samples, val=others, resume=out, epochs=2, progress=False)
    assert len((out / "metrics.csv").read_text().splitlines()) == 3 and again.folder == out
    with pytest.raises(CheckpointError, match="held back other samples"):
        heatkp.train(others, val=samples, resume=out, epochs=3, progress=False)


def test_tuples_dictionaries_and_data_sets_are_the_same_samples(tmp_path):
    items = list(spots(6))
    runs = [
        heatkp.train(data, SIZE, out=tmp_path / f"{i}", **SMALL)
        for i, data in enumerate([
            items,
            [{"image": image, "points": points} for image, points in items],
            Torch(6),
            iter(items),
        ])
    ]  # fmt: skip
    maes = [run.metrics["mae_input"] for run in runs]
    assert maes == [maes[0]] * 4


def test_images_of_a_data_set_are_not_kept():
    from heatkp.data.memory import given_samples

    data = Torch(3)
    sample = given_samples(data).labels.samples[1]
    assert data.asked == 3
    assert np.array_equal(sample.rgb(), data.items[1][0]) and data.asked == 4


def test_files_and_settings_in_all_forms(tmp_path):
    faces = tmp_path / "faces"
    assert (
        CliRunner()
        .invoke(main, ["data", "synth", "--n", "8", "--size", "64", str(faces)])
        .exit_code
        == 0
    )
    run = heatkp.train(
        str(faces), "model.stride=2", SIZE, model={"dropout": 0.1}, lr=1e-3,
        out=tmp_path / "run", **SMALL,
    )  # fmt: skip
    settings = run.settings
    assert settings.model.stride == 2 and settings.model.dropout == 0.1
    assert settings.optimiser.lr == 1e-3 and settings.data.path == str(faces)
    assert run.model.skeleton.point_names == FACE68.point_names


def test_an_encoder_of_ones_own(tmp_path):
    encoder = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 8, 8), torch.nn.ReLU())
    options = {**SMALL, "encoder": encoder}
    samples = list(spots(6))
    run = heatkp.train(samples, SIZE, out=tmp_path / "run", **options)
    assert "Sequential" in (run.folder / "settings.yaml").read_text()
    points = run.model.predict(samples[0][0])[0].points
    with pytest.raises(CheckpointError, match=r"Sequential.*encoder="):
        heatkp.load_model(run.folder)
    again = heatkp.load_model(run.folder, encoder=encoder).predict(samples[0][0])[0].points
    assert np.array_equal(points, again)
    more = heatkp.train(samples, resume=run.folder, epochs=2, encoder=encoder, progress=False)
    assert more.model.predict(samples[0][0])[0].points.shape == (2, 2)


def test_samples_take_any_image(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    image, points = next(spots(1))
    path = tmp_path / "a.png"
    pillow.fromarray(image).save(path)
    forms = [path, str(path), pillow.fromarray(image), image / 255.0,
             torch.from_numpy(image).permute(2, 0, 1), lambda: image]  # fmt: skip
    for form in forms:
        assert np.array_equal(heatkp.Sample(form, points).rgb(), image)
    assert heatkp.Sample(path, points).id == "a"


def test_visibility_in_its_forms():
    points = [[1.0, 2.0], [np.nan, np.nan], [3.0, 4.0]]
    image = np.zeros((4, 4), np.uint8)
    assert heatkp.Sample(image, points).visibility.tolist() == [2, 0, 2]
    assert heatkp.Sample(image, points, [True, False, False]).visibility.tolist() == [2, 0, 0]
    assert heatkp.Sample(image, points, [1, 0, 2]).visibility.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("data", "options", "kind", "words"),
    [
        ([], {}, DataError, "no samples"),
        ([(np.zeros((8, 8), np.uint8),)], {}, DataError, "tuple is no sample"),
        ([{"image": 1}], {}, DataError, "image"),
        ([{"image": 1, "points": [], "label": 2}], {}, DataError, "label"),
        (5, {}, DataError, "int"),
        (list(spots(4)), {"skeleton": ["one"]}, SettingsError, "2 points, but 1"),
        (list(spots(4)), {"skeleton": "cat"}, SettingsError, "face68"),
        (list(spots(4)), {"val": []}, DataError, "no samples"),
        ([*spots(2), (np.zeros((9, 9), np.uint8), np.ones((3, 2)))], {}, DataError, "2 points.* 3"),
        (None, {"val": [1]}, SettingsError, "val"),
        (None, {"colour": 1}, SettingsError, "colour"),
        (None, {"grey": True}, SettingsError, r"data\.grey and augmentation\.grey"),
        (None, {"head": "cat"}, SettingsError, "cat"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, data, options, kind, words):
    with pytest.raises(kind, match=words):
        heatkp.train(data, out=tmp_path / "run", progress=False, **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[1.0]],), r"\(K, 2\)"),
        (([[1.0, 2.0]], [1, 1]), "visibility"),
        (([[1.0, 2.0]], [5]), "0, 1 and 2"),
        (([[np.nan, 2.0]], [2]), "point 0"),
        (([[1.0, 2.0]], None, [1, 2, 3]), "edges"),
        ((["a"],), "numbers"),
    ],
)
def test_labels_that_do_not_fit(arguments, words):
    with pytest.raises(DataError, match=words):
        heatkp.Sample(np.zeros((4, 4), np.uint8), *arguments)


def test_all_that_is_exported_is_there():
    for name in heatkp.__all__:
        assert getattr(heatkp, name) is not None
    assert drawn_sample(0, 0, FACE68, 64).id


def test_the_snippets_of_the_python_api(tmp_path, monkeypatch):
    """The calls that a user would write first, as one."""
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(main, ["data", "synth", "--n", "10", "--size", "64", "faces"])
    assert made.exit_code == 0
    small = {key: SMALL[key] for key in ("encoder", "threads", "workers", "batch_size")}
    run = heatkp.train("faces/", SIZE, head="kl", epochs=1, **small)
    assert run.metrics["images"] and run.folder.is_dir() and isinstance(run.model, heatkp.Predictor)
    model = heatkp.load_model(run.folder, device="auto")
    image = run.model.predict("faces/images/000000.png").draw("faces/images/000000.png")
    x = [
        "faces/images/000000.png", "faces/images", image[..., 0], image, image / 255.0,
        np.dstack([image, image[..., :1]]), torch.from_numpy(image).permute(2, 0, 1),
        torch.from_numpy(np.stack([image, image])).permute(0, 3, 1, 2),
    ]  # fmt: skip
    counts = [len(model.predict(one)) for one in x]
    assert counts == [1, 10, 1, 1, 1, 1, 1, 2]
    found, maps = model.predict(image), model.heatmaps(image)
    assert maps[0].maps.shape == (68, 16, 16) and maps[0].matrix.shape == (2, 3)
    assert found.draw(image).shape == image.shape and heatkp.plot(found, image) is not None
    assert heatkp.plot(maps, image) is not None
    model.save("my-model")
    assert repr(heatkp.load_model("my-model")) == repr(model)
    metrics = heatkp.evaluate(np.zeros((2, 3, 2)), np.ones((2, 3, 2)))
    assert set(metrics) <= {*run.metrics, "normalised"}
