"""Boxes of formats that know nothing outside of the image."""

from __future__ import annotations

import numpy as np

from heatkp.data.writers._base import Array


def within(box: Array, size: tuple[int, int]) -> Array | None:
    """The part of a box (edges) that is in an image of a size (W, H); None where none is."""
    width, height = size
    low, high = np.array([-0.5, -0.5]), np.array([width - 0.5, height - 0.5])
    kept = np.concatenate([np.clip(box[:2], low, high), np.clip(box[2:], low, high)])
    return kept if (kept[2:] > kept[:2]).all() else None
