"""Which labels are probably wrong, and which images to label next."""

from __future__ import annotations

from heatkp.checking.check import Checked, check_labels, write_check
from heatkp.checking.shift import Shift, estimate_shift
from heatkp.checking.suggesting import Suggested, Suggestion, suggest
from heatkp.checking.suspects import Finding, find_suspects

__all__ = [
    "Checked", "Finding", "Shift", "Suggested", "Suggestion", "check_labels", "estimate_shift",
    "find_suspects", "suggest", "write_check",
]  # fmt: skip
