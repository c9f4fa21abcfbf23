"""What a figure of a run is, how one becomes known, and how all are drawn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from heatkp.config import Settings
from heatkp.data.dataset import KeypointDataset
from heatkp.errors import HeatkpError
from heatkp.evaluation.metrics import Errors
from heatkp.registry import FIGURES
from heatkp.skeletons import Skeleton

When = Literal["begin", "end"]


class RunData(NamedTuple):
    """What a figure is drawn from.

    Attributes:
        folder: of the run, with its metrics.csv from the first epoch on.
        settings, skeleton: of the run.
        samples: at the beginning the training samples, augmented; at the end the validation
            samples, or some training samples where there are none.
        errors: of the samples, in their order; None at the beginning.
        validated: whether samples are for validation.
    """

    folder: Path
    settings: Settings
    skeleton: Skeleton
    samples: KeypointDataset
    errors: Errors | None = None
    validated: bool = True


Draw = Callable[[RunData, Path], None]
D = TypeVar("D", bound=Draw)


@dataclass(frozen=True)
class RunFigure:
    """A figure in a run's folder.

    Attributes:
        name: its file's, without `.png`.
        function: draws it into a file.
        when: before the first epoch, or after the last, when there are `errors`.
        validation: whether it needs validation samples.
    """

    name: str
    function: Draw = field(repr=False)
    when: When = "end"
    validation: bool = False


def figure(name: str, *, when: When = "end", validation: bool = False) -> Callable[[D], D]:
    """Makes a function known as the figure of that name; arguments as in `RunFigure`.

    Raises `ExtensionError` where the name is taken.
    """

    def register(function: D) -> D:
        made = RunFigure(name, function, when, validation)
        FIGURES.register(name, made, f"{function.__module__}.{function.__qualname__}")
        return function

    return register


def draw(
    data: RunData, folder: Path, when: When = "end", names: Iterable[str] | None = None
) -> list[Path]:
    """Draw the figures of a time, or those named, that `data` are enough for; gives their files.

    One that cannot be loaded or fails is left out with a warning: no figure is worth a run.
    Raises `OSError` where a file cannot be written, `HeatkpError` as figures do, and for a
    name that is none.
    """
    if names is None:
        loaded, broken = FIGURES.load_all()
        chosen = list(loaded.values())
    else:
        chosen, broken = [FIGURES[name] for name in names], []
    for reason in broken:
        warnings.warn(reason, stacklevel=2)
    written = []
    for one in chosen:
        if one.when != when or (one.validation and not data.validated):
            continue
        path = folder / f"{one.name}.png"
        try:
            one.function(data, path)
        except (OSError, HeatkpError):
            raise
        except Exception as error:  # whatever another package's code raises
            warnings.warn(
                f"figure {one.name!r} is left out ({type(error).__name__}: {error})", stacklevel=2
            )
            continue
        written.append(path)
    return written
