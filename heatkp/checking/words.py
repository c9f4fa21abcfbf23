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
        return "all points are further off than usual"
    return f"off: {some(names)}"


def shift_words(shift: Shift, learned: float = 0.0) -> list[str]:
    """Whether all labels are shifted against their images, in sentences."""
    values = {
        "to the right": (shift.x, shift.errors[0]),
        "down": (shift.y, shift.errors[1]),
    }
    parts = zip(values.items(), shift.told)
    told = [
        f"{value:+.2f} ± {error:.2f} px {way}" for (way, (value, error)), known in parts if known
    ]
    if not told:
        return [f"constant shift: {_untold(shift)}"]
    lines = []
    if shift.found:
        lines.append(
            f"constant shift: labels lie {', '.join(told)} of where they belong; taking that off "
            "would mend it"
        )
        lines += _first_pixel([value for (value, _), known in zip(values.values(), shift.told)
                               if known])  # fmt: skip
    else:
        lines.append(
            f"constant shift: none found ({', '.join(told)}); one of {shift.detectable:.2f} px "
            "would have been seen"
        )
    if len(told) < 2:
        way = "up or down" if shift.told[0] else "to the left or right"
        lines.append(
            f"a shift {way} cannot be told: headings vary too little (tools that shift labels "
            "mostly do so along both)"
        )
    if learned > LEARNED:
        lines.append(
            f"the network may have learned up to {learned:.0%} of a shift: train with full "
            "rotations to tell (--set augmentation.rotation=180)"
        )
    return lines


def _first_pixel(values: Sequence[float]) -> list[str]:
    """What to do about a shift of half a pixel, or a whole one, to the right and down."""
    first = round(2 * sum(values) / len(values)) / 2
    if first not in (0.5, 1.0) or any(abs(value - first) > 0.25 for value in values):
        return []
    return [
        f"so lie points that count pixels from {first:g}, read as from 0: "
        f"data.first_pixel={first:g} takes it off. Where the format or data.first_pixel says "
        f"another number than 0 already, give that plus {first:g}"
    ]


def _untold(shift: Shift) -> str:
    spread = max(shift.spreads)
    if not spread > 0:
        return "too few objects have two points or more that tell their heading"
    if spread < LEAST_SPREAD:
        return (
            f"the objects' headings vary too little to tell (spread {spread:.2f} of 1, "
            f"{LEAST_SPREAD:g} needed)"
        )
    return f"{shift.groups} independent groups of samples are too few to tell"
