"""What an exporter is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from heatkp.models import KeypointModel

PRECISIONS = {
    "f32": "float32",
    "bf16": "the network in bfloat16",
    "f16": "weights in float16, half the size",
    "int8": "the network in int8, by calibration",
}


@dataclass(frozen=True)
class Calibration:
    """What int8 needs to know.

    Attributes:
        images: uint8 (N, C, H, W), inputs as the network will see them.
        deviation: how far what an exported file finds in them deviates, a fraction of the
            normaliser; asked where single layers are put back to float.
        offset: what to add to the points that it finds in them, float32 (K, 2) of input pixels.
        tolerance: how far it may deviate.
    """

    images: npt.NDArray[np.uint8]
    deviation: Callable[[list[npt.NDArray[np.float32]]], float]
    offset: Callable[[list[npt.NDArray[np.float32]]], npt.NDArray[np.float32]]
    tolerance: float


class Exporter(Protocol):
    """One format, made without arguments.

    Attributes:
        name: what `--to` calls it.
        what: what it is, for help texts.
        runtime: the name in `heatkp.registry.RUNTIMES` of what runs it.
        packages: modules that writing imports, with their names for pip.
        precisions: those of `PRECISIONS` that it can write.
        refusals: why it cannot write others.
        objects: whether it can write networks that find all objects of an image, whose graphs have
            shapes that depend on how many there are; of those without it, not.
    """

    name: ClassVar[str]
    what: ClassVar[str]
    runtime: ClassVar[str]
    packages: ClassVar[dict[str, str]]
    precisions: ClassVar[tuple[str, ...]]
    refusals: ClassVar[dict[str, str]]

    def write(
        self, model: KeypointModel, folder: Path, precision: str, calibration: Calibration | None
    ) -> str:
        """Write into a folder; gives the main file's name. The model is the exporter's own and
        may be changed. Calibration is there for int8."""
        ...
