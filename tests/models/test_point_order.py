"""A model's state with its points in another order."""

from __future__ import annotations

import pytest
import torch

from heatkp import create_model, head_names
from heatkp.models import in_order

ORDER = [2, 0, 3, 1]


@pytest.mark.parametrize("name", head_names())
def test_points_change_places_and_nothing_else_does(name):
    options = {"model": {"hidden": [8]} if name == "regression" else {}}
    sigma = [0.8, 1.0, 1.2, 1.4]
    several = name not in ("regression", "ce", "grouped", "nll")
    made = [
        create_model(
            name, points=4, size=(32, 32), encoder="tu-mobilenetv3_small_050",
            head_options={"sigma": widths} if several else {}, **options["model"],
        ).eval()
        for widths in (sigma, [sigma[i] for i in ORDER])
    ]  # fmt: skip
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in made[0].parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    made[1].load_state_dict(in_order(made[0].state_dict(), made[0].point_rows(), ORDER))
    images = torch.rand(2, 3, 32, 32) * 255
    points, weights = torch.rand(2, 4, 2) * 30, torch.ones(2, 4)
    with torch.no_grad():
        first, second = (model.decode(model(images)) for model in made)
        losses = [
            model.training_loss(images, points[:, order], weights)
            for model, order in zip(made, ([0, 1, 2, 3], ORDER))
        ]
    assert torch.allclose(second.points, first.points[:, ORDER], atol=1e-4)
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-5)
