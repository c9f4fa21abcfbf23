"""TensorBoard: `tensorboard/` in the run's folder; `tensorboard --logdir runs` shows all runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from heatkp.registry import register_logger
from heatkp.training.loggers._base import RunLogger


@register_logger
class TensorBoard(RunLogger):
    """Event files; settings and final metrics in the tab of hyperparameters, too."""

    name = "tensorboard"
    packages: ClassVar[dict[str, str]] = {"tensorboard": "tensorboard"}

    def open(self, run: Path) -> Logger:
        return TensorBoardLogger(run, name="tensorboard", version="", default_hp_metric=False)

    def finish(self, logger: Logger, settings: dict[str, Any], metrics: dict[str, float]) -> None:
        assert isinstance(logger, TensorBoardLogger)
        logger.log_hyperparams(settings, metrics)  # logs the metrics as curves of one point, too
        logger.save()
