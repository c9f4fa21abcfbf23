"""Damaged files of out-of-fold predictions."""

from __future__ import annotations

import numpy as np
import pytest

from heatkp.errors import DataError
from heatkp.evaluation.out_of_fold import load_out_of_fold


def test_damaged_archives(tmp_path, monkeypatch):
    """Found by benchmarks/fuzz.py: numpy lets errors of zip files pass."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, ids=np.arange(500), folds=np.zeros(100_000))
    content = path.read_bytes()
    half = len(content) // 2
    for damaged in (
        content[:half],
        content[:60] + b"\xff" * 8 + content[68:],
        content[:half] + b"\0\xff" * 30 + content[half + 60 :],
        content.replace(b"PK\x01\x02", b"PK\x01\xff"),
        b"PK\x03\x04",
        b"",
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            load_out_of_fold(path)
    path.write_bytes(content)
    monkeypatch.setenv("HEATKP_MAX_LABEL_BYTES", "10K")
    with pytest.raises(DataError, match="HEATKP_MAX_LABEL_BYTES"):
        load_out_of_fold(path)
