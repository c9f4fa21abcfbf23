"""Runtimes of one model beside each other, in turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from heatkp.bench.machine import emulates_bf16
from heatkp.bench.peers import installed
from heatkp.errors import HeatkpError
from heatkp.evaluation.measure import measure_runs
from heatkp.export import is_export, open_runtime
from heatkp.export.opening import file_size, made_inputs, packaged_export
from heatkp.export.parity import answers, deviation
from heatkp.runs import Loaded

ROUNDS, REPEATS = 3, 20


class Candidate(NamedTuple):
    """A runtime and the precision that it computes in, or a peer."""

    runtime: str
    precision: str | None = "f32"
    run: str = ""
    peer: bool = False


CANDIDATES = (
    Candidate("torch"), Candidate("torch", "bf16"), Candidate("onnx"),
    Candidate("openvino"), Candidate("openvino", "bf16"),
)  # fmt: skip


@dataclass
class Row:
    """What one candidate costs.

    Attributes:
        cold: seconds from the start of a process to its first points.
        memory, size: bytes, of the process at its largest and of the model's files.
        times: milliseconds an object by number of inputs at once: the median, and the largest.
        deviation: mean distance of its points from torch's, a fraction of the normaliser.
        nme: on the data that was named.
    """

    runtime: str
    precision: str
    cold: float
    memory: int
    size: int | None
    times: dict[int, tuple[float, float]] = field(default_factory=dict)
    deviation: float | None = None
    nme: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class _Worker:
    """A process that runs one candidate."""

    def __init__(self, request: dict[str, Any]) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": str(request["threads"])}
        begun = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "heatkp.bench.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment,
        )  # fmt: skip
        self.ask(request)
        self.cold = time.perf_counter() - begun

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raises `HeatkpError` where it ended instead."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._process.stdout.readline()
        if not line:
            said = self._process.communicate()[1].strip().splitlines()
            raise HeatkpError(said[-1] if said else "the process that was to be timed ended")
        return dict(json.loads(line))

    def end(self) -> None:
        """Leave no process behind."""
        self._process.kill()
        self._process.communicate()


def bench_runtimes(
    run: str | PathLike[str],
    candidates: Sequence[Candidate] | None = None,
    batches: Sequence[int] = (1, 8),
    threads: int | None = None,
    data: str | PathLike[str] | None = None,
    exports: Sequence[str | PathLike[str]] = (),
    note: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Time a model's runtimes from input pixels to points, in turns, three times twenty each.

    Args:
        run: as `heatkp.load_model` takes it.
        candidates: runtimes and precisions; None: those that are installed, bfloat16 where the
            processor has it, and for models of faces other tools' predictors.
        batches: inputs at once.
        threads: processors that each may use; None: as many as torch.
        data: labelled data, on which each is measured, too.
        exports: exported folders of the same model to time, too.
        note: takes lines about candidates that cannot be run.

    Raises:
        HeatkpError: where none can be run.
    """
    threads = torch.get_num_threads() if threads is None else threads
    name = fspath(run)
    loaded = open_runtime(name, None if is_export(name) else "torch", "cpu")
    inputs = made_inputs(loaded)
    expected = answers(loaded.runner, inputs.images)
    chosen = list(CANDIDATES if candidates is None else candidates)
    if candidates is None and emulates_bf16():
        chosen = [c for c in chosen if c.precision != "bf16"]
        note("bf16: left out, for this processor has no instructions for it")
    quick = packaged_export(name)
    folders = [*([quick] if quick is not None and candidates is None else []), *exports]
    chosen += [Candidate("export", None, fspath(folder)) for folder in folders]
    if candidates is None and loaded.skeleton.name == "face68":
        chosen += [Candidate(peer, peer=True) for peer in installed()]
    rows, workers = [], []
    with tempfile.TemporaryDirectory(prefix="heatkp-") as place:
        file = Path(place) / "inputs.npy"
        np.save(file, inputs.images)
        try:
            for candidate in chosen:
                try:
                    row, worker = _start(candidate, name, loaded, file, threads)
                except HeatkpError as error:
                    note(f"{candidate.runtime} {candidate.precision or ''}: {error}")
                    continue
                if not candidate.peer:
                    backend = _open(candidate, name).runner
                    found = answers(backend, inputs.images)
                    row.deviation = deviation(found, expected, loaded.skeleton, inputs).relative
                    if data is not None:
                        row.nme = _nme(candidate, name, fspath(data))
                rows.append(row)
                workers.append(worker)
            if not rows:
                raise HeatkpError("none of the runtimes can be run")
            _time(rows, workers, batches)
            for row, worker in zip(rows, workers):
                row.memory = worker.ask({"memory": True})["memory"]
        finally:
            for worker in workers:
                worker.end()
    return rows


def _source(candidate: Candidate, name: str) -> tuple[str, str | None]:
    return (candidate.run, None) if candidate.run else (name, candidate.runtime)


def _open(candidate: Candidate, name: str) -> Loaded:
    source, runtime = _source(candidate, name)
    return open_runtime(source, runtime, "cpu", candidate.precision)


def _start(
    candidate: Candidate, name: str, loaded: Loaded, inputs: Path, threads: int
) -> tuple[Row, _Worker]:
    if candidate.peer:
        worker = _Worker({"peer": candidate.runtime, "threads": threads})
        return Row(candidate.runtime, "", worker.cold, 0, None), worker
    opened = _open(candidate, name)  # exports it, the first time
    source, runtime = _source(candidate, name)
    request = {
        "run": source, "runtime": runtime, "precision": candidate.precision,
        "inputs": str(inputs), "threads": threads,
    }  # fmt: skip
    worker = _Worker(request)
    precision = getattr(opened.runner, "precision", candidate.precision) or ""
    return Row(opened.runner.name, precision, worker.cold, 0, file_size(opened, source)), worker


def _time(rows: Sequence[Row], workers: Sequence[_Worker], batches: Sequence[int]) -> None:
    for batch in batches:
        found: list[list[float]] = [[] for _ in rows]
        for _ in range(ROUNDS):
            for own, worker in zip(found, workers):
                own += worker.ask({"batch": batch, "repeats": REPEATS})["times"]
        for row, own in zip(rows, found):
            each = [1e3 * seconds / batch for seconds in own]
            row.times[batch] = (float(np.median(each)), max(each))


def _nme(candidate: Candidate, name: str, data: str) -> float | None:
    source, runtime = _source(candidate, name)
    metrics = measure_runs(
        source, data, split="all", device="cpu", runtime=runtime, precision=candidate.precision,
        note=lambda line: None,
    )  # fmt: skip
    blocks = metrics["normalised"].values()
    return next((block["nme"] for block in blocks if block["nme"] is not None), None)
