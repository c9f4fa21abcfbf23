"""MLflow, where `MLFLOW_TRACKING_URI` says; without it where MLflow itself would write."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch.loggers import Logger, MLFlowLogger

from heatkp.registry import register_logger
from heatkp.training.loggers._base import RunLogger


@register_logger
class MLflow(RunLogger):
    """A run of the experiment `heatkp` or `$MLFLOW_EXPERIMENT_NAME`."""

    name = "mlflow"
    packages: ClassVar[dict[str, str]] = {"mlflow": "mlflow"}

    def open(self, run: Path) -> Logger:
        import mlflow

        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "heatkp")
        return MLFlowLogger(experiment, run.name, tracking_uri=mlflow.get_tracking_uri())

    def finish(self, logger: Logger, settings: dict[str, Any], metrics: dict[str, float]) -> None:
        allowed = {re.sub(r"[^\w\-. /]", "_", name): value for name, value in metrics.items()}
        super().finish(logger, settings, allowed)
