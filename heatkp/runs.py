"""The run folder: settings, environment, metrics, weights, images; and how to read one."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

import heatkp
from heatkp.config import Settings, parse_settings, read_yaml
from heatkp.data.boxes import BoxStyle
from heatkp.data.matching import order_of
from heatkp.data.samples import Sample, fingerprint
from heatkp.errors import CheckpointError, HeatkpError, SettingsError, StorageError
from heatkp.files import check_folder, is_full, reason, replacing, utf8_path
from heatkp.models import KeypointModel, build_model, in_order
from heatkp.models.devices import choose_device
from heatkp.skeletons import Skeleton, restored, skeleton_of
from heatkp.text import existing

SETTINGS = "settings.yaml"
ENVIRONMENT = "environment.json"
METRICS = "metrics.json"
HISTORY = "metrics.csv"
WEIGHTS = "weights.safetensors"
LAST = "checkpoints/last.ckpt"
PACKAGED = Path(__file__).parent / "weights"
"""Trained models that come with heatkp, by name."""
_PACKAGES = (
    "torch", "torchvision", "lightning", "segmentation-models-pytorch", "timm",
    "albumentations", "numpy", "opencv-python-headless",
)  # fmt: skip


def run_folder(run: str | Path) -> Path:
    """The folder of a run, which may be named by its weights or its checkpoint."""
    path = Path(run)
    if path.is_dir():
        return path
    if Path(os.path.abspath(path)).parts[-2:] != Path(LAST).parts:
        return path.parent
    return Path(os.path.normpath(path.parent / ".."))  # also where that is no part of the name


def check_run(out: str | Path | None) -> None:
    """Raises `SettingsError` where `create_run` would; makes nothing."""
    path = Path("runs") if out is None else Path(out)
    if out is not None and os.path.lexists(path):
        raise _exists(path)
    try:
        check_folder(path if out is None else path.parent)
    except OSError as error:
        raise _no_run(path, error) from None


def _exists(path: Path) -> SettingsError:
    return SettingsError(
        f"the run folder {path} exists already: choose another --out, or continue that run with "
        f"--resume {path}"
    )


def _no_run(path: Path, error: OSError) -> HeatkpError:
    problem, advice = f"cannot make the run folder {path} ({reason(error)})", "choose another place"
    if is_full(error):
        return StorageError(problem, f"make room, or {advice} with --out")
    return SettingsError(f"{problem}; {advice} with --out")


def create_run(out: str | Path | None, name: str) -> Path:
    """A new, empty run folder: `out`, or the first free `runs/NAME-1`, `runs/NAME-2`, ...

    Raises `SettingsError` where `out` exists already, or no folder can be made there.
    """
    path, number = Path("runs") / f"{name}-1" if out is None else Path(out), 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                path.mkdir()
                return path
            except FileExistsError:
                if out is not None:
                    raise _exists(path) from None
            number += 1
            path = path.with_name(f"{name}-{number}")
    except OSError as error:
        raise _no_run(path, error) from None


def _git_commit() -> str | None:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(heatkp.__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def environment() -> dict[str, Any]:
    """Versions, machine and git commit, for the record."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "heatkp": heatkp.__version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": packages,
        "command": sys.argv,
    }


def describe(
    settings: Settings,
    skeleton: Skeleton,
    box_style: BoxStyle | None = None,
    train: Sequence[Sample] | None = None,
    validation: Sequence[Sample] | None = None,
) -> dict[str, Any]:
    """All that weights need beside them to be used again, as plain values."""
    return {
        "heatkp": heatkp.__version__,
        "settings": settings.model_dump(),
        "skeleton": asdict(skeleton),
        "box_style": None if box_style is None else box_style._asdict(),
        "training": None if train is None else fingerprint(train, ordered=True),
        "validation": None if validation is None else fingerprint(validation),
    }


@dataclass
class Loaded:
    """A trained model with what it was trained for.

    Attributes:
        box_style: how the boxes that it was trained on lie around the points, where known.
        validation: the `fingerprint` of the samples that it was not trained on, where known.
        training: the `fingerprint`, in their order, of those that it was, where known.
    """

    model: KeypointModel
    settings: Settings
    skeleton: Skeleton
    box_style: BoxStyle | None = None
    validation: str | None = None
    training: str | None = None

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
        settings = self.settings.model_copy(deep=True)
        settings.model.encoder_weights = "none"
        if isinstance(settings.head.sigma, list):
            settings.head.sigma = [settings.head.sigma[i] for i in order]
        model = build_model(settings, len(order))
        model.load_state_dict(in_order(self.model.state_dict(), self.model.point_rows(), order))
        model.set_progress(self.model.progress)
        model.to(next(self.model.parameters()).device).eval()
        return replace(self, model=model, skeleton=self.skeleton.subset(order, self.skeleton.name))

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


