"""The run folder: settings, environment, metrics, weights, pictures; and how to read one."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

import heatkp
from heatkp.config import Settings, parse_settings, read_yaml
from heatkp.data.boxes import BoxStyle
from heatkp.data.samples import Sample, fingerprint
from heatkp.errors import CheckpointError, SettingsError
from heatkp.files import replacing
from heatkp.models import KeypointModel, build_model, heads_alike
from heatkp.skeletons import Skeleton, restored

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
                    raise SettingsError(
                        f"the run folder {path} exists already: choose another --out, "
                        f"or continue that run with --resume {path}"
                    ) from None
            number += 1
            path = path.with_name(f"{name}-{number}")
    except OSError as error:
        raise SettingsError(
            f"cannot make the run folder {path} ({error.strerror or error}: {error.filename}); "
            "choose another place with --out"
        ) from None


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

    def demand_same_split(self, run: str | Path, validation: Sequence[Sample]) -> None:
        """Raises `CheckpointError` where these are not the samples that training held back."""
        if self.validation not in (None, fingerprint(validation)):
            raise CheckpointError(
                f"{run} held back other samples than are for validation now: files were added, "
                "taken away or renamed since, or another version of heatkp splits otherwise. It "
                "may have been trained on some of these. Put the data back as it was, or give "
                "photos that it has not seen (--data)"
            )

    def demand_same_training(self, run: str | Path, train: Sequence[Sample]) -> None:
        """Raises `CheckpointError` where training would not go on with the same samples."""
        if self.training not in (None, fingerprint(train, ordered=True)):
            raise CheckpointError(
                f"{run} was begun with other training samples, or in another order: files were "
                "added, taken away, renamed or put in another place since. Put the data back as it "
                "was, or start a new run from these weights with --set model.init="
                f"{run}"
            )


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
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        if "heatkp" not in metadata:
            raise CheckpointError(f"{path} holds weights, but not a heatkp model's")
        return {k: file.get_tensor(k) for k in file.keys()}, json.loads(metadata["heatkp"])  # noqa: SIM118


def _read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
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
    path = Path(path)
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


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
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


def _fill(model: KeypointModel, state: dict[str, torch.Tensor], path: Path, head: str) -> None:
    own = model.state_dict()
    wrong = [k for k in own if k not in state or state[k].shape != own[k].shape]
    wrong += [k for k in state if k not in own]
    if wrong:
        raise CheckpointError(
            f"{path} does not fit the model: {len(wrong)} tensors differ, {wrong[0]!r} first. "
            f"It was trained with head {head!r}; use the settings that it was trained with"
        )
    model.load_state_dict(state)


def load_run(path: str | Path, device: str = "cpu") -> Loaded:
    """The best model of a run folder, or of a `.safetensors` or `.ckpt` file.

    Raises `CheckpointError` for what is missing, broken or does not fit its settings, and
    `SettingsError` where its settings file is damaged.
    """
    file = weights_path(path)
    state, description = _read(file)
    saved = Path(path) / SETTINGS
    try:
        settings = parse_settings(description["settings"], str(file))
        skeleton = restored(description["skeleton"], settings.data.pairs is not None)
        box_style = BoxStyle.read(description.get("box_style"))
        progress = float(description.get("progress", 1.0))
    except (KeyError, TypeError, ValueError, SettingsError) as error:
        raise CheckpointError(f"{file}: its description is damaged: {error}") from None
    if saved.is_file():
        stated = parse_settings(read_yaml(saved), str(saved))
        if stated.head.name != settings.head.name:
            raise CheckpointError(
                f"{file} was trained with head {settings.head.name!r}, but {saved} says "
                f"{stated.head.name!r}: put back the run's own weights or settings"
            )
    # The encoder's own weights are about to be overwritten: neither file nor download needed.
    blank = settings.model_copy(deep=True)
    blank.model.encoder_weights = "none"
    model = build_model(blank, len(skeleton))
    _fill(model, state, file, settings.head.name)
    model.set_progress(progress)  # they are read as they were when they were chosen
    model.to(device).eval()
    known = (description.get(part) for part in ("validation", "training"))
    return Loaded(model, settings, skeleton, box_style, *known)


def start_from(model: KeypointModel, settings: Settings, skeleton: Skeleton) -> None:
    """Fill a new model with the weights that `model.init` names.

    Heads may differ where both take maps for the same, as all of the softmax do. What a head
    learns besides the maps is taken from the same head only.

    Raises `CheckpointError` where points, network or the meaning of maps differ.
    """
    if settings.model.init is None:
        return
    path = weights_path(settings.model.init)
    state, description = _read(path)
    theirs = description["skeleton"]["point_names"]
    if len(theirs) != len(skeleton):
        raise CheckpointError(
            f"model.init: {path} has {len(theirs)} points, this run has {len(skeleton)}"
        )
    other = [(a, b) for a, b in zip(theirs, skeleton.point_names) if a != b]
    if other:
        raise CheckpointError(
            f"model.init: {len(other)} points of {path} are others than this run's, such as "
            f"{other[0][0]!r} where this run has {other[0][1]!r}; take the same points in the same "
            "order, or model.transfer, which takes all but the last layer"
        )
    head = description["settings"]["head"]["name"]
    if head != settings.head.name:
        alike = heads_alike(head)
        if settings.head.name not in alike:
            raise CheckpointError(
                f"model.init: {path} was trained with head {head!r}, whose maps mean "
                f"something else for {settings.head.name!r}; choose one of {', '.join(alike)}, or "
                "model.transfer"
            )
        own = model.state_dict()
        state = {k: v for k, v in state.items() if not k.startswith("head.")}
        state |= {k: v for k, v in own.items() if k.startswith("head.")}
    _fill(model, state, path, head)


def source_statistics(settings: Settings) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation of pixels that the weights in `model.init` or
    `model.transfer` were trained with; None where neither is set."""
    source = settings.model.init or settings.model.transfer
    if source is None:
        return None
    trained = _read(weights_path(source))[1]["settings"]["model"]
    return trained["mean"], trained["std"]


def transfer_to(model: KeypointModel, settings: Settings) -> str | None:
    """Fill a new model's network with what `model.transfer` names has in common with it.

    The encoder must be the same; blocks of the decoder that the other lacks (at a finer stride)
    and the last layer stay fresh. From dense models to regression and back, the encoder is taken.
    Gives a line that says what was taken, or None where the setting is not used.

    Raises:
        CheckpointError: for what cannot be read or has another encoder.
    """
    if settings.model.transfer is None:
        return None
    path = weights_path(settings.model.transfer)
    state, _ = _read(path)
    dense = any(k.startswith("network.") for k in model.state_dict())
    prefix = "network." if dense else ""
    theirs = {prefix + k.removeprefix("network."): v for k, v in state.items()}
    own = {
        k: v
        for k, v in model.state_dict().items()
        if k.startswith(("network.", "encoder.")) and not k.endswith("num_batches_tracked")
    }
    encoder = [k for k in own if k.startswith(f"{prefix}encoder.")]
    taken = {k: theirs[k] for k in own if k in theirs and theirs[k].shape == own[k].shape}
    foreign = [k for k in encoder if k not in taken]
    if foreign or not encoder:
        raise CheckpointError(
            f"model.transfer: {path} has another encoder ({len(foreign)} of {len(encoder)} tensors "
            f"differ); set model.encoder to the one that it was trained with"
        )
    model.load_state_dict(taken, strict=False)
    return f"{len(taken)} of the network's {len(own)} tensors come from {settings.model.transfer}"
