"""The IMM reader, given one file."""

from __future__ import annotations

import pytest

from heatkp.data.readers import read
from heatkp.errors import DataError
from tests.conftest import write_imm


def test_a_single_file(tmp_path):
    """Found by benchmarks/fuzz.py: it ended as an error of the system's."""
    write_imm(tmp_path)
    files = sorted(tmp_path.rglob("*.asf"))
    (sample,) = read(files[0], "imm").samples
    assert sample.id == files[0].stem
    (tmp_path / "a.txt").write_text("58\n")
    with pytest.raises(DataError):
        read(tmp_path / "a.txt", "imm")
