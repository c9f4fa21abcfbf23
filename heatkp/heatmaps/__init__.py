"""Heatmaps as pure functions: losses against points without targets, sub-pixel decoders."""

from heatkp.heatmaps import contents
from heatkp.heatmaps.activation import activate
from heatkp.heatmaps.catalogue import (
    LOSSES,
    LossInfo,
    check_pair,
    decode,
    decoders_of,
    require_readable,
)
from heatkp.heatmaps.contents import KINDS, Content, Kind, Trait, content
from heatkp.heatmaps.decoders import (
    Decoded,
    DecoderInfo,
    DecoderSigma,
    decode_argmax,
    decode_dark,
    decode_expectation,
    decode_local_expectation,
    decode_matched,
    decode_quadratic,
    decode_quarter,
    decoder,
)
from heatkp.heatmaps.gaussians import (
    Sigma,
    inside_map,
    render_gaussians,
    render_pixels,
    usable_weights,
)
from heatkp.heatmaps.losses import (
    binary_cross_entropy,
    expectation_loss,
    gaussian_cross_entropy,
    gaussian_l1,
    gaussian_mse,
    gaussian_nll,
    js_divergence,
    kl_divergence,
    marginal_cross_entropy,
    masked_mean,
    pixel_cross_entropy,
)
from heatkp.heatmaps.losses.common import Target
from heatkp.heatmaps.mixtures import BILINEAR_VARIANCE, Mixture
from heatkp.registry import DECODERS

__all__ = [
    "BILINEAR_VARIANCE",
    "DECODERS",
    "KINDS",
    "LOSSES",
    "Content",
    "Decoded",
    "DecoderInfo",
    "DecoderSigma",
    "Kind",
    "LossInfo",
    "Mixture",
    "Sigma",
    "Target",
    "Trait",
    "activate",
    "binary_cross_entropy",
    "check_pair",
    "content",
    "contents",
    "decode",
    "decode_argmax",
    "decode_dark",
    "decode_expectation",
    "decode_local_expectation",
    "decode_matched",
    "decode_quadratic",
    "decode_quarter",
    "decoder",
    "decoders_of",
    "expectation_loss",
    "gaussian_cross_entropy",
    "gaussian_l1",
    "gaussian_mse",
    "gaussian_nll",
    "inside_map",
    "js_divergence",
    "kl_divergence",
    "marginal_cross_entropy",
    "masked_mean",
    "pixel_cross_entropy",
    "render_gaussians",
    "render_pixels",
    "require_readable",
    "usable_weights",
]
