"""What positions tell of left, right and the middle."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from heatkp.data.readers import read
from heatkp.sides import Sides, sides_by_name
from heatkp.sides.positions import FEWEST_SAMPLES, sides_by_position
from heatkp.skeletons import FACE58, FACE68

FROM_ABOVE = {  # an animal from above, y down, its left on the left
    "nose": (0, -2), "ear1": (-0.5, -1.5), "ear2": (0.5, -1.5), "back": (0, 0), "paw1": (-0.9, -1),
    "paw2": (0.9, -1), "paw3": (-1, 1), "paw4": (1, 1), "tail_base": (0, 1.5), "hump": (0, 0.6),
}  # fmt: skip
HAND = [
    (0, 0), (-0.35, -0.15), (-0.62, -0.42), (-0.82, -0.66), (-1, -0.85), (-0.3, -0.95),
    (-0.38, -1.35), (-0.42, -1.6), (-0.45, -1.82), (-0.05, -1), (-0.06, -1.45), (-0.07, -1.73),
    (-0.08, -1.98), (0.18, -0.93), (0.22, -1.33), (0.25, -1.6), (0.27, -1.83), (0.38, -0.8),
    (0.5, -1.1), (0.57, -1.3), (0.63, -1.48),
]  # fmt: skip
MOUSE_FROM_THE_SIDE = [
    (-2, -0.5), (-1.6, -0.9), (-1.4, -0.6), (-1.2, 0.1), (-1.1, 0.8), (-0.8, 0.85), (1, 0.9),
    (1.2, 0.8), (1.2, -0.2), (2.5, -0.3), (0, -0.5),
]  # fmt: skip
FISH = [
    (-2, 0), (-1.6, -0.3), (-1.6, 0.3), (-0.5, -0.6), (-0.5, 0.6), (1, -0.25), (1, 0.3), (2, -0.6),
    (2, 0.6), (1.6, 0), (-1.7, -0.1), (-1, 0.2),
]  # fmt: skip
CAR = [(-1, 0), (1, 0), (-1.5, -0.3), (1.5, -0.35), (-0.4, -1), (0.7, -1), (-0.9, -0.55),
       (1.2, -0.6), (0, -0.5), (0.05, 0)]  # fmt: skip


def samples(shape, count=60, noise=0.05, turn=0.1, mirrored=0.0, seed=0):
    """(N, K, 2): a shape, moved, turned (radians), scaled, and some of it mirrored."""
    rng = np.random.default_rng(seed)
    plain = np.asarray(shape, float) @ (1, 1j)
    z = np.where(rng.random((count, 1)) < mirrored, -plain.conj(), plain)
    z = z + noise * rng.normal(size=(*z.shape, 2)) @ (1, 1j)
    z = z * rng.uniform(20, 60, (count, 1)) * np.exp(1j * turn * rng.normal(size=(count, 1)))
    z = z + rng.uniform(0, 500, (count, 1)) * (1 + 1j)
    return np.stack([z.real, z.imag], -1)


def told(points, names):
    return sides_by_position(points, names, sides_by_name(names))


def numbers(shape):
    return [f"point_{i}" for i in range(len(shape))]


def partners(names, pairs):
    return {frozenset((names[a], names[b])) for a, b in pairs}


def test_an_upright_symmetric_shape():
    names = list(FROM_ABOVE)
    points = samples(list(FROM_ABOVE.values()))
    found = told(points, names)
    assert partners(names, found.sides.pairs) == {
        frozenset(pair) for pair in (("ear1", "ear2"), ("paw1", "paw2"), ("paw3", "paw4"))
    }
    assert found.sides.unpaired == () and set(found.added) == {1, 2, 4, 5, 6, 7, 9}
    assert found.doubtful == ()
    assert told(points, numbers(names)).sides.unpaired == ()


@pytest.mark.parametrize("seed", range(5))
def test_a_turned_shape_needs_a_known_pair(seed):
    points = samples(list(FROM_ABOVE.values()), turn=9, seed=seed)
    assert told(points, list(FROM_ABOVE)).added == ()
    names = ["left_ear" if n == "ear1" else "right_ear" if n == "ear2" else n for n in FROM_ABOVE]
    found = told(points, names)
    # The known pair tells on which side the left is.
    pairs = {(names[a], names[b]) for a, b in found.sides.pairs}
    assert pairs == {("left_ear", "right_ear"), ("paw1", "paw2"), ("paw3", "paw4")}
    assert found.sides.unpaired == ()


def test_two_eyes_that_are_named_and_two_hips_that_are_not():
    names = ["left_eye", "right_eye", "hip1", "hip2"]
    points = samples([(1, -2), (-1, -2), (-1.5, 2), (1.5, 2)])
    assert told(points, names).sides == Sides(((0, 1), (3, 2)), ())
    few = told(points[: FEWEST_SAMPLES - 1], names)
    assert few.sides == sides_by_name(names) and few.added == ()
    points[: len(points) - FEWEST_SAMPLES + 1, 3] = np.nan
    assert told(points, names).sides == sides_by_name(names)
    one_sided = samples([(1, -2), (-1, -2), (-1.5, 2), (0.9, 1)])
    assert told(one_sided, names).sides == sides_by_name(names)
    # One point near the axis may be there by chance.
    assert told(samples([(1, -2), (-1, -2), (0, 2), (0, 0)]), [*names[:2], "a", "nose"]).added == ()


def test_words_that_differ_are_no_pair():
    shape = [(-1, -2), (1, -2), (-1.5, 2), (1.5, 2), (0, 0), (0, 1), (-2, 0), (2, 0)]
    names = ["front_wheel", "rear_wheel", "thumb", "pinky", "nose", "chin", "dorsal", "ventral"]
    assert told(samples(shape), names).added == ()
    assert len(told(samples(shape), numbers(shape)).sides.pairs) == 3


@pytest.mark.parametrize("shape", [HAND, MOUSE_FROM_THE_SIDE, FISH, CAR])
@pytest.mark.parametrize("how", [{}, {"turn": 9}, {"mirrored": 0.5}, {"noise": 0.2}, {"noise": 0}])
def test_views_that_are_not_symmetric(shape, how):
    for count in (20, 200):
        found = told(samples(shape, count, **how), numbers(shape))
        assert found.added == () and found.sides.pairs == ()


def test_shapes_by_chance():
    rng = np.random.default_rng(0)
    for seed in range(150):
        shape = rng.normal(size=(4 + seed % 12, 2))
        assert told(samples(shape, 40, 0.03, seed=seed), numbers(shape)).added == ()
        shape[1] = shape[0] * (-1, 1)
        shape[2, 0] = 0
        names = ["left_x", "right_x", "nose", *numbers(shape)[3:]]
        if len(shape) > 5:  # two points among six are rarely a pair by chance, but sometimes
            assert told(samples(shape, 40, 0.03, seed=seed), names).added == ()


def test_numbers_that_run_the_other_way_on_the_other_side():
    pairs = {"eye": (1, -1), "brow_0": (0.5, -1.6), "brow_1": (1, -1.8), "brow_2": (1.6, -1.5),
             "mouth": (0.7, 1)}  # fmt: skip
    names = [f"left_{n}" for n in pairs] + [f"right_{n}" for n in pairs] + ["nose", "chin"]
    left = list(pairs.values())
    shape = [*left, *((-x, y) for x, y in left), (0, 0), (0, 2)]
    assert told(samples(shape), names).doubtful == ()
    other = [*shape[:6], shape[8], shape[7], shape[6], *shape[9:]]
    found = told(samples(other), names)
    doubtful = {names[i] for i in found.doubtful}
    assert doubtful == {f"{side}_brow_{i}" for side in ("left", "right") for i in (0, 2)}
    assert found.sides.unpaired == found.doubtful and len(found.sides.pairs) == 3


@given(
    arrays(np.float64, st.tuples(st.integers(0, 30), st.just(6), st.just(2)), elements=st.one_of(
        st.sampled_from([np.nan, 0.0, 1.0]), st.floats(-1e6, 1e6))),
    st.lists(st.sampled_from(["p1", "p2", "p3", "left_a", "right_a", "nose", "left_b_1", "left_b_2",
                              "right_b_1", "right_b_2"]), min_size=6, max_size=6, unique=True),
)  # fmt: skip
def test_any_labels(points, names):
    found = told(points, names)
    used = [*(i for pair in found.sides.pairs for i in pair), *found.sides.unpaired]
    assert len(used) == len(set(used)) and set(used) <= set(range(6))
    assert not set(found.added) & set(found.sides.unpaired)


@given(st.integers(0, 1000), st.randoms())
def test_order_does_not_matter(seed, random_):
    names = list(FROM_ABOVE)
    points = samples(list(FROM_ABOVE.values()), 30, noise=0.1, seed=seed)
    found = told(points, names)
    order = list(range(len(names)))
    random_.shuffle(order)
    again = told(points[:, order], [names[i] for i in order])
    pairs = {(order[a], order[b]) for a, b in again.sides.pairs}
    assert pairs == set(found.sides.pairs)
    assert {order[i] for i in again.sides.unpaired} == set(found.sides.unpaired)


def real(folder, name):
    labels = read(folder / name)
    points = np.stack([s.points for s in labels.samples]).astype(float)
    return np.where(np.stack([s.visibility > 0 for s in labels.samples])[..., None], points, np.nan)


@pytest.mark.parametrize(
    "name, skeleton, complete",
    [("ibug/labels_ibug_300W_train.xml", FACE68, 16), ("imm", FACE58, 20)],
)
def test_real_faces_whose_names_are_taken_away(data_folder, name, skeleton, complete):
    points = real(data_folder, name)
    flip, names = skeleton.flip, numbers(skeleton.point_names)
    assert np.array_equal(flip_of(told(points, names).sides, len(names)), flip)
    rng = np.random.default_rng(0)
    found = []
    for count in [200] * 20 + [50] * 10 + [20] * 10:
        some = rng.choice(len(points), count, replace=False)
        sides = told(points[some], names).sides
        open_ = np.isin(np.arange(len(names)), sides.unpaired)
        assert (open_ | (flip_of(sides, len(names)) == flip)).all()
        found.append(not open_.any())
    assert sum(found[:20]) >= complete
    # Half pairs, and points beside the counterparts that are missing.
    for _ in range(100):
        some = rng.choice(len(points), 60, replace=False)
        part = rng.choice(len(names), rng.integers(4, 40), replace=False).tolist()
        told_ = told(points[some][:, part], [names[i] for i in part])
        for i, j in enumerate(flip_of(told_.sides, len(part))):
            assert i in told_.sides.unpaired or flip[part[i]] == part[j]


def flip_of(sides, count):
    order = np.arange(count)
    for a, b in sides.pairs:
        order[a], order[b] = b, a
    return order


@pytest.mark.parametrize("name", ["mirror_mouse", "reaching"])
def test_real_mice_are_not_symmetric(data_folder, name):
    with next((data_folder / name).rglob("CollectedData*.csv")).open(newline="") as file:
        rows = list(csv.reader(file))
    header = next(row for row in rows if row[0] == "bodyparts")
    first = next(i for i, cell in enumerate(header) if i and cell)
    names = header[first::2]
    body = [row[first:] for row in rows if row[0] not in ("scorer", "bodyparts", "coords")]
    points = np.array([[float(c or "nan") for c in row] for row in body])
    points = points.reshape(len(body), -1, 2)
    assert told(points, names).added == ()
    assert told(points, numbers(names)).added == ()
