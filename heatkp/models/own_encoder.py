"""Encoders of one's own: any module that turns images into feature maps."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from heatkp.errors import SettingsError

PROBE = 128
"""Side, in pixels, of the blank image that shows what an encoder gives."""
DEEPEST = 5
"""Halvings that decoders of segmentation-models-pytorch go down."""
_NAME = "heatkp-own"


def named_encoder(path: str, channels: int) -> nn.Module:
    """The `nn.Module` class that `package.module:Class` names, made for 1 or 3 channels.

    It is called with `in_channels=`, where it takes that, and else without arguments. Raises
    `SettingsError` for what cannot be imported, or is no such class.
    """
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"model.encoder: {path!r} cannot be imported ({error}); write package.module:Class, "
            "or give the encoder itself"
        ) from None
    # Classes only: a settings file must not call whatever function it names.
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise SettingsError(f"model.encoder: {path!r} is no class that derives from nn.Module")
    takes = "in_channels" in inspect.signature(found).parameters
    try:
        return found(in_channels=channels) if takes else found()
    except TypeError as error:
        raise SettingsError(
            f"model.encoder: {path!r} cannot be made without arguments ({error}); give the "
            "encoder itself: create_model(encoder=...), load_model(..., encoder=...)"
        ) from None


def _features(output: Any) -> list[Tensor]:
    """The feature maps (B, C, h, w) among what a module returns."""
    if isinstance(output, Tensor):
        output = [output]
    elif isinstance(output, Mapping):
        output = list(output.values())
    if not isinstance(output, Sequence):
        return []
    return [x for x in output if isinstance(x, Tensor) and x.ndim == 4]


class OwnEncoder(nn.Module):
    """A module as decoders want encoders: a list of features at strides 1, 2, 4 and so on.

    Args:
        module: images (B, C, H, W) to feature maps (B, C', H / s, W / s), one, or a list, tuple
            or dictionary of them; each stride s a power of two. Of several with one stride the
            last counts. Strides that it leaves out hold no channels.
        channels: C.

    Raises:
        SettingsError: for a module that gives something else.
    """

    def __init__(self, module: nn.Module, channels: int) -> None:
        super().__init__()
        self.module, self.in_channels = module, channels
        self.places = self._probe(channels)
        self.use_depth(DEEPEST)

    def use_depth(self, most: int) -> None:
        """Give features of at most so many halvings."""
        self.depth = max(level for level in self.places if level <= most)
        levels = range(1, self.depth + 1)
        widths = [self.places.get(level, (0, 0))[1] for level in levels]
        self.out_channels, self.output_stride = [self.in_channels, *widths], 2**self.depth

    def _probe(self, channels: int) -> dict[int, tuple[int, int]]:
        """Index of the output and its width, by halvings."""
        training = self.module.training
        device = next(self.module.parameters(), torch.zeros(1)).device
        self.module.eval()
        try:
            with torch.no_grad():
                output = self.module(torch.zeros(1, channels, PROBE, PROBE, device=device))
        except (RuntimeError, TypeError, ValueError) as error:
            raise SettingsError(
                f"model.encoder: {type(self.module).__name__} cannot take images of {channels} "
                f"channels, {PROBE}x{PROBE} pixels: {error}"
            ) from None
        self.module.train(training)
        found: dict[int, tuple[int, int]] = {}
        for index, features in enumerate(_features(output)):
            stride = PROBE // features.shape[2] if features.shape[2] else 0
            level = stride.bit_length() - 1
            if 2**level == stride and features.shape[2:] == (PROBE // stride,) * 2 and level > 0:
                found[level] = index, features.shape[1]
        found = {level: place for level, place in found.items() if level <= DEEPEST}
        if not found:
            raise SettingsError(
                f"model.encoder: {type(self.module).__name__} gives no feature maps at a stride "
                "of 2, 4, 8, 16 or 32; return one or several (B, C, H / s, W / s)"
            )
        return found

    @property
    def hint(self) -> str:
        """What it gives, for messages about networks that need more."""
        strides = ", ".join(str(2**level) for level in sorted(self.places))
        return f"your encoder gives features at strides {strides}"

    def forward(self, images: Tensor) -> list[Tensor]:
        given = _features(self.module(images))
        height, width = images.shape[2:]
        features = [images]
        for level in range(1, self.depth + 1):
            if level in self.places:
                features.append(given[self.places[level][0]])
            else:
                size = (height // 2**level, width // 2**level)
                features.append(images.new_zeros(images.shape[0], 0, *size))
        return features

    def set_in_channels(self, in_channels: int, pretrained: bool = True) -> None:
        """For segmentation-models-pytorch; it was made for these already."""
        assert in_channels == self.in_channels

    def make_dilated(self, output_stride: int) -> None:
        """For segmentation-models-pytorch; raises `ValueError`, for only its author could."""
        raise ValueError("an encoder of one's own cannot be dilated; choose another architecture")


@contextmanager
def known_to_smp(encoder: OwnEncoder) -> Iterator[str]:
    """A name by which segmentation-models-pytorch finds an encoder, for as long as this lasts."""
    import segmentation_models_pytorch as smp

    def made(depth: int = DEEPEST, **_: Any) -> OwnEncoder:
        encoder.use_depth(depth)
        return encoder

    table: dict[str, Any] = smp.encoders.encoders
    table[_NAME] = {"encoder": made, "params": {}, "pretrained_settings": {}}
    try:
        yield _NAME
    finally:
        del table[_NAME]
