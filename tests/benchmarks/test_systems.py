"""The systems beside their published figures: what is trained, what the tables say."""

from __future__ import annotations

import json
import sys

import pytest


@pytest.fixture(scope="module")
def systems(script):
    return script("systems")


def measured(case, split="person", seed=0, last=1e-3):
    return {
        "name": case.name, "part": case.part, "split": split, "seed": seed, "train": 2e-4,
        "last": last, "best": last / 2, "best_epoch": 3, "mae": 10.0 + seed, "epochs": 5,
        "parameters": 1_500_000, "minutes": 1.0,
    }  # fmt: skip


def test_every_case_can_be_trained(systems, monkeypatch, root):
    """Each name is one, its settings are read, and they are what the name says."""
    monkeypatch.setenv("HEATKP_DATA", "/data")
    assert len({case.name for case in systems.CASES}) == len(systems.CASES)
    for case in systems.CASES:
        trial = case.trial("random", 2)
        settings = trial.settings()
        assert settings.data.split == "random" and settings.trainer.seed == 2
        assert settings.data.points == ("nose" if case.part == 1 else "all")
        if case.name.startswith("a_"):
            _, _, size, channels, rate, batch, epochs = case.name.split("_")
            convolutions = [line for line in settings.model.layers if line.startswith("conv")]
            per_block = 1 if case.part == 1 else 2
            assert convolutions == [
                f"conv {count} {size}" for count in channels.split(".") for _ in range(per_block)
            ]
            assert settings.optimiser.lr == float(rate)
            assert (settings.trainer.batch_size, settings.trainer.epochs) == (
                int(batch), int(epochs),
            )  # fmt: skip
    files = {c.config for c in systems.CASES}
    there = {p.stem for p in (root / "configs" / "systems").glob("*_part[12]*.yaml")}
    assert files == there


def test_what_is_published_with_a_file_is_what_the_table_says(systems, monkeypatch):
    """A file's own recipe is one of the cases: system A's choice, system C's best filter."""
    monkeypatch.setenv("HEATKP_DATA", "/data")
    by_name = {case.name: case for case in systems.CASES}
    for name, config in [
        ("a_part1_5_64.128.256.256_6e-4_8_50", "a_part1"),
        ("a_part2_5_128.256.256_3e-4_4_75", "a_part2"),
        ("c_part2_7x7", "c_part2"),
    ]:
        case = by_name[name]
        assert case.config == config
        plain = case._replace(overrides=()).trial("person", 0).settings()
        assert case.trial("person", 0).settings() == plain
        assert (
            f"{case.published:.2e}".replace("e-0", "e-")
            in (systems.CONFIGS / f"{config}.yaml").read_text()
        )


def test_table(systems):
    one, other = (c for c in systems.CASES if c.name in ("d_part1", "d_part1_1e-4"))
    found = [measured(one, seed=s, last=v) for s, v in [(1, 1.6e-3), (0, 2.0e-3)]]
    found += [measured(other, last=1e-3), measured(other, "random", last=9.9e-3)]
    rows = systems.table(found, 1, "person").splitlines()[2:]
    assert len(rows) == 2
    assert "| 1.50e-03 | 2.00e-03, 1.60e-03 | 1.20 (matches) |" in rows[0]
    assert "1.00e-03 (3), 8.00e-04 (3) | 10.50 | 1.50 |" in rows[0]
    assert "| 2.70e-03 | 1.00e-03 | 0.37 |" in rows[1] and "matches" not in rows[1]
    text = systems.report(found)
    assert text.count("## Part") == 2 and "9.90e-03" in text
    assert "`b_part1`" in text.rpartition("Not trained: ")[2]
    assert "`d_part1`" not in text.rpartition("Not trained: ")[2]


@pytest.mark.parametrize(
    "ratio, matches", [(0.69, False), (0.71, True), (1.29, True), (1.31, False)]
)
def test_a_match_is_within_thirty_percent(systems, ratio, matches):
    assert ("matches" in systems._verdict([ratio * 2e-4], 2e-4)) is matches


def test_arguments(systems, tmp_path, monkeypatch, capsys):
    results = ["--results", str(tmp_path), "--report", str(tmp_path / "systems.md")]
    monkeypatch.setattr(sys, "argv", ["systems.py", *results, "--only", "z"])
    with pytest.raises(SystemExit):
        systems.main()
    assert "no network's name begins so; there are: d_part1" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["systems.py", *results, "--table"])
    with pytest.raises(SystemExit, match="no results yet"):
        systems.main()
    (tmp_path / "a.json").write_text(json.dumps(measured(systems.CASES[0])))
    systems.main()
    assert (tmp_path / "systems.md").read_text() in capsys.readouterr().out


def test_time(systems, monkeypatch, capsys):
    monkeypatch.setenv("HEATKP_DATA", "/data")
    monkeypatch.setattr(sys, "argv", ["systems.py", "--time", "--only", "d_part1", "e_part2"])
    systems.main()
    threads, *lines = capsys.readouterr().out.splitlines()
    assert threads.endswith(" threads") and len(lines) == 4
    assert lines[0].startswith("d_part1: ") and " s a step of 16 images, " in lines[0]
    assert " s a step of 1 images, " in lines[3]


def test_a_budget_begins_none_after_it(script, capsys, monkeypatch):
    trials = script("trials")
    clock = iter([0.0, 10.0, 70.0, 0.0])
    monkeypatch.setattr(trials.time, "monotonic", lambda: next(clock))
    assert list(trials.within("abc", 1)) == ["a"]
    assert "the budget is over: 1 of 3 are there" in capsys.readouterr().out
    assert list(trials.within("abc", None)) == ["a", "b", "c"]
