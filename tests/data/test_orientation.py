"""Which way up points are, and which of them look exchanged or stuck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heatkp.data.checks import label_notes
from heatkp.data.checks.orientation import orientation
from heatkp.data.checks.stuck import stuck_findings
from heatkp.data.checks.swapped import find_exchanged_sides, find_swaps, swap_findings
from heatkp.data.drawn import drawn_sample
from heatkp.data.readers import read
from heatkp.data.samples import Sample
from heatkp.skeletons import FACE15, FACE58, FACE68, named
from tests.conftest import heatkp, write_image

FACES = [drawn_sample(5, i, FACE68, 64) for i in range(40)]
SIZES = np.full((40, 2), 64.0)
BODY = named("body", ["nose", "left_hip", "right_hip", "left_ankle", "right_ankle", "tail"])
SHAPE = np.array([[30, 5], [38, 40], [22, 40], [38, 80], [22, 80], [30, 48]], float)


def turned(samples, factor, shift=0):
    return [replace(s, points=s.points * np.float32(factor) + np.float32(shift)) for s in samples]


def bodies(count=40, noise=2.0, seed=0):
    rng = np.random.default_rng(seed)
    image = np.zeros((100, 60), np.uint8)
    points = SHAPE + rng.normal(0, noise, (count, 6, 2)) + rng.uniform(-5, 5, (count, 1, 2))
    return [Sample(image, p, id=f"b{i}") for i, p in enumerate(points)]


def test_by_shape():
    assert orientation(FACES, FACE68, SIZES).upright is True
    assert orientation(turned(FACES, -1, 64), FACE68, SIZES).upright is False
    upside_down = orientation(turned(FACES, (1, -1), (0, 64)), FACE68, SIZES)
    assert upside_down.upright is False and "face68" in upside_down.how


def test_by_names():
    samples = bodies()
    assert orientation(samples, BODY, SIZES).upright is True
    found = orientation(turned(samples, (1, -1), (0, 100)), BODY, SIZES)
    assert found.upright is False and "nose" in found.how
    half = [*samples[:20], *turned(samples[20:], (1, -1), (0, 100))]
    assert orientation(half, BODY, SIZES).upright is None
    nameless = named("body", [f"p{k}" for k in range(6)])
    assert orientation(samples, nameless, SIZES).upright is None


def test_by_boxes():
    """Boxes count down and points up."""
    nameless = named("body", [f"p{k}" for k in range(6)])
    samples = [
        replace(s, box=np.array([15, 100 - 1 - 98, 45, 100 - 1 - 60], np.float32),
                points=(s.points * (1, 0.3) + (0, 65)).astype(np.float32))
        for s in bodies()
    ]  # fmt: skip
    sizes = np.tile([60.0, 100.0], (40, 1))
    found = orientation(samples, nameless, sizes)
    assert found.upright is False and "boxes" in found.how
    assert orientation(turned(samples, (1, -1), (0, 99)), nameless, sizes).upright is None


@pytest.mark.parametrize("known", [FACE58, FACE15])
def test_layouts_without_a_shape_are_told_by_names(known):
    """Eyes above mouths, in any image."""
    names = known.point_names
    y = np.array([{"e": 10, "l": 50, "j": 60, "m": 50, "r": 10}.get(n[0], 30) for n in names])
    points = np.stack([np.arange(len(names)), y], 1).astype(float)
    samples = [Sample(np.zeros((80, 80), np.uint8), points, id=str(i)) for i in range(3)]
    assert orientation(samples, known, np.full((3, 2), 80.0)).upright is True


def exchanged(samples, which, a, b):
    order = list(range(len(samples[0].points)))
    order[a], order[b] = b, a
    return [s.take(order) if i in which else s for i, s in enumerate(samples)]


@pytest.mark.parametrize("which", [{7}, {1, 2, 30}, set(range(8))])
@pytest.mark.parametrize("pair", [(0, 5), (1, 2), (0, 3)])
def test_exchanged_points_are_found(which, pair):
    samples = bodies()
    assert find_swaps(samples) == []
    ((first, second, places),) = [
        s for s in find_swaps(exchanged(samples, which, *pair)) if (s.first, s.second) == pair
    ]
    assert (first, second) == pair and set(places) == which


def test_points_that_vary_much_are_not_said_to_be_exchanged():
    rng = np.random.default_rng(3)
    image = np.zeros((100, 60), np.uint8)
    loose = [Sample(image, rng.uniform(0, 60, (6, 2)), id=str(i)) for i in range(60)]
    assert swap_findings(loose, BODY) == []
    both_ways = exchanged(bodies(), set(range(0, 40, 2)), 1, 2)
    assert not [s for s in find_swaps(both_ways) if (s.first, s.second) == (1, 2)]


def test_one_finding_for_all_pairs_of_the_same_samples(tmp_path):
    samples = bodies()
    samples = exchanged(exchanged(samples, {3, 9}, 1, 2), {3, 9}, 3, 4)
    assert find_exchanged_sides(samples, BODY) == [3, 9]
    (found,) = swap_findings(samples, BODY)
    assert "2 of 40 samples, such as b3, b9" in found.text and "left and right" in found.text
    folders = [replace(s, file=tmp_path / ("b" if i in (3, 9) else "a") / "x.png")
               for i, s in enumerate(samples)]  # fmt: skip
    (found,) = swap_findings(folders, BODY)
    assert f"those in {tmp_path / 'b'}" in found.text


def test_too_few_points_or_samples_tell_nothing():
    assert find_swaps([]) == [] and find_swaps(bodies(4)) == []
    assert find_swaps([s.take([0, 1, 2]) for s in bodies()]) == []


def test_imm_has_nine_images_with_reversed_eyes(data_folder):
    labels = read(data_folder / "imm")
    swaps = find_swaps(labels.samples)
    found = {labels.samples[i].id for swap in swaps for i in swap.samples}
    assert len(found) == 9
    eyes = {labels.skeleton.point_names[k] for s in swaps for k in s[:2]}
    assert all("eye" in name for name in eyes)


def test_no_real_set_of_faces_is_said_to_be_wrong(data_folder):
    labels = read(data_folder / "ibug" / "labels_ibug_300W_train.xml")
    assert swap_findings(labels.samples, labels.skeleton) == []
    assert stuck_findings(labels.samples, labels.skeleton) == []


def test_points_that_nobody_placed(tmp_path):
    stuck = []
    for i, s in enumerate(bodies(30)):
        points = s.points.copy()
        points[5] = 32, 24 if i % 2 else points[5, 1]
        points[4, 0] = 22  # the same in x alone
        stuck.append(replace(s, points=points))
    (found,) = stuck_findings(stuck, BODY)
    assert "tail is at the same place (32, 24) in 15 of 30" in found.text
    assert any(found.text == note for note in label_notes(stuck, BODY))
    assert stuck_findings(bodies(), BODY) == []


def test_info_tells_the_way_up(tmp_path):
    rows = ["image,nose_x,nose_y,left_ankle_x,left_ankle_y"]
    for i in range(4):
        write_image(tmp_path / f"{i}.png", seed=i)
        rows.append(f"{i}.png,{20 + i},40,{21 + i},5")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    wrong = heatkp("data", "info", tmp_path)
    assert wrong.exit_code == 0, wrong.output
    text = " ".join(wrong.output.split())
    assert "way up: upside down" in text and "--y-up (data.y_up=true)" in text
    right = " ".join(heatkp("data", "info", tmp_path, "--y-up").output.split())
    assert "way up: upright" in right and "perhaps counts upwards" not in right
    samples = read(tmp_path, y_up=True).samples
    assert samples[0].points.tolist() == [[19.5, 48 - 0.5 - 40], [20.5, 48 - 0.5 - 5]]
