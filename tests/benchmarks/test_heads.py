"""The table of heads: order of cells, paired intervals, what is kept. Nothing is trained."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.evaluation.metrics import Errors, summarise
from heatkp.skeletons import SKELETONS


@pytest.fixture(scope="module")
def heads(script):
    return script("heads")


@pytest.fixture(scope="module")
def tables(script):
    return script("heads_table")


@pytest.fixture(scope="module")
def trials(script):
    return script("trials")


def result(tables, head, seed, errors, **changed):
    n = len(errors)
    values = dict(
        part=1, split="person", head=head, seed=seed, full=False, mae=float(np.mean(errors)),
        mse=1e-4, parameters=2_000_000, seconds=60.0, faces=[f"f{i}" for i in range(n)],
        groups=[str(i // 2) for i in range(n)], face_mae=list(errors),
    )  # fmt: skip
    return tables.Result(**{**values, **changed})


def test_first_seeds_come_first(heads):
    found = heads.cells([1, 3], ["person", "random"], ["kl", "regression"], 2)
    assert [c.seed for c in found] == [0] * 6 + [1] * 6
    assert [c.name for c in found[:6]] == [
        "part1-person-kl-0", "part1-person-regression-0", "part1-random-kl-0",
        "part1-random-regression-0", "part3-random-kl-0", "part3-random-regression-0",
    ]  # fmt: skip
    assert len({c.name for c in found} | {c._replace(full=True).name for c in found}) == 24


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("part", [1, 2, 3])
def test_cells_differ_in_the_head_alone(heads, trials, monkeypatch, part, full):
    monkeypatch.setenv("HEATKP_DATA", "/data")
    for split in heads.SPLITS[part]:
        every = [
            trials.differing(heads.Cell(part, split, head, 1, full).trial.settings())
            for head in heads.HEADS
        ]
        assert {e["data"].get("split", "random") for e in every} == {split}
        assert all(e["trainer"]["seed"] == 1 for e in every)
        rest = [{k: v for k, v in e.items() if k != "head"} for e in every]
        flattened = rest.pop(heads.HEADS.index(heads.FLATTENED))
        assert flattened["model"].pop("pooling") == "flatten" and flattened == rest[0]
        assert all(r == rest[0] for r in rest)
        assert "path" not in rest[0]["data"] and "encoder_weights" not in rest[0]["model"]


def test_bootstrap_of_groups(tables):
    """The interval of means of independent groups is 1.96 standard errors; faces that repeat
    within a group add nothing to it."""
    rng = np.random.default_rng(1)
    values = rng.normal(3.0, 2.0, 400)
    alone = tables.bootstrap(values, [str(i) for i in range(400)])
    half = 1.96 * values.std() / 20
    assert alone.mean == pytest.approx(values.mean())
    assert alone.low == pytest.approx(values.mean() - half, abs=0.03)
    assert alone.high == pytest.approx(values.mean() + half, abs=0.03)
    repeated = tables.bootstrap(np.repeat(values, 5), np.repeat(np.arange(400), 5).astype(str))
    assert repeated == pytest.approx(alone, abs=0.02)
    with_gaps = tables.bootstrap([1.0, np.nan, 3.0], ["a", "b", "c"])
    assert with_gaps == (2.0, 1.0, 3.0)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20))
def test_bootstrap_holds_the_mean(tables, values):
    found = tables.bootstrap(values, [str(i % 7) for i in range(len(values))], resamples=200)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_lines_are_paired_by_face_and_seed(tables):
    """Hard faces make both heads bad: the difference is certain although the errors are not."""
    hard = np.array([1.0, 1.0, 9.0, 9.0, 20.0, 20.0])
    found = tables.lines(
        [
            result(tables, "regression", 0, hard + 2),
            result(tables, "regression", 1, hard + 4),
            result(tables, "regression", 2, hard + 90),  # no partner
            result(tables, "kl", 0, hard),
            result(tables, "kl", 1, hard),
        ]
    )
    assert [line.head for line in found] == ["kl", "regression"]
    kl, regression = found
    assert kl.seeds == [0, 1] and kl.difference == pytest.approx((-3.0, -3.0, -3.0))
    assert kl.own.high - kl.own.low > 5 and regression.difference is None
    with pytest.raises(ValueError, match="other faces"):
        tables.lines([result(tables, "kl", 0, hard), result(tables, "regression", 0, hard[:4])])


def test_faces_add_up_to_the_metrics(heads):
    skeleton, rng = SKELETONS["face58"], np.random.default_rng(0)
    photo, to_input = rng.uniform(0, 90, (2, 5, 58, 2)), rng.uniform(0, 1, (5, 2, 3))
    labelled = np.ones((5, 58), bool)
    errors = Errors(photo[0], photo[1], to_input, labelled, np.full((5, 4), np.nan), (40, 30))
    mae, mse = heads.per_face(errors)
    whole = summarise(errors, skeleton)
    assert np.mean(mae) == pytest.approx(whole["mae_photo"])
    assert np.mean(mse) == pytest.approx(whole["mse_normalised"])
    labelled[0], labelled[1, 3:] = False, False
    mae, _ = heads.per_face(errors)
    assert np.isnan(mae[0])
    assert mae[1] == pytest.approx(np.abs(photo[0] - photo[1])[1, :3].mean())


def test_cells_are_kept_while_their_settings_are_the_same(heads, trials, tmp_path, monkeypatch):
    monkeypatch.setenv("HEATKP_DATA", "/data")
    cell, path = heads.Cell(1, "person", "kl", 0), tmp_path / "a.json"
    assert not trials.kept(path, cell.trial)
    path.write_text(json.dumps({"settings": trials.differing(cell.trial.settings())}))
    assert trials.kept(path, cell.trial) and not trials.kept(path, cell._replace(seed=1).trial)


def test_report(heads, tables, tmp_path):
    errors = np.linspace(1, 5, 8)
    results = [
        result(tables, head, seed, errors * scale, split=split)
        for split in ("person", "random")
        for head, scale in (("kl", 1.0), ("regression", 2.0))
        for seed in range(2)
    ]
    image = tmp_path / "heads" / "heads.png"
    text = tables.write_report(results, tmp_path / "heads.md", image)
    assert (tmp_path / "heads.md").read_text() == text and image.stat().st_size > 1000
    assert text.count("## Part 1") == 2 and "![Errors by head](heads/heads.png)" in text
    assert "| `kl` | 2 | 3.00 (" in text and "| -3.00 (" in text
    assert "5.00, 5.00" not in text and "6.00, 6.00" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], "--budget"),
        (["--heads", "kll"], "no head 'kll'"),
        (["--table"], "no results yet"),
    ],
)
def test_arguments(heads, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.setattr(sys, "argv", ["heads.py", *arguments, "--results", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        heads.main()
    shown = capsys.readouterr()
    assert words in shown.out + shown.err + str(end.value)


def test_costs(script, tmp_path, monkeypatch, capsys):
    """Every head's row, in terms of regression's."""
    monkeypatch.setenv("HEATKP_DATA", "/data")
    costs, path = script("heads_costs"), tmp_path / "costs.md"
    flags = ["--parts", "1", "--repeats", "1", "--threads", "1", "--report", str(path)]
    monkeypatch.setattr(sys, "argv", ["heads_costs.py", *flags])
    costs.main()
    text = path.read_text()
    assert text in capsys.readouterr().out
    rows = {line.split("`")[1]: line.split(" | ") for line in text.splitlines() if "| `" in line}
    assert list(rows) == list(costs.HEADS)
    assert rows["regression"][2] == rows["regression"][4] == "1.00"
    assert all(float(cell) > 0 for row in rows.values() for cell in row[1:-1])


def test_results_do_not_make_the_code_another(trials, tmp_path):
    def git(*words):
        name = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *name, *words], cwd=tmp_path, check=True, capture_output=True)

    code, table = tmp_path / "benchmarks" / "heads.py", tmp_path / "benchmarks" / "heads.md"
    code.parent.mkdir()
    code.write_text("a")
    table.write_text("a")
    git("init")
    git("add", ".")
    git("commit", "-m", "a")
    clean = trials.commit(tmp_path)
    table.write_text("b")
    assert trials.commit(tmp_path) == clean and "dirty" not in clean
    code.write_text("b")
    assert trials.commit(tmp_path) == f"{clean}-dirty"
