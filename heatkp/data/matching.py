"""Points of data and of models, matched by name: their order may differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from heatkp.config import Data
from heatkp.data.samples import KeypointData
from heatkp.errors import CheckpointError
from heatkp.skeletons import Skeleton

SHOWN = 4


def places(expected: Sequence[str], names: Sequence[str]) -> list[int] | None:
    """Where each expected name is among names; None where one is not there.

    >>> places(["tail", "nose"], ["nose", "ear", "tail"])
    [2, 0]
    """
    where = {name: i for i, name in enumerate(names)}
    return [where[name] for name in expected] if where.keys() >= set(expected) else None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:SHOWN]))
    return shown if len(names) <= SHOWN else f"{shown}, ... ({len(names)} points)"


def difference(one: str, first: Sequence[str], other: str, second: Sequence[str]) -> str:
    """Which points only one of two has, in words.

    >>> difference("runs/a", ["nose", "ear"], "the data", ["nose", "tail"])
    "only runs/a has 'ear', only the data has 'tail'"
    """
    parts = [
        f"only {who} has {_listed(left)}"
        for who, own, others in ((one, first, second), (other, second, first))
        if (left := [name for name in own if name not in set(others)])
    ]
    return ", ".join(parts) or f"{one} and {other} have the same points in another order"


def order_of(
    expected: Skeleton, who: str, has: Skeleton, whose: str, advice: str, more: bool = False
) -> list[int]:
    """Where each of the expected points is in another skeleton.

    `more` allows the other to have others besides. Raises `CheckpointError` that names the
    points which only one of the two has, and ends with the advice.
    """
    found = places(expected.point_names, has.point_names)
    if found is None or (len(has) > len(expected) and not more):
        differing = difference(who, expected.point_names, whose, has.point_names)
        raise CheckpointError(
            f"{who} ({expected.name}, {len(expected)} points) and {whose} ({has.name}, {len(has)} "
            f"points) have different points: {differing}; {advice}"
        )
    return found


def whole(data: Data) -> Data:
    """Settings that take all points where they choose some by number: another order of the
    points gives numbers another meaning, so `in_order_of` chooses by name."""
    return data.model_copy(update={"points": "all"}) if isinstance(data.points, list) else data


def in_order_of(skeleton: Skeleton, run: str, settings: Data, found: KeypointData) -> KeypointData:
    """Data with a run's points, in the run's order; `settings` are the run's own.

    Raises `CheckpointError` where the data lacks one, or has others that were not left out when
    the run was trained.
    """
    chosen = isinstance(settings.points, list)
    order = order_of(
        skeleton, run, found.skeleton, "the data", "give data with the run's points", chosen
    )
    if order == list(range(len(found.skeleton))):
        return found
    taken = found.take(order, found.skeleton.name if len(order) == len(found.skeleton) else None)
    if order == sorted(order):
        return taken
    note = f"the data has its points in another order than {run}: they are matched by name"
    return replace(taken, notes=(*taken.notes, note))
