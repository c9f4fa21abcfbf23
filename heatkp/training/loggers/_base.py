"""What a logger defines, and which of Lightning's it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch.loggers import Logger


class RunLogger(ABC):
    """Base of the loggers: which of Lightning's it is, and how it ends.

    Subclasses define `name`, `open`, and `packages`: the modules that it imports, with their
    names for pip.
    """

    name: ClassVar[str]
    packages: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def open(self, run: Path) -> Logger:
        """Lightning's logger for the run in that folder; writes nothing yet."""

    def finish(self, logger: Logger, settings: dict[str, Any], metrics: dict[str, float]) -> None:
        """Log the metrics of a finished run; `settings` are nested."""
        logger.log_metrics(metrics)
        logger.save()

    def close(self, logger: Logger) -> None:  # noqa: B027
        """Leave nothing open, also of a run that failed."""
