"""A loss summed over a batch a few samples at a time, so that their maps never exist together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from heatkp.heatmaps.precision import accurate_dtype, working_dtype

LossSum = Callable[[Tensor, slice], Tensor]


class _ChunkedSum(torch.autograd.Function):
    """Value and gradient of each chunk are made together and its maps freed before the next."""

    @staticmethod
    def forward(
        ctx: Any, run: LossSum, chunk: int, features: Tensor, *parameters: Tensor
    ) -> Tensor:
        needed = [p for p in parameters if p.requires_grad]
        total = torch.zeros((), dtype=accurate_dtype(features), device=features.device)
        gradient = torch.empty_like(features)
        sums = [torch.zeros_like(p) for p in needed]
        for start in range(0, len(features), chunk):
            part = slice(start, start + chunk)
            with torch.enable_grad():
                leaf = features[part].detach().requires_grad_()
                value = run(leaf, part)
            found = torch.autograd.grad(value, [leaf, *needed], allow_unused=True)
            total += value.detach().to(total.dtype)
            gradient[part] = torch.zeros_like(leaf) if found[0] is None else found[0]
            for total_gradient, one in zip(sums, found[1:]):
                if one is not None:
                    total_gradient += one
        ctx.save_for_backward(gradient, *sums)
        ctx.needed = [p.requires_grad for p in parameters]
        return total.to(working_dtype(features))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Any:
        gradient, *sums = ctx.saved_tensors
        rest = iter(sums)
        parameters = [next(rest) * upstream if needed else None for needed in ctx.needed]
        return (None, None, gradient * upstream.to(gradient.dtype), *parameters)


def chunked_sum(run: LossSum, modules: nn.Module, features: Tensor, chunk: int) -> Tensor:
    """`run(features, slice(0, B))`, a sum over samples, made `chunk` samples at a time.

    Args:
        run: features (b, C, h, w), and which of the B samples they are of, to a scalar; it must
            not mix samples.
        modules: holds the parameters that `run` uses.
        chunk: samples at a time, at least 1.

    Value and gradients are those of the whole. The gradient is made in the forward pass, where
    a chunk's maps are at hand, so nothing is computed twice; it cannot be differentiated again.
    """
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; take at least one sample at a time")
    if not torch.is_grad_enabled():
        parts = [slice(i, i + chunk) for i in range(0, len(features), chunk)]
        return torch.stack([run(features[p], p) for p in parts]).sum()
    parameters = list(modules.parameters())
    result: Tensor = _ChunkedSum.apply(run, chunk, features, *parameters)
    return result
