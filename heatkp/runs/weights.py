"""Files of weights: safetensors with a description, or checkpoints."""

from __future__ import annotations

import json
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

import heatkp
from heatkp.errors import CheckpointError
from heatkp.files import replacing, utf8_path
from heatkp.limits import Limit, TooLarge
from heatkp.runs.folder import FINDER, LAST, WEIGHTS, fold_folder, is_folds
from heatkp.runs.hub import fetch, is_hub_name
from heatkp.text import existing

_SPARE = 100_000_000
"""Parameters that a network may have beside those of its file: parts that it does not use."""
PACKAGED = Path(heatkp.__file__).parent / "weights"
"""Trained models that come with heatkp, by name."""


def save_weights(
    path: Path, model: nn.Module, description: dict[str, Any], half: bool = False
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
        description = _described(json.loads(metadata["heatkp"]), path)
        return {k: file.get_tensor(k) for k in file.keys()}, description  # noqa: SIM118


def _described(description: Any, path: Path) -> dict[str, Any]:
    if not isinstance(description, dict):
        raise CheckpointError(f"{path}: its description is damaged: it is no JSON object")
    return description


def require_size(path: Path) -> None:
    """Raises `TooLarge` where a file of weights, or what it unpacks to, has more bytes than
    `Limit.WEIGHTS_BYTES`, and `OSError`."""
    sizes = [path.stat().st_size]
    if zipfile.is_zipfile(path):  # as torch writes checkpoints, if without compression
        with zipfile.ZipFile(path) as packed:
            sizes.append(sum(entry.file_size for entry in packed.infolist()))
    if said := Limit.WEIGHTS_BYTES.refusal(max(sizes), "bytes"):
        raise TooLarge(f"it has {said}")


def read_description(path: Path) -> dict[str, Any]:
    """The description of a safetensors file of weights, without its tensors; empty where it has
    none."""
    try:
        with utf8_path(path) as name, safe_open(name, "pt") as file:
            found = json.loads((file.metadata() or {}).get("heatkp", "{}"))
    except (SafetensorError, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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
    if not all(isinstance(v, torch.Tensor) and v.layout == torch.strided for v in state.values()):
        raise CheckpointError(f"{path} is damaged: its weights are no tensors")
    return state, _described(content["heatkp"], path)


def weights_path(path: str | os.PathLike[str]) -> Path:
    """The file of weights that a run folder, a path to a file, the name of a model that comes
    with heatkp, or of one on the hub (`hf://owner/name`), means. Raises `CheckpointError`."""
    if is_hub_name(path):
        return fetch(path)
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
    if is_folds(path):
        raise CheckpointError(
            f"{path} holds a run for each fold: name one of them, such as {fold_folder(path, 1)}"
        )
    if (path / FINDER).is_file():
        raise CheckpointError(
            f"{path} holds a finder and no model of points: give it as --detector {path} beside "
            "one, or train both with heatkp train --task finder+points"
        )
    raise CheckpointError(f"the run folder {path} holds no weights (no {WEIGHTS}, no {LAST})")


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and description of a file. Raises `CheckpointError` for what is no run's."""
    if path.suffix not in (".safetensors", ".ckpt"):
        raise CheckpointError(
            f"{path} is no run: name a run's folder, its {WEIGHTS}, or a checkpoint (.ckpt)"
        )
    try:
        require_size(path)
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        return _read_checkpoint(path)
    except CheckpointError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {error}") from None
    except Exception as error:  # pickle raises errors of its own
        raise CheckpointError(f"{path} is no checkpoint that can be trusted: {error}") from None


def trained_with(head: str) -> str:
    """What is advised where weights do not fit a model of points."""
    return f"It was trained with head {head!r}; use the settings that it was trained with"


@contextmanager
def no_larger_than(state: Mapping[str, torch.Tensor], path: Path) -> Iterator[None]:
    """While a network is made by what a file says: it must not grow far over the file's tensors.

    A file of a kilobyte could describe a network that no memory holds. Raises `CheckpointError`.
    """
    most = 2 * sum(tensor.numel() for tensor in state.values()) + _SPARE
    count, thread = 0, get_ident()

    def counted(module: nn.Module, name: str, value: nn.Parameter) -> None:
        nonlocal count
        if value is None or get_ident() != thread:
            return
        count += value.numel()
        if count > most:  # torch has not written to the memory yet
            raise CheckpointError(
                f"{path} does not fit the model: its settings describe a network far larger than "
                f"its {sum(tensor.numel() for tensor in state.values())} numbers"
            )

    hook = register_module_parameter_registration_hook(counted)
    try:
        yield
    finally:
        hook.remove()


def fill(model: torch.nn.Module, state: dict[str, torch.Tensor], path: Path, advice: str) -> None:
    """Load weights into a model. Raises `CheckpointError`, which ends in the advice, where they do
    not fit."""
    own = model.state_dict()
    wrong = [k for k in own if k not in state or state[k].shape != own[k].shape]
    wrong += [k for k in state if k not in own]
    if wrong:
        raise CheckpointError(
            f"{path} does not fit the model: {len(wrong)} tensors differ, {wrong[0]!r} first. "
            + advice
        )
    model.load_state_dict(state)
