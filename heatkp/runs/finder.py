"""A run's finder: its file of weights, and how to read one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final, cast

import torch

import heatkp
from heatkp.config import GROUPED, Finder, Settings, parse_settings
from heatkp.data.samples import Sample, fingerprint
from heatkp.errors import CheckpointError, SettingsError
from heatkp.models.devices import choose_device
from heatkp.models.finder import FinderModel
from heatkp.models.grouped import GroupedModel
from heatkp.runs.folder import FINDER
from heatkp.runs.hub import fetch, is_hub_name, require_no_code
from heatkp.runs.loaded import Loaded, load_run
from heatkp.runs.weights import (
    fill,
    no_larger_than,
    read_description,
    read_weights,
    weights_path,
)

LEAST = 0.3
"""Lowest score of an object where no validation image says which is best."""


@dataclass
class LoadedFinder:
    """A trained finder with what it was trained for.

    Attributes:
        model: the network, ready to be used.
        settings: of the run; `model` in them is the finder's own network.
        size: (W, H) of the inputs that it was trained on, in pixels.
        min_score: the score from which objects count.
        training, validation: the `fingerprint`s of the images that it was trained on, in their
            order, and of those that it was not, where known.
    """

    model: FinderModel | GroupedModel
    settings: Settings
    size: tuple[int, int]
    min_score: float
    training: str | None = None
    validation: str | None = None

    @property
    def description(self) -> dict[str, Any]:
        """What weights need beside them to be loaded as this finder, as plain values."""
        own = describe_finder(self.settings, self.size)
        known = {"training": self.training, "validation": self.validation}
        return {**own, "min_score": self.min_score, **known}


def describe_finder(
    settings: Settings,
    size: tuple[int, int],
    train: Sequence[Sample] | None = None,
    validation: Sequence[Sample] | None = None,
) -> dict[str, Any]:
    """All that a finder's weights need beside them, as plain values; `settings.model` is the
    finder's own, `train` and `validation` are its images."""
    return {
        "heatkp": heatkp.__version__,
        "task": "finder",
        "settings": settings.model_dump(),
        "size": list(size),
        "min_score": LEAST,
        "training": None if train is None else fingerprint(train, ordered=True),
        "validation": None if validation is None else fingerprint(validation),
    }


def finder_path(path: str | PathLike[str]) -> Path | None:
    """The finder's weights in a run folder, or beside its weights; None where there are none.

    Those of a model on the hub are fetched where its weights say that it has a finder. Raises
    `CheckpointError` where they cannot be.
    """
    if is_hub_name(path):
        return fetch(path, FINDER) if _has_finder(read_description(fetch(path))) else None
    place = Path(path)
    if place.name == FINDER and place.is_file():
        return place
    found = (place if place.is_dir() else place.parent) / FINDER
    return found if found.is_file() and place.exists() else None


BOTH: Final = "finder+points"
"""`trainer.task` of a model that has a finder beside it."""


def _has_finder(description: dict[str, Any]) -> bool:
    try:
        return bool(description["settings"]["trainer"]["task"] == BOTH)
    except (KeyError, TypeError):
        return False


def with_task(settings: Settings, finder: bool) -> Settings:
    """Settings as they describe a model of points that is shared with a finder, or without one."""
    settings = settings.model_copy(deep=True)
    if finder:
        settings.trainer.task = BOTH
    elif settings.trainer.task == BOTH:
        settings.trainer.task = "points"
    return settings


def is_grouped(path: str | PathLike[str]) -> bool:
    """Whether it is a run, or a file of weights, of head `grouped`."""
    try:
        described = read_description(weights_path(path))
    except CheckpointError:
        return False
    settings = described.get("settings")
    head = settings.get("head") if isinstance(settings, dict) else None
    return isinstance(head, dict) and head.get("name") == GROUPED


def grouped_finder(loaded: Loaded) -> LoadedFinder:
    """What finds the objects of a network of head `grouped`: itself."""
    settings, model = loaded.settings, cast(GroupedModel, loaded.model)
    return LoadedFinder(model, settings, model.size, least_score(settings.finder))


def least_score(settings: Finder) -> float:
    """From which score on the objects of head `grouped` count."""
    return LEAST if settings.min_score is None else settings.min_score


def load_finder(path: str | PathLike[str], device: str | torch.device = "cpu") -> LoadedFinder:
    """The finder of a run folder, or of a file of a finder's weights, on a device as
    `choose_device` takes it; a run of head `grouped` is its own.

    Raises `CheckpointError` where there is none, or it is damaged, and `SettingsError` for a
    device that is not there.
    """
    device = choose_device(device)
    file = finder_path(path)
    if file is None and is_grouped(path):
        return grouped_finder(load_run(path, device))
    if file is None:
        raise CheckpointError(
            f"{path} holds no finder ({FINDER}): train one with heatkp train --task finder"
        )
    state, description = read_weights(file)
    try:
        settings = parse_settings(description["settings"], str(file), stored=True)
        width, height = (int(n) for n in description["size"])
        least = settings.finder.min_score
        least = float(description["min_score"]) if least is None else least
        settings.model.encoder_weights = "none"  # about to be overwritten
        if is_hub_name(path):
            settings.data.cache = "auto"
            require_no_code(path, settings.model)
        channels = 1 if settings.data.grey else 3
        with no_larger_than(state, file):
            model = FinderModel(settings.model, settings.finder, (width, height), channels)
    except (KeyError, TypeError, ValueError, SettingsError) as error:
        raise CheckpointError(f"{file}: its description is damaged: {error}") from None
    fill(model, state, file, "Its settings are not those that it was trained with")
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.eval()
    known = description.get("training"), description.get("validation")
    return LoadedFinder(model, settings, (width, height), least, *known)
