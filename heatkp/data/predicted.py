"""Folders that `heatkp predict` made, which nobody means to read again by accident."""

from __future__ import annotations

from pathlib import Path

SUMMARY = "summary.json"
"""What `heatkp predict` leaves in its folder, besides points and drawn copies."""
MADE_BY = "heatkp predict"


def made_by_predict(folder: Path) -> bool:
    """Whether a folder holds points and copies of images that `heatkp predict` made."""
    try:
        return f'"{MADE_BY}"' in (folder / SUMMARY).read_text(encoding="utf-8")[:200]
    except (OSError, ValueError):
        return False
