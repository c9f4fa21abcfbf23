"""Trained networks as single files that run without heatkp: pixels in, points out.

To add a format, put a file into `formats/`: a class with `@register_exporter` (see `_base.py`
there), and one into `heatkp/engine/runtimes/` that runs what it writes.
"""

from __future__ import annotations

from heatkp.export.exporting import Exported, export_network
from heatkp.export.opening import is_export, open_export, open_runtime
from heatkp.export.parity import Deviation, Inputs

__all__ = [
    "Deviation",
    "Exported",
    "Inputs",
    "export_network",
    "is_export",
    "open_export",
    "open_runtime",
]
