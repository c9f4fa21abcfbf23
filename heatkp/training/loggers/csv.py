"""CSV: `csv/version_0` in the run's folder, `version_1` of a run that goes on, and so on."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger

from heatkp.registry import register_logger
from heatkp.training.loggers._base import RunLogger


@register_logger
class CSV(RunLogger):
    """`metrics.csv` and `hparams.yaml`, as Lightning writes them."""

    name = "csv"

    def open(self, run: Path) -> Logger:
        return CSVLogger(run, name="csv")
