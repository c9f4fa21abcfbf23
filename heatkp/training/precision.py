"""The numbers that training computes in: float32, or half precision where it does no harm."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.plugins import MixedPrecision
from torch.overrides import TorchFunctionMode

PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
"""Lightning's names."""


class GroupedConvolutionsInFloat32(TorchFunctionMode):
    """Under autocast on a processor, convolutions in groups compute in float32.

    The backward pass of depthwise convolutions takes about five times as long in bfloat16 as in
    float32 there (torch 2.14, AMX), more than half of a MobileNet's or EfficientNet's whole step.
    What they return is bfloat16 again, so that all else stays as it is.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if func is not torch.conv2d or not args or not torch.is_autocast_enabled("cpu"):
            return func(*args, **given)
        image, *others = args  # torch's own layers give image, weight and bias by place
        groups = given.get("groups", others[5] if len(others) > 5 else 1)
        if groups == 1 or image.device.type != "cpu":
            return func(*args, **given)
        with torch.autocast("cpu", enabled=False):
            return func(image.float(), *others, **given).to(torch.get_autocast_dtype("cpu"))


class BFloat16OnProcessors(MixedPrecision):
    """Lightning's `bf16-mixed` for processors, without its slow convolutions."""

    def __init__(self) -> None:
        super().__init__("bf16-mixed", "cpu")

    @contextmanager
    def forward_context(self) -> Generator[None, None, None]:
        with self.autocast_context_manager(), GroupedConvolutionsInFloat32():
            yield
