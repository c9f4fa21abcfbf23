"""Time and memory of the losses, forward and backward, against others and against the memory.

    python benchmarks/losses.py [--sizes 8x68x224x224 ...] [--repeats 9] [--json OUT]

All contenders run in one process, in turns, so that whatever else the machine does falls on all
of them; times are medians. Each run starts from logits (B, K, H, W) and points (B, K, 2) and ends
with the mean loss and the logits' gradient, so drawing a target counts. Memory is the highest sum
of live allocations during a run as the profiler records them from torch's allocator (temporaries
within operators too), in a separate run; the logits were there before and do not count.

Contenders: heatkp; the same loss written with separable factors and left to autograd; a target
drawn by kornia; dsntnn's regularisers; and a target drawn by a numpy loop over keypoints, as
MMPose's MSRAHeatmap codec does in the data loader, here in the same thread. The floor: copying the
logits to memory already in use, and reading them once and writing the gradient once to memory that
is new, as a gradient is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dsntnn
import numpy as np
import torch
import torch.nn.functional as F
from kornia.geometry.subpix import render_gaussian2d
from measure import peak_bytes
from torch import Tensor

import heatkp.heatmaps as hm
from heatkp.heatmaps.losses.engine import new_buffer

SIZES = ("8x68x224x224", "16x68x64x64", "64x15x96x96", "2x133x256x192")
SIGMA = 1.0

Loss = Callable[[Tensor, Tensor], Tensor]


def kornia_target(maps: Tensor, points: Tensor) -> Tensor:
    return render_gaussian2d(
        points, torch.full_like(points, SIGMA), (maps.shape[2], maps.shape[3]), False
    )


def kornia_kl(maps: Tensor, points: Tensor) -> Tensor:
    target = kornia_target(maps, points).flatten(2)
    return F.kl_div(maps.flatten(2).log_softmax(2), target, reduction="none").sum(2).mean()


def kornia_mse(maps: Tensor, points: Tensor) -> Tensor:
    target = kornia_target(maps, points) * (2 * torch.pi * SIGMA**2)  # peak 1
    return (maps - target).square().mean()


def dsntnn_loss(function: Callable[..., Tensor], maps: Tensor, points: Tensor) -> Tensor:
    size = (maps.shape[2], maps.shape[3])
    centres = dsntnn.pixel_to_normalized_coordinates(points, size)
    return function(dsntnn.flat_softmax(maps), centres, SIGMA).mean()


def codec_target(shape: torch.Size, points: np.ndarray) -> Tensor:
    """Gaussians of peak 1 about rounded centres, cut at 3 sigma, one keypoint after another."""
    target = torch.zeros(shape)
    maps = target.numpy()
    height, width = shape[2:]
    radius = int(3 * SIGMA)
    axis = np.arange(2 * radius + 1, dtype=np.float32)
    gaussian = np.exp(-((axis - radius) ** 2 + (axis[:, None] - radius) ** 2) / (2 * SIGMA**2))
    for b, k in np.ndindex(*shape[:2]):
        x, y = (points[b, k] + 0.5).astype(np.int64)
        left, top, right, bottom = x - radius, y - radius, x + radius + 1, y + radius + 1
        if left >= width or top >= height or right < 0 or bottom < 0:
            continue
        from_x, to_x = max(0, -left), min(width, right) - left
        from_y, to_y = max(0, -top), min(height, bottom) - top
        region = maps[b, k, max(0, top) : min(height, bottom), max(0, left) : min(width, right)]
        np.maximum(region, gaussian[from_y:to_y, from_x:to_x], out=region)
    return target


def codec_mse(maps: Tensor, points: Tensor) -> Tensor:
    return F.mse_loss(maps, codec_target(maps.shape, points.numpy()))


def factors(centres: Tensor, length: int, normalised: bool) -> Tensor:
    exponent = -0.5 * ((torch.arange(length) - centres[..., None]) / SIGMA) ** 2
    return exponent.softmax(2) if normalised else exponent.exp()


def separable(maps: Tensor, points: Tensor, normalised: bool) -> Tensor:
    """u_y^T Z u_x for each map."""
    x = factors(points[..., 0], maps.shape[3], normalised)
    y = factors(points[..., 1], maps.shape[2], normalised)
    return ((maps @ x[..., None])[..., 0] * y).sum(2)


def autograd_cross_entropy(maps: Tensor, points: Tensor) -> Tensor:
    return (maps.logsumexp((2, 3)) - separable(maps, points, True)).mean()


def autograd_mse(maps: Tensor, points: Tensor) -> Tensor:
    norms = [
        factors(points[..., axis], maps.shape[3 - axis], False).square().sum(2) for axis in (0, 1)
    ]
    energy = maps.square().sum((2, 3)) - 2 * separable(maps, points, False) + norms[0] * norms[1]
    return energy.mean() / (maps.shape[2] * maps.shape[3])


def heatkp_loss(name: str, maps: Tensor, points: Tensor) -> Tensor:
    info = hm.LOSSES[name]
    options = {"sigma": SIGMA} if info.uses_sigma else {}
    return hm.masked_mean(info.function(maps, points, **options))


CONTENDERS: dict[str, Loss] = {
    **{f"heatkp {name}": partial(heatkp_loss, name) for name in hm.LOSSES},
    "autograd cross-entropy": autograd_cross_entropy,
    "autograd MSE": autograd_mse,
    "kornia target, KL": kornia_kl,
    "kornia target, MSE": kornia_mse,
    "dsntnn kl_reg_losses": partial(dsntnn_loss, dsntnn.kl_reg_losses),
    "dsntnn js_reg_losses": partial(dsntnn_loss, dsntnn.js_reg_losses),
    "numpy loop (MMPose codec), MSE": codec_mse,
}


def step(loss: Loss, maps: Tensor, points: Tensor) -> None:
    loss(maps, points).backward()
    maps.grad = None


def floors(maps: Tensor) -> dict[str, Callable[[], object]]:
    logits = maps.detach()
    used = logits.clone()
    flat = logits.view(-1, *logits.shape[2:])
    return {
        "floor: copy to used memory": lambda: used.copy_(logits),
        "floor: read once, write once, new memory": lambda: torch.mul(logits, 2.0),
        "floor: the same in huge pages": lambda: torch.mul(flat, 2.0, out=new_buffer(logits)),
    }


def measure(size: str, repeats: int, expected: str) -> list[dict[str, object]]:
    """One row per contender: name, milliseconds, megabytes and logits-sized buffers beside them."""
    batch, keypoints, height, width = (int(n) for n in size.split("x"))
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(batch, keypoints, height, width, generator=generator).requires_grad_()
    points = torch.rand(batch, keypoints, 2, generator=generator)
    points = points * torch.tensor([width - 1.0, height - 1.0])
    runs: dict[str, Callable[[], object]] = floors(maps)
    runs |= {name: partial(step, loss, maps, points) for name, loss in CONTENDERS.items()}
    runs = {name: run for name, run in runs.items() if expected in name or "floor" in name}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:  # the first is for warming up
                times[name].append(time.perf_counter() - start)
    return [
        {
            "size": size,
            "name": name,
            "ms": 1e3 * statistics.median(times[name]),
            "fastest_ms": 1e3 * min(times[name]),
            "mb": (peak := peak_bytes(run)) / 1e6,
            "buffers": peak / maps.nbytes,
        }
        for name, run in runs.items()
    ]


def table(rows: list[dict[str, object]]) -> str:
    """Markdown, with times relative to kornia's KL, dsntnn's KL and the floor."""
    times = {str(row["name"]): float(str(row["ms"])) for row in rows}
    against = (
        ("/ kornia KL", "kornia target, KL"),
        ("/ dsntnn KL", "dsntnn kl_reg_losses"),
        ("/ floor", "floor: the same in huge pages"),
    )
    against = tuple((title, name) for title, name in against if name in times)
    titles = ["", "ms", "fastest", *(title for title, _ in against), "MB", "buffers"]
    lines = ["| " + " | ".join(titles) + " |", "|---" + "|--:" * (len(titles) - 1) + "|"]
    for row in rows:
        ratios = [f"{times[str(row['name'])] / times[name]:.2f}" for _, name in against]
        cells = [
            row["name"], f"{row['ms']:.1f}", f"{row['fastest_ms']:.1f}", *ratios,
            f"{row['mb']:.0f}", f"{row['buffers']:.2f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="BxKxHxW")
    parser.add_argument("--repeats", type=int, default=9, help="timed runs of each contender")
    parser.add_argument("--only", default="", help="contenders with this in their name")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", type=Path, default=None, metavar="OUT")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads on {os.cpu_count()} cores "
        f"({platform.machine()}), float32, sigma {SIGMA}, median of {options.repeats}\n"
    )
    rows = []
    for size in options.sizes:
        part = measure(size, options.repeats, options.only)
        print(f"### {size}: logits {4e-6 * np.prod([int(n) for n in size.split('x')]):.0f} MB\n")
        print(table(part) + "\n", flush=True)
        rows += part
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
