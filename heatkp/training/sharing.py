"""What processes that train together tell each other, beside the gradients."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from heatkp.models import KeypointModel
from heatkp.training.module import KeypointModule
from heatkp.training.processes import total


def unused_parameters(model: KeypointModel) -> list[str]:
    """Names of parameters that get no gradient in a step, such as blocks of an encoder behind
    those whose features are taken. The model stays as it is."""
    width, height = model.size
    device = next(model.parameters()).device
    images = torch.zeros(1, model.channels, height, width, device=device)
    points = torch.full((1, model.points, 2), min(width, height) / 2.0, device=device)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    training, state = model.training, torch.random.get_rng_state()
    model.eval()
    try:
        loss = model.training_loss(images, points, torch.ones(1, model.points, device=device))
        given = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    finally:
        model.train(training)
        torch.random.set_rng_state(state)
    return [name for name, gradient in zip(trained, given) if gradient is None]


def parallel_strategy(name: str, model: KeypointModel) -> DDPStrategy:
    """Lightning's strategy for several processes.

    Each computes its share of a batch, gradients are averaged. Batch statistics are averaged by
    `Shared`: torch would take those of the first process, and would wait for ever in a validation
    in which processes have different numbers of batches.
    """
    find = name == "ddp_find_unused" or (name == "auto" and bool(unused_parameters(model)))
    return DDPStrategy(
        broadcast_buffers=False, find_unused_parameters=find, gradient_as_bucket_view=True
    )


class Shared(Callback):
    """Averages batch statistics after each step and adds up errors and losses at an epoch's end.

    Must come first in the list of callbacks: others read what it shares.
    """

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object
    ) -> None:
        assert isinstance(pl_module, KeypointModule)
        average(_statistics(pl_module.model))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, KeypointModule)
        pl_module.share_validation()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, KeypointModule)
        pl_module.share_loss()


def _statistics(model: nn.Module) -> list[Tensor]:
    return [
        buffer
        for part in model.modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training
        for buffer in (part.running_mean, part.running_var)
        if buffer is not None
    ]


def average(tensors: list[Tensor]) -> None:
    """Give tensors their mean over all processes, in place, by one message."""
    if not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    flat = total(flat) / torch.distributed.get_world_size()
    for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
        tensor.copy_(mean.view_as(tensor))
