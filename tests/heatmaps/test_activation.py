"""Maps as what they mean."""

from __future__ import annotations

import torch

from heatkp import heatmaps as hm


def test_maps_are_what_they_mean():
    raw = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    probabilities = hm.activate(raw, "logits")
    assert torch.allclose(probabilities.sum((2, 3)), torch.ones(2, 3))
    assert torch.equal(probabilities.flatten(2).argmax(2), raw.flatten(2).argmax(2))
    assert torch.equal(hm.activate(raw, "sigmoid_logits"), raw.sigmoid())
    assert torch.equal(hm.activate(raw, "gaussian"), raw.clamp(min=0))


def test_each_kind_by_hand() -> None:
    maps = torch.tensor([[[[-2.0, 0.0], [0.5, 3.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    logits = hm.activate(maps, "logits")
    assert torch.allclose(logits.sum((2, 3)), torch.ones(1, 2))
    assert torch.allclose(logits[0, 0] / logits[0, 0, 0, 1], maps[0, 0].exp())
    assert torch.allclose(hm.activate(maps, "sigmoid_logits"), 1 / (1 + (-maps).exp()))
    positive = torch.tensor([[0.0, 0.0], [0.5, 3.0]])
    assert torch.equal(hm.activate(maps, "gaussian")[0, 0], positive)
