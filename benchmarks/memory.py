"""Peak memory of a training step, with the last layer whole and in chunks.

    python benchmarks/memory.py --batches 4 8 16 32

Memory is the highest sum of live allocations during a step as the profiler records them from
torch's allocator, beyond what was there before (model and batch). `network` ends at the decoder's
features, whose sum is what it minimises: what is over it belongs to the last convolution, the maps,
the loss and the features' gradient. Times are the shortest of three steps.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from measure import peak_bytes

from heatkp import create_model


def step(
    mode: str, batch: int, size: int, points: int, chunk: int
) -> tuple[Callable[[], None], torch.nn.Module]:
    """Forward and backward of a fresh model, and the model."""
    torch.manual_seed(0)
    model = create_model(
        "kl", points=points, size=(size, size), encoder="mobilenet_v2", stride=1, options={},
        loss_chunk=chunk if mode == "chunked" else 0,
    )  # fmt: skip
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    where, weights = torch.rand(batch, points, 2) * size, torch.ones(batch, points)

    def run() -> None:
        model.zero_grad()
        if mode == "network":
            model.features(images).sum().backward()
        else:
            model.training_loss(images, where, weights).backward()

    return run, model


def shortest(run: Callable[[], None]) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--points", type=int, default=68)
    parser.add_argument("--chunk", type=int, default=1)
    arguments = parser.parse_args()
    print(
        f"U-Net, MobileNetV2, {arguments.size}x{arguments.size}, K = {arguments.points}, "
        f"stride 1, KL, chunks of {arguments.chunk}\n\n"
        "| batch | logits, MB | network alone | + last layer whole | + chunked | "
        "time chunked / whole |\n|--:|--:|--:|--:|--:|--:|"
    )
    for batch in arguments.batches:
        peaks, times = {}, {}
        for mode in ("network", "whole", "chunked"):
            run, model = step(mode, batch, arguments.size, arguments.points, arguments.chunk)
            times[mode] = shortest(run)
            peaks[mode] = peak_bytes(run, model) / 1e6
        alone = peaks["network"]
        print(
            f"| {batch} | {4e-6 * batch * arguments.points * arguments.size**2:.0f} | {alone:.0f} "
            f"| {peaks['whole'] - alone:+.0f} | {peaks['chunked'] - alone:+.0f} "
            f"| {times['chunked'] / times['whole']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
