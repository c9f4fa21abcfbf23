# %% [markdown]
# # Look at heatmaps
#
# Where a model finds points, and the maps that it reads them from. `heatkp data synth --n 40
# faces` draws faces to practise on.

# %%
from matplotlib import pyplot

import heatkp

# %% tags=["parameters"]
photo = "faces/images/000000.png"
out = "heatmaps.png"

# %% [markdown]
# The model, the points, and their maps:

# %%
model = heatkp.load_model("face68")
found = model.predict(photo, boxes="image")
maps = model.heatmaps(photo, boxes="image")
print(found[0], maps[0])

# %% [markdown]
# Over the image: the points, all maps summed, and the map of one point.

# %%
figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(15, 5), layout="constrained")
heatkp.plot(found, photo, left)
heatkp.plot(maps, photo, middle)
heatkp.plot(maps, photo, right, point="nose_tip")
figure.savefig(out, dpi=80)

# %% [markdown]
# A point is read off its map to a fraction of a pixel. Where the map of the nose is highest, and
# what was read, in pixels of the image:

# %%
nose = maps[0]["nose_tip"]
row, column = divmod(int(nose.argmax()), nose.shape[1])
highest, read = maps[0].to_image([column, row]), found[0].points[30]
print("highest at", highest.round(1), "read at", read.round(1))
