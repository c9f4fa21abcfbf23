"""Heads: each pairs a loss with the decoders that may read what it trains.

To add one, subclass `Head`, say which loss it uses, and decorate it with `register_head`.
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn

from heatkp import heatmaps as hm
from heatkp.config import Head as HeadSettings
from heatkp.errors import SettingsError

HEADS: dict[str, type[Head]] = {}
H = TypeVar("H", bound="type[Head]")


def register_head(cls: H) -> H:
    """Class decorator: makes a head known under its `name`."""
    HEADS[cls.name] = cls
    return cls


class Head(nn.Module):
    """How a map is scored against a point, and how a point is read off a map.

    Attributes:
        name: what settings call it.
        trained_by: its loss, a name in `heatkp.heatmaps.LOSSES`.
        default_sigma: of the target Gaussian, in map pixels; None where there is no target.
        default_decoder: used where settings name none.
    """

    name: ClassVar[str]
    trained_by: ClassVar[str]
    default_sigma: ClassVar[float | None] = None
    default_decoder: ClassVar[str]

    def __init__(self, settings: HeadSettings, points: int) -> None:
        super().__init__()
        self.settings, self.points = settings, points
        if settings.sigma is not None and self.default_sigma is None:
            raise SettingsError(f"head.sigma: head {self.name!r} has no Gaussian to give a width")
        if isinstance(settings.sigma, list) and len(settings.sigma) != points:
            raise SettingsError(
                f"head.sigma: {len(settings.sigma)} widths for {points} points; give one for each"
            )
        if settings.sigma_final is not None and self.default_sigma is None:
            raise SettingsError(f"head.sigma_final: head {self.name!r} has no Gaussian")
        if (settings.regulariser or settings.regulariser_weight) and self.name != "softargmax":
            raise SettingsError(
                f"head.regulariser: only head 'softargmax' has one, not {self.name!r}"
            )
        for name in ("loss", "unit"):
            if getattr(settings, name) is not None:
                raise SettingsError(
                    f"head.{name}: only head 'regression' has a choice, not {self.name!r}"
                )
        self.progress = 1.0
        self.decoder = settings.decoder or self.default_decoder
        self.use_decoder(self.decoder)

    def use_decoder(self, name: str) -> None:
        """Read maps by another decoder. Raises `SettingsError` listing those allowed."""
        try:
            hm.check_pair(self.loss_name, name)
        except ValueError as error:
            raise SettingsError(f"head.decoder: {error}") from None
        self.decoder = name

    @property
    def loss_name(self) -> str:
        """The loss with its variant, a name in `heatkp.heatmaps.LOSSES`."""
        return self.trained_by

    @property
    def kind(self) -> hm.Kind:
        """What the maps are: `logits`, `gaussian` or `sigmoid_logits`."""
        return hm.LOSSES[self.loss_name].kind

    @property
    def start_sigma(self) -> float | list[float]:
        """What `sigma` says, or the head's default."""
        return self.settings.sigma or self.default_sigma or 1.0

    @property
    def sigma(self) -> float | Tensor:
        """Width of the target now, in map pixels: goes from `sigma` to `sigma_final`.

        A tensor (1, K) where each point has its own.
        """
        given, final = self.start_sigma, self.settings.sigma_final
        start = torch.tensor([given]) if isinstance(given, list) else given
        return start if final is None else start + (final - start) * self.progress

    def per_target(self, maps: Tensor, variance: float = 1.0) -> float | Tensor:
        """What turns a mean over a map's pixels into units of the target's own sum.

        The mean is tiny, and shrinks as the map grows; in these units an empty map costs 1.
        """
        area = maps.shape[2] * maps.shape[3]
        units = area / (2 * torch.pi * variance * self.sigma**2)
        return units.to(maps.device) if isinstance(units, Tensor) else units

    def starting_bias(self, area: int) -> float | Tensor:
        """The map layer's bias before training, one or (K,), for maps of `area` pixels."""
        return 0.0

    @property
    def asks(self) -> str:
        """What training asks for of `target`, in a few words."""
        return "what training asks for"

    def target(self, points: Tensor, size: tuple[int, int]) -> Tensor | None:
        """Maps (B, K, H, W) that training is content with, for points (B, K, 2) in map pixels.

        A Gaussian of the head's width, summing to 1 for softmax maps and of peak 1 for others;
        zeros for points that are NaN or outside. None where training asks for no map.
        """
        return hm.render_gaussians(points, size, self.sigma, normalised=self.kind == "logits")

    def loss(self, maps: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        """Losses (B, K) of maps (B, K, H, W) against points (B, K, 2) in map pixels."""
        raise TypeError(f"{type(self).__name__} defines no loss")

    def decode(self, maps: Tensor) -> hm.Decoded:
        """Points in map pixels, scores and, where the decoder has one, covariances."""
        sigma = self.sigma  # one for all points: decoders need it only roughly
        width = float(sigma.mean()) if isinstance(sigma, Tensor) else sigma
        return hm.decode(self.decoder, maps, kind=self.kind, sigma=width)


@register_head
class ArgmaxHead(Head):
    """Mean squared error to a Gaussian of peak 1, read at the refined maximum."""

    name = "argmax"
    trained_by = "gaussian_mse"
    default_sigma = 1.5
    default_decoder = "matched"

    def loss(self, maps: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        # A squared Gaussian is a Gaussian of half the variance.
        return hm.gaussian_mse(maps, points, weights, self.sigma) * self.per_target(maps, 0.5)


@register_head
class SoftargmaxHead(Head):
    """Smooth L1 on the expected coordinates of the softmax (Nibali et al. 2018)."""

    name = "softargmax"
    trained_by = "expectation_loss"
    default_sigma = 1.0
    default_decoder = "expectation"

    @property
    def regulariser(self) -> Literal["variance", "js"] | None:
        """What keeps the map compact; without one it may be anything with the right mean."""
        chosen = self.settings.regulariser or "js"
        return None if chosen == "none" else chosen

    @property
    def loss_name(self) -> str:
        return self.trained_by + (f"_{self.regulariser}" if self.regulariser else "")

    @property
    def asks(self) -> str:
        variance = self.regulariser == "variance"
        return "training asks for its mean and width only" if variance else super().asks

    def target(self, points: Tensor, size: tuple[int, int]) -> Tensor | None:
        return super().target(points, size) if self.regulariser else None

    def loss(self, maps: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        weight = self.settings.regulariser_weight
        return hm.expectation_loss(
            maps,
            points,
            weights,
            kind="smooth_l1",
            regulariser=self.regulariser,
            regulariser_weight=1.0 if weight is None else weight,
            sigma=self.sigma,
        )


@register_head
class KLHead(Head):
    """Divergence of the softmax from a Gaussian at the point."""

    name = "kl"
    trained_by = "kl_divergence"
    default_sigma = 1.0
    default_decoder = "expectation"

    def loss(self, maps: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        return hm.kl_divergence(maps, points, weights, self.sigma)


@register_head
class CrossEntropyHead(Head):
    """Cross-entropy to the pixel that holds the point, shared among the four nearest."""

    name = "ce"
    trained_by = "pixel_cross_entropy"
    default_decoder = "expectation"

    def target(self, points: Tensor, size: tuple[int, int]) -> Tensor | None:
        return hm.render_pixels(points, size)

    def loss(self, maps: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        return hm.pixel_cross_entropy(maps, points, weights)


@register_head
class BinaryHead(Head):
    """Binary cross-entropy of each pixel to a Gaussian of peak 1.

    Starts at the target's mean instead of one half (Lin et al. 2017, section 4.1): a hundred
    empty pixels for each full one would otherwise rule the first epochs.
    """

    name = "bce"
    trained_by = "binary_cross_entropy"
    default_sigma = 1.5
    default_decoder = "local_expectation"

    def starting_bias(self, area: int) -> Tensor:
        mean = 2 * torch.pi * torch.as_tensor(self.start_sigma) ** 2 / area
        return torch.logit(mean.clamp(max=0.5))

    def loss(self, maps: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        return hm.binary_cross_entropy(maps, points, weights, self.sigma) * self.per_target(maps)


@register_head
class MarginalHead(Head):
    """Cross-entropy of the softmax's two marginals to 1-D Gaussians."""

    name = "marginal"
    trained_by = "marginal_cross_entropy"
    default_sigma = 1.0
    default_decoder = "expectation"

    @property
    def asks(self) -> str:
        return "training asks for its row and column sums"

    def loss(self, maps: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        return hm.marginal_cross_entropy(maps, points, weights, self.sigma)


@register_head
class L1Head(Head):
    """Mean absolute error to a Gaussian of peak 1; dense code, for comparison."""

    name = "l1"
    trained_by = "gaussian_l1"
    default_sigma = 1.5
    default_decoder = "matched"

    def loss(self, maps: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        return hm.gaussian_l1(maps, points, weights, self.sigma) * self.per_target(maps)


@register_head
class NLLHead(Head):
    """Negative log-likelihood of the expected point under a Gaussian of learned width."""

    name = "nll"
    trained_by = "gaussian_nll"
    default_sigma = 1.0
    default_decoder = "expectation"

    def __init__(self, settings: HeadSettings, points: int) -> None:
        super().__init__(settings, points)
        self.log_sigma = nn.Parameter(torch.ones(points).mul(torch.tensor(self.start_sigma)).log())

        if settings.sigma_final is not None:
            raise SettingsError("head.sigma_final: head 'nll' learns its widths from head.sigma on")

    @property
    def asks(self) -> str:
        return "training asks for its mean; width as learned"

    def target(self, points: Tensor, size: tuple[int, int]) -> Tensor | None:
        return hm.render_gaussians(points, size, self.log_sigma.detach().exp()[None])

    def loss(self, maps: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        return hm.gaussian_nll(
            maps, points, weights, self.log_sigma.exp().expand(maps.shape[0], -1)
        )


def head_names() -> list[str]:
    """All heads that settings may name, the regression baseline included."""
    return [*HEADS, "regression"]


def heads_alike(name: str) -> list[str]:
    """The heads that take a map of logits, of Gaussians or of probabilities for the same as this
    one does, itself included: they can go on from one another's weights."""
    if name not in HEADS:
        return [name]
    kind = hm.LOSSES[HEADS[name].trained_by].kind
    return [other for other, head in HEADS.items() if hm.LOSSES[head.trained_by].kind == kind]


def create_head(settings: HeadSettings, points: int) -> Head:
    """The dense head that settings name. Raises `SettingsError` for an unknown one."""
    if settings.name not in HEADS:
        raise SettingsError(
            f"head.name: there is no head {settings.name!r}; choose one of "
            + ", ".join(head_names())
        )
    return HEADS[settings.name](settings, points)
