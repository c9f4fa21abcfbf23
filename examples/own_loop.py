# %% [markdown]
# # A training loop of your own
#
# A network is a plain `torch.nn.Module`, a loss of `heatkp.heatmaps` a pure function. What they
# give is saved as a model like any other.

# %%
import numpy as np
import torch

import heatkp

# %% tags=["parameters"]
steps = 200
out = "spots"

# %% [markdown]
# Images (N, 3, H, W) with a red and a green spot, and where the spots are, (N, 2, 2):


# %%
def spots(count: int, size: int = 64, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    points = rng.uniform(8, size - 8, (count, 2, 2))
    y, x = np.mgrid[:size, :size]
    images = np.zeros((count, 3, size, size))
    for k in range(2):
        far = (x - points[:, k, 0, None, None]) ** 2 + (y - points[:, k, 1, None, None]) ** 2
        images[:, k] = np.exp(-far / 18)
    return torch.from_numpy(255 * images).to(torch.uint8), torch.from_numpy(points).float()


# %% [markdown]
# The loss takes points in pixels of the maps; no target map is made.

# %%
torch.manual_seed(0)
network = heatkp.create_model("kl", points=2, size=(64, 64), stride=4)
optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
images, points = spots(256)
for step in range(steps):
    chosen = torch.randint(len(images), (16,))
    maps = network(images[chosen])  # (B, K, H / 4, W / 4)
    where = heatkp.coordinates.input_to_map(points[chosen], network.stride)
    weights = torch.ones(where.shape[:2])  # 0 for points that are not labelled
    loss = heatkp.heatmaps.kl_divergence(maps, where, weights, sigma=1.0).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if step % 50 == 0:
        print(f"step {step}: loss {loss.item():.3f}")

# %% [markdown]
# On other images:

# %%
model = heatkp.Predictor(network, names=["red", "green"])
images, points = spots(32, seed=1)
found = np.stack([keypoints.points for keypoints in model.predict(images)])
print(f"MAE {heatkp.evaluate(found, points)['mae_photo']:.2f} pixels")
print(f"saved as {model.save(out, overwrite=True)}")
