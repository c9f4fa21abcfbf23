"""Networks that were exported: one file takes pixels and gives points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.engine.backend import Output
from heatkp.errors import MissingPackageError, SettingsError

Pixels = npt.NDArray[np.uint8]
NAMES = ("points", "scores", "covariance")
"""Outputs of an exported network, in their order; the last is not there for all decoders."""
OBJECT_NAMES = ("points", "scores", "boxes", "box_scores", "covariance")
"""The same of a network that finds the objects of whole images."""


def require_packages(packages: dict[str, str], what: str) -> None:
    """Raises `MissingPackageError` where one of the modules is not installed.

    Args:
        packages: modules that are imported, each with what pip calls it.
        what: what needs them, for the message.
    """
    missing = [name for module, name in packages.items() if find_spec(module) is None]
    if missing:
        raise MissingPackageError(
            f"{what} needs {' and '.join(missing)}: pip install {' '.join(missing)}"
        )


class ExportedBackend(ABC):
    """Base of the runtimes that open an exported file; a `heatkp.engine.Backend` without maps.

    Subclasses define `infer`, and `packages`: the modules that they import, with their names for
    pip.
    """

    name: ClassVar[str]
    packages: ClassVar[dict[str, str]] = {}
    kind: hm.Kind | None = None
    stride = 1

    def __init__(self, file: Path, precision: str = "f32", threads: int | None = None) -> None:
        """Open a file that was exported with that precision.

        Args:
            threads: processors that it may use; None: as many as torch may.

        Raises:
            MissingPackageError: where the runtime is not installed.
            CheckpointError: for a file that it cannot open.
        """
        require_packages(self.packages, f"runtime {self.name}")
        self.file, self.precision = file, precision
        self.threads = torch.get_num_threads() if threads is None else threads
        self.open()

    @abstractmethod
    def open(self) -> None:
        """Make it ready to `infer`. Raises `CheckpointError` for a file that is none."""

    @abstractmethod
    def infer(self, images: Pixels) -> list[npt.NDArray[Any]]:
        """The outputs of `NAMES`, or `OBJECT_NAMES`, for inputs, uint8 (B, C, H, W): float32 arrays
        of B rows."""

    def run(self, images: Tensor, maps: bool = False) -> Output:
        """Points of inputs, uint8 (B, C, H, W). Raises `SettingsError` where maps are wanted, or
        the points of one object of a network that finds all."""
        if maps:
            raise SettingsError(
                "an exported network gives points, no maps: take the run that it was made of"
            )
        found = [torch.from_numpy(part) for part in self.infer(images.cpu().numpy())]
        if found[0].ndim == 4:  # `OBJECT_NAMES`
            raise SettingsError(
                "an exported network of head grouped finds all objects of whole images, not the "
                "points of one: take the run that it was made of"
            )
        return Output(found[0], found[1], found[2] if len(found) > 2 else None)