def save_weights(
    path: Path, model: KeypointModel, description: dict[str, Any], half: bool = False
) -> None:
    """Weights and description as one safetensors file, whole or not at all.

    `half` stores float16, half the size; a model that is loaded from it computes in float32.
    """
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    with replacing(path) as part:
        # safetensors' own writer makes files that nobody else may read, whatever the umask.
        part.write_bytes(save(state, {"heatkp": json.dumps(description)}))


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with utf8_path(path) as name, safe_open(name, "pt") as file:
        metadata = file.metadata() or {}
        if "heatkp" not in metadata:
            raise CheckpointError(f"{path} holds weights, but not a heatkp model's")
        return {k: file.get_tensor(k) for k in file.keys()}, json.loads(metadata["heatkp"])  # noqa: SIM118


def _read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch thinks of a foreign file; it is refused below
        content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or "heatkp" not in content:
        raise CheckpointError(f"{path} is not a checkpoint of heatkp")
    state = {
        k.removeprefix("model."): v
        for k, v in content["state_dict"].items()
        if k.startswith("model.")
    }
    return state, content["heatkp"]


def weights_path(path: str | Path) -> Path:
    """The file of weights that a run folder, a path to a file, or the name of a model that
    comes with heatkp, means."""
    path = Path(existing(os.fspath(path)))
    packaged = PACKAGED / f"{path}.safetensors"
    if not path.exists() and path.name == str(path) and packaged.is_file():
        return packaged
    if path.is_file():
        return path
    if not path.is_dir():
        raise CheckpointError(f"there is no run folder or checkpoint {path}")
    for name in (WEIGHTS, LAST):
        if (path / name).is_file():
            return path / name
    raise CheckpointError(f"the run folder {path} holds no weights (no {WEIGHTS}, no {LAST})")


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and description of a file. Raises `CheckpointError` for what is no run's."""
    if path.suffix not in (".safetensors", ".ckpt"):
        raise CheckpointError(
            f"{path} is no run: name a run's folder, its {WEIGHTS}, or a checkpoint (.ckpt)"
        )
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        return _read_checkpoint(path)
    except CheckpointError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {error}") from None
    except Exception as error:  # pickle raises errors of its own
        raise CheckpointError(f"{path} is no checkpoint that can be trusted: {error}") from None


def fill(model: KeypointModel, state: dict[str, torch.Tensor], path: Path, head: str) -> None:
    """Load weights into a model. Raises `CheckpointError` where they do not fit."""
    own = model.state_dict()
    wrong = [k for k in own if k not in state or state[k].shape != own[k].shape]
    wrong += [k for k in state if k not in own]
    if wrong:
        raise CheckpointError(
            f"{path} does not fit the model: {len(wrong)} tensors differ, {wrong[0]!r} first. "
            f"It was trained with head {head!r}; use the settings that it was trained with"
        )
    model.load_state_dict(state)


def load_run(path: str | Path, device: str | torch.device = "cpu", encoder: Any = None) -> Loaded:
    """The best model of a run folder, or of a `.safetensors` or `.ckpt` file, on a device as
    `choose_device` takes it.

    `encoder` is a torch module like the one that it was trained with, where that was one of the
    user's own and cannot be made from its name; the file's weights take the place of its own.

    Raises `CheckpointError` for what is missing, broken or does not fit its settings, and
    `SettingsError` where its settings file is damaged or the device is not there.
    """
    device = choose_device(device)
    file = weights_path(path)
    state, description = read_weights(file)
    saved = Path(path) / SETTINGS
    try:
        settings = parse_settings(description["settings"], str(file), stored=True)
        skeleton = restored(description["skeleton"], settings.data.pairs is not None)
        box_style = BoxStyle.read(description.get("box_style"))
        progress = float(description.get("progress", 1.0))
    except (KeyError, TypeError, ValueError, SettingsError) as error:
        raise CheckpointError(f"{file}: its description is damaged: {error}") from None
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
        model = build_model(blank, len(skeleton))
    except SettingsError as error:
        if encoder is not None or ":" not in blank.model.encoder:
            raise
        raise CheckpointError(
            f"{file} was trained with an encoder of its own, which cannot be made again ({error}); "
            "give it: load_model(..., encoder=...)"
        ) from None
    fill(model, state, file, settings.head.name)
    model.set_progress(progress)  # they are read as they were when they were chosen
    model.to(device).eval()
    known = (description.get(part) for part in ("validation", "training"))
    return Loaded(model, settings, skeleton, box_style, *known)
