"""Maps as what they mean."""

from __future__ import annotations

import torch

import heatkp.heatmaps as hm


def test_each_kind_by_hand() -> None:
    maps = torch.tensor([[[[-2.0, 0.0], [0.5, 3.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    logits = hm.activate(maps, "logits")
    assert torch.allclose(logits.sum((2, 3)), torch.ones(1, 2))
    assert torch.allclose(logits[0, 0] / logits[0, 0, 0, 1], maps[0, 0].exp())
    assert torch.allclose(hm.activate(maps, "sigmoid_logits"), 1 / (1 + (-maps).exp()))
    positive = torch.tensor([[0.0, 0.0], [0.5, 3.0]])
    assert torch.equal(hm.activate(maps, "gaussian")[0, 0], positive)
