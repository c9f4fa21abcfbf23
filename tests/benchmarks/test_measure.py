"""How benchmarks measure memory."""

from __future__ import annotations

import torch


def test_gradients_count_each_time(script):
    measure = script("measure")
    model = torch.nn.Linear(1000, 1000, bias=False)
    image = torch.ones(1, 1000)

    def step():
        model.zero_grad(set_to_none=True)
        model(image).sum().backward()

    first, second = (measure.peak_bytes(step, model) for _ in range(2))
    assert 4e6 <= first < 5e6 and 4e6 <= second < 5e6
