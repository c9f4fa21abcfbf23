"""`heatkp viz-heatmaps` and `heatkp viz`."""

from __future__ import annotations

import re
import shutil

import cv2
import numpy as np
import pytest

from heatkp import runs
from heatkp.cli.viz_augmentation import _datasets
from heatkp.config import Head as HeadSettings
from heatkp.config import parse_settings
from heatkp.data.loading import load_data
from heatkp.data.module import KeypointDataModule
from heatkp.evaluation import measure
from heatkp.models import build_model
from heatkp.viz.figures import mean_distance
from tests.cli.test_cli import refused
from tests.conftest import heatkp, write_image, write_imm


def untrained(tiny_run, folder, head, **data):
    """A run like the small one with another head and other data, as if it had trained."""
    loaded = runs.load_run(tiny_run)
    settings = loaded.settings.model_copy(deep=True)
    settings.model.encoder_weights = "none"
    settings.head = HeadSettings(name=head)
    settings.data = settings.data.model_copy(update=data)
    skeleton = loaded.skeleton
    if settings.data.points != "all":
        skeleton = skeleton.subset(settings.data.points)
    model = build_model(settings, len(skeleton))
    folder.mkdir()
    shutil.copy(tiny_run / runs.HISTORY, folder)
    description = runs.describe(settings, skeleton)
    runs.save_weights(folder / runs.WEIGHTS, model, description)
    return folder


@pytest.fixture
def regression_run(tiny_run, tmp_path_factory):
    return untrained(tiny_run, tmp_path_factory.mktemp("runs") / "regression", "regression")


@pytest.fixture
def four_points(tiny_run, tmp_path):
    """Few points are drawn faster."""
    return untrained(tiny_run, tmp_path / "run", "softargmax", points=[30, 36, 45, 8])


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def words(result):
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_validation_samples(four_points, monkeypatch):
    seen = []
    whole = measure.predict_dataset

    def spy(*arguments, **more):
        seen.append(whole(*arguments, **more))
        return seen[-1]

    monkeypatch.setattr(measure, "predict_dataset", spy)
    text = words(heatkp("viz-heatmaps", four_points, "--samples", 1, "--points", "3,jaw_8,0-1"))
    folder = four_points / "heatmaps"
    stems = ["best-1", "median-1", "worst-1"]
    files = [f"{s}{end}.png" for s in stems for end in ("-maps", "")]
    assert names(folder) == sorted([*files, "worst_points.png"])
    assert all(cv2.imread(str(path)) is not None for path in folder.iterdir())
    page = cv2.imread(str(folder / "best-1.png")).shape
    assert page[1] == pytest.approx(3 * 1.1 * 2.3 * 110, abs=2)
    assert "heatmaps" in text and "worst_points.png" in text and "true point" in text
    assert len(mean_distance(seen[0])) == 12


def test_the_best_is_the_best(tiny_run, tmp_path, monkeypatch):
    from heatkp.viz import maps

    shown = {}
    monkeypatch.setattr(maps, "page", lambda view, s, points, path: shown.update(
        {path.stem: (view, points)}))  # fmt: skip
    monkeypatch.setattr(maps, "sheet", lambda *arguments: None)
    words(heatkp("viz-heatmaps", tiny_run, "--out", tmp_path / "new" / "maps", "--samples", 2))
    stated = {k: float(re.search(r"error ([\d.]+) px", v.title)[1]) for k, (v, _) in shown.items()}
    for name, (view, points) in shown.items():
        assert np.nanmean(view.error) == pytest.approx(stated[name], abs=0.006)
        assert points == maps.hardest_points(view) and len(points) == 6
    order = ["best-1", "best-2", "median-1", "worst-2", "worst-1"]
    values = [stated[name] for name in order]
    assert values == sorted(values) and len(set(values)) > 2
    assert stated["best-2"] <= stated["median-2"] <= stated["worst-2"]


def test_photos(four_points, tmp_path):
    photo = write_image(tmp_path / "a b$.png")
    other = write_image(tmp_path / "other" / "a b$.png", seed=1)
    out = tmp_path / "out"
    out.mkdir()
    command = ["viz-heatmaps", four_points, photo, other, "--out", out, "--points", "nose_tip"]
    text = words(heatkp(*command))
    stems = ["image-1-a b$", "image-2-a b$"]
    assert names(out) == sorted(f"{s}{end}.png" for s in stems for end in ("-maps", ""))
    assert "worst_points" not in text
    width = cv2.imread(str(out / "image-1-a b$.png")).shape[1]
    assert width == pytest.approx(2 * 1.1 * 2.3 * 110, abs=2)


