"""Digests of networks, by which what was predicted before is known to be of the same."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import torch

from heatkp.engine.exported import ExportedBackend
from heatkp.inference.finder import ExportedFinder
from heatkp.inference.predictor import Predictor


def weights_digest(predictor: Predictor) -> str:
    """A digest of a model's network, wherever its file lies: of an exported one, of its files;
    else of its tensors and their names."""
    backend = predictor.engine.backend
    return _digest(backend if isinstance(backend, ExportedBackend) else predictor.loaded.network)


def detector_digest(detector: object) -> str | None:
    """The same of a finder's network; None for other detectors, which their names tell."""
    if isinstance(detector, ExportedFinder):
        return _digest(detector.network)
    model = getattr(detector, "model", None)
    return _digest(model) if isinstance(model, torch.nn.Module) else None


def _digest(network: Any) -> str:
    hashed = blake2b(digest_size=16)
    if isinstance(network, ExportedBackend):
        for file in sorted(network.file.parent.glob(f"{network.file.stem}.*")):
            if file.suffix != ".json":  # its description, with paths and times
                hashed.update(file.name.encode())
                hashed.update(file.read_bytes())
    else:
        _add_tensors(hashed, network)
    return hashed.hexdigest()


def _add_tensors(hashed: blake2b, network: Any) -> None:
    if (calibration := getattr(network, "calibration", None)) is not None:
        hashed.update(json.dumps(calibration.as_dict(), sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        hashed.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        with suppress(TypeError):  # NumPy has no bfloat16
            hashed.update(values.numpy().tobytes())
            continue
        hashed.update(values.float().numpy().tobytes())
