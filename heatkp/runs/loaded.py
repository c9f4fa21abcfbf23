"""A trained model with what it was trained for, as a run folder or a file of weights holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import torch

from heatkp.config import Settings, parse_settings, read_yaml
from heatkp.data.boxes import BoxStyle
from heatkp.data.matching import order_of
from heatkp.data.samples import Sample, fingerprint
from heatkp.engine import Backend, TorchBackend
from heatkp.errors import CheckpointError, SettingsError
from heatkp.models import DenseModel, KeypointModel, build_model, in_order
from heatkp.models.calibration import Calibration
from heatkp.models.devices import choose_device
from heatkp.runs.folder import SETTINGS
from heatkp.runs.hub import is_hub_name, require_no_code
from heatkp.runs.record import describe
from heatkp.runs.weights import (
    fill,
    no_larger_than,
    read_weights,
    trained_with,
    weights_path,
)  # fmt: skip
from heatkp.skeletons import Skeleton, restored, skeleton_of


@dataclass
class Loaded:
    """A trained model with what it was trained for.

    Attributes:
        network: the torch network; None of an exported one.
        box_style: how the boxes that it was trained on lie around the points, where known.
        validation: the `fingerprint` of the samples that it was not trained on, where known.
        training: the `fingerprint`, in their order, of those that it was, where known.
        backend: what runs it; None for torch.
        source: the run, file or name that it was loaded from, where known; of an exported network
            whose torch network is loaded from there where it is asked for.
    """

    network: KeypointModel | None
    settings: Settings
    skeleton: Skeleton
    box_style: BoxStyle | None = None
    validation: str | None = None
    training: str | None = None
    backend: Backend | None = None
    source: str | None = None

    @property
    def model(self) -> KeypointModel:
        """The torch network. Raises `CheckpointError` for an exported one, which has none."""
        if self.network is None and self.source is not None:
            self.network = load_run(self.source).model
        if self.network is None:
            raise CheckpointError(
                "an exported network gives points only: name the run that it was made of"
            )
        return self.network

    @property
    def description(self) -> dict[str, Any]:
        """What weights need beside them to be loaded as this model, as plain values."""
        calibration = self.model.calibration
        return {
            **describe(self.settings, self.skeleton, self.box_style),
            "training": self.training,
            "validation": self.validation,
            "progress": self.model.progress,
            **({} if calibration is None else {"calibration": calibration.as_dict()}),
        }

    @property
    def runner(self) -> Backend:
        """What runs it."""
        return TorchBackend(self.model) if self.backend is None else self.backend

    def in_order_of(self, skeleton: Skeleton, who: str, run: str) -> Loaded:
        """The model with its points in another order, by name; `who` has that order, and `run`
        is this one, in errors.

        Raises `CheckpointError` where it has other points.
        """
        order = order_of(
            skeleton, who, self.skeleton, run, "choose runs and data with the same points"
        )
        if order == sorted(order):
            return self
        if self.backend is not None:
            raise CheckpointError(
                f"{run} was exported with its points in another order than those of {who}: take "
                "the run that it was made of"
            )
        settings = self.settings.model_copy(deep=True)
        settings.model.encoder_weights = "none"
        if isinstance(settings.head.sigma, list):
            settings.head.sigma = [settings.head.sigma[i] for i in order]
        model = build_model(settings, len(order))
        model.load_state_dict(in_order(self.model.state_dict(), self.model.point_rows(), order))
        model.set_progress(self.model.progress)
        if isinstance(model, DenseModel) and isinstance(self.model, DenseModel):
            model.head.use_decoder(self.model.head.decoder)
        if self.model.calibration is not None:
            model.calibration = self.model.calibration.in_order(order)
        model.to(next(self.model.parameters()).device).eval()
        return replace(
            self, network=model, skeleton=self.skeleton.subset(order, self.skeleton.name)
        )

    def require_same_split(self, run: str | Path, validation: Sequence[Sample]) -> None:
        """Raises `CheckpointError` where these are not the samples that training held back."""
        if self.validation not in (None, fingerprint(validation)):
            raise CheckpointError(
                f"{run} held back other samples than are for validation now: files were added, "
                "taken away or renamed since, or another version of heatkp splits otherwise. It "
                "may have been trained on some of these. Put the data back as it was, or give "
                "images that it has not seen (--data)"
            )

    def require_same_training(self, run: str | Path, train: Sequence[Sample]) -> None:
        """Raises `CheckpointError` where training would not go on with the same samples."""
        if self.training not in (None, fingerprint(train, ordered=True)):
            raise CheckpointError(
                f"{run} was begun with other training samples, or in another order: files were "
                "added, taken away, renamed or put in another place since. Put the data back as it "
                "was, or start a new run from these weights with --set model.init="
                f"{run}"
            )


def loaded_model(
    model: KeypointModel,
    names: Sequence[str] | None = None,
    skeleton: Skeleton | str | None = None,
    data: Mapping[str, Any] | None = None,
    box_style: BoxStyle | None = None,
) -> Loaded:
    """A network of `create_model`, trained in a loop of one's own, as `load_run` gives others.

    Raises `SettingsError` as `Predictor` does.
    """
    if model.settings is None:
        raise SettingsError("this network was not made by create_model; make it so")
    settings = model.settings.model_copy(deep=True)
    for key, value in (data or {}).items():
        if key in ("size", "grey"):
            raise SettingsError(f"data.{key} is the network's own: give it to create_model")
        try:
            setattr(settings.data, key, value)
        except ValueError as error:
            raise SettingsError(f"data.{key}: {error}") from None
    layout = skeleton_of(skeleton if names is None else names, model.points)
    model.eval()
    return Loaded(model, settings, layout, box_style)


def load_run(
    path: str | PathLike[str], device: str | torch.device = "cpu", encoder: Any = None
) -> Loaded:
    """The best model of a run folder, of a `.safetensors` or `.ckpt` file, one that comes with
    heatkp, or one on the hub (`hf://owner/name`), on a device as `choose_device` takes it.

    `encoder` is a torch module like the one that it was trained with, where that was one of the
    user's own and cannot be made from its name; the file's weights take the place of its own.

    Raises `CheckpointError` for what is missing, broken or does not fit its settings, and
    `SettingsError` where its settings file is damaged or the device is not there.
    """
    device = choose_device(device)
    file = weights_path(path)
    state, description = read_weights(file)
    saved = Path(path) / SETTINGS
    if description.get("task") == "finder":
        raise CheckpointError(f"{file} finds objects and no points: name a model of points")
    try:
        settings = parse_settings(description["settings"], str(file), stored=True)
        skeleton = restored(description["skeleton"], settings.data.pairs is not None)
        box_style = BoxStyle.read(description.get("box_style"))
        progress = float(description.get("progress", 1.0))
        calibration = Calibration.read(description.get("calibration"), len(skeleton))
    except (KeyError, TypeError, ValueError, OverflowError, SettingsError) as error:
        raise CheckpointError(f"{file}: its description is damaged: {error}") from None
    if is_hub_name(path):
        settings.data.cache = "auto"  # a stranger chooses no folder to write to
        if encoder is None:
            require_no_code(path, settings.model)
    if saved.is_file():
        stated = parse_settings(read_yaml(saved), str(saved), stored=True)
        if stated.head.name != settings.head.name:
            raise CheckpointError(
                f"{file} was trained with head {settings.head.name!r}, but {saved} says "
                f"{stated.head.name!r}: put back the run's own weights or settings"
            )
    # The encoder's own weights are about to be overwritten: neither file nor download needed.
    blank = settings.model_copy(deep=True)
    blank.model.encoder_weights = "none"
    if encoder is not None:
        blank.model.encoder = deepcopy(encoder)
    try:
        with no_larger_than(state, file):
            model = build_model(blank, len(skeleton))
    except SettingsError as error:
        if encoder is not None or ":" not in blank.model.encoder:
            raise
        raise CheckpointError(
            f"{file} was trained with an encoder of its own, which cannot be made again ({error}); "
            "give it: load_model(..., encoder=...)"
        ) from None
    fill(model, state, file, trained_with(settings.head.name))
    model.calibration = calibration
    model.set_progress(progress)  # they are read as they were when they were chosen
    model.to(device).eval()
    return Loaded(
        model, settings, skeleton, box_style, description.get("validation"),
        description.get("training"), source=fspath(path),
    )  # fmt: skip
