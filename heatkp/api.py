"""Training from Python: what `heatkp train` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from heatkp.config import MEMORY, Settings, parse_settings, read_yaml, with_keywords
from heatkp.data.memory import given_samples
from heatkp.errors import SettingsError
from heatkp.runs import LAST, SETTINGS, load_run
from heatkp.skeletons import Skeleton
from heatkp.training import fit, resuming

if TYPE_CHECKING:
    from heatkp.inference.predictor import Predictor


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: settings, weights, metrics and images.
        metrics: errors on the validation samples, as `heatkp.evaluate` gives them.
        encoder: the torch module that the model was trained on, where it was the user's own.
    """

    folder: Path
    metrics: dict[str, Any] = field(repr=False)
    encoder: Any = field(default=None, repr=False)

    @cached_property
    def settings(self) -> Settings:
        """As the run was trained."""
        path = self.folder / SETTINGS
        return parse_settings(read_yaml(path), str(path))

    @cached_property
    def model(self) -> Predictor:
        """The best weights, ready to predict."""
        from heatkp.inference.predictor import load_model

        return load_model(self.folder, encoder=self.encoder)

    def __repr__(self) -> str:
        error = self.metrics.get("mae_photo")
        told = "not measured" if error is None else f"MAE {error:.3g} image pixels"
        return f"Run({str(self.folder)!r}, {told})"


def _changes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings as `section.key`."""
    return {
        f"{section}.{key}": value
        for section, inner in values.items()
        for key, value in inner.items()
    }


def train(
    data: Any = None,
    *assignments: str,
    val: Any = None,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
    out: str | PathLike[str] | None = None,
    resume: str | PathLike[str] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Run:
    """Train a model and measure it; its settings, weights, metrics and images are in a folder.

    Args:
        data: a file or folder that `heatkp train --data` takes; or samples: a sequence or torch
            data set of `Sample`, tuples (image, points[, visible[, box]]) or dictionaries with
            these keys. None: faces that heatkp draws.
        assignments: settings such as `"model.stride=2"`, `"data.grey=true"`.
        val: samples to validate on, where `data` are samples; None splits off `data.validation`
            of them.
        skeleton: of samples: a `Skeleton`, its name (`"face68"`), or the points' names. None:
            points are numbered, and nothing is mirrored.
        config: a YAML file of settings or its dictionary, which the others change.
        out: the new run's folder; None: `runs/HEAD-N`.
        resume: a run to go on with, stopped, or finished and now to have more `epochs`.
        progress: print what happens.
        settings: sections as dictionaries (`model={"stride": 2}`), short names (`head="kl"`,
            `epochs=20`), or any setting whose name only one section has (`encoder="resnet18"`,
            also a torch module).

    Raises:
        SettingsError, DataError, CheckpointError: for what cannot be, before anything is written.

    >>> import heatkp
    >>> run = heatkp.train("faces/", head="kl", epochs=20)  # doctest: +SKIP
    >>> run.model.predict("image.jpg")[0].points  # doctest: +SKIP
    """
    console = Console(quiet=not progress, markup=False, emoji=False)
    in_memory = data is not None and not isinstance(data, str | PathLike)
    if not in_memory and (val is not None or skeleton is not None):
        raise SettingsError("val and skeleton go with samples; files have their own")
    if resume is not None and in_memory and skeleton is None and (Path(resume) / LAST).is_file():
        encoder = settings.get("encoder")
        skeleton = load_run(Path(resume) / LAST, encoder=encoder).skeleton
    given = given_samples(data, val, skeleton) if in_memory else None
    if resume is not None:
        if out is not None or config is not None:
            raise SettingsError("resume goes on in the run's folder: leave out the others")
        encoder = settings.pop("encoder", None)
        values = with_keywords({}, settings, assignments)
        if not in_memory and data is not None:
            values.setdefault("data", {})["path"] = str(data)
        folder = Path(resume)
        changed = _changes(values)
        metrics = resuming.resume(folder, console, changes=changed, given=given, encoder=encoder)
        return Run(folder, metrics, encoder)
    values = {}
    if config is not None:
        values = dict(config) if isinstance(config, Mapping) else read_yaml(str(config))
        values = {key: dict(v) if isinstance(v, Mapping) else v for key, v in values.items()}
    with_keywords(values, settings, assignments)
    if in_memory:
        values.setdefault("data", {}).update(format=MEMORY, path=None)
    elif data is not None:
        values.setdefault("data", {}).update(format="auto", path=str(data))
    chosen = parse_settings(values)
    folder, metrics = fit.train(chosen, None if out is None else Path(out), console, given=given)
    own = chosen.model.encoder
    return Run(folder, metrics, None if isinstance(own, str) else own)
