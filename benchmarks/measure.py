"""How benchmarks measure memory and time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median

import torch
from torch.profiler import ProfilerActivity, profile


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Without the lines that the profiler writes to stderr at start and stop."""
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


def peak_bytes(run: Callable[[], object], model: torch.nn.Module | None = None) -> int:
    """Highest sum of live allocations while it runs, beyond what was there.

    The gradients of `model` are dropped before: old ones that are freed on the way would count
    against those that the run makes.
    """
    if model is not None:
        model.zero_grad(set_to_none=True)
    with silenced(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    events = recorded.profiler.kineto_results.events()  # type: ignore[union-attr]
    memory = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    live = peak = 0
    for _, change in memory:
        live += change
        peak = max(peak, live)
    return peak


def in_turns(
    works: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each work, all of them in turns, so that what else the machine does
    falls on all alike; a first turn warms up. `clock` may be `time.process_time`, where others use
    the machine."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            begun = clock()
            work()
            if turn:
                taken[name].append(clock() - begun)
    return {name: median(durations) for name, durations in taken.items()}
