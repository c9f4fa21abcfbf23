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
