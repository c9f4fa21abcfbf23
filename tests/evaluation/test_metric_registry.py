"""Metrics by name: one door for heatkp's own and those of others."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

from heatkp.evaluation.evaluate import metrics_table
from heatkp.evaluation.metrics import METRICS, all_metrics, metric, summarise
from heatkp.viz.report.tables import metric_rows
from tests.evaluation.test_metrics import EYES, TRUTH, errors_of


def table(metrics):
    console = Console(width=120)
    with console.capture() as printed:
        console.print(metrics_table(metrics, "title"))
    return printed.get()


def test_kinds_and_keys():
    """Those that files and scripts rely on, in the order of tables."""
    names = {per: [m.name for m in all_metrics(per)] for per in ("point", "set", "length")}
    assert names == {
        "point": ["mae_photo", "mae_input", "distance_photo", "mae_normalised", "mse_normalised"],
        "set": ["coverage", "score_error", "presence"],
        "length": ["nme", "pck", "failure_rate", "auc"],
    }
    metrics = summarise(errors_of(TRUTH, TRUTH), EYES)
    assert set(names["point"]) < set(metrics) and set(names["point"]) < set(metrics["points"][0])
    block = metrics["normalised"]["inter-ocular"]
    assert {*names["length"], "images", "images_without"} == set(block)
    assert set(block["pck"]) == {"0.05", "0.1"}


def test_metrics_of_ones_own_stand_everywhere():
    metric("bias_x", "bias", "to the right", unit="px")(
        lambda e: (e.image_points - e.image_truth)[..., 0]
    )
    metric("median", "median NME", "of images", per="length", form=".1%")(
        lambda relative: np.median(relative.images)
    )
    metric("most", "worst", "pixels", per="set", unit="px")(
        lambda errors, skeleton: np.abs(errors.image_points - errors.image_truth).max()
    )
    metric("within", "within", "points", per="length", form=".0%", higher=True,
             parts={"a": "1 %", "b": "9 %"})(lambda relative: {"a": 0.25, "b": np.nan})  # fmt: skip
    found = TRUTH.copy()
    found[0, 2] += (6, 8)
    metrics = summarise(errors_of(found, TRUTH), EYES)
    assert metrics["bias_x"] == pytest.approx(1.0) and metrics["most"] == 8.0
    assert metrics["points"][2]["bias_x"] == pytest.approx(3.0)
    block = metrics["normalised"]["inter-ocular"]
    assert block["median"] == pytest.approx(10 / 3 / 40 / 2)
    assert block["within"] == {"a": 0.25, "b": None}
    text = table(metrics)
    for expected in ("bias", "median NME", "worst", "8.000", "within at 1 %, 9 %", "25%, -"):
        assert expected in text
    rows = {
        row["name"]: row for row in metric_rows([metrics, summarise(errors_of(TRUTH, TRUTH), EYES)])
    }
    assert rows["Worst"]["values"] == ["8.00 px", "0 px"] and rows["Worst"]["best"] == [False, True]
    assert rows["Median NME, inter-ocular"]["best"] == [False, True]
    assert "Within at 9 %, inter-ocular" in rows


def test_a_file_written_before_a_metric_was_known():
    metrics = summarise(errors_of(TRUTH, TRUTH), EYES)
    metric("later", "later", "x", per="set")(lambda errors, skeleton: 1.0)
    metric("later_parts", "later", "x", per="length", parts={"a": "1"})(lambda relative: None)
    assert "later" in table(metrics)
    assert {r["name"]: r["values"] for r in metric_rows([metrics])}["Later"] == ["–"]


@pytest.mark.parametrize("per", ["point", "length", "set"])
def test_one_that_fails_leaves_the_others(per):
    def fail(*arguments):
        raise RuntimeError("of their own")

    metric("bad", "bad", "x", per=per)(fail)
    with pytest.warns(UserWarning, match="'bad' is left out.*of their own"):
        metrics = summarise(errors_of(TRUTH, TRUTH), EYES)
    assert metrics["mae_photo"] == 0 and metrics["normalised"]["inter-ocular"]["nme"] == 0
    place = metrics["normalised"]["inter-ocular"] if per == "length" else metrics
    assert place["bad"] is None


def test_values_of_another_shape():
    metric("flat", "flat", "x")(lambda errors: np.zeros(3))
    with pytest.warns(UserWarning, match=r"'flat'.*\(3,\).*\(2, 3\)"):
        assert summarise(errors_of(TRUTH, TRUTH), EYES)["flat"] is None


def test_one_that_cannot_be_loaded_is_named(monkeypatch):
    reason = "the metric 'theirs' of the package other cannot be loaded"
    monkeypatch.setattr(METRICS, "load_all", lambda: (dict(METRICS), [reason]))
    with pytest.warns(UserWarning, match="package other"):
        assert summarise(errors_of(TRUTH, TRUTH), EYES)["mae_photo"] == 0
