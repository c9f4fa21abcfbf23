"""Settings as a program gives them: keywords, dictionaries and `section.key=value`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from heatkp.config.reading import assign, put
from heatkp.config.settings import Settings
from heatkp.errors import SettingsError

SHORT = {
    "head": "head.name",
    "data": "data.path",
    "epochs": "trainer.epochs",
    "batch_size": "trainer.batch_size",
    "lr": "optimiser.lr",
    "seed": "trainer.seed",
    "y_up": "data.y_up",
    "task": "trainer.task",
    "teacher": "teacher.models",
    "unlabelled": "teacher.unlabelled",
}
"""Settings that have a short name, also as flags of the command line."""


def places_of(name: str) -> list[str]:
    """All settings of that name, as `section.key`; the finder's own only where no other has it,
    for they stand in for those."""
    sections = {key: field.annotation for key, field in Settings.model_fields.items()}
    found = [
        f"{section}.{name}"
        for section, model in sections.items()
        if name in getattr(model, "model_fields", {})
    ]
    return [place for place in found if not place.startswith("finder.")] or found


def _merge(values: dict[str, Any], section: str, given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        put(values, f"{section}.{key}", value)


def with_keywords(
    values: dict[str, Any], keywords: Mapping[str, Any], assignments: Iterable[str] = ()
) -> dict[str, Any]:
    """Nested dictionaries changed by keywords, in place, and given back.

    A keyword is a section (`model={"stride": 2}`), a short name (`epochs=20`, `head="kl"`), or
    a setting's own name where only one section has it (`encoder="resnet18"`). `assignments` are
    texts such as `model.stride=2`.

    Raises `SettingsError` for a keyword that is none of these, and one that several sections have.

    >>> with_keywords({}, {"epochs": 3, "model": {"stride": 2}}, ["data.grey=true"])
    {'trainer': {'epochs': 3}, 'model': {'stride': 2}, 'data': {'grey': True}}
    """
    for name, value in keywords.items():
        if name in Settings.model_fields and isinstance(value, Mapping):
            _merge(values, name, value)
        elif name in SHORT:
            put(values, SHORT[name], value)
        else:
            places = places_of(name)
            if len(places) != 1:
                some = " and ".join(places)
                raise SettingsError(
                    f"{name}: {some} have that name; give the section, as in "
                    f"{places[0].partition('.')[0]}={{{name!r}: ...}}"
                    if places
                    else f"there is no setting {name!r}; settings are the sections "
                    f"{', '.join(Settings.model_fields)}, {', '.join(SHORT)}, and their keys"
                )
            put(values, places[0], value)
    for assignment in assignments:
        assign(values, assignment)
    return values
