"""Points of many objects from maps of the whole image: read back, kept apart, gradients, chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heatkp import heatmaps as hm
from heatkp.heatmaps import grouping
from heatkp.heatmaps.grouping import (
    Seen,
    decode_grouped,
    decode_whole,
    grouped_losses,
    object_logits,
    windows,
)

SIZE = (40, 52)
K = 3


def objects(rng, count=2):
    """Centres, sides and points of objects whose points are apart by a pixel or more."""
    sides = rng.uniform(9, 16, (count, 2))
    centres = rng.uniform([10, 10], [SIZE[1] - 10, SIZE[0] - 10], (count, 2))
    taken = set()
    points = np.zeros((count, K, 2))
    for m in range(count):
        for k in range(K):
            while True:
                place = np.rint(centres[m] + rng.uniform(-0.5, 0.5, 2) * sides[m])
                if (k, *place) not in taken:
                    break
            taken.add((k, *place))
            points[m, k] = place
    return centres, sides, points


def perfect(centres, points):
    """Maps (1, 3 K, H, W), float64: high at each point of each object, whose offset is right."""
    maps = torch.zeros(1, 3 * K, *SIZE, dtype=torch.float64)
    for centre, own in zip(centres, points):
        for k, (x, y) in enumerate(own.astype(int)):
            maps[0, 3 * k, y, x] = 200.0
            maps[0, 3 * k + 1 : 3 * k + 3, y, x] = torch.from_numpy(centre - [x, y])
    return maps


def seen(centres, sides, image=None):
    where = torch.zeros(len(centres), dtype=torch.long) if image is None else torch.tensor(image)
    return Seen(where, torch.as_tensor(centres), torch.as_tensor(sides))


def expectation(maps):
    return hm.decode("expectation", maps, kind="logits")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_perfect_maps_are_read_back_exactly(seed):
    """Each of two objects its own points, though both are peaks of the same maps; with a small
    kappa, so that what points to another centre counts for nothing."""
    centres, sides, points = objects(np.random.default_rng(seed))
    if np.linalg.norm(centres[0] - centres[1]) < 1.0:  # one place: nothing tells them apart
        return
    found = decode_grouped(perfect(centres, points), seen(centres, sides), expectation, 0.01)
    assert np.allclose(found.points.numpy(), points, atol=1e-6)
    assert (found.scores > 0.999).all()
    assert found.covariance is not None and found.covariance.abs().max() < 1e-4


@pytest.mark.parametrize("points", [3, 45])
def test_one_look_at_the_whole_map_reads_the_same(points):
    """Also where an object's window is cut off by the map's edge, or as large as it."""
    torch.manual_seed(1)
    maps = 3 * torch.randn(2, 3 * points, *SIZE)
    of = Seen(
        torch.tensor([0, 1, 1, 0]),
        torch.tensor([[20.0, 14.0], [1.0, 38.0], [50.5, 3.2], [25.0, 20.0]]),
        torch.tensor([[9.0, 6.0], [12.0, 4.0], [5.0, 5.0], [60.0, 60.0]]),
    )
    whole, windowed = (f(maps, of, expectation, 0.3, 2.0) for f in (decode_whole, decode_grouped))
    assert whole.points.shape == (4, points, 2)
    for one, other in zip(whole, windowed):
        assert torch.allclose(one, other, atol=1e-3, rtol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_points_of_another_object_change_nothing(seed):
    rng = np.random.default_rng(seed)
    centres, sides, points = objects(rng)
    if np.linalg.norm(centres[0] - centres[1]) < 1.0:
        return
    one = seen(centres[:1], sides[:1])
    alone = decode_grouped(perfect(centres[:1], points[:1]), one, expectation, 0.01)
    both = decode_grouped(perfect(centres, points), one, expectation, 0.01)
    assert torch.allclose(alone.points, both.points, atol=1e-6)
    assert torch.allclose(alone.scores, both.scores, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 1.0), st.floats(0.5, 8.0))
def test_logits_are_the_formula(seed, kappa, unit):
    """Pixel by pixel, as the module's docstring has it."""
    rng = np.random.default_rng(seed)
    maps = torch.from_numpy(rng.normal(size=(2, 3 * K, *SIZE)))
    centres, sides, _ = objects(rng)
    both = seen(centres, sides, [1, 0])
    for group in windows(both, SIZE, K):
        every = object_logits(grouping.as_rows(maps), SIZE, both, group, kappa, unit)
        for part, logits in zip(group, every):
            for n, m in enumerate(part.places.tolist()):
                (x0, y0), (h, w) = part.corners[n].tolist(), part.size
                y, x = np.mgrid[y0 : y0 + h, x0 : x0 + w]
                own = maps[int(both.image[m])].numpy()[:, y0 : y0 + h, x0 : x0 + w]
                z, dx, dy = own[0::3], own[1::3], own[2::3]
                far = (x + unit * dx - centres[m, 0]) ** 2 + (y + unit * dy - centres[m, 1]) ** 2
                expected = z - far / (2 * kappa**2 * sides[m].prod())
                assert np.allclose(logits[n].numpy(), expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 9))
