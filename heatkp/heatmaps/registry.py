"""Losses and decoders by name, and which of them belong together.

A loss decides what its maps mean, and with it how they may be read:

- Cross-entropy, KL and JS to a Gaussian ask for a distribution of Gaussian shape: every decoder.
- Cross-entropy to the pixel asks for mass at the right place but for no shape beyond the four
  pixels: no decoder that fits a Gaussian to the neighbourhood of the peak.
- The expectation loss (with the variance regulariser too) and the negative log-likelihood ask
  for a mean only. Two heaps of mass with the right mean are as good as one, so a peak says
  nothing: the expectation alone. The JS regulariser asks for the Gaussian again.
- The marginal cross-entropy asks for the right rows and columns: mass is where it should be,
  its shape is open. The two expectations.
- MSE, L1 and binary cross-entropy leave a background of many small values, which outweighs the
  peak in a softmax: no global expectation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from heatkp.heatmaps import losses as _losses
from heatkp.heatmaps.decoders import (
    KINDS,
    Decoded,
    DecoderSigma,
    Kind,
    decode_argmax,
    decode_dark,
    decode_expectation,
    decode_local_expectation,
    decode_matched,
    decode_quadratic,
    decode_quarter,
)


@dataclass(frozen=True)
class LossInfo:
    """A loss by name.

    Attributes:
        function: called as function(maps, points, weights, sigma=...), without sigma where
            `uses_sigma` is False.
        kind: what maps trained with it hold.
        decoders: names of the decoders that may read them, the recommended one first.
        uses_sigma: whether the target has a width.
    """

    function: Callable[..., Tensor] = field(repr=False)
    kind: Kind
    decoders: tuple[str, ...]
    uses_sigma: bool = True


@dataclass(frozen=True)
class DecoderInfo:
    """A decoder by name.

    Attributes:
        function: called as function(maps, kind, sigma).
        kinds: kinds of map it can read.
        losses: names of the losses whose maps it may read.
        covariance: whether it returns one.
    """

    function: Callable[..., Decoded] = field(repr=False)
    kinds: tuple[Kind, ...]
    losses: tuple[str, ...]
    covariance: bool


_SHAPED = ("quadratic", "dark", "matched", "local_expectation", "quarter", "argmax")
_ANY = ("expectation", *_SHAPED)

LOSSES: dict[str, LossInfo] = {
    "gaussian_cross_entropy": LossInfo(_losses.gaussian_cross_entropy, "logits", _ANY),
    "kl_divergence": LossInfo(_losses.kl_divergence, "logits", _ANY),
    "js_divergence": LossInfo(_losses.js_divergence, "logits", _ANY),
    "pixel_cross_entropy": LossInfo(
        _losses.pixel_cross_entropy,
        "logits",
        ("expectation", "local_expectation", "quarter", "argmax"),
        uses_sigma=False,
    ),
    "marginal_cross_entropy": LossInfo(
        _losses.marginal_cross_entropy, "logits", ("expectation", "local_expectation")
    ),
    "expectation_loss": LossInfo(
        _losses.expectation_loss, "logits", ("expectation",), uses_sigma=False
    ),
    "expectation_loss_variance": LossInfo(
        partial(_losses.expectation_loss, regulariser="variance"), "logits", ("expectation",)
    ),
    "expectation_loss_js": LossInfo(
        partial(_losses.expectation_loss, regulariser="js"), "logits", _ANY
    ),
    "gaussian_nll": LossInfo(_losses.gaussian_nll, "logits", ("expectation",)),
    "gaussian_mse": LossInfo(_losses.gaussian_mse, "gaussian", _SHAPED),
    "gaussian_l1": LossInfo(_losses.gaussian_l1, "gaussian", _SHAPED),
    "binary_cross_entropy": LossInfo(_losses.binary_cross_entropy, "sigmoid_logits", _SHAPED),
}


def _decoder(
    name: str, function: Callable[..., Decoded], *, covariance: bool = False
) -> tuple[str, DecoderInfo]:
    belonging = tuple(loss for loss, info in LOSSES.items() if name in info.decoders)
    kinds = tuple(k for k in KINDS if any(LOSSES[loss].kind == k for loss in belonging))
    return name, DecoderInfo(function, kinds, belonging, covariance)


DECODERS: dict[str, DecoderInfo] = dict(
    [
        _decoder("argmax", decode_argmax),
        _decoder("quarter", decode_quarter),
        _decoder("dark", decode_dark, covariance=True),
        _decoder("quadratic", decode_quadratic, covariance=True),
        _decoder("expectation", decode_expectation, covariance=True),
        _decoder("local_expectation", decode_local_expectation, covariance=True),
        _decoder("matched", decode_matched),
    ]
)


def _known(what: str, name: str, allowed: dict[str, LossInfo] | dict[str, DecoderInfo]) -> None:
    if name not in allowed:
        raise ValueError(f"unknown {what} {name!r}; allowed: {', '.join(allowed)}")


def check_pair(loss: str, decoder: str) -> None:
    """Raises `ValueError`, with the decoders that are allowed, unless the two belong together.

    >>> check_pair("gaussian_mse", "quadratic")
    >>> check_pair("gaussian_nll", "argmax")
    Traceback (most recent call last):
    ...
    ValueError: decoder 'argmax' cannot read maps trained with 'gaussian_nll'; allowed: expectation
    """
    _known("loss", loss, LOSSES)
    _known("decoder", decoder, DECODERS)
    allowed = LOSSES[loss].decoders
    if decoder not in allowed:
        raise ValueError(
            f"decoder {decoder!r} cannot read maps trained with {loss!r}; "
            f"allowed: {', '.join(allowed)}"
        )


def decode(name: str, maps: Tensor, *, kind: Kind = "logits", sigma: DecoderSigma = 1.0) -> Decoded:
    """Read maps (B, K, H, W) with the decoder of that name.

    Args:
        name: a key of `DECODERS`.
        maps: (B, K, H, W).
        kind: what the maps hold: `LOSSES[loss].kind`.
        sigma: standard deviation the maps were trained on, in map pixels: a number or (sx, sy).

    Raises:
        ValueError: for an unknown name, or a kind that decoder cannot read.

    >>> import torch
    >>> decode("argmax", torch.tensor([[[[0.0, 3.0]]]])).points.tolist()
    [[[1.0, 0.0]]]
    """
    _known("decoder", name, DECODERS)
    info = DECODERS[name]
    if kind not in info.kinds:
        able = [other for other, entry in DECODERS.items() if kind in entry.kinds]
        raise ValueError(
            f"decoder {name!r} cannot read maps of kind {kind!r} (only {', '.join(info.kinds)}); "
            f"allowed: {', '.join(able) or 'none, kinds are ' + ', '.join(KINDS)}"
        )
    return info.function(maps, kind, sigma)
