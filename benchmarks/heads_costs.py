"""What heads cost: time of a training step and of an answer, parameters, peak memory.

    python benchmarks/heads_costs.py
    python benchmarks/heads_costs.py --parts 2 3 --repeats 20 --threads 1

Networks are those of `heads.py`, untrained, on images of noise: cost does not depend on what they
have learned. All heads take turns in one process; times are medians. Writes
`benchmarks/heads_costs.md`.
"""

from __future__ import annotations

import argparse
import os
import platform
from functools import partial
from pathlib import Path

import torch
from heads import HEADS, HERE, Cell
from heads_table import REGRESSION
from measure import in_turns, peak_bytes
from torch import Tensor

from heatkp.files import write_text
from heatkp.models import KeypointModel, build_model

POINTS = {1: 1, 2: 58, 3: 68}


def step(model: KeypointModel, images: Tensor, points: Tensor) -> None:
    """Forward, loss and backward."""
    model.train().zero_grad(set_to_none=True)
    model.training_loss(images, points, torch.ones(points.shape[:2])).backward()


def answer(model: KeypointModel, image: Tensor) -> None:
    """Forward and decoding."""
    with torch.inference_mode():
        model.eval().decode(model(image))


def table(part: int, heads: list[str], repeats: int) -> str:
    """Markdown of one part."""
    models = {}
    for head in heads:
        settings = Cell(part, "random", head, 0).trial.settings()
        settings.model.encoder_weights = "none"
        models[head] = build_model(settings, POINTS[part]).to(memory_format=torch.channels_last)
    (width, height), batch = settings.data.size, settings.trainer.batch_size
    torch.manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8)
    points = torch.rand(batch, POINTS[part], 2) * torch.tensor([width, height])
    steps = {head: partial(step, model, images, points) for head, model in models.items()}
    answers = {head: partial(answer, model, images[:1]) for head, model in models.items()}
    training, answering = in_turns(steps, repeats), in_turns(answers, 3 * repeats)
    lines = [
        f"## Part {part}: {width}x{height} pixels, {POINTS[part]} points, batch {batch}",
        "",
        "| head | step, ms/image | / regression | answer, ms | / regression | parameters, M | "
        "peak of a step, MB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for head, model in models.items():
        lines.append(
            f"| `{head}` | {1e3 * training[head] / batch:.1f} | "
            f"{training[head] / training[REGRESSION]:.2f} | {1e3 * answering[head]:.1f} | "
            f"{answering[head] / answering[REGRESSION]:.2f} | "
            f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} | "
            f"{peak_bytes(steps[head], model) / 1e6:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", type=int, choices=[1, 2, 3], default=[1, 2, 3])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--report", type=Path, default=HERE.with_name("heads_costs.md"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    text = [
        "# What heads cost",
        "",
        f"`python benchmarks/heads_costs.py --repeats {given.repeats} --threads {given.threads}` on"
        f" {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__.split('+')[0]}.",
        "A step is forward, loss and backward; an answer is forward and decoding of one image. The",
        "peak is of memory beyond the weights. All heads took turns in one process, medians.",
    ]
    for part in given.parts:
        text += ["", table(part, list(HEADS), given.repeats)]
    whole = "\n".join(text) + "\n"
    write_text(given.report, whole)
    print(whole)


if __name__ == "__main__":
    main()
