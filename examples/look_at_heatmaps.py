"""Heatmaps in the style of a notebook: each `# %%` begins a cell.

python examples/look_at_heatmaps.py PHOTO heatmaps.png
"""

# %% A model and an image
from __future__ import annotations

import sys

import matplotlib

matplotlib.use("Agg")  # leave this line out in a notebook
from matplotlib import pyplot

import heatkp

photo, target = sys.argv[1:3]
model = heatkp.load_model("face68")
print(model)

# %% Points, and the maps that they are read from
found = model.predict(photo, boxes="image")
maps = model.heatmaps(photo, boxes="image")
print(found[0], maps[0])

# %% Over the image: points, all maps summed, and the map of one point
figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(15, 5), layout="constrained")
heatkp.plot(found, photo, left)
heatkp.plot(maps, photo, middle)
heatkp.plot(maps, photo, right, point="nose_tip")
figure.savefig(target, dpi=80)

# %% Where the map of the nose is highest, in pixels of the image
nose = maps[0]["nose_tip"]
row, column = divmod(int(nose.argmax()), nose.shape[1])
print(
    "highest at", maps[0].to_image([column, row]).round(1), "read at", found[0].points[30].round(1)
)
