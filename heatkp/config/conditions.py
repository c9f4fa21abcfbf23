"""Where settings count for nothing beside others, as `model.pooling` for a head with maps.

A field of a section names its conditions in its annotation; `ignored` reads them there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from heatkp.config.layers import parse_layer
from heatkp.registry import HEADS

Settings = Any
"""The model of all sections, whose own module needs this one."""


class CountsWhere(NamedTuple):
    """When a setting counts.

    Attributes:
        holds: whether it does, by the whole of the settings.
        otherwise: what is said where it does not; `{0}` is the settings.
    """

    holds: Callable[[Settings], bool]
    otherwise: str


def _regresses(settings: Settings) -> bool:
    head = settings.head.name
    return head in HEADS and HEADS[head].kind is None


def _plain(settings: Settings) -> bool:
    return not _regresses(settings) and settings.model.architecture.lower() == "plain_unet"


def _pools(settings: Settings) -> bool:
    """Not where a list of layers ends in a vector."""
    kinds = {parse_layer(line).kind for line in settings.model.layers}
    return _regresses(settings) and not kinds & {"flatten", "average"}


def _initialises(settings: Settings) -> bool:
    model = settings.model
    return bool(model.layers or model.hidden) if _regresses(settings) else _plain(settings)


def _draws_lots(settings: Settings) -> bool:
    data = settings.data
    told = data.val is not None or data.val_frames is not None
    split_off = not data.drawn and data.split != "person" and not told
    return data.train_limit > 0 or data.folds > 0 or (split_off and data.validates)


def _starts_itself(settings: Settings) -> bool:
    return settings.model.init is None and settings.model.transfer is None


POOLS = CountsWhere(_pools, "head {0.head.name} pools nothing")
REGRESSES = CountsWhere(_regresses, "head {0.head.name} has no fc layers")
DENSE = CountsWhere(lambda s: not _regresses(s), "head {0.head.name} makes no maps")
HAS_ENCODER = CountsWhere(
    lambda s: not _plain(s), "{0.model.architecture} has no encoder to choose"
)
NO_LAYERS = CountsWhere(lambda s: not s.model.layers, "model.layers replace the encoder")
OWN_START = CountsWhere(_starts_itself, "model.init and model.transfer bring their own weights")
TRAINED_ENCODER = CountsWhere(
    lambda s: s.model.encoder_weights != "none",
    "model.encoder_weights: none, so all layers are fresh",
)
INITIALISED = CountsWhere(_initialises, "it is for model.layers, model.hidden and plain_unet")
FROM_FILES = CountsWhere(lambda s: not s.data.drawn, "without data.path faces are drawn")
DRAWN = CountsWhere(lambda s: s.data.drawn, "with data.path no faces are drawn")
BY_GROUP = CountsWhere(lambda s: s.data.split == "group", "data.split: {0.data.split}")
SPLIT_OFF = CountsWhere(
    lambda s: s.data.val is None and not s.data.folds and s.data.val_frames is None,
    "data.val, data.val_frames or data.folds says what validates",
)
VALIDATED = CountsWhere(lambda s: s.data.validates, "no sample is kept for validation")
AT_RANDOM = CountsWhere(_draws_lots, "nothing is chosen at random")
IN_BOXES = CountsWhere(lambda s: s.data.crop != "image", "data.crop: {0.data.crop} uses no boxes")
AROUND_BOX = CountsWhere(
    lambda s: s.data.crop == "box", "data.crop: {0.data.crop} sees whole images"
)
CACHED = CountsWhere(lambda s: s.data.cache != "none", "data.cache: none")
FINDS = CountsWhere(
    lambda s: "finder" in s.trainer.task or s.head.grouped,
    "trainer.task: {0.trainer.task} trains no finder",
)
ONE_OBJECT = CountsWhere(
    lambda s: not s.head.grouped, "head {0.head.name} shows no single objects while it trains"
)
SGD = CountsWhere(lambda s: s.optimiser.name == "sgd", "optimiser {0.optimiser.name} has its own")
TAUGHT = CountsWhere(lambda s: bool(s.teacher.models), "without teacher.models there is no teacher")
UNLABELLED = CountsWhere(
    lambda s: s.teacher.unlabelled is not None,
    "without teacher.unlabelled all images have labels",
)
ANIMATED = CountsWhere(
    lambda s: s.trainer.animation_every > 0, "trainer.animation_every: 0 draws none"
)


def _given(settings: Settings, place: str, key: str) -> bool:
    """Whether a setting differs from what it would be if it were left out."""
    section = getattr(settings, place)
    return bool(type(section)(**section.model_dump(exclude={key})) != section)


def ignored(settings: Settings) -> list[str]:
    """Settings that were given and count for nothing, each with the reason.

    >>> from heatkp.config import parse_settings
    >>> values = {"head": {"name": "kl"}, "model": {"pooling": "flatten", "hidden": [64]}}
    >>> ignored(parse_settings(values))
    ['model.hidden (head kl has no fc layers)', 'model.pooling (head kl pools nothing)']
    """
    found: dict[str, list[str]] = {}
    for place in type(settings).model_fields:
        for key, field in type(getattr(settings, place)).model_fields.items():
            conditions = (c for c in field.metadata if isinstance(c, CountsWhere))
            broken = next((c for c in conditions if not c.holds(settings)), None)
            if broken is not None and _given(settings, place, key):
                found.setdefault(broken.otherwise.format(settings), []).append(f"{place}.{key}")
    return [f"{', '.join(names)} ({why})" for why, names in found.items()]
