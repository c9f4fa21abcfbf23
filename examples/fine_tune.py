# %% [markdown]
# # Points of your own, from a trained model
#
# Starts from the packaged face model and trains it for other points: here the outer corners of the
# eyes. `heatkp data synth --n 40 faces` draws faces to practise on.

# %%
import heatkp

# %% tags=["parameters"]
data = "faces"  # what `heatkp train --data` takes
epochs = 3
out = "runs/corners"

# %% [markdown]
# `model.transfer` takes its network without the last layer; size, encoder and stride have to be
# the model's.

# %%
run = heatkp.train(
    data,
    "data.points=[36, 45]",
    size=[192, 192],
    crop="box",
    transfer="face68",
    architecture="unet",
    encoder="tu-tf_efficientnet_lite0",
    stride=4,
    options={"decoder_channels": [256, 128, 96, 48, 32]},
    head="kl",
    lr=5e-4,
    epochs=epochs,
    batch_size=8,
    out=out,
)
print(run)
print("points:", ", ".join(run.model.skeleton.point_names))
