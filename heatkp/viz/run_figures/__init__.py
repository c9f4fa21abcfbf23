"""What is drawn of a run, into its folder. One figure a file.

To add one, put a file here that decorates its function with `figure`; other packages name theirs
in the entry points `heatkp.figures`. `heatkp train` and `heatkp viz run` then draw it.
"""

from __future__ import annotations

from heatkp.registry import FIGURES
from heatkp.viz.run_figures._base import RunData, RunFigure, draw, figure

__all__ = ["FIGURES", "RunData", "RunFigure", "draw", "figure"]
