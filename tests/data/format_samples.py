"""What samples of tools' formats say is to be read of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from heatkp.data.samples import Labels


def require_expected(labels: Labels, folder: Path) -> None:
    """Labels hold what a folder's expected.json says, points by name."""
    expected = json.loads((folder / "expected.json").read_text())
    names = labels.skeleton.point_names
    assert set(names) == set(expected["names"])
    order = [names.index(name) for name in expected["names"]]
    assert len(labels.samples) == len(expected["samples"])
    for sample, one in zip(labels.samples, expected["samples"]):
        points = np.array([[np.nan] * 2 if p is None else p for p in one["points"]], float)
        assert sample.file == folder / one["image"]
        assert sample.visibility[order].tolist() == one["visible"]
        known = np.isfinite(points).all(1)
        given = sample.points[order][known]
        assert np.allclose(given, points[known], atol=expected["tolerance"], rtol=0)
        assert (sample.box is None) == ("box" not in one)
        if "box" in one:
            assert np.allclose(sample.box, one["box"], atol=expected["tolerance"], rtol=0)
        assert sample.split == one.get("split")
    named = {name: i for i, name in enumerate(names)}
    for left, right in expected.get("pairs", ()):
        assert (named[left], named[right]) in labels.skeleton.pairs
