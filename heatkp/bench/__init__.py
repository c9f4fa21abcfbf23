"""What a model costs: runtimes beside each other, and the parts of a prediction."""

from __future__ import annotations

from heatkp.bench.parts import Part, time_parts
from heatkp.bench.runtimes import Row, bench_runtimes

__all__ = ["Part", "Row", "bench_runtimes", "time_parts"]
