"""Frames of the animation: what they keep, what they leave alone, how large the file is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from heatkp.models import create_model
from heatkp.viz import animation
from heatkp.viz.animation import Frame, Stage


@given(st.integers(1, 10**6), st.integers(1, 10**7))
def test_frames_fit(every, total):
    interval = animation.frame_interval(every, total)
    assert interval % every == 0
    assert total // interval + 2 <= animation.MOST_FRAMES
    if interval > every:  # no coarser than it must be
        assert total > (interval - every) * (animation.MOST_FRAMES - 2)


def small_model(head):
    torch.manual_seed(0)
    encoder = "tu-mobilenetv3_small_050"
    return create_model(head, points=2, size=(36, 32), encoder=encoder, dropout=0.5)


@pytest.mark.parametrize("head", ["kl", "bce", "regression"])
def test_a_frame_changes_nothing(head):
    model = small_model(head)
    model.train()
    next(iter(model.children())).eval()  # modes that differ are put back one by one
    modes = [m.training for m in model.modules()]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    images = torch.randint(0, 256, (3, 3, 32, 36), dtype=torch.uint8)
    random = torch.get_rng_state()
    frame = animation.take_frame(model, images, 7)
    again = animation.take_frame(model, images, 7)
    assert torch.equal(random, torch.get_rng_state())
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(frame.points, again.points) and frame.points.shape == (3, 2, 2)
    if head == "regression":
        assert frame.maps.shape == (3, 0, 0)
    else:
        assert frame.maps.shape == (3, 8, 9) and (frame.maps.amax((1, 2)) == 255).all()


def test_large_maps_are_averaged_over_blocks(monkeypatch):
    monkeypatch.setattr(animation, "MOST_MAP_SIDE", 4)
    model = small_model("argmax")
    maps = torch.zeros(1, 2, 8, 9)
    maps[0, 0, 5, 8] = 1.0
    model.forward = lambda images: maps
    frame = animation.take_frame(model, torch.zeros(1, 3, 32, 36, dtype=torch.uint8), 0)
    assert frame.stride == 12 and frame.maps.shape == (1, 3, 3)
    assert frame.maps.nonzero().tolist() == [[0, 1, 2]]


def frames_of(count, dense=True, faces=2):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (1 + 2 * dense, 32, 36), np.uint8) for _ in range(faces)]
    truth = rng.uniform(0, 30, (faces, 2, 2))
    truth[0, 1] = np.nan
    side = (8, 9) if dense else (0, 0)
    frames = [
        Frame(
            10 * n,
            torch.from_numpy(rng.uniform(-9, 60, (faces, 2, 2)).astype(np.float32)),
            torch.from_numpy(rng.integers(0, 256, (faces, *side), np.uint8)),
            4,
        )
        for n in range(count)
    ]
    return Stage(images, truth, dense, 10 * count), frames


@pytest.mark.parametrize(("dense", "faces"), [(True, 6), (False, 1)])
def test_a_gif(tmp_path, dense, faces):
    stage, frames = frames_of(4, dense, faces)
    frames[0].points[0, 0] = torch.tensor([torch.nan, 1e30])
    assert animation.write_animation(stage, frames, tmp_path / "a.gif") == 4
    with Image.open(tmp_path / "a.gif") as gif:
        rows, columns = (2, 4) if faces == 6 else (1, 1)
        high = rows * stage.cell[1] * (1 + dense) + 2 * animation.STRIP
        assert gif.size == (max(columns * animation.CELL, animation.NARROWEST), high)
        assert gif.n_frames == 4 and gif.info["loop"] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]


def test_dots_lie_on_their_points():
    stage, (frame,) = frames_of(1, dense=False, faces=1)
    stage.faces[0][:] = 0
    stage.truth[:] = np.nan
    frame.points[:] = torch.tensor([[9.0, 20.0], [9.0, 20.0]])
    drawn = stage.draw(frame)[animation.STRIP :][: stage.cell[1]].astype(int)
    left = (drawn.shape[1] - stage.cell[0]) // 2
    cell = drawn[:, left : left + stage.cell[0]]
    pink = np.abs(cell - animation._rgb(animation.PREDICTED)).sum(2) < 9
    y, x = np.argwhere(pink).mean(0)
    assert [x, y] == pytest.approx([9.5 * stage.scale - 0.5, 20.5 * stage.scale - 0.5], abs=0.3)


def test_a_large_file_is_thinned(tmp_path, monkeypatch):
    stage, frames = frames_of(6)
    path = tmp_path / "a.gif"
    animation.write_animation(stage, frames, path)
    monkeypatch.setattr(animation, "MOST_BYTES", path.stat().st_size // 2)
    drawn = []
    encode = animation._encoded
    monkeypatch.setattr(animation, "_encoded", lambda p: (drawn.append(p), encode(p))[1])
    kept = animation.write_animation(stage, frames, path)
    assert 2 <= kept < 6 and path.stat().st_size <= animation.MOST_BYTES
    assert drawn[-1][0] is drawn[0][0] and drawn[-1][-1] is drawn[0][-1]


def test_a_gif_that_cannot_be_finished_leaves_nothing(tmp_path, monkeypatch):
    def stop(self, content):
        self.touch()
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.write_bytes", stop)
    with pytest.raises(OSError, match="full"):
        animation.write_animation(*frames_of(2), tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())
