"""Settings that show in a training's steps, not in its result."""

from __future__ import annotations

import io

import lightning.pytorch as pl
import pytest
import torch
from rich.console import Console

from heatkp.config import assign, parse_settings
from heatkp.training import fit
from tests.conftest import TINY, heatkp


class Watch(pl.Callback):
    """What a training does in its steps."""

    def __init__(self):
        self.types, self.strict, self.norms, self.clipped = set(), set(), [], []

    def on_fit_start(self, trainer, pl_module):
        layer = pl_module.model.map_layer.convolution
        layer.register_forward_hook(lambda _, given, made: self.types.add(made.dtype))

    def on_train_batch_start(self, *_):
        self.strict.add(torch.are_deterministic_algorithms_enabled())

    def norm(self, module):
        found = [p.grad.norm() for p in module.parameters() if p.grad is not None]
        return float(torch.stack(found).norm())

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.norms.append(self.norm(pl_module))

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.clipped.append(self.norm(pl_module))


def watched(out, *assignments):
    values: dict = {}
    for assignment in (*TINY[1 : TINY.index("--batch-size") : 2], *assignments):
        assign(values, assignment)
    values.setdefault("trainer", {}).update(epochs=1, batch_size=8)
    watch = Watch()
    torch.use_deterministic_algorithms(False)  # Lightning leaves it as an earlier training had it
    try:
        fit.train(parse_settings(values), out, Console(file=io.StringIO()), [watch])
    finally:
        torch.use_deterministic_algorithms(False)
    return watch


def test_settings_that_a_finite_loss_does_not_show(tmp_path):
    plain = watched(tmp_path / "a")
    assert plain.types == {torch.float32} and plain.strict == {False}
    assert plain.clipped == plain.norms and min(plain.norms) > 0.1
    changed = watched(tmp_path / "b", "trainer.precision=bf16", "trainer.deterministic=true",
                      "optimiser.clip=0.1")  # fmt: skip
    assert torch.bfloat16 in changed.types and changed.strict == {True}
    assert min(changed.norms) > 0.1 and changed.clipped == pytest.approx([0.1] * 3, rel=1e-3)


@pytest.mark.parametrize("flags", [["--batch-size", 1], ["--set", "data.train_count=1"]])
def test_steps_on_one_sample(tmp_path, flags):
    pooled = ["--set", "model.architecture=deeplabv3", "--set", "model.options={}"]
    few = ["--set", "data.train_count=3", "--epochs", 1, *pooled, *flags]
    done = heatkp("train", *TINY, *few, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "1 of the network's batch norms see one value" in done.output


def test_samples_that_fill_no_batch_are_counted(tmp_path):
    odd = ["--set", "data.train_count=11", "--epochs", 1]
    done = heatkp("train", *TINY, *odd, "--out", tmp_path / "run")
    assert done.exit_code == 0 and "3 of 11 samples, others each time" in done.output
