"""Findings in words, for tables and pages."""

from __future__ import annotations

from collections.abc import Sequence

from heatkp.checking.shift import LEARNED, LEAST_SPREAD, Shift
from heatkp.checking.suspects import Finding
from heatkp.skeletons import Skeleton
from heatkp.viz.report.data import part_of

SHOWN = 6


def some(names: Sequence[str], most: int = SHOWN) -> str:
    """The first of many names."""
    more = f" and {len(names) - most} more" * (len(names) > most)
    return ", ".join(names[:most]) + more


def point_names(finding: Finding, skeleton: Skeleton) -> list[str]:
    return [skeleton.point_names[k] for k in finding.points]


def describe(finding: Finding, skeleton: Skeleton) -> str:
    """What is probably wrong, in words."""
    names = point_names(finding, skeleton)
    if finding.kind == "sides":
        half = len(names) // 2
        pairs = list(zip(names[:half], names[half:]))
        stems = dict.fromkeys((part_of(a), part_of(b)) for a, b in pairs)
        if len(pairs) == len(skeleton.pairs) > 1:
            return "left and right are exchanged, all points"
        if len(stems) < len(pairs):
            return f"left and right are exchanged: {some([f'{a} and {b}' for a, b in stems], 3)}"
        return f"left and right are exchanged: {some([f'{a} and {b}' for a, b in pairs], 3)}"
    if finding.kind == "reversed":
        return f"{finding.part}: the order of its points is reversed"
    if finding.kind == "rotated":
        return f"{finding.part}: its points begin at another one"
    if finding.kind == "exchanged":
        return f"{names[0]} and {names[1]} are exchanged"
    if finding.kind == "object":
        return "the whole object is off"
    return f"off: {some(names)}"


def shift_words(shift: Shift, learned: float = 0.0) -> list[str]:
    """Whether all labels are shifted against their images, in sentences."""
    found = f"({shift.x:+.2f} ± {shift.errors[0]:.2f}, {shift.y:+.2f} ± {shift.errors[1]:.2f}) px"
    if not shift.tells:
        if shift.objects < 2 or not shift.spread > 0:
            why = "too few objects have two points or more that tell their heading"
        elif shift.spread < LEAST_SPREAD:
            why = (
                f"the objects' headings vary too little to tell (spread {shift.spread:.2f} of 1, "
                f"{LEAST_SPREAD:g} needed)"
            )
        else:
            why = f"{shift.groups} independent groups of samples are too few to tell"
        return [f"constant shift: {why}"]
    lines = []
    if shift.found:
        lines = [
            f"constant shift: labels lie {found} beside their images (right, down); taking that "
            "off the labels would mend it"
        ]
    else:
        lines = [
            f"constant shift: none found, {found}; one of {shift.detectable:.2f} px would have "
            "been seen"
        ]
    if learned > LEARNED:
        lines.append(
            f"the network may have learned up to {learned:.0%} of a shift: train with full "
            "rotations to tell (--set augmentation.rotation=180)"
        )
    return lines
