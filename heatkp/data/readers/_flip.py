"""Left-right pairs as Ultralytics writes them: `flip_idx`, each point's counterpart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from heatkp.skeletons import Skeleton


def flipped(skeleton: Skeleton, order: Any) -> Skeleton:
    """With the pairs of `flip_idx`, where it is given. Raises `ValueError` for what is none."""
    if order is None:
        return skeleton
    places = list(range(len(skeleton)))
    whole = isinstance(order, list) and all(type(i) is int for i in order)
    if not whole or sorted(order) != places or any(order[order[i]] != i for i in places):
        raise ValueError(
            f"flip_idx must hold each number from 0 to {len(skeleton) - 1} once, and two points "
            "each other's"
        )
    known = {frozenset(pair): pair for pair in skeleton.pairs}  # which is the left one
    pairs = [known.get(frozenset((i, order[i])), (i, order[i])) for i in places if i < order[i]]
    return replace(skeleton.with_pairs(pairs), sides_from="flip_idx")
