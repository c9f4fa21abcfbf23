"""Left and right where names leave them open: what the labels' positions tell, and what is said."""

from __future__ import annotations

import numpy as np

from heatkp.data.samples import Labels
from heatkp.sides import Sides
from heatkp.sides.positions import MOST_SAMPLES, sides_by_position
from heatkp.skeletons import Skeleton


def with_positions(labels: Labels) -> Labels:
    """Labels whose skeleton also has the pairs and the midline that positions tell.

    Those of known layouts, and what else names leave no doubt of, are as they were.
    """
    skeleton, samples = labels.skeleton, labels.samples
    if skeleton.sides_from != "name" or not samples:
        return labels
    places = np.linspace(0, len(samples) - 1, min(len(samples), MOST_SAMPLES)).astype(int)
    some = [samples[i] for i in places]
    points = np.stack([s.points for s in some]).astype(np.float64)
    points[np.stack([s.visibility == 0 for s in some])] = np.nan
    known = Sides(skeleton.pairs, skeleton.unpaired)
    found = sides_by_position(points, skeleton.point_names, known)
    notes = labels.notes
    if found.doubtful:
        names = [skeleton.point_names[i] for i in found.doubtful]
        notes = (
            *notes,
            f"{len(names)} points have pairs by name that their positions contradict, "
            f"{names[0]} for one: their numbers may run the other way on the other side",
        )
    return Labels(skeleton.with_sides(found.sides, found.added), samples, notes)


def mirroring_note(skeleton: Skeleton) -> str:
    """What becomes of points in mirrored images, in one line; empty for a known layout."""
    assumed = skeleton.assumed
    if skeleton.unmirrored is None:
        return f"mirrored images: {assumed}" if assumed else ""
    known = [",".join(skeleton.point_names[i] for i in pair) for pair in skeleton.pairs]
    pair = f"[{known[0] if known else 'LEFT,RIGHT'}]"
    some = len(skeleton.unpaired) < len(skeleton) and assumed
    return (
        f"no image is mirrored (augmentation.flip): {skeleton.unmirrored}"
        + (f"; {assumed}" if some else "")
        + f'. Take both sides, or name all pairs, --set "data.pairs=[{pair},...]" or [] for none: '
        "other points then count as lying on the midline"
    )


def left_out_note(skeleton: Skeleton, given: Skeleton) -> tuple[str, ...]:
    """A line where `data.pairs` (in `given`) leaves out pairs that names or positions tell."""
    left = [p for p in skeleton.pairs if p not in given.pairs and p[::-1] not in given.pairs]
    if not left:
        return ()
    a, b = (skeleton.point_names[i] for i in left[0])
    others = f" and {len(left) - 1} more" * (len(left) > 1)
    return (
        f"data.pairs leaves out what is known to be a pair, {a}/{b}{others}: points that it does "
        "not name count as lying on the midline",
    )
