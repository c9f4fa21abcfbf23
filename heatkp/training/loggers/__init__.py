"""Loggers: where a run's curves, settings and metrics also go. One a file.

To add one, put a file here that decorates its class with `heatkp.registry.register_logger`; other
packages name theirs in the entry points `heatkp.loggers`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from rich.console import Console

from heatkp.config import Settings
from heatkp.engine.exported import require_packages
from heatkp.errors import HeatkpError, SettingsError
from heatkp.registry import LOGGERS
from heatkp.text import is_text
from heatkp.training.loggers._base import RunLogger

__all__ = ["RunLogger", "RunLoggers", "final_metrics"]

AUTO = "auto"


def final_metrics(metrics: Mapping[str, Any], prefix: str = "final") -> dict[str, float]:
    """The numbers of a run's metrics by one name each, those of single points left out.

    >>> final_metrics({"mae_photo": 2.5, "normalised": {"box-diagonal": {"nme": 0.04}},
    ...                "points": [{"mae_photo": 1.0}], "split": "val"})
    {'final/mae_photo': 2.5, 'final/normalised/box-diagonal/nme': 0.04}
    """
    found: dict[str, float] = {}
    for key, value in metrics.items():
        place = f"{prefix}/{key}"
        if isinstance(value, Mapping):
            found |= final_metrics(value, place)
        elif (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ):
            found[place] = float(value)
    return found


class RunLoggers:
    """The loggers that a run's settings name."""

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsError` for a name that is none, and `MissingPackageError` for one whose
        package is not installed; writes nothing."""
        self._settings = settings.model_dump()
        self._kinds: list[RunLogger] = []
        self._open: list[tuple[RunLogger, Logger]] = []
        asked = list(settings.trainer.loggers)
        self._unasked = AUTO in asked
        if AUTO in asked:
            asked.remove(AUTO)
            if "tensorboard" not in asked and find_spec("tensorboard") is not None:
                asked.append("tensorboard")
        for name in asked:
            if name not in LOGGERS:
                raise SettingsError(f"trainer.loggers: {LOGGERS.unknown(name, [AUTO, 'none'])}")
            kind = LOGGERS[name]()
            require_packages(kind.packages, f"logger {name}")
            self._kinds.append(kind)

    @contextmanager
    def opened(self, run: Path, console: Console) -> Iterator[list[Logger]]:
        """Lightning's loggers for a training in a run's folder; closed where that fails.

        Raises `SettingsError` where one cannot take this folder and was asked for.
        """
        kinds = self._kinds
        if kinds and not is_text(str(run)):
            if not self._unasked:
                raise SettingsError(
                    f"trainer.loggers: loggers take no folder that is not UTF-8 ({run}): choose "
                    "another with --out, or --set trainer.loggers=none"
                )
            console.print(f"no TensorBoard files: it takes no folder that is not UTF-8 ({run})")
            kinds = []
        try:
            for kind in kinds:
                with _said(kind):
                    self._open.append((kind, kind.open(run)))
            yield [logger for _, logger in self._open]
        except BaseException:
            self._close()
            raise

    def settings_logged(self) -> Callback:
        """Logs the settings when training begins: then it is known which process does."""
        return _SettingsLogged(self)

    def log_settings(self) -> None:
        """Raises `SettingsError` for a logger that cannot begin: without a login, for example."""
        for kind, logger in self._open:
            with _said(kind):
                logger.log_hyperparams(self._settings)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Log the metrics of the finished run, and close all."""
        try:
            for kind, logger in self._open:
                with _said(kind):
                    kind.finish(logger, self._settings, final_metrics(metrics))
                    logger.finalize("success")
        finally:
            self._close()

    def _close(self) -> None:
        for kind, logger in self._open:
            kind.close(logger)
        self._open = []


class _SettingsLogged(Callback):
    def __init__(self, loggers: RunLoggers) -> None:
        self._loggers = loggers

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._loggers.log_settings()


@contextmanager
def _said(kind: RunLogger) -> Iterator[None]:
    """Turns whatever a logger's package raises into a `SettingsError` that names it."""
    try:
        yield
    except (HeatkpError, OSError):
        raise
    except Exception as error:
        raise SettingsError(
            f"logger {kind.name} failed ({type(error).__name__}: {error}): mend that, or leave it "
            "out of trainer.loggers"
        ) from error
