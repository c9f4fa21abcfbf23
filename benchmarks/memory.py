"""Peak memory of a training step, with the last layer whole and in chunks.

    python benchmarks/memory.py --batches 4 8 16 32

Each figure is the largest resident memory of a process of its own (`ru_maxrss`) that makes
three training steps, less that of one which only loads the model. `network` ends at the
decoder's features: what is over it belongs to the last convolution, the maps and the loss.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any


def step(mode: str, batch: int, size: int, points: int, chunk: int) -> dict[str, float]:
    """Peak MiB and the shortest step in ms; run in a fresh process."""
    import torch

    from heatkp import create_model

    torch.manual_seed(0)
    model = create_model(
        "kl", points=points, size=(size, size), encoder="mobilenet_v2", stride=1,
        loss_chunk=chunk if mode == "chunked" else 0,
    )  # fmt: skip
    optimiser = torch.optim.SGD(model.parameters(), 1e-3)
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    where, weights = torch.rand(batch, points, 2) * size, torch.ones(batch, points)
    times = []
    for _ in range(0 if mode == "load" else 3):
        start = time.perf_counter()
        optimiser.zero_grad()
        if mode == "network":
            model.features(images).square().mean().backward()
        else:
            model.training_loss(images, where, weights).backward()
        optimiser.step()
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"mib": peak, "ms": 1e3 * min(times, default=0.0)}


def measured(mode: str, batch: int, arguments: Any) -> dict[str, float]:
    command = [sys.executable, __file__, "--mode", mode, "--batches", str(batch)]
    for name in ("size", "points", "chunk"):
        command += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--points", type=int, default=68)
    parser.add_argument("--chunk", type=int, default=1)
    parser.add_argument("--mode", choices=["load", "network", "whole", "chunked"])
    arguments = parser.parse_args()
    if arguments.mode:
        batch = arguments.batches[0]
        print(json.dumps(step(arguments.mode, batch, arguments.size, arguments.points,
                              arguments.chunk)))  # fmt: skip
        return
    print(
        f"U-Net, MobileNetV2, {arguments.size}x{arguments.size}, K = {arguments.points}, "
        f"stride 1, KL, chunks of {arguments.chunk}\n\n"
        "| batch | logits | network alone | + last layer whole | + chunked | time chunked / whole |"
        "\n|---|---|---|---|---|---|"
    )
    base = measured("load", 1, arguments)["mib"]
    for batch in arguments.batches:
        found = {m: measured(m, batch, arguments) for m in ("network", "whole", "chunked")}
        alone = found["network"]["mib"] - base
        logits = 4 * batch * arguments.points * arguments.size**2 / 2**20
        over = [found[m]["mib"] - base - alone for m in ("whole", "chunked")]
        ratio = found["chunked"]["ms"] / found["whole"]["ms"]
        print(
            f"| {batch} | {logits:.0f} MiB | {alone:.0f} MiB | {over[0]:+.0f} MiB | "
            f"{over[1]:+.0f} MiB | {ratio:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
