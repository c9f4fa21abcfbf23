# %% [markdown]
# # Measure the predictions of any tool
#
# Two CSV files with one row an image, the tool's and the true ones. The columns are
# `name,x0,y0,x1,y1,...` in pixels; an empty cell is a point that is not labelled.

# %%
import csv
from pathlib import Path

import numpy as np

import heatkp

# %% tags=["parameters"]
predicted = "predicted.csv"
true = "true.csv"


# %%
def read(path: str) -> dict[str, np.ndarray]:
    """Points (K, 2) of each image, NaN where there is none."""
    rows = list(csv.reader(Path(path).read_text().splitlines()))[1:]
    return {
        name: np.array([float(cell) if cell else np.nan for cell in cells]).reshape(-1, 2)
        for name, *cells in rows
    }


found, labelled = read(predicted), read(true)
names = [name for name in labelled if name in found]
print(f"{len(names)} of {len(labelled)} images are in both files")

# %%
metrics = heatkp.evaluate(
    np.stack([found[name] for name in names]), np.stack([labelled[name] for name in names])
)
print(f"MAE {metrics['mae_photo']:.3f} pixels, distance {metrics['distance_photo']:.3f} pixels")
for name, block in metrics["normalised"].items():
    print(f"NME by {name}: {block['nme']:.2%}")
worst = max(metrics["points"], key=lambda point: point["distance_photo"] or 0)
print(f"worst point: {worst['name']}, {worst['distance_photo']:.2f} pixels")