def test_bad_heatmaps(tiny_run, regression_run, tmp_path):
    out = tmp_path / "out"
    photo = write_image(tmp_path / "a.png")
    command = ["viz-heatmaps", tiny_run, "--out", out]
    refused([*command, "--points", "30,68"], "'68'", "0 to 67", out=out)
    refused([*command, "--points", "nose"], "'nose'", "names such as", out=out)
    refused([*command, "--points", "0-67"], "68 points", "20 fit", out=out)
    refused([*command, photo, tmp_path / "no.png"], "no.png does not exist", out=out)
    refused([*command, photo, "--samples", 1], "--samples", out=out)
    refused([*command, photo, "--box", "1,2,3,4"], "whole images", out=out)
    refused([*command, "--box", "1,2,3,4"], "1 boxes for 0 images", out=out)
    for box in ("1,2,3", "1,2,x,4", "9,2,3,4", "nan,2,3,4", "1,2,inf,4"):
        refused([*command, photo, "--box", box], "four numbers", box, out=out)
    refused(["viz-heatmaps", tmp_path / "none"], "no run folder or checkpoint")
    refused(["viz-heatmaps", tiny_run, photo, "--out", photo], "cannot write", "not a folder")
    refused(["viz-heatmaps", tiny_run, photo, "--out", photo / "x" / "y"], "not a folder")
    refused(["viz-heatmaps", regression_run, "--out", out], "regression", "without maps", out=out)


def test_a_run_whose_data_is_gone(tiny_run, tmp_path):
    gone, out = str(tmp_path / "faces"), tmp_path / "out"
    run = untrained(tiny_run, tmp_path / "run", "argmax", path=gone, crop="box", points=[0, 1])
    photos = [write_image(tmp_path / f"{n}.png", seed=n) for n in range(2)]
    boxes = ["--box", "5,5,40,40", "--box=-3.5,2,50,44"]
    command = ["viz-heatmaps", run, *photos, *boxes, "--points", "0"]
    words(heatkp(*command, "--out", tmp_path / "photos"))
    assert len(names(tmp_path / "photos")) == 4
    refused(["viz-heatmaps", run, "--out", out], str(run), "cannot be read", "data.path", out=out)


def test_curves(tiny_run, regression_run, tmp_path):
    out = tmp_path / "a.png"
    text = words(heatkp("viz", "curves", tiny_run, regression_run, "--out", out))
    assert str(out) in text and "same head" in text
    assert cv2.imread(str(out)).shape[1] == pytest.approx(10.5 * 110, abs=2)
    assert names(tmp_path) == ["a.png"]


def test_error_curve(tiny_run, regression_run, tmp_path, monkeypatch):
    from heatkp.viz import figures

    legends = []
    save = figures.save
    monkeypatch.setattr(figures, "save", lambda figure, path: (
        legends.extend(t.get_text() for t in figure.axes[0].get_legend().get_texts()),
        save(figure, path)))  # fmt: skip
    out = tmp_path / "a.png"
    command = ["viz", "error-curve", tiny_run, regression_run, "--out", out]
    text = words(heatkp(*command, "--normaliser", "box-diagonal"))
    assert "box-diagonal" in text and cv2.imread(str(out)) is not None
    assert [t.split(":")[0] for t in legends] == ["tiny", "regression"]
    assert all("AUC 0." in t and "fail" in t and "12 images" in t for t in legends)
    assert "inter-ocular" in words(heatkp("viz", "error-curve", tiny_run, "--out", out))


def test_points_of_several_runs(tiny_run, regression_run, tmp_path):
    out = tmp_path / "a.png"
    text = words(heatkp("viz", "points", tiny_run, regression_run, "--out", out))
    assert "fraction of inter-ocular" in text
    assert cv2.imread(str(out)).shape[1] == pytest.approx(110 * 8, abs=2)
    assert names(tmp_path) == ["a.png"]


def test_head_turn(tiny_run, four_points, tmp_path):
    out = tmp_path / "a.png"
    text = words(heatkp("viz", "head-turn", tiny_run, "--out", out))
    assert "tiny: " in text and "fractions of box-diagonal" in text
    counts = [int(n) for n in re.findall(r"([0-9]+) images\)", text)]
    assert sum(counts) == 12 and cv2.imread(str(out)) is not None
    out.unlink()
    command = ["viz", "head-turn", four_points, "--out", out]
    refused(command, "cannot be told", "outer eye corners", out=out)


def test_augmentation(tiny_run, run_copy, tmp_path, monkeypatch):
    """A run that has no weights yet, other data, a settings file; into the run's folder."""
    for name in (runs.WEIGHTS, runs.LAST):
        (run_copy / name).unlink()
    flags = ["--samples", 2, "--draws", 2]
    text = words(heatkp("viz", "augmentation", run_copy, *flags, "--set", "augmentation.flip=1"))
    assert "2 samples, 4 of 4 draws are mirrored" in text
    width = cv2.imread(str(run_copy / "augmentation.png")).shape[1]
    assert width == pytest.approx(110 * 3 * 2.3, abs=2)
    write_imm(tmp_path / "imm")
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "a.yaml"
    settings.write_text("augmentation: {flip: 0}\ndata: {size: [64, 48]}\n")
    text = words(heatkp("viz", "augmentation", "--config", settings, "--data", "imm", *flags))
    assert "0 of 4 draws" in text and (tmp_path / "augmentation.png").is_file()
    text = words(heatkp("viz", "augmentation", tiny_run, "--data", "imm", *flags, "--out", "b.png"))
    assert "Written to b.png" in text


