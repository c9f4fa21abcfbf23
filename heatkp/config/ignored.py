"""Settings that count for nothing beside the others, as `model.pooling` for a head with maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from heatkp.config.layers import parse_layer
from heatkp.config.sections import Settings
from heatkp.registry import HEADS


class Rule(NamedTuple):
    """When some settings count.

    Attributes:
        names: the settings as `section.key`, with spaces between them.
        counts: whether they do.
        why: what is said where they do not; `{0}` is the settings.
    """

    names: str
    counts: Callable[[Settings], bool]
    why: str


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
    chosen = data.path is not None and data.split == "random" and data.validates
    return data.train_limit > 0 or chosen


RULES = (
    Rule("model.pooling", _pools, "head {0.head.name} pools nothing"),
    Rule(
        "model.hidden model.output_spread model.bias_spread",
        _regresses,
        "head {0.head.name} has no fc layers",
    ),
    Rule(
        "model.architecture model.stride model.options model.loss_chunk",
        lambda s: not _regresses(s),
        "head {0.head.name} makes no maps",
    ),
    Rule(
        "model.encoder model.first_layer",
        lambda s: not _plain(s),
        "{0.model.architecture} has no encoder to choose",
    ),
    Rule(
        "model.encoder model.first_layer",
        lambda s: not s.model.layers,
        "model.layers replace the encoder",
    ),
    Rule(
        "model.encoder_weights model.first_layer",
        lambda s: s.model.init is None and s.model.transfer is None,
        "model.init and model.transfer bring their own weights",
    ),
    Rule(
        "model.first_layer",
        lambda s: s.model.encoder_weights != "none",
        "model.encoder_weights: none, so all layers are fresh",
    ),
    Rule(
        "model.initialisation",
        _initialises,
        "it is for model.layers, model.hidden and plain_unet",
    ),
    Rule(
        "data.split data.validation data.pairs data.leave_out_lookalikes data.orient",
        lambda s: s.data.path is not None,
        "without data.path faces are drawn",
    ),
    Rule(
        "data.split data.leave_out_lookalikes trainer.validate_every",
        lambda s: s.data.validates,
        "no sample is kept for validation",
    ),
    Rule("data.split_seed", _draws_lots, "nothing is chosen at random"),
    Rule(
        "data.skeleton data.train_count data.val_count data.drawn_seed",
        lambda s: s.data.path is None,
        "with data.path no faces are drawn",
    ),
    Rule(
        "data.box data.box_scale data.box_shift",
        lambda s: s.data.crop == "box",
        "data.crop: {0.data.crop} uses no boxes",
    ),
    Rule("data.cache_mb", lambda s: s.data.cache != "none", "data.cache: none"),
    Rule(
        "optimiser.momentum",
        lambda s: s.optimiser.name == "sgd",
        "optimiser {0.optimiser.name} has its own",
    ),
    Rule(
        "trainer.animation_faces",
        lambda s: s.trainer.animation_every > 0,
        "trainer.animation_every: 0 draws none",
    ),
)


def _given(settings: Settings, name: str) -> bool:
    """Whether a setting differs from what it would be if it were left out."""
    place, key = name.split(".")
    section = getattr(settings, place)
    return type(section)(**section.model_dump(exclude={key})) != section


def ignored(settings: Settings) -> list[str]:
    """Settings that were given and count for nothing, each with the reason.

    >>> from heatkp.config import parse_settings
    >>> values = {"head": {"name": "kl"}, "model": {"pooling": "flatten", "hidden": [64]}}
    >>> ignored(parse_settings(values))
    ['model.pooling (head kl pools nothing)', 'model.hidden (head kl has no fc layers)']
    """
    found: dict[str, list[str]] = {}
    known: set[str] = set()
    for rule in RULES:
        if not rule.counts(settings):
            names = [n for n in rule.names.split() if n not in known and _given(settings, n)]
            known.update(names)
            if names:
                found.setdefault(rule.why.format(settings), []).extend(names)
    return [f"{', '.join(names)} ({why})" for why, names in found.items()]
