"""Weights & Biases, as `wandb login`, `WANDB_PROJECT`, `WANDB_MODE` and the like set it up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from lightning.pytorch.loggers import Logger, WandbLogger

from heatkp.registry import register_logger
from heatkp.training.loggers._base import RunLogger


@register_logger
class WeightsAndBiases(RunLogger):
    """A run of the project `heatkp` or `$WANDB_PROJECT`; its own files are in `RUN/wandb`."""

    name = "wandb"
    packages: ClassVar[dict[str, str]] = {"wandb": "wandb"}

    def open(self, run: Path) -> Logger:
        project = os.environ.get("WANDB_PROJECT", "heatkp")
        return WandbLogger(name=run.name, save_dir=run, project=project)

    def close(self, logger: Logger) -> None:
        import wandb

        # Else the next run of this process, of a sweep for example, would go on in it.
        if wandb.run is not None:
            wandb.finish()
