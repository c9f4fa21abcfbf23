"""Measures of tracks: by hand, and beside TrackEval's values."""

from __future__ import annotations

import numpy as np
import pytest

from heatkp.errors import DataError
from heatkp.evaluation.objects import TrackedFrame, measure_identities

# What TrackEval 1.3.0 gives for `drawn(seed)`: CLEAR, Identity and HOTA (means over its levels).
TRACKEVAL = {
    0: {"mota": 0.375, "switches": 4, "fragments": 22, "missed": 24, "false": 22,
        "idf1": 0.430379746835, "hota": 0.29799246174, "deta": 0.461854219938,
        "assa": 0.19281430941},
    1: {"mota": 0.111111111111, "switches": 14, "fragments": 12, "missed": 11, "false": 23,
        "idf1": 0.383333333333, "hota": 0.318755580495, "deta": 0.467099817409,
        "assa": 0.218676800265},
    2: {"mota": 0.266666666667, "switches": 0, "fragments": 4, "missed": 39, "false": 5,
        "idf1": 0.46511627907, "hota": 0.363073921812, "deta": 0.27988930209,
        "assa": 0.471218627949},
}  # fmt: skip


def drawn(seed):
    """A video of objects that come and go, and change their tracks half-way."""
    rng = np.random.default_rng(seed)
    count, trues, founds = (int(rng.integers(a, b)) for a, b in ((3, 40), (1, 5), (1, 6)))
    frames = []
    for t in range(count):
        true, found = np.flatnonzero(rng.random(trues) < 0.85), None
        found = np.flatnonzero(rng.random(founds) < 0.8)
        of = np.roll(np.arange(founds), 0 if t < count // 2 else 1)
        similarity = rng.random((len(true), len(found))) * 0.6
        for i, a in enumerate(true):
            for j, b in enumerate(found):
                if of[b] == a:
                    similarity[i, j] = 0.4 + 0.6 * rng.random()
        frames.append(TrackedFrame(true.tolist(), found.tolist(), similarity))
    return frames


@pytest.mark.parametrize("seed", TRACKEVAL)
def test_as_trackeval(seed):
    told = measure_identities(drawn(seed))
    for name, value in TRACKEVAL[seed].items():
        assert told[name] == pytest.approx(value, abs=1e-11), name


def test_all_right():
    frames = [TrackedFrame(["a", "b"], [7, 3], np.eye(2)) for _ in range(5)]
    told = measure_identities(frames)
    assert told["mota"] == told["idf1"] == told["hota"] == 1
    assert told["switches"] == told["missed"] == told["false"] == 0
    assert told["tracks"] == told["identities"] == 2 and told["true"] == 10


def test_one_swap_by_hand():
    """Two objects over ten frames, whose tracks change places after the sixth."""
    frames = [TrackedFrame([0, 1], [5, 6] if t < 6 else [6, 5], np.eye(2)) for t in range(10)]
    told = measure_identities(frames)
    assert told["switches"] == 2 and told["mota"] == pytest.approx(1 - 2 / 20)
    assert told["idf1"] == pytest.approx(2 * 12 / 40)
    # Each pair's Jaccard index: 6 of 6 + 4 + 4 frames, 4 of 4 + 6 + 6.
    assert told["deta"] == 1
    assert told["assa"] == pytest.approx((12 * 6 / 14 + 8 * 4 / 16) / 20)
    assert told["hota"] == pytest.approx(told["assa"] ** 0.5)


def test_a_gap_by_hand():
    """Missed in two of six frames, and then found under another number."""
    frames = [TrackedFrame([0], [1] if t < 2 else [] if t < 4 else [2],
                           np.ones((1, 0 if 2 <= t < 4 else 1))) for t in range(6)]  # fmt: skip
    told = measure_identities(frames)
    assert (told["missed"], told["switches"], told["false"]) == (2, 1, 0)
    assert told["mota"] == pytest.approx(1 - 3 / 6) and told["idf1"] == pytest.approx(4 / 10)


def test_none_at_all():
    assert measure_identities([])["mota"] is None
    told = measure_identities([TrackedFrame([0, 1], [], np.zeros((2, 0)))])
    assert (told["mota"], told["missed"], told["hota"]) == (0, 2, 0)
    told = measure_identities([TrackedFrame([], [4], np.zeros((0, 1)))])
    assert told["mota"] is None and told["false"] == 1 and told["idf1"] == 0


def test_an_identity_twice_in_a_frame():
    with pytest.raises(DataError):
        measure_identities([TrackedFrame([0, 0], [1, 2], np.eye(2))])
