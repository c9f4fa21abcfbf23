"""Which of VIA's region attributes names the points, and which tells objects apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

Told = Mapping[str, Any]
"""Attributes of a region, with their values."""


@dataclass(frozen=True)
class Attributes:
    """The attributes that name points, and objects; None where there is none."""

    name: str | None = None
    group: str | None = None

    def order(self, told: Told) -> Callable[[list[str]], list[str]]:
        """Puts names in the order of the attribute's options, as a project has them."""
        own = told.get(self.name or "")
        options = own.get("options") if isinstance(own, dict) else None
        known = list(options) if isinstance(options, dict) else []
        places = {name: i for i, name in enumerate(known)}
        return lambda names: sorted(names, key=lambda n: places.get(n, len(places)))


def value_of(attributes: Told, name: str | None) -> str | None:
    """What a region says of an attribute, as text; of checkboxes, the only one that is ticked."""
    value = attributes.get(name) if name is not None else None
    if isinstance(value, dict):
        ticked = [key for key, on in value.items() if on]
        value = ticked[0] if len(ticked) == 1 else None
    if value is None or isinstance(value, list | dict | bool):
        return None
    return str(value).strip() or None


def _unique(images: Sequence[Sequence[Told]], names: Sequence[str]) -> bool:
    """Whether no two points of an image say the same of all these attributes."""
    for points in images:
        said = [tuple(value_of(p, name) for name in names) for p in points]
        told = [values for values in said if None not in values[:1]]
        if len(set(told)) < len(told):
            return False
    return True


def choose(images: Sequence[Sequence[Told]]) -> Attributes:
    """What names points and objects, given the attributes of each point of each image."""
    points = [p for image in images for p in image]
    values = {
        name: {value for p in points if (value := value_of(p, name)) is not None}
        for name in dict.fromkeys(key for p in points for key in p)
    }
    values = {name: found for name, found in values.items() if found}
    if not values:
        return Attributes()
    most = max(len(image) for image in images)

    def telling(name: str) -> tuple[bool, int]:
        """Better where more points have a value, and their number fits the points'."""
        filled = sum(value_of(p, name) is not None for p in points)
        return 2 * filled < len(points), abs(len(values[name]) - most)

    alone = [name for name in values if _unique(images, [name])]
    if alone:
        return Attributes(min(alone, key=telling))
    pairs = [two for two in permutations(values, 2) if _unique(images, two)]
    if pairs:
        # Of two that are right either way, more names than objects.
        name, group = min(pairs, key=lambda two: (-len(values[two[0]]), telling(two[0])))
        return Attributes(name, group)
    return Attributes(min(values, key=telling))
