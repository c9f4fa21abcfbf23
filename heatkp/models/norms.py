"""Batch norms that see a single value per channel, as after global pooling with one sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_BORROWED = "_uses_stored_statistics"


def _single(inputs: tuple[Tensor, ...]) -> bool:
    """Whether (B, C) or (B, C, h, w) holds one value per channel."""
    return inputs[0].numel() == inputs[0].shape[1]


def _before(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if norm.training and _single(inputs):
        # Not `eval()`, which would reach what a norm holds: timm's have an activation.
        norm.training = False
        setattr(norm, _BORROWED, True)


def _after(norm: nn.Module, *_: Any) -> None:
    if getattr(norm, _BORROWED, False):
        norm.training = True
        setattr(norm, _BORROWED, False)


def allow_single_values(model: nn.Module) -> None:
    """Let a model train on one sample: batch norms use their stored statistics, and leave them
    as they are, in steps in which they see one value per channel.

    Such a value has no variance, and torch refuses to normalise it.
    """
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_pre_hook(_before)
            module.register_forward_hook(_after, always_call=True)


@contextmanager
def counting_single_values(model: nn.Module) -> Iterator[set[nn.Module]]:
    """The batch norms that see one value per channel in what is computed meanwhile."""
    found: set[nn.Module] = set()

    def look(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if _single(inputs):
            found.add(norm)

    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
