"""Measure the predictions of any tool: two CSV files with one row an image.

The columns are `name,x0,y0,x1,y1,...` in pixels; an empty cell is a point that is not labelled.

    python examples/evaluate_another_tool.py predicted.csv true.csv
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

import heatkp


def read(path: str) -> dict[str, np.ndarray]:
    """Points (K, 2) of each image, NaN where there is none."""
    rows = list(csv.reader(Path(path).read_text().splitlines()))[1:]
    return {
        name: np.array([float(cell) if cell else np.nan for cell in cells]).reshape(-1, 2)
        for name, *cells in rows
    }


def main() -> None:
    predicted, true = (read(path) for path in sys.argv[1:3])
    names = [name for name in true if name in predicted]
    print(f"{len(names)} of {len(true)} images are in both files")
    metrics = heatkp.evaluate(
        np.stack([predicted[name] for name in names]), np.stack([true[name] for name in names])
    )
    print(f"MAE {metrics['mae_photo']:.3f} pixels, distance {metrics['distance_photo']:.3f} pixels")
    for name, block in metrics["normalised"].items():
        print(f"NME by {name}: {block['nme']:.2%}")
    worst = max(metrics["points"], key=lambda point: point["distance_photo"] or 0)
    print(f"worst point: {worst['name']}, {worst['distance_photo']:.2f} pixels")


if __name__ == "__main__":
    main()
