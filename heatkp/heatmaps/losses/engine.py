"""The machinery below the losses: blocks of maps, one buffer, closed-form gradients.

Each loss is a kernel that reads a block of maps and writes, in one go, their values and their
gradients. Blocks are small enough to stay in a core's cache, so that a kernel's passes over
them cost little; memory is read once and written once. The gradients are made in the forward
pass, in the one buffer that becomes the gradient: backward multiplies it in place.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from heatkp.heatmaps.gaussians import DenseWindow, Window
from heatkp.heatmaps.mixtures import MixtureWindow
from heatkp.heatmaps.precision import working_dtype

AnyWindow = Window | MixtureWindow
Make = Callable[..., AnyWindow]
"""A window of its tensors."""
Kernel = Callable[[Tensor, Tensor, Window | DenseWindow], Tensor]
"""(maps (n, H, W), out (n, H, W), window) -> values (n,); writes dvalue/dmaps to `out`."""

# Elements of scratch a block of maps may take on the CPU: 8 MB of float32, which the last-level
# cache holds. Smaller blocks are no faster, and wait for their threads more often.
_SCRATCH = 1 << 21
# Channels that share a cache line in channels-last maps.
_LINE = 16
_HUGE_PAGE = 1 << 21


def _madvise() -> Callable[[int, int], Any] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    huge_pages = 14  # MADV_HUGEPAGE
    return lambda address, length: function(address, length, huge_pages)


_advise = _madvise()


def new_buffer(maps: Tensor) -> Tensor:
    """An uninitialised contiguous tensor like maps, as (B K, H, W).

    Fresh memory is mapped page by page on first touch, which takes longer than computing what
    is written to it; on Linux large buffers therefore ask for huge pages. Only a hint.
    """
    buffer = torch.empty(
        (maps.shape[0] * maps.shape[1], *maps.shape[2:]), dtype=maps.dtype, device=maps.device
    )
    if _advise is not None and not torch.compiler.is_compiling() and buffer.device.type == "cpu":
        first = -(-buffer.data_ptr() // _HUGE_PAGE) * _HUGE_PAGE
        length = (buffer.data_ptr() + buffer.nbytes - first) // _HUGE_PAGE * _HUGE_PAGE
        if length > 0:
            _advise(first, length)
    return buffer


def blocks(maps: Tensor, scratch: int) -> Iterator[tuple[int, int, Tensor]]:
    """Maps (B, K, H, W) as contiguous blocks (n, H, W) in the working precision, with the
    position of their first and last + 1 among the B K maps; `scratch` is how many elements of
    temporaries each map takes."""
    batch, channels, height, width = maps.shape
    dtype = working_dtype(maps)
    count = batch * channels
    if torch.compiler.is_compiling() or maps.device.type != "cpu" or count == 0:
        yield 0, count, maps.reshape(count, height, width).to(dtype)
        return
    if maps.dtype != dtype or not maps.is_contiguous():
        scratch += height * width
    size = max(1, _SCRATCH // max(1, scratch))
    if maps.is_contiguous():
        flat = maps.view(count, height, width)
        for start in range(0, count, size):
            stop = min(start + size, count)
            yield start, stop, flat[start:stop].to(dtype)
        return
    # Copied block by block, so that other layouts take no second copy of everything.
    size = max(size, _LINE)
    for image in range(batch):
        for start in range(0, channels, size):
            stop = min(start + size, channels)
            block = maps[image, start:stop].to(dtype).contiguous()
            yield image * channels + start, image * channels + stop, block


def clear_rows(gradient: Tensor, dead: Tensor) -> Tensor:
    """Set maps (n, H, W) to 0 where dead (n,), in place: a factor of 0 would leave a NaN."""
    if torch.compiler.is_compiling() or gradient.device.type != "cpu":
        return gradient.masked_fill_(dead[:, None, None], 0)
    rows = dead.nonzero()[:, 0]
    return gradient.index_fill_(0, rows, 0) if len(rows) else gradient


def scale_rows(gradient: Tensor, scale: Tensor) -> Tensor:
    """Multiply maps (n, H, W) by scale (n,), in place."""
    gradient.mul_(scale.to(gradient.dtype)[:, None, None])
    return clear_rows(gradient, scale == 0)


def is_recorded(maps: Tensor) -> bool:
    """Whether a gradient can be asked for: within forward, no_grad no longer shows."""
    return maps.requires_grad and torch.is_grad_enabled()


def refuse_second_derivative() -> None:
    """Raises `RuntimeError` in a backward pass that is itself recorded."""
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        raise RuntimeError(
            "heatkp's losses have closed-form gradients that cannot be differentiated again; "
            "call backward or torch.autograd.grad without create_graph=True"
        )


def owned(buffer: Tensor) -> Tensor:
    """The saved buffer if this is the last backward pass through it, otherwise a copy."""
    if torch.compiler.is_compiling():
        return buffer.clone()
    # Not public; without it every backward pass has to assume that another will follow.
    kept = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)
    return buffer.clone() if kept() else buffer


def window_scratch(window: AnyWindow) -> int:
    """Elements of float32 per map that the handful of double-precision temporaries take."""
    return 16 * window.shape[0] * window.shape[1]


class _MapLoss(torch.autograd.Function):
    """Values (B K,) of a kernel for maps (B, K, H, W)."""

    @staticmethod
    def forward(
        ctx: Any,
        maps: Tensor,
        kernel: Kernel,
        scale: float,
        make: Make,
        dense: bool,
        recorded: bool,
        *window: Tensor,
    ) -> Tensor:
        windows = make(*window)
        size = (maps.shape[2], maps.shape[3])
        dtype = working_dtype(maps)
        # Half-precision maps would need a buffer of twice their size: their gradient is
        # computed in backward instead, at the price of a second exponential.
        keep = recorded and maps.dtype == dtype
        buffer = new_buffer(maps) if keep else None
        parts = []
        ctx.scratch = window_scratch(windows) + (0 if keep and not dense else size[0] * size[1])
        for start, stop, block in blocks(maps, ctx.scratch):
            out = torch.empty_like(block) if buffer is None else buffer[start:stop]
            parts.append(kernel(block, out, windows.block(start, stop)))
        ctx.kernel, ctx.scale, ctx.make, ctx.tensors = kernel, scale, make, len(window)
        if keep:
            ctx.save_for_backward(buffer)
        elif recorded:
            ctx.save_for_backward(maps, *window)
        ctx.shape = maps.shape
        return torch.cat(parts) * scale

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        saved = ctx.saved_tensors
        scale = upstream * ctx.scale
        if len(saved) == 1:
            gradient = scale_rows(owned(saved[0]), scale)
        else:
            maps, *window = saved
            windows = ctx.make(*window)
            gradient = new_buffer(maps)
            for start, stop, block in blocks(maps, ctx.scratch):
                out = torch.empty_like(block)
                ctx.kernel(block, out, windows.block(start, stop))
                gradient[start:stop] = scale_rows(out, scale[start:stop])
        return gradient.view(ctx.shape), *[None] * (5 + ctx.tensors)


def apply_kernel(
    maps: Tensor, kernel: Kernel, window: AnyWindow, scale: float = 1.0, *, dense: bool = False
) -> Tensor:
    """`scale` times the kernel's value of each map, (B K,) in the window's precision.

    `dense` says that the kernel takes temporaries as large as its maps, not just its windows.
    """
    make, tensors = window.taken_apart()
    values: Tensor = _MapLoss.apply(maps, kernel, scale, make, dense, is_recorded(maps), *tensors)
    return values
