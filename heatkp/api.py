"""Training from Python: what `heatkp train` does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from heatkp.config import MEMORY, Settings, parse_settings, read_yaml, with_keywords
from heatkp.data.loading import MemoryData
from heatkp.data.memory import given_samples
from heatkp.errors import SettingsError
from heatkp.runs import LAST, METRICS, SETTINGS, fold_folder, fold_runs, load_run
from heatkp.skeletons import Skeleton
from heatkp.training import tasks

if TYPE_CHECKING:
    from heatkp.evaluation.out_of_fold import OutOfFold
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


@dataclass(frozen=True)
class CrossValidation:
    """A finished cross-validation.

    Attributes:
        folder: a run for each fold, and what they found together.
        results: what `folds.json` holds: figures with intervals, and what each fold found.
        found: predictions of all samples, each by the network that was not trained on it.
        encoder: as in `Run`.
    """

    folder: Path
    results: dict[str, Any] = field(repr=False)
    found: OutOfFold = field(repr=False)
    encoder: Any = field(default=None, repr=False)

    @property
    def runs(self) -> list[Run]:
        """The folds' runs, in their order."""
        return [
            Run(path, json.loads((path / METRICS).read_text(encoding="utf-8")), self.encoder)
            for path in fold_runs(self.folder)
        ]


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
        val: what to validate on: samples where `data` are samples, a file or folder where they are
            one. None: as `data.split` and `data.validation` say.
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
    if isinstance(val, str | PathLike) and (data is None or isinstance(data, str | PathLike)):
        assignments = (f"data.val={json.dumps(str(val))}", *assignments)
        val = None
    given, encoder = _given(data, val, skeleton, resume, settings)
    if resume is not None:
        changed = _changed(data, given, assignments, settings, out, config)
        folder = Path(resume)
        metrics = tasks.resume(folder, console, changed, given, encoder)
        return Run(folder, metrics, encoder)
    chosen = _settings(data, given, assignments, config, settings)
    folder, metrics = tasks.train(chosen, None if out is None else Path(out), console, given=given)
    own = chosen.model.encoder
    return Run(folder, metrics, None if isinstance(own, str) else own)


def cross_validate(
    data: Any = None,
    *assignments: str,
    folds: int = 5,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
    out: str | PathLike[str] | None = None,
    resume: str | PathLike[str] | None = None,
    progress: bool = True,
    **settings: Any,
) -> CrossValidation:
    """Train on all but one part of the samples, for each of `folds` parts, and measure on that one:
    what `heatkp train --folds` does.

    Samples of one image, person or video are in one part; `split` says what else is kept together.

    Args:
        data, assignments, skeleton, config, progress, settings: as in `train`.
        out: the new folder, which holds a run for each fold; None: `runs/HEAD-folds-N`.
        resume: a folder of folds to go on with.

    Raises:
        SettingsError, DataError, CheckpointError: for what cannot be, before anything is written.

    >>> found = heatkp.cross_validate("faces/", folds=5, head="kl")  # doctest: +SKIP
    >>> found.results["figures"]["nme"]["interval"]  # doctest: +SKIP
    """
    from heatkp.training.folds import resume_folds, train_folds

    console = Console(quiet=not progress, markup=False, emoji=False)
    of = None if resume is None else fold_folder(Path(resume), 1)
    given, encoder = _given(data, None, skeleton, of, settings)
    if resume is not None:
        changed = _changed(data, given, assignments, settings, out, config)
        made = resume_folds(Path(resume), console, changed, given, encoder)
    else:
        chosen = _settings(data, given, assignments, config, settings)
        made = train_folds(chosen, folds, None if out is None else Path(out), console, given)
        encoder = None if isinstance(chosen.model.encoder, str) else chosen.model.encoder
    return CrossValidation(made.folder, made.results, made.found, encoder)


def _given(
    data: Any,
    val: Any,
    skeleton: Any,
    resume: str | PathLike[str] | None,
    settings: dict[str, Any],
) -> tuple[MemoryData | None, Any]:
    """Samples in memory, where data are such, and a resumed run's own encoder, which is taken out
    of the settings."""
    in_memory = data is not None and not isinstance(data, str | PathLike)
    if not in_memory and (val is not None or skeleton is not None):
        raise SettingsError("val and skeleton go with samples; files have their own")
    if resume is not None and in_memory and skeleton is None and (Path(resume) / LAST).is_file():
        skeleton = load_run(Path(resume) / LAST, encoder=settings.get("encoder")).skeleton
    given = given_samples(data, val, skeleton) if in_memory else None
    return given, None if resume is None else settings.pop("encoder", None)


def _changed(
    data: Any,
    given: MemoryData | None,
    assignments: Sequence[str],
    settings: Mapping[str, Any],
    out: Any,
    config: Any,
) -> dict[str, Any]:
    """Settings of a run that goes on, as `section.key`."""
    if out is not None or config is not None:
        raise SettingsError("resume goes on in the run's folder: leave out the others")
    values = with_keywords({}, settings, assignments)
    if given is None and data is not None:
        values.setdefault("data", {})["path"] = str(data)
    return _changes(values)


def _settings(
    data: Any,
    given: MemoryData | None,
    assignments: Sequence[str],
    config: str | PathLike[str] | Mapping[str, Any] | None,
    settings: Mapping[str, Any],
) -> Settings:
    """Settings of a new run."""
    values: dict[str, Any] = {}
    if config is not None:
        values = dict(config) if isinstance(config, Mapping) else read_yaml(str(config))
        values = {key: dict(v) if isinstance(v, Mapping) else v for key, v in values.items()}
    with_keywords(values, settings, assignments)
    if given is not None:
        values.setdefault("data", {}).update(format=MEMORY, path=None)
    elif data is not None:
        values.setdefault("data", {}).update(format="auto", path=str(data))
    return parse_settings(values)
