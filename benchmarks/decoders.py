"""Accuracy and time of the decoders.

    python benchmarks/decoders.py [--sigmas 1 1.5 2 3] [--strides 1 2 4] [--json OUT]

Accuracy: random points of a 256 x 256 input, at least 4 sigma from the map's border, are mapped to
maps of each stride and drawn as a perfect network would answer: Gaussians of peak 1 ("gaussian"),
log-probabilities of the normalised Gaussian ("logits"), log-odds of the Gaussian of peak 1
("sigmoid_logits"). Each decoder that may read that kind does so, and its points are mapped back to
the input; the figure is the root mean square distance, in map pixels. With noise, each pixel gets
independent normal noise: of 0.05 for Gaussians, of 0.2 for both kinds of logits. A last row,
"border", has points anywhere on the map, without noise.

Time: (1, 68, 64, 64) and (64, 68, 64, 64) logits, all decoders in turns in one process, medians;
decoding includes scores and covariances.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from functools import partial
from pathlib import Path

import torch
from measure import in_turns
from torch import Tensor

from heatkp.coordinates import input_to_map, map_to_input
from heatkp.heatmaps import DECODERS, KINDS, Kind, decode, render_gaussians

INPUT = 256
NOISE: dict[Kind, float] = {"gaussian": 0.05, "logits": 0.2, "sigmoid_logits": 0.2}
TIMED = ((1, 68, 64, 64), (64, 68, 64, 64))


def perfect_maps(points: Tensor, size: int, sigma: float, kind: Kind) -> Tensor:
    """What a network without error would answer, float32; points in float64."""
    peaks = render_gaussians(points, (size, size), sigma, normalised=False)
    if kind == "gaussian":
        return peaks.float()
    logs = peaks.clamp(min=1e-300).log()
    if kind == "sigmoid_logits":
        logs = logs - (-peaks.clamp(max=1 - 1e-9)).log1p()
    return logs.float()


def errors(
    sigma: float, stride: int, noise: bool, border: bool, count: int
) -> dict[str, dict[str, float]]:
    """Root mean square errors in map pixels, by kind and decoder."""
    size = INPUT // stride
    margin = -0.5 if border else 4 * sigma
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(1, count, 2, generator=generator, dtype=torch.float64)
    points = map_to_input(margin + drawn * (size - 1 - 2 * margin), stride)
    found: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        maps = perfect_maps(input_to_map(points, stride), size, sigma, kind)
        if noise:
            maps += NOISE[kind] * torch.randn(maps.shape, generator=generator)
        found[kind] = {}
        for name, info in DECODERS.items():
            if kind in info.kinds:
                answer = decode(name, maps, kind=kind, sigma=sigma).points.double()
                off = (map_to_input(answer, stride) - points) / stride
                found[kind][name] = off.square().sum(-1).mean().sqrt().item()
    return found


def times(shape: tuple[int, ...], repeats: int) -> dict[str, float]:
    """Median milliseconds of each decoder on logits of that shape."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(*shape[:2], 2, generator=generator, dtype=torch.float64) * (shape[2] - 1)
    maps = perfect_maps(points, shape[2], 1.5, "logits")
    works = {
        name: partial(decode, name, maps, kind="logits", sigma=1.5)  # type: ignore[arg-type]
        for name in DECODERS
    }
    return {name: 1e3 * seconds for name, seconds in in_turns(works, repeats).items()}


def line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sigmas", type=float, nargs="+", default=[1.0, 1.5, 2.0, 3.0])
    parser.add_argument("--strides", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--points", type=int, default=1000, help="points per figure")
    parser.add_argument("--repeats", type=int, default=9, help="timed runs of each decoder")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", type=Path, default=None, metavar="OUT")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    names = list(DECODERS)
    rows = []
    cases = [("exact", False, False), ("noise", True, False), ("border", False, True)]
    for title, noise, border in cases:
        for sigma in options.sigmas:
            for stride in options.strides:
                found = errors(sigma, stride, noise, border, options.points)
                rows += [
                    {"case": title, "sigma": sigma, "stride": stride, "kind": kind, "rms": rms}
                    for kind, rms in found.items()
                ]
    print(f"Root mean square error in map pixels, {options.points} points each\n")
    for kind in KINDS:
        print(f"### {kind}\n\n" + line("case", "sigma", "stride", *names))
        print("|---|--:|--:" + "|--:" * len(names) + "|")
        for row in rows:
            if row["kind"] == kind:
                cells = [f"{row['rms'][n]:.4f}" if n in row["rms"] else "" for n in names]
                print(line(row["case"], row["sigma"], row["stride"], *cells))
        print()
    print(
        f"### Time in ms: torch {torch.__version__}, {torch.get_num_threads()} threads on "
        f"{os.cpu_count()} cores ({platform.machine()}), float32 logits, "
        f"median of {options.repeats}\n"
    )
    print(line("shape", *names) + "\n|---" + "|--:" * len(names) + "|", flush=True)
    timed = {}
    for shape in TIMED:
        timed["x".join(map(str, shape))] = taken = times(shape, options.repeats)
        print(line(shape, *(f"{taken[name]:.1f}" for name in names)), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps({"errors": rows, "ms": timed}, indent=1) + "\n")


if __name__ == "__main__":
    main()