def test_augmentation_is_that_of_training():
    """Also where training goes without some samples."""
    data = {"crop": "box", "box_scale": 0.7, "skip_outside": True, "size": [48, 48],
            "points": [36, 45, 0], "train_count": 40, "val_count": 1}  # fmt: skip
    settings = parse_settings({"data": data})
    trained = KeypointDataModule(settings, load_data(settings.data))
    trained.preload()
    assert 4 < len(trained.train_set) < 36
    _, augmented, chosen = _datasets(None, settings, 40)
    for index in chosen:
        shown, seen = augmented[1, index], trained.train_set[1, index]
        assert augmented.samples[index].id == trained.train_set.samples[index].id
        np.testing.assert_array_equal(shown["matrix"], seen["matrix"])


def test_bad_augmentation(tiny_run, tmp_path):
    out = tmp_path / "a.png"
    command = ["viz", "augmentation", "--out", out]
    refused([*command, tiny_run, "--config", tmp_path], "leave out --config", out=out)
    refused([*command, "--config", tmp_path / "no.yaml"], "no.yaml", out=out)
    refused([*command, "--set", "augmentation.flop=1"], "augmentation.flop", "flip", out=out)
    refused([*command, "--data", tmp_path / "none"], "none", out=out)
    refused([*command, "--data", ""], "--data", "is empty", out=out)
    refused([*command, "--data", "a", "--set", "data.path=b"], "--data a", "contradict", out=out)
    refused([*command, tmp_path / "none"], "no run folder or checkpoint", out=out)
    refused(["viz", "augmentation", "--out", tmp_path / "a.jpg"], ".png")
    refused([*command, "--draws", 99], "--draws", out=out)
    gone = str(tmp_path / "faces")
    run = untrained(tiny_run, tmp_path / "run", "kl", path=gone)
    refused([*command, run], "cannot be read", "data.path", "--data", out=out)


def test_filters(tiny_run, tmp_path):
    text = words(heatkp("viz", "filters", tiny_run, "--layer", "list"))
    first = text.split()[0]
    assert first == "network.encoder.levels.0.0" and "3x3 on 3 inputs, gives 64x64" in text
    assert "map_layer.convolution 68 filters" in text
    photo, out = write_image(tmp_path / "photo.png"), tmp_path / "a.png"
    command = ["viz", "filters", tiny_run, "--out", out]
    text = words(heatkp(*command, "--images", photo, "--images", "val:3"))
    assert f"{first}, " in text and cv2.imread(str(out)).shape[0] > 110 * 2 * 2.6
    out.unlink()
    refused([*command, "--layer", "levels.0.0"], "'levels.0.0'", "close to it", out=out)
    refused([*command, "--images", "val:12"], "val:0 to val:11", out=out)
    refused([*command, "--images", tmp_path / "no.png"], "no.png does not exist", out=out)
    refused([*command, *["--images", "val"] * 7], "too many", out=out)
    refused(["viz", "filters", tiny_run], "--out is missing")
    for more in (["--out", out], ["--images", "val"]):
        refused(["viz", "filters", tiny_run, "--layer", "list", *more], "only prints", out=out)


def test_bad_viz(tiny_run, tmp_path):
    out = tmp_path / "a.png"
    for name in ("curves", "error-curve", "points", "head-turn"):
        command = ["viz", name, tiny_run, "--out"]
        refused([*command, tmp_path / "a.jpg"], ".png")
        refused([*command, tmp_path / "no" / "a.png"], "cannot write", "no folder")
        refused([*command, out, tiny_run], "twice", out=out)
        refused(["viz", name, "--out", out], "RUN", out=out)
    refused(["viz", "curves", tmp_path, "--out", out], "metrics.csv", "has trained", out=out)
    refused(["viz", "error-curve", tmp_path, "--out", out], "holds no weights", out=out)
    refused(["viz", "error-curve", tiny_run, "--out", out, "--normaliser", "nose"],
            "'nose'", "inter-ocular", out=out)  # fmt: skip
    (tmp_path / "metrics.csv").write_text("epoch,train_loss\n")
    refused(["viz", "curves", tmp_path, "--out", out], "no epoch", out=out)
    (tmp_path / "metrics.csv").write_text("epoch,train_loss\nx,1\n")
    refused(["viz", "curves", tmp_path, "--out", out], "not the table", out=out)
