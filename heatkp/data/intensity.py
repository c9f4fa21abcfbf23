"""From the values that a deep image holds to the 256 levels that a network sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp.config import Intensity

PERCENTILES = (0.5, 99.5)
"""What `percentile` maps to black and to white."""


def limits(values: npt.NDArray[Any], intensity: Intensity) -> tuple[float, float]:
    """The values that become black and white; equal where there is nothing to tell apart.

    Args:
        values: (N,), finite; of one image.
        intensity: as `data.intensity`.
    """
    if isinstance(intensity, int):
        return 0.0, 2.0**intensity - 1
    if not values.size:
        return 0.0, 0.0
    if intensity == "percentile":
        low, high = (float(v) for v in np.percentile(values, PERCENTILES))
        if high > low:  # else nearly all values are one
            return low, high
    return float(values.min()), float(values.max())


def levels(
    values: npt.NDArray[Any],
    intensity: Intensity = "range",
    seen: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint8]:
    """Values of one image as uint8, all channels by the same line from black (0) to white (255).

    A function of the image alone. uint8 stays as it is. What lies beyond the limits is clipped;
    NaN becomes 0, and so does an image in which all values are equal, unless `intensity` is a
    number of bits.

    Args:
        values: (H, W) or (H, W, C), integers or floats.
        intensity: `range` (least to greatest finite value), `percentile` (`PERCENTILES`), or the
            bits of the values, so that 2 ** bits - 1 is white.
        seen: (H, W), the pixels that limits are taken from; None: all.

    >>> levels(np.array([[-1.0, 0.0, 1.0]]))
    array([[  0, 128, 255]], dtype=uint8)
    >>> levels(np.array([[0, 819, 4095]], np.uint16), 12)
    array([[  0,  51, 255]], dtype=uint8)
    """
    if values.dtype == np.uint8:
        return np.asarray(values, np.uint8)
    exact = values.dtype.kind in "iu" and values.dtype.itemsize <= 2
    numbers: npt.NDArray[Any] = values.astype(np.float32 if exact else np.float64)
    chosen = numbers if seen is None else numbers[seen]
    low, high = limits(chosen[np.isfinite(chosen)], intensity)
    # Halves, for the difference of two floats may be more than the largest.
    extent = high / 2 - low / 2
    if not extent > 0:
        return np.zeros(values.shape, np.uint8)
    numbers = np.clip((numbers / 2 - low / 2) / extent, 0, 1)
    return np.asarray(np.rint(255 * np.nan_to_num(numbers)), np.uint8)
