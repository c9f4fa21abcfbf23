"""Points that are at the very same place in many samples, as a tool's default is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from heatkp.data.checks.finding import Finding, spread_evenly
from heatkp.data.samples import Sample
from heatkp.skeletons import Skeleton

COMPARED = 5000
"""Samples that are looked at, evenly spread."""
SAME = 0.3
"""Fraction of a point's labels that must be at one place."""
FEWEST = 10
"""Images that must have it there."""


def stuck_findings(samples: Sequence[Sample], skeleton: Skeleton) -> list[Finding]:
    """A line where points have the same coordinates in many images of several."""
    some = [samples[i] for i in spread_evenly(len(samples), COMPARED)]
    found: list[tuple[int, str, float, float, int]] = []
    for k, name in enumerate(skeleton.point_names):
        labelled = [s for s in some if s.visibility[k] > 0]
        places = Counter((float(s.points[k, 0]), float(s.points[k, 1])) for s in labelled)
        ((place, count),) = places.most_common(1) or [((0.0, 0.0), 0)]
        if count < max(FEWEST, SAME * len(labelled)):
            continue
        images = {s.image_name for s in labelled if (*s.points[k].tolist(),) == place}
        if len(images) >= FEWEST:
            found.append((count, name, *place, len(labelled)))
    if not found:
        return []
    count, name, x, y, every = max(found)
    others = f" (and {len(found) - 1} more points alike)" if len(found) > 1 else ""
    return [
        Finding(
            f"{name} is at the same place ({x:g}, {y:g}) in {count} of {every} samples{others}: a "
            "tool's default for points that nobody placed, or it does not move in these images"
        )
    ]
