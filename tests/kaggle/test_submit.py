"""Submissions from Python, as `heatkp eval --kaggle` writes them."""

from __future__ import annotations

import json

import pytest

from heatkp.data.drawn import drawn_sample
from heatkp.errors import SettingsError
from heatkp.evaluation.measure import InferenceOptions
from heatkp.kaggle.submit import submit
from heatkp.skeletons import FACE68
from tests.cli.test_kaggle import write_imglab
from tests.conftest import heatkp


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    drawn = [drawn_sample(5, i, FACE68, size) for i, size in enumerate((96, 128))]
    return write_imglab(tmp_path_factory.mktemp("faces"), drawn)


def test_it_writes_what_the_command_writes(tiny_run, faces, tmp_path):
    ours, theirs = tmp_path / "ours.csv", tmp_path / "theirs.csv"
    done = submit(tiny_run, faces, ours, options=InferenceOptions(flip_test=True))
    result = heatkp("eval", tiny_run, "--kaggle", "--data", faces, "--out", theirs, "--flip-test")
    assert result.exit_code == 0, result.output
    assert ours.read_bytes() == theirs.read_bytes()
    assert (done.path, done.samples, done.points) == (ours, 2, 68)
    score = json.loads((tmp_path / "theirs-score.json").read_text())
    assert done.score is not None and done.score["flip_test"] is True
    assert {**done.score, "submission": ""} == {**score, "submission": ""}


def test_the_place_is_looked_at_first(faces, tmp_path):
    with pytest.raises(SettingsError):  # not that there is no such run
        submit("no-such-run", faces, tmp_path)
