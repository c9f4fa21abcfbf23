"""The moving average of weights, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch

from heatkp.training.callbacks import moving_average


class Weights(pl.LightningModule):
    """A weight, and the two kinds of buffers that a batch norm has."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))


def averaged(decay: float, values: list[float]) -> Weights:
    """What is kept after steps that leave all weights at these values."""
    module, callback = Weights(), moving_average(decay)
    callback.setup(cast(Any, None), module, "fit")
    for step, value in enumerate(values, 1):
        for tensor in module.state_dict().values():
            tensor.fill_(value)
        callback.on_train_batch_end(
            cast(Any, SimpleNamespace(global_step=step)), module, None, None, step - 1
        )
    callback.on_train_end(cast(Any, None), module)
    return module


def test_the_random_start_is_soon_forgotten() -> None:
    """After n steps the last counts 9 / (10 + n), however slow the decay."""
    assert averaged(0.9999, [0, 11]).weight.tolist() == pytest.approx([9, 9])
    assert averaged(0.9999, [0, 0, 12]).weight.tolist() == pytest.approx([9, 9])
    assert averaged(0.9999, [100] + [1] * 12).weight[0] < 1.01


@pytest.mark.parametrize("decay", [0.0, 0.2, 0.5, 0.9999])
def test_the_average_by_hand(decay: float) -> None:
    values = [float(v) for v in torch.randint(0, 50, (20,), generator=torch.manual_seed(0))]
    expected = values[0]
    for n, value in enumerate(values[1:], 1):
        kept = min(decay, (1 + n) / (10 + n))
        expected = kept * expected + (1 - kept) * value
    found = averaged(decay, values)
    for tensor in (found.weight, cast(torch.Tensor, found.mean)):
        assert tensor.tolist() == pytest.approx([expected] * 2, rel=1e-5)


def test_counts_are_not_averaged() -> None:
    assert int(cast(torch.Tensor, averaged(0.9, [3, 4, 8]).batches)) == 8
