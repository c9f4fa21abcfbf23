"""Figures of a run by name: one door for heatkp's own and those of others."""

from __future__ import annotations

import pytest

from heatkp.config import Settings
from heatkp.errors import DataError, UnknownNameError
from heatkp.skeletons import FACE68
from heatkp.viz.run_figures import FIGURES, RunData, draw, figure
from tests.cli.test_cli import refused
from tests.conftest import heatkp


@pytest.fixture
def only(monkeypatch):
    """Where heatkp has no figures of its own."""
    monkeypatch.setattr(FIGURES, "load_all", lambda: (
        {n: f for n, (f, place) in FIGURES._loaded.items() if "test_run_figures" in place}, []
    ))  # fmt: skip
    return figure


def data(folder, **more):
    return RunData(folder, Settings(), FACE68, None, **more)


def touch(data, path):
    path.touch()


def test_what_is_drawn_when(only, tmp_path):
    only("first", when="begin")(touch)
    only("last")(touch)
    only("measured", validation=True)(touch)
    assert draw(data(tmp_path), tmp_path, "begin") == [tmp_path / "first.png"]
    assert {p.name for p in draw(data(tmp_path), tmp_path)} == {"last.png", "measured.png"}
    assert draw(data(tmp_path, validated=False), tmp_path) == [tmp_path / "last.png"]
    assert draw(data(tmp_path), tmp_path, names=["last"]) == [tmp_path / "last.png"]
    with pytest.raises(UnknownNameError, match="no figure 'lost'"):
        draw(data(tmp_path), tmp_path, names=["lost"])


def test_one_that_fails_leaves_the_others(only, tmp_path, monkeypatch):
    def fail(data, path):
        raise RuntimeError("of their own")

    only("bad")(fail)
    only("good")(touch)
    with pytest.warns(UserWarning, match="'bad' is left out.*of their own"):
        assert draw(data(tmp_path), tmp_path) == [tmp_path / "good.png"]
    monkeypatch.setattr(FIGURES, "load_all", lambda: ({}, ["the figure of the package other"]))
    with pytest.warns(UserWarning, match="package other"):
        assert draw(data(tmp_path), tmp_path) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left"), DataError("wrong")])
def test_errors_that_a_user_can_mend_are_not_hidden(only, tmp_path, error):
    def fail(data, path):
        raise error

    only("bad")(fail)
    with pytest.raises(type(error)):
        draw(data(tmp_path), tmp_path)


def test_a_training_draws_all_and_viz_draws_them_again(tiny_run, figures, tmp_path):
    """One that was added since is drawn, too, from the errors of the validation samples."""
    assert {f"{name}.png" for name in FIGURES} <= {p.name for p in tiny_run.iterdir()}
    seen = []

    @figure("mine")
    def mine(data, path):
        seen.append((len(data.samples), data.errors.image_points.shape, data.folder.name))
        path.touch()

    out = tmp_path / "out"
    result = heatkp("viz", "run", tiny_run, "--out", out)
    assert result.exit_code == 0, result.output
    drawn = {p.name for p in out.iterdir()}
    assert drawn == {f"{name}.png" for name in FIGURES} - {"samples.png"}
    assert seen == [(12, (12, 68, 2), tiny_run.name)]
    one = tmp_path / "one"
    assert heatkp("viz", "run", tiny_run, "--out", one, "--figure", "mine").exit_code == 0
    assert [p.name for p in one.iterdir()] == ["mine.png"]


def test_bad_requests(tiny_run, tmp_path):
    refused(["viz", "run", tiny_run, "--figure", "curvs"], "no figure 'curvs'", "curves")
    refused(["viz", "run", tiny_run, "--figure", "samples"], "beginning")
    refused(["viz", "run", tmp_path / "nowhere"], "not the folder of a run")
    (tmp_path / "file").touch()
    refused(["viz", "run", tiny_run, "--out", tmp_path / "file"], "cannot write")
