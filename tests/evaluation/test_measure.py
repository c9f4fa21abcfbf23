"""Runs measured and compared from Python, as the commands do it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from heatkp.errors import CheckpointError, DataError, SettingsError
from heatkp.evaluation import compare_runs, measure_runs
from heatkp.evaluation.compare import common_normaliser, distinct_names
from tests.conftest import heatkp, write_imm


@pytest.mark.parametrize(
    "split, flags, options",
    [("val", [], {}), ("all", ["--flip-test"], {"flip_test": True})],
)
def test_measuring_gives_what_the_command_writes(tiny_run, tmp_path, split, flags, options):
    out = tmp_path / "m.json"
    result = heatkp("eval", tiny_run, "--split", split, *flags, "--out", out)
    assert result.exit_code == 0, result.output
    told = []
    found = measure_runs(tiny_run, split=split, progress=lambda *n: told.append(n), **options)
    assert json.loads(out.read_text()) == json.loads(json.dumps(found))
    assert told[0][0] == 0 and told[-1] == (found["images"], found["images"])


def test_the_mean_of_a_run_and_itself_is_the_run(tiny_run):
    one, two = measure_runs(tiny_run), measure_runs([tiny_run, str(tiny_run)])
    assert one["mae_photo"] == pytest.approx(two["mae_photo"], rel=1e-6)
    assert one["runs"] == [str(tiny_run)] and len(two["runs"]) == 2


def test_what_cannot_be_measured(tiny_run, tmp_path):
    write_imm(tmp_path / "imm")
    for error, runs, options in [
        (SettingsError, [], {}),
        (SettingsError, tiny_run, {"split": "test"}),
        (CheckpointError, tmp_path / "none", {}),
        (DataError, tiny_run, {"data": tmp_path / "none"}),
        (CheckpointError, tiny_run, {"data": tmp_path / "imm"}),  # 58 points, not 68
    ]:
        with pytest.raises(error):
            measure_runs(runs, **options)


def test_comparing(tiny_run, run_copy):
    errors, by = compare_runs([tiny_run, run_copy], normaliser="inter-ocular")
    assert by == "inter-ocular" and list(errors) == [tiny_run.name, run_copy.name]
    (one, layout), (two, _) = errors.values()
    assert len(layout) == 68 and np.array_equal(one.image_points, two.image_points)
    assert common_normaliser(errors, ending="diagonal").endswith("diagonal")
    with pytest.raises(SettingsError, match="inter-ocular"):
        common_normaliser(errors, "none-such")


def test_names_of_runs():
    assert distinct_names(["a/x", "b/y"]) == ["x", "y"]
    assert distinct_names(["a/x", "b/x"]) == ["a/x", "b/x"]
    with pytest.raises(SettingsError):
        distinct_names(["x", "x"])


def test_a_skeleton_is_checked_before_anything_is_measured(tiny_run):
    def check(skeleton):
        raise SettingsError(f"{len(skeleton)} points")

    with pytest.raises(SettingsError, match="68"):
        compare_runs([tiny_run], check=check, progress=lambda *_: 1 / 0)
