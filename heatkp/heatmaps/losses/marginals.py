"""Marginals of a softmax, and its divergence from a Gaussian, from one pass over the maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from heatkp.heatmaps.gaussians import DenseWindow, Window
from heatkp.heatmaps.losses.engine import (
    AnyWindow,
    Make,
    blocks,
    clear_rows,
    is_recorded,
    new_buffer,
    owned,
    refuse_second_derivative,
    window_scratch,
)
from heatkp.heatmaps.losses.kernels import HALF_LOG2, JensenShannon, jensen_shannon
from heatkp.heatmaps.precision import accurate_dtype, working_dtype


def _fill(maps: Tensor, out: Tensor, window: Window | DenseWindow | None) -> JensenShannon | None:
    """p = softmax(Z) into `out`, and JS(p, g) where there is a window."""
    if window is None:
        torch.softmax(maps.flatten(1), 1, out=out.flatten(1))
        return None
    divergence = jensen_shannon(maps, out, window)
    probability = divergence.probability.to(out.dtype)
    out.flatten(1).scatter_(1, divergence.pixels, probability)
    return divergence


class _Marginals(torch.autograd.Function):
    """Column sums (B K, W), row sums (B K, H) and JS (B K,), 0 without a window, of softmax(Z)."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, make: Make | None, recorded: bool, *tensors: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.make, ctx.shape = make, maps.shape
        ctx.keep = recorded and maps.dtype == working_dtype(maps)
        windows = None if make is None else make(*tensors)
        buffer = new_buffer(maps) if ctx.keep else None
        columns, rows, divergences = [], [], []
        ctx.scratch = maps.shape[2] * maps.shape[3] + (
            0 if windows is None else window_scratch(windows)
        )
        for start, stop, block in blocks(maps, ctx.scratch):
            out = torch.empty_like(block) if buffer is None else buffer[start:stop]
            window = None if windows is None else windows.block(start, stop)
            divergence = _fill(block, out, window)
            if divergence is not None:
                value, mean, slope, _, _ = divergence
                # Kept in the maps' precision: a window as large as the map should not take more.
                divergences.append((value, mean, slope.to(out.dtype)))
            columns.append(out.sum(1))
            rows.append(out.sum(2))
        accurate = accurate_dtype(maps)
        px, py = torch.cat(columns).to(accurate), torch.cat(rows).to(accurate)
        value = mean = px.new_zeros(len(px))
        slope = px.new_zeros(0, dtype=working_dtype(maps))
        if divergences:
            value, mean, slope = (torch.cat(parts) for parts in zip(*divergences))
        if recorded:
            saved = maps if buffer is None else buffer
            ctx.save_for_backward(saved, px, py, mean, slope, *tensors)
        return px, py, value

    @staticmethod
    def backward(
        ctx: Any, by_column: Tensor, by_row: Tensor, by_value: Tensor
    ) -> tuple[Tensor | None, ...]:
        """dZ = p (f - sum p f) with f_ij = a_j + b_i + c s_ij.

        a, b, c are the gradients arriving, s = log(p / m) / 2, which is log(2) / 2 outside of
        the window.
        """
        refuse_second_derivative()
        saved, px, py, mean, slope, *tensors = ctx.saved_tensors
        windows = None if ctx.make is None else ctx.make(*tensors)
        dtype = working_dtype(saved)
        mean = (by_column * px).sum(1) + (by_row * py).sum(1) + by_value * mean
        across, down = (by_column - mean[:, None]).to(dtype), by_row.to(dtype)
        upstream = by_value.to(dtype)[:, None]
        gradient = owned(saved) if ctx.keep else new_buffer(saved)
        source = gradient.view(ctx.shape) if ctx.keep else saved
        for start, stop, block in blocks(source, ctx.scratch):
            window = None if windows is None else windows.block(start, stop)
            p = block if ctx.keep else torch.empty_like(block)
            inner = slope[start:stop]
            if not ctx.keep:
                divergence = _fill(block, p, window)
                inner = inner if divergence is None else divergence.slope.to(dtype)
            factor = across[start:stop, None, :] + down[start:stop, :, None]
            if window is not None:
                part, flat, pixels = upstream[start:stop], factor.flatten(1), window.index()
                near = flat.gather(1, pixels) + part * inner
                flat.add_(part * HALF_LOG2).scatter_(1, pixels, near)
            p.mul_(factor)
            if not ctx.keep:  # otherwise p is a view of the gradient
                gradient[start:stop] = p
            del factor, p  # before the next block takes as much
        dead = (by_column == 0).all(1) & (by_row == 0).all(1) & (by_value == 0)
        return clear_rows(gradient, dead).view(ctx.shape), None, None, *[None] * len(tensors)


def soft_marginals(maps: Tensor, window: AnyWindow | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Marginals (B, K, W) and (B, K, H) of p = softmax(Z) for maps (B, K, H, W), in doubles.

    And, with the window of normalised Gaussians g, the Jensen-Shannon divergences (B, K) of p
    and g; 0 without.
    """
    batch, keypoints, height, width = maps.shape
    make, parts = (None, ()) if window is None else window.taken_apart()
    px, py, divergence = _Marginals.apply(maps, make, is_recorded(maps), *parts)
    return (
        px.view(batch, keypoints, width),
        py.view(batch, keypoints, height),
        divergence.view(batch, keypoints),
    )
