"""One runtime in a process of its own, so that its start and memory are its own.

Reads a line of JSON at a time and answers with one: first what to open, then `{"batch": B,
"repeats": N}` for times of N runs over B inputs, or `{"memory": true}`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

WARM = 3


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print
    request = json.loads(sys.stdin.readline())
    run = _peer(request) if request.get("peer") else _runtime(request)
    run(1)
    _say(answers, {"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("memory"):
            _say(answers, {"memory": _peak()})
            continue
        for _ in range(WARM):
            run(request["batch"])
        times = []
        for _ in range(request["repeats"]):
            begun = time.perf_counter()
            run(request["batch"])
            times.append(time.perf_counter() - begun)
        _say(answers, {"times": times})


def _peak() -> int:
    """Bytes of memory that this process held at most."""
    with suppress(OSError):
        # What `getrusage` tells of a process that another one started begins with that one's.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)


def _say(answers: Any, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def _runtime(request: dict[str, Any]) -> Any:
    import numpy as np
    import torch

    torch.set_num_threads(request["threads"])
    from heatkp.export import open_runtime

    loaded = open_runtime(request["run"], request["runtime"], "cpu", request["precision"])
    images = np.load(request["inputs"])
    batches: dict[int, torch.Tensor] = {}
    runner = loaded.runner

    def run(batch: int) -> None:
        if batch not in batches:
            batches[batch] = torch.from_numpy(images[np.arange(batch) % len(images)])
        runner.run(batches[batch])

    return run


def _peer(request: dict[str, Any]) -> Any:
    from heatkp.bench.peers import PEERS

    made = PEERS[request["peer"]](request["threads"])

    def run(batch: int) -> None:
        for i in range(batch):
            made(i)

    return run


if __name__ == "__main__":
    main()
