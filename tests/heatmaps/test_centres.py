"""Centre maps: losses against slow ones with rendered targets, gradients, peaks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heatkp.heatmaps.centres import (
    NARROWEST,
    NEAR,
    WIDTH,
    Peaks,
    centre_loss,
    find_peaks,
    kept_peaks,
    nearness,
    place_and_size_loss,
)
from heatkp.inference.detectors import suppress

NAN = float("nan")


def slow_centre_loss(z, objects, ignored):
    """One image, pixel by pixel; `objects` are (x, y, w, h)."""
    height, width = z.shape
    inside = [o for o in objects if -0.5 <= o[0] <= width - 0.5 and -0.5 <= o[1] <= height - 0.5]
    cells = [
        (min(math.floor(x + 0.5), width - 1), min(math.floor(y + 0.5), height - 1))
        for x, y, *_ in inside
    ]
    total = 0.0
    for i in range(height):
        for j in range(width):
            p = 1 / (1 + math.exp(-z[i, j]))
            if (j, i) in cells:
                total += cells.count((j, i)) * -((1 - p) ** 2) * math.log(p)
                continue
            if any(x0 <= j <= x1 and y0 <= i <= y1 for x0, y0, x1, y1 in ignored):
                continue
            target = 0.0
            for x, y, w, h in inside:
                sx, sy = (NARROWEST if math.isnan(s) else max(WIDTH * s, NARROWEST) for s in (w, h))
                u = math.exp(-0.5 * ((j - x) / sx) ** 2 - 0.5 * ((i - y) / sy) ** 2)
                target = max(target, u)
            total += (1 - target) ** 4 * -(p**2) * math.log(1 - p)
    return total


def slow_place_and_size(fields, x, y, w, h):
    """Of one object inside the map."""
    _, height, width = fields.shape
    column, row = (min(math.floor(v + 0.5), n - 1) for v, n in ((x, width), (y, height)))
    place = size = shares = 0.0
    for i in range(row - 1, row + 2):
        for j in range(column - 1, column + 2):
            if not (0 <= i < height and 0 <= j < width):
                continue
            share = math.exp(-((x - j) ** 2 + (y - i) ** 2) / (2 * NEAR**2))
            shares += share
            dx, dy, lw, lh = fields[:, i, j]
            place += share * (abs(dx - (x - j)) + abs(dy - (y - i)))
            size += share * (abs(lw - math.log(w)) + abs(lh - math.log(h)))
    return place / shares, size / shares


def scene(seed, height, width, count, regions=0):
    """Logits, fields, objects (x, y, w, h) of which some are outside, and ignored boxes."""
    rng = np.random.default_rng(seed)
    z, fields = rng.normal(0, 2, (height, width)), rng.normal(0, 1, (4, height, width))
    objects = np.stack([
        rng.uniform(-2, width + 1, count), rng.uniform(-2, height + 1, count),
        rng.uniform(0.5, 30, count), rng.uniform(0.5, 30, count),
    ], axis=1)  # fmt: skip
    low = rng.uniform(-1, 4, (regions, 2))
    return z, fields, objects, np.concatenate([low, low + rng.uniform(0, 4, (regions, 2))], axis=1)


@settings(max_examples=40)
@given(
    st.integers(0, 2**31), st.integers(1, 7), st.integers(1, 9), st.integers(0, 20),
    st.integers(0, 2),
)  # fmt: skip
def test_the_centre_loss_is_that_of_rendered_targets(seed, height, width, count, regions):
    z, _, objects, ignored = scene(seed, height, width, count, regions)
    given_ = torch.from_numpy(objects)[None]
    loss = centre_loss(
        torch.from_numpy(z)[None],
        given_[..., :2],
        given_[..., 2:],
        torch.ones(1, count),
        torch.from_numpy(ignored)[None],
    )
    assert loss.item() == pytest.approx(slow_centre_loss(z, objects, ignored), rel=1e-9)


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 6), st.integers(1, 5))
def test_places_and_sizes_are_those_of_the_pixels_about_a_centre(seed, height, width, count):
    _, fields, objects, _ = scene(seed, height, width, count)
    given_ = torch.from_numpy(objects)[None]
    place, size = place_and_size_loss(
        torch.from_numpy(fields)[None], given_[..., :2], given_[..., 2:], torch.ones(1, count)
    )
    for m, (x, y, w, h) in enumerate(objects):
        inside = -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5
        expected = slow_place_and_size(fields, x, y, w, h) if inside else (0.0, 0.0)
        assert [place[0, m].item(), size[0, m].item()] == pytest.approx(expected, rel=1e-9)


def test_images_of_a_batch_do_not_mix_and_nothing_counts_twice():
    torch.manual_seed(0)
    z, fields = torch.randn(2, 5, 6).double(), torch.randn(2, 4, 5, 6).double()
    boxes = torch.tensor([[[1.2, 2.1, 4, 3], [4.0, 3.0, 2, 2]], [[3.3, 0.4, 5, 1], [NAN] * 4]])
    boxes = boxes.double()
    weights = torch.isfinite(boxes[..., 0]).double()
    both = centre_loss(z, boxes[..., :2], boxes[..., 2:], weights)
    place, size = place_and_size_loss(fields, boxes[..., :2], boxes[..., 2:], weights)
    for i, count in enumerate((2, 1)):
        one = (boxes[i : i + 1, :count, :2], boxes[i : i + 1, :count, 2:], torch.ones(1, count))
        assert both[i].item() == pytest.approx(centre_loss(z[i : i + 1], *one).item())
        alone = place_and_size_loss(fields[i : i + 1], *one)
        assert torch.allclose(place[i, :count], alone[0]) and torch.allclose(size[i, :count],
                                                                            alone[1])  # fmt: skip
    assert place[1, 1] == size[1, 1] == 0


def test_gradients():
    torch.manual_seed(1)
    maps = torch.randn(2, 5, 4, 5, dtype=torch.double, requires_grad=True)
    boxes = torch.tensor([[[1.2, 2.1, 4, 3], [9.0, 3, 2, 2]], [[3.3, 0.4, NAN, NAN], [NAN] * 4]])
    weights = torch.isfinite(boxes[..., 0]).float()
    ignored = torch.tensor([[[0.0, 0, 1, 1]], [[NAN] * 4]])

    def total(maps):
        centre = centre_loss(maps[:, 0], boxes[..., :2], boxes[..., 2:], weights, ignored)
        parts = place_and_size_loss(maps[:, 1:], boxes[..., :2], boxes[..., 2:], weights)
        return centre.sum() + sum(p.sum() for p in parts)

    assert torch.autograd.gradcheck(total, (maps,))
    total(maps).backward()
    assert torch.isfinite(maps.grad).all()
    assert maps.grad[0, 0, 0, 0] == 0  # in a region that does not count
    assert not maps.grad[1, 3:].any() and maps.grad[1, 1:3].any()  # size unknown, place known


@pytest.mark.parametrize("value", [-200.0, 200.0])
def test_large_logits_give_finite_losses(value):
    maps = torch.full((1, 5, 3, 3), value, requires_grad=True)
    at = torch.tensor([[[1.0, 1.0]]])
    loss = centre_loss(maps[:, 0], at, at, torch.ones(1, 1)).sum()
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(maps.grad).all()


def test_no_object_is_all_background():
    none = torch.zeros(1, 0, 2)
    z = torch.randn(1, 4, 4).double()
    p = torch.sigmoid(z)
    loss = centre_loss(z, none, none, torch.zeros(1, 0))
    assert loss.item() == pytest.approx(float(-(p**2 * torch.log(1 - p)).sum()))
    assert place_and_size_loss(torch.zeros(1, 4, 4, 4), none, none, none[..., 0])[0].shape == (1, 0)


def test_more_objects_than_fit_a_block():
    rng = np.random.default_rng(3)
    at = torch.from_numpy(rng.uniform(0, 10, (1, 40, 2)))
    sides = torch.from_numpy(rng.uniform(1, 20, (1, 40, 2)))
    every = nearness(at, sides, torch.ones(1, 40, dtype=torch.bool), (11, 12))
    each = [nearness(at[:, i : i + 1], sides[:, i : i + 1], torch.ones(1, 1, dtype=torch.bool),
                     (11, 12)) for i in range(40)]  # fmt: skip
    assert torch.allclose(every, torch.stack(each).amax(0))


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 6))
def test_peaks_give_back_what_is_written(seed, count):
    """Objects in map pixels apart from each other, in any place of their pixels."""
    rng = np.random.default_rng(seed)
    cells = rng.permutation(36)[:count]
    maps = torch.full((1, 5, 18, 18), -8.0, dtype=torch.double)
    expected = []
    for n, cell in enumerate(cells):
        column, row = 3 * int(cell % 6) + 1, 3 * int(cell // 6) + 1
        dx, dy = rng.uniform(-0.5, 0.5, 2)
        w, h = rng.uniform(1, 20, 2)
        maps[0, :, row, column] = torch.tensor([4.0 - 0.5 * n, dx, dy, np.log(w), np.log(h)])
        x, y = column + dx, row + dy
        expected.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    found = find_peaks(maps, count)
    assert np.allclose(found.boxes[0].numpy(), expected)
    assert np.allclose(found.scores[0].numpy(), 1 / (1 + np.exp(-4 + 0.5 * np.arange(count))))
    more = find_peaks(maps, 10_000)
    assert more.boxes.shape == (1, 324, 4) and (more.scores[0, count:] < 0.001).all()


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="centres and sides"):
        place_and_size_loss(torch.zeros(1, 4, 2, 2), torch.zeros(1, 1, 2), torch.zeros(1, 2, 2),
                            torch.ones(1, 1))  # fmt: skip


@pytest.mark.parametrize("overlap", [0.2, 0.6])
def test_kept_peaks_are_those_of_one_after_the_other(overlap):
    """As suppression by a loop has it, without those that are less sure or no peak."""
    rng = np.random.default_rng(7)
    low = rng.uniform(0, 30, (40, 2))
    boxes = np.concatenate([low, low + rng.uniform(10, 25, (40, 2))], 1)
    scores = np.sort(rng.uniform(0, 1, 40))[::-1].copy()
    scores[-5:] = 0.0
    given = Peaks(torch.from_numpy(boxes)[None], torch.from_numpy(scores)[None])
    for least in (0.0, 0.3):
        good = np.flatnonzero((scores > 0) & (scores >= least))
        expected = suppress(boxes[good], scores[good], overlap)
        kept = kept_peaks(given, least, overlap)[0]
        assert kept.nonzero()[:, 0].tolist() == sorted(good[i] for i in expected)
        assert 2 < len(expected) < len(good)
