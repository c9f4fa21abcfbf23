"""Digests of networks, by which what was predicted before is known to be of the same."""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2b
from typing import Any

import torch

from heatkp.engine.exported import ExportedBackend
from heatkp.inference.predictor import Predictor


def weights_digest(predictor: Predictor) -> str:
    """A digest of a model's network, wherever its file lies: of an exported one, of its files;
    else of its tensors and their names."""
    hashed = blake2b(digest_size=16)
    backend = predictor.engine.backend
    if isinstance(backend, ExportedBackend):
        for file in sorted(backend.file.parent.glob(f"{backend.file.stem}.*")):
            if file.suffix != ".json":  # its description, with paths and times
                hashed.update(file.name.encode())
                hashed.update(file.read_bytes())
        return hashed.hexdigest()
    _add_tensors(hashed, predictor.loaded.network)
    return hashed.hexdigest()


def detector_digest(detector: object) -> str | None:
    """The same of a detector's network, where it has one as torch module `model`: a finder; None
    for others, which their names tell."""
    model = getattr(detector, "model", None)
    if not isinstance(model, torch.nn.Module):
        return None
    hashed = blake2b(digest_size=16)
    _add_tensors(hashed, model)
    return hashed.hexdigest()


def _add_tensors(hashed: blake2b, network: Any) -> None:
    for name, tensor in sorted(network.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        hashed.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        with suppress(TypeError):  # NumPy has no bfloat16
            hashed.update(values.numpy().tobytes())
            continue
        hashed.update(values.float().numpy().tobytes())
