"""What every head is."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from heatkp import heatmaps as hm
from heatkp.config import Head as HeadSettings
from heatkp.config import Model, Section, parse_options
from heatkp.errors import SettingsError
from heatkp.models.base import KeypointModel
from heatkp.models.dense import DenseModel


class NoOptions(Section):
    """Of heads that have no settings of their own."""


class AnyHead:
    """What settings may name as `head.name`, with or without maps.

    Attributes:
        name: what settings call it.
        kind: what its maps are; None where it makes none.
        takes_mixtures: whether its loss takes a `heatkp.heatmaps.Mixture` in place of points, which
            is what teachers give.
        Options: its own settings in section `head`, beside name, decoder and sigma.
    """

    name: ClassVar[str]
    kind: ClassVar[hm.Kind | None] = None
    takes_mixtures: ClassVar[bool] = False
    Options: ClassVar[type[Section]] = NoOptions

    @classmethod
    def build(
        cls,
        model: Model,
        settings: HeadSettings,
        points: int,
        size: tuple[int, int],
        channels: int,
    ) -> KeypointModel:
        """A network for K points that takes images of `size` (W, H) with 1 or 3 channels.

        Raises `SettingsError` for what it does not take.
        """
        raise TypeError(f"{cls.__name__} defines no build")


class Head(AnyHead, nn.Module):
    """How a map is scored against a point, and how a point is read off a map.

    A subclass gives `name`, `content`, `default_decoder` and `loss`; where the loss has a target
    Gaussian, `default_sigma` too, and where it has settings of its own, `Options`.

    Attributes:
        content: what its maps hold after training, which decides who may read them.
        default_sigma: of the target Gaussian, in map pixels; None where there is no target.
        default_decoder: used where settings name none.
        options: values of `Options`.
    """

    kind: ClassVar[hm.Kind]
    content: hm.Content
    default_sigma: ClassVar[float | None] = None
    default_decoder: ClassVar[str]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if hasattr(cls, "content"):
            cls.kind = cls.content.kind

    def __init__(self, settings: HeadSettings, points: int) -> None:
        super().__init__()
        self.settings, self.points = settings, points
        self.options: Any = parse_options(settings, self.Options)
        if self.default_sigma is None:
            for given in ("sigma", "sigma_final"):
                if getattr(settings, given) is not None:
                    raise SettingsError(
                        f"head.{given}: head {self.name!r} has no Gaussian to give a width"
                    )
        if isinstance(settings.sigma, list) and len(settings.sigma) != points:
            raise SettingsError(
                f"head.sigma: {len(settings.sigma)} widths for {points} points; give one for each"
            )
        self.content = self.content_with(self.options)
        self.progress = 1.0
        self.decoder = settings.decoder or self.default_decoder
        self.use_decoder(self.decoder)

    @classmethod
    def build(
        cls,
        model: Model,
        settings: HeadSettings,
        points: int,
        size: tuple[int, int],
        channels: int,
    ) -> KeypointModel:
        return DenseModel(model, cls(settings, points), points, size, channels)

    @classmethod
    def content_with(cls, options: Any) -> hm.Content:
        """What maps hold under such `Options`, where that depends on them."""
        return cls.content

    def use_decoder(self, name: str) -> None:
        """Read maps by another decoder. Raises `SettingsError` listing those allowed."""
        try:
            hm.require_readable(self.content, name, f"head {self.name}")
        except (ValueError, SettingsError) as error:
            raise SettingsError(f"head.decoder: {error}") from None
        self.decoder = name

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

    @property
    def reach(self) -> float:
        """Map pixels around a point within which its score counts the map: 2 sigma."""
        sigma = self.sigma
        return 2 * (float(sigma.mean()) if isinstance(sigma, Tensor) else sigma)

    @property
    def certain_variance(self) -> float | Tensor | None:
        """Variance along an axis, in squared map pixels, of trained maps of points that are
        certain; one or (1, K). None where the spread of maps says nothing."""
        if "mass" not in self.content.traits:
            return None
        return hm.BILINEAR_VARIANCE if self.default_sigma is None else self.sigma**2

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

    def loss(self, maps: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        """Losses (B, K) of maps (B, K, H, W) against points (B, K, 2) in map pixels, or a mixture
        where the head takes one; `weights` (B, K) are 0 where there is no point, and losses count
        0 there."""
        raise TypeError(f"{type(self).__name__} defines no loss")

    def decode(self, maps: Tensor) -> hm.Decoded:
        """Points in map pixels, scores and, where the decoder has one, covariances."""
        sigma = self.sigma  # one for all points: decoders need it only roughly
        width = float(sigma.mean()) if isinstance(sigma, Tensor) else sigma
        return hm.decode(self.decoder, maps, kind=self.kind, sigma=width)
