"""Images that are broken in ten ways: the others are done, and each of these is named."""

from __future__ import annotations

import sys


def test_ten_ways(root, tmp_path, monkeypatch):
    """The small form of `benchmarks/faults.py --only broken`."""
    monkeypatch.syspath_prepend(root / "benchmarks")
    import other_faults as faults

    bad = faults.write_images(tmp_path / "in", 60, 5)
    assert len(bad) == 12 and set(bad.values()) == {name for name, _ in faults.breakages()}
    done = faults.predict_with_nothing(tmp_path / "in", tmp_path / "out")
    assert {failure.name for failure in done.failures} == set(bad)
    assert all(failure.reason for failure in done.failures)
    assert done.images == 48 and done.complete
    lines = (tmp_path / "out" / "points.jsonl").read_text().splitlines()
    assert sum('"image"' in line and '"objects"' in line for line in lines) >= 48
    assert "sharding" in sys.modules
