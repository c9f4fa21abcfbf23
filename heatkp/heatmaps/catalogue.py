"""Losses by name, what their maps hold, and reading maps by a decoder's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from heatkp.heatmaps import contents
from heatkp.heatmaps import losses as _losses
from heatkp.heatmaps.contents import Content, Kind, Trait
from heatkp.heatmaps.decoders import Decoded, DecoderInfo, DecoderSigma
from heatkp.registry import DECODERS

_PREFERRED: tuple[Trait, ...] = ("mean", "shape", "mass", "peak")


def decoders_of(content: Content) -> tuple[str, ...]:
    """Names of the decoders that may read such maps, those first that use most of what maps
    hold; broken extensions are left out."""
    able = {name: info for name, info in DECODERS.usable().items() if _reads(info, content)}
    return tuple(sorted(able, key=lambda name: _PREFERRED.index(able[name].needs)))


def _reads(info: DecoderInfo, content: Content) -> bool:
    return info.needs in content.traits and content.kind in info.kinds


@dataclass(frozen=True)
class LossInfo:
    """A loss by name.

    Attributes:
        function: called as function(maps, points, weights, sigma=...), without sigma where
            `uses_sigma` is False.
        content: what maps trained with it hold.
        uses_sigma: whether the target has a width.
    """

    function: Callable[..., Tensor] = field(repr=False)
    content: Content
    uses_sigma: bool = True

    @property
    def kind(self) -> Kind:
        """What the maps' numbers are."""
        return self.content.kind

    @property
    def decoders(self) -> tuple[str, ...]:
        """Names of the decoders that may read maps trained with it."""
        return decoders_of(self.content)


LOSSES: dict[str, LossInfo] = {
    "gaussian_cross_entropy": LossInfo(_losses.gaussian_cross_entropy, contents.GAUSSIAN_SOFTMAX),
    "kl_divergence": LossInfo(_losses.kl_divergence, contents.GAUSSIAN_SOFTMAX),
    "js_divergence": LossInfo(_losses.js_divergence, contents.GAUSSIAN_SOFTMAX),
    "pixel_cross_entropy": LossInfo(
        _losses.pixel_cross_entropy, contents.PIXEL_SOFTMAX, uses_sigma=False
    ),
    "marginal_cross_entropy": LossInfo(_losses.marginal_cross_entropy, contents.MARGINAL_SOFTMAX),
    "expectation_loss": LossInfo(_losses.expectation_loss, contents.MEAN_SOFTMAX, uses_sigma=False),
    "expectation_loss_variance": LossInfo(
        partial(_losses.expectation_loss, regulariser="variance"), contents.MEAN_SOFTMAX
    ),
    "expectation_loss_js": LossInfo(
        partial(_losses.expectation_loss, regulariser="js"), contents.GAUSSIAN_SOFTMAX
    ),
    "gaussian_nll": LossInfo(_losses.gaussian_nll, contents.MEAN_SOFTMAX),
    "gaussian_mse": LossInfo(_losses.gaussian_mse, contents.GAUSSIAN_MAP),
    "gaussian_l1": LossInfo(_losses.gaussian_l1, contents.GAUSSIAN_MAP),
    "binary_cross_entropy": LossInfo(_losses.binary_cross_entropy, contents.GAUSSIAN_SIGMOID),
}


def require_readable(content: Content, decoder: str, trained_by: str) -> None:
    """Raises `ValueError`, with the decoders that are allowed, unless one may read such maps;
    `trained_by` says whose they are."""
    if not _reads(DECODERS[decoder], content):
        raise ValueError(
            f"decoder {decoder!r} cannot read maps trained with {trained_by!r}; "
            f"allowed: {', '.join(decoders_of(content))}"
        )


def check_pair(loss: str, decoder: str) -> None:
    """Raises `ValueError`, with the decoders that are allowed, unless the two belong together.

    >>> check_pair("gaussian_mse", "quadratic")
    >>> check_pair("gaussian_nll", "argmax")
    Traceback (most recent call last):
    ...
    ValueError: decoder 'argmax' cannot read maps trained with 'gaussian_nll'; allowed: expectation
    """
    if loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}; allowed: {', '.join(LOSSES)}")
    _known(decoder)
    require_readable(LOSSES[loss].content, decoder, loss)


def _known(decoder: str) -> None:
    if decoder not in DECODERS:
        raise ValueError(str(DECODERS.unknown(decoder)))


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
    _known(name)
    info = DECODERS[name]
    if kind not in info.kinds:
        able = [other for other, entry in DECODERS.usable().items() if kind in entry.kinds]
        raise ValueError(
            f"decoder {name!r} cannot read maps of kind {kind!r} (only {', '.join(info.kinds)}); "
            f"allowed: {', '.join(able) or 'none, kinds are ' + ', '.join(contents.KINDS)}"
        )
    return info.function(maps, kind, sigma)
