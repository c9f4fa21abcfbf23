"""Which labels are probably wrong, and which images to label next."""

from __future__ import annotations

from heatkp.checking.shift import Shift, estimate_shift

__all__ = ["Shift", "estimate_shift"]