def test_windows_hold_their_objects_and_stay_in_the_map(seed, count):
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-5, 60, (count, 2))
    sides = np.exp(rng.uniform(0, 5, (count, 2)))
    own = seen(centres, sides)
    places = []
    for group in windows(own, SIZE, 1):
        for part in group:
            places += part.places.tolist()
            h, w = part.size
            assert (part.corners >= 0).all()
            assert (part.corners + torch.tensor([w, h]) <= torch.tensor([SIZE[1], SIZE[0]])).all()
            for n, m in enumerate(part.places.tolist()):
                low = np.clip(centres[m] - sides[m] / 2, 0, [SIZE[1] - 1, SIZE[0] - 1])
                high = np.clip(centres[m] + sides[m] / 2, 0, [SIZE[1] - 1, SIZE[0] - 1])
                first = part.corners[n].numpy()
                assert (first <= low + 0.5).all() and (high <= first + np.array([w, h])).all()
    assert sorted(places) == list(range(count))


def test_gradient_by_finite_differences():
    rng = np.random.default_rng(3)
    centres, sides = np.array([[4.2, 3.1], [7.0, 5.5]]), np.array([[3.0, 2.5], [2.0, 4.0]])
    points = torch.from_numpy(rng.uniform(1, 7, (2, 2, 2)))
    weights = torch.tensor([[1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    maps = torch.from_numpy(rng.normal(size=(1, 6, 9, 11))).requires_grad_()

    def total(maps):
        return grouped_losses(
            maps, seen(centres, sides), points, weights, hm.pixel_cross_entropy, 0.5, 2.0
        )[0].sum()

    assert torch.autograd.gradcheck(total, maps, eps=1e-6, atol=1e-6)


def test_losses_are_those_of_each_objects_own_heatmap():
    rng = np.random.default_rng(5)
    centres, sides, points = objects(rng, 4)
    maps = torch.from_numpy(rng.normal(size=(1, 3 * K, *SIZE)))
    own, weights = seen(centres, sides), torch.ones(4, K, dtype=torch.float64)
    weights[2, 1] = 0
    where = torch.from_numpy(points)
    where[2, 1] = torch.nan
    where[3, 0] = torch.tensor([-0.4, SIZE[0] - 0.6])  # within half a pixel of the map's edge
    own = own._replace(centres=torch.cat([own.centres[:3], torch.tensor([[5.0, 33.0]])]))
    losses, counted = grouped_losses(maps, own, where, weights, hm.pixel_cross_entropy, 0.3)
    assert counted[2, 1] == losses[2, 1] == 0 and counted[3, 0] == 1
    for group in windows(own, SIZE, K):
        every = object_logits(grouping.as_rows(maps), SIZE, own, group, 0.3)
        for part, logits in zip(group, every):
            local = where[part.places] - part.corners[:, None]
            alone = hm.pixel_cross_entropy(logits, local, weights[part.places])
            assert torch.allclose(losses[part.places], alone)


def test_a_point_beyond_the_objects_window_does_not_count():
    maps = torch.zeros(1, 3, *SIZE)
    own = seen(np.array([[10.0, 10.0]]), np.array([[4.0, 4.0]]))
    for x, counts in ((12.0, 1.0), (45.0, 0.0), (-3.0, 0.0)):
        where = torch.tensor([[[x, 10.0]]])
        losses, counted = grouped_losses(
            maps, own, where, torch.ones(1, 1), hm.pixel_cross_entropy, 0.3
        )
        assert counted.item() == counts and (losses.item() > 0) == bool(counts)


def test_parts_that_are_made_again_give_the_same(monkeypatch):
    """However few numbers are held at once: value and gradient."""
    rng = np.random.default_rng(7)
    centres, sides, points = objects(rng, 6)
    where, weights = torch.from_numpy(points), torch.ones(6, K, dtype=torch.float64)
    found = []
    for held in (grouping.HELD, 1):
        monkeypatch.setattr(grouping, "HELD", held)
        maps = torch.from_numpy(np.random.default_rng(8).normal(size=(1, 3 * K, *SIZE)))
        maps.requires_grad_()
        own = seen(centres, sides)
        assert (len(list(windows(own, SIZE, K))) == 6) == (held == 1)
        losses, _ = grouped_losses(maps, own, where, weights, hm.pixel_cross_entropy, 0.2)
        losses.sum().backward()
        decoded = decode_grouped(maps.detach(), own, expectation, 0.2)
        found.append((losses.detach(), maps.grad, decoded.points))
    for one, other in zip(*found):
        assert torch.allclose(one, other, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    maps = torch.zeros(1, 3, *SIZE, dtype=dtype)
    own = seen(np.array([[10.0, 10.0]], np.float32), np.array([[8.0, 8.0]], np.float32))
    found = decode_grouped(maps, own, expectation, 0.15)
    assert found.points.dtype == torch.float32
    assert torch.allclose(found.points, torch.tensor([[[10.0, 10.0]]]), atol=1e-3)


def test_no_object_is_no_error():
    maps = torch.zeros(1, 3, *SIZE, requires_grad=True)
    none = Seen(torch.zeros(0, dtype=torch.long), torch.zeros(0, 2), torch.ones(0, 2))
    losses, counted = grouped_losses(
        maps, none, torch.zeros(0, 1, 2), torch.zeros(0, 1), hm.pixel_cross_entropy, 0.2
    )
    assert losses.shape == counted.shape == (0, 1)
    assert decode_grouped(maps, none, expectation, 0.2).points.shape == (0, 1, 2)
