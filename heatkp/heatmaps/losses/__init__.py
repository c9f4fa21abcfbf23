"""Losses of maps (B, K, H, W) against points (B, K, 2), one per keypoint, and their mean."""

from heatkp.heatmaps.losses.common import masked_mean
from heatkp.heatmaps.losses.coordinates import expectation_loss, gaussian_nll
from heatkp.heatmaps.losses.targets import (
    binary_cross_entropy,
    gaussian_cross_entropy,
    gaussian_l1,
    gaussian_mse,
    js_divergence,
    kl_divergence,
    marginal_cross_entropy,
    pixel_cross_entropy,
)

__all__ = [
    "binary_cross_entropy",
    "expectation_loss",
    "gaussian_cross_entropy",
    "gaussian_l1",
    "gaussian_mse",
    "gaussian_nll",
    "js_divergence",
    "kl_divergence",
    "marginal_cross_entropy",
    "masked_mean",
    "pixel_cross_entropy",
]
