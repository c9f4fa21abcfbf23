"""Scores and covariances calibrated: what is fitted, kept and applied."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.special import expit, logit

from heatkp import calibrate, load_model
from heatkp.cli.calibrate import _table
from heatkp.errors import CheckpointError, DataError, SettingsError
from heatkp.evaluation.calibrating import Calibrated, _held_out, calibrated, fit_calibration
from heatkp.evaluation.metrics import Errors, reliability, summarise
from heatkp.inference.digests import weights_digest
from heatkp.models.calibration import Calibration
from heatkp.models.prediction import Prediction
from heatkp.runs import load_run, read_weights, save_weights
from heatkp.skeletons import skeleton_of
from tests.conftest import heatkp

RADIUS = 3.0


def errors_of(count=800, points=4, seed=0, factor=1.0, slope=1.0, intercept=0.0, scale=1.0):
    """Predictions whose covariances are `factor` times too small, and whose scores, mended with
    `slope` and `intercept`, are right; images are `scale` times the network's input."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(20, 80, (count, points, 2))
    true = expit(rng.normal(1, 1.5, (count, points)))
    hit = rng.random((count, points)) < true
    # The error's length is drawn below the radius or above it, and its covariance fits the length.
    square = rng.normal(size=(count, points, 2, 2))
    covariance = square @ square.swapaxes(2, 3) + 0.1 * np.eye(2)
    off = np.einsum("nkij,nkj->nki", np.linalg.cholesky(covariance),
                    rng.normal(size=(count, points, 2)))  # fmt: skip
    length = np.linalg.norm(off, axis=2)
    wanted = np.where(hit, rng.uniform(0, 1, length.shape), rng.uniform(1.01, 3, length.shape))
    ratio = wanted * RADIUS * scale / length
    off, covariance = off * ratio[..., None], covariance * (ratio**2)[..., None, None]
    matrices = np.zeros((count, 2, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = 1 / scale
    return Errors(
        truth + off, truth, matrices, np.ones((count, points), bool), np.full((count, 4), np.nan),
        (100, 100), expit((logit(true) - intercept) / slope), covariance / factor, RADIUS,
    )  # fmt: skip


@given(st.floats(0.2, 5), st.floats(0.4, 2.5), st.floats(-1, 1), st.floats(0.2, 4))
def test_what_is_wrong_is_found(factor, slope, intercept, scale):
    errors = errors_of(factor=factor, slope=slope, intercept=intercept, scale=scale)
    found = fit_calibration(errors)
    assert np.allclose(found.factors, factor, rtol=0.15)
    assert found.slope == pytest.approx(slope, rel=0.15)
    assert found.intercept == pytest.approx(intercept, abs=0.25)
    mended = calibrated(errors, found)
    figures = summarise(mended, skeleton_of(None, 4), {})
    expected = {"0.5": 0.5, "0.9": 0.9, "0.99": 0.99}
    assert figures["coverage"] == pytest.approx(expected, abs=0.03)
    assert figures["score_error"] < 0.035
    np.testing.assert_array_equal(mended.image_points, errors.image_points)


def test_a_point_that_few_samples_have_takes_what_all_have():
    errors = errors_of(points=3, factor=2.0)
    errors.labelled[1:, 2] = False
    factors = fit_calibration(errors).factors
    assert factors[2] == pytest.approx(np.mean(factors[:2]), rel=0.15)
    errors.labelled[:, 2] = False
    assert fit_calibration(errors).factors[2] == pytest.approx(np.mean(factors[:2]), rel=0.02)


def test_all_right_or_all_wrong_stays_finite():
    errors = errors_of(30, 2)
    for scores in (np.ones((30, 2)), np.zeros((30, 2)), np.full((30, 2), 0.5)):
        for radius in (1e-3, 1e3):
            object.__setattr__(errors, "scores", scores)
            object.__setattr__(errors, "score_radius", radius)
            found = fit_calibration(errors)
            assert np.isfinite([found.slope, found.intercept]).all()


def test_too_few_points_and_no_scores():
    with pytest.raises(DataError, match="50"):
        fit_calibration(errors_of(10, 4))
    errors = errors_of(20, 4)
    object.__setattr__(errors, "scores", np.full((20, 4), np.nan))
    with pytest.raises(SettingsError):
        fit_calibration(errors)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_groups_hold_all_points(scores):
    scores = np.array(scores)
    found = reliability(scores, scores > 0.5)
    assert found.counts.sum() == len(scores) and len(found.counts) <= 10
    assert np.ptp(found.counts) <= 1
    assert np.average(found.scores, weights=found.counts) == pytest.approx(scores.mean())
    assert 0 <= found.error <= 1


def test_a_mended_prediction():
    mending = Calibration(8.0, 0.5, 1.0, (2.0, 3.0), 9)
    points, covariance = torch.zeros(1, 2, 2), torch.eye(2).expand(1, 2, 2, 2)
    scores = torch.tensor([[0.8, 0.0]])
    found = mending(Prediction(points, scores, covariance))
    assert found.scores[0, 0].item() == pytest.approx(expit(0.5 * logit(0.8) + 1), abs=1e-6)
    assert found.scores[0, 1] == 0  # no answer
    assert found.covariance[0, :, 0, 0].tolist() == [2, 3]
    assert mending(Prediction(points, scores * torch.nan, None)).scores.isnan().all()
    assert mending.in_order([1, 0]).factors == (3.0, 2.0)
    assert Calibration.read(json.loads(json.dumps(mending.as_dict())), 2) == mending


@pytest.mark.parametrize(
    "change",
    [{"factors": [1.0]}, {"factors": [1.0, -1.0]}, {"slope": float("nan")}, {"radius": 0.0}],
)
def test_a_damaged_one_is_refused(run_copy, change):
    values = Calibration(8.0, 0.5, 1.0, None, 9).as_dict()
    with pytest.raises(ValueError):
        Calibration.read({**values, **change}, 2)


@pytest.fixture(scope="module")
def mended(tiny_run, tmp_path_factory):
    run = shutil.copytree(tiny_run, tmp_path_factory.mktemp("runs") / "mended")
    result = heatkp("calibrate", run)
    assert result.exit_code == 0, result.output
    return run


def test_a_run_is_calibrated_in_place(tiny_run, mended):
    before, after = load_run(tiny_run).model, load_run(mended).model
    for ours, theirs in zip(before.state_dict().values(), after.state_dict().values()):
        assert torch.equal(ours, theirs)
    assert after.calibration.samples == 12 and len(after.calibration.factors) == 68
    assert after.score_radius == before.score_radius == after.head.sigma * 2 * after.stride
    assert (mended / "reliability.png").is_file()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        ours, theirs = before.eval().predict(before(images)), after.eval().predict(after(images))
    torch.testing.assert_close(ours.points, theirs.points, rtol=0, atol=0)
    torch.testing.assert_close(theirs.scores, after.calibration.scores(ours.scores))
    assert not torch.allclose(ours.scores, theirs.scores)


def test_it_is_measured_with(tiny_run, mended, tmp_path):
    found = []
    for i, run in enumerate((tiny_run, mended)):
        result = heatkp("eval", run, "--out", tmp_path / f"{i}.json")
        assert result.exit_code == 0 and "coverage at 50 %" in result.output, result.output
        found.append(json.loads((tmp_path / f"{i}.json").read_text()))
    assert found[0]["mae_photo"] == found[1]["mae_photo"]
    # The samples that it was found on.
    assert found[1]["score_error"] < found[0]["score_error"] + 0.01
    assert abs(found[1]["coverage"]["0.9"] - 0.9) < abs(found[0]["coverage"]["0.9"] - 0.9)
    both = heatkp("eval", tiny_run, mended, "--out", tmp_path / "both.json")
    assert both.exit_code == 0, both.output
    together = json.loads((tmp_path / "both.json").read_text())
    assert together["coverage"] == dict.fromkeys(("0.5", "0.9", "0.99"))
    # Another decoder's scores and covariances are other ones.
    other = heatkp("eval", mended, "--decoder", "dark", "--out", tmp_path / "dark.json")
    plain = heatkp("eval", tiny_run, "--decoder", "dark", "--out", tmp_path / "plain.json")
    if other.exit_code == plain.exit_code == 0:
        a, b = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("dark", "plain"))
        assert a["coverage"] == b["coverage"]


def test_saved_and_loaded(mended, tmp_path):
    model = load_model(mended)
    model.save(tmp_path / "saved")
    assert load_model(tmp_path / "saved").model.calibration == model.model.calibration
    assert model.loaded.in_order_of(model.skeleton, "a", "b").model.calibration is not None
    before = weights_digest(model)
    model.model.calibration = None
    assert weights_digest(model) != before


def test_points_in_another_order_are_read_by_the_same_decoder(mended):
    loaded = load_run(mended)
    loaded.model.head.use_decoder("argmax")
    order = [1, 0, *range(2, len(loaded.skeleton))]
    made = loaded.in_order_of(loaded.skeleton.subset(order, loaded.skeleton.name), "a", "b")
    assert made.model is not loaded.model and made.model.head.decoder == "argmax"


def test_calibrated_again(mended, tmp_path):
    again = calibrate(
        mended, out=tmp_path / "again.safetensors", radius=2.5, note=lambda line: None
    )
    kept = read_weights(tmp_path / "again.safetensors")[1]["calibration"]
    assert kept["radius"] == 2.5 == again.calibration.radius
    assert kept["factors"] == pytest.approx(load_run(mended).model.calibration.factors)


def test_what_is_refused(tiny_run, mended, tmp_path):
    with pytest.raises(CheckpointError, match="--out"):
        calibrate("face68")
    with pytest.raises(CheckpointError, match="safetensors"):
        calibrate(mended / "checkpoints" / "last.ckpt")
    with pytest.raises(SettingsError):
        calibrate(tiny_run, radius=-1, out=tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_too_few_points_to_compare_are_calibrated_all_the_same(tmp_path):
    errors = errors_of(count=20)
    assert fit_calibration(errors) and _held_out(errors, range(20)) is None
    assert _held_out(errors_of(count=200), ["one"] * 200) is None
    assert _held_out(errors_of(count=200), range(200)) is not None
    done = Calibrated(tmp_path, fit_calibration(errors), 20, {"coverage": None, "score_error": 0.1},
                      None, None)  # fmt: skip
    console = Console(width=100)
    with console.capture() as printed:
        console.print(_table(done))
    assert "0.100" in printed.get() and "-" in printed.get()


def test_what_lies_on_the_hub_is_not_changed():
    with pytest.raises(CheckpointError, match="--out"):
        calibrate("hf://somebody/model", data="labels.json")


def test_numbers_that_no_calibration_has(mended, tmp_path):
    _, description = read_weights(mended / "weights.safetensors")
    description["calibration"]["radius"] = 10**400
    path = tmp_path / "a.safetensors"
    save_weights(path, load_run(mended).model, description)
    with pytest.raises(CheckpointError, match="damaged"):
        load_run(path)
