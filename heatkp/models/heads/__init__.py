"""Heads: each pairs a loss with the decoders that may read what it trains. One head a file.

To add one, put a file here with a subclass of `Head` under `register_head`; other packages name
theirs in the entry points `heatkp.heads`.
"""

from __future__ import annotations

from heatkp.config import GROUPED, Model
from heatkp.config import Head as HeadSettings
from heatkp.errors import SettingsError, UnknownNameError
from heatkp.models.base import KeypointModel
from heatkp.models.heads._base import AnyHead, Head
from heatkp.registry import HEADS, register_head

__all__ = ["AnyHead", "Head", "head_names", "heads_alike", "make_model", "register_head"]


def head_names() -> list[str]:
    """All heads that settings may name, those of other packages included."""
    return list(HEADS)


def heads_alike(name: str) -> list[str]:
    """The heads that take a map of logits, of Gaussians or of probabilities for the same as this
    one does, itself included: they can go on from one another's weights."""
    kind = HEADS[name].kind
    if kind is None or name == GROUPED:
        return [name]
    alike = (other for other, head in HEADS.usable().items() if head.kind == kind)
    return [other for other in alike if other != GROUPED]


def make_model(
    model: Model, head: HeadSettings, points: int, size: tuple[int, int], channels: int
) -> KeypointModel:
    """The network of a head, for K points and an input of `size` (W, H), channels 1 or 3.

    Raises `SettingsError` for an unknown head and for settings that it does not take.
    """
    try:
        kind: type[AnyHead] = HEADS[head.name]
    except UnknownNameError as error:
        raise SettingsError(f"head.name: {error}") from None
    return kind.build(model, head, points, size, channels)
