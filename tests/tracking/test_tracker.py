"""Objects keep their numbers through noise, gaps, false alarms and each other's way."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatkp.data.readers import read
from heatkp.errors import SettingsError
from heatkp.inference.keypoints import Keypoints
from heatkp.skeletons import Skeleton
from heatkp.tracking import Tracker, TrackOptions, track
from heatkp.tracking.motion import Motion, size_of
from heatkp.tracking.similarity import alike
from tests.tracking.scenes import SIZE, detected, measured, together, walkers

ONE = Skeleton("one", ("a",))


def dot(x, y, score=0.9, box=None):
    """An object of one point."""
    box = None if box is None else np.array(box, float)
    return Keypoints(np.array([[x, y]], float), np.array([score]), None, ONE, SIZE, box)


@pytest.mark.parametrize("objects", [None, 3])
@pytest.mark.parametrize("by", ["oks", "iou", "distance"])
def test_clean_objects_keep_their_numbers(by, objects):
    true = walkers(3, 120, seed=4)
    frames, owners = detected(true, noise=0.5, drop=0, false=0, unsure=0)
    ids = list(track(frames, by=by, objects=objects))
    assert len(ids) == 120
    pairs = {(o, i) for own, told in zip(owners, ids) for o, i in zip(own, told)}
    if by != "distance":  # which cannot tell two in one place apart
        assert len(pairs) == 3
    assert {i for _, i in pairs} == {1, 2, 3}


@pytest.mark.parametrize("seed", range(4))
def test_noise_dropouts_and_false_alarms(seed):
    true = walkers(2, 300, seed=seed)
    frames, _ = detected(true, seed=seed)
    told = measured(true, frames, list(track(frames, objects=2)))
    assert told["switches"] == 0 and told["tracks"] == 2
    assert told["mota"] > 0.85  # a tenth was not found at all
    assert told["false"] <= 6


@pytest.mark.parametrize("through", [True, False])
@pytest.mark.parametrize("merged", [0.0, 12.0])
def test_two_that_meet_do_not_swap(through, merged):
    """Heading tells which is which, also where one detection was left of two."""
    for seed in range(3):
        true = together(walkers(2, 200, seed=10 + seed), 100, 50, through)
        gap = np.linalg.norm(np.diff(true.mean(2), axis=0)[0], axis=1)
        assert gap.min() < 12  # of objects 42 pixels long
        frames, _ = detected(true, drop=0.05, false=0.1, merged=merged, seed=seed)
        told = measured(true, frames, list(track(frames, objects=2)))
        assert told["switches"] == 0, seed


def test_points_tell_apart_what_centres_do_not():
    """Two stand in one place, look opposite ways, and go back as they came: unlike their points,
    their centres say that they went on."""
    t = np.abs(np.arange(81) - 40.0)
    body = np.array([[20, 0], [0, 6], [0, -6], [-20, 0]], float)
    true = np.stack([
        np.stack([200 - 2 * t, np.full(81, 200)], 1)[:, None] + body,
        np.stack([200 + 2 * t, np.full(81, 200)], 1)[:, None] - body,
    ])  # fmt: skip
    frames, _ = detected(true, noise=0.3, drop=0, false=0, unsure=0)
    assert measured(true, frames, list(track(frames, by="oks")))["switches"] == 0
    assert measured(true, frames, list(track(frames, by="distance")))["switches"] == 2


def test_a_frame_has_no_more_than_was_told():
    true = walkers(4, 80, seed=1)
    frames, _ = detected(true, false=0.6)
    for limit in (1, 2, 4):
        ids = list(track(frames, objects=limit))
        for own in ids:
            kept = [i for i in own if i is not None]
            assert len(kept) == len(set(kept)) <= limit
        assert {i for own in ids for i in own if i is not None} <= {*range(1, limit + 1)}


def test_a_long_gap():
    """A number of its own after `bridge` frames; with a fixed number the same one for ever."""
    here, there = [[dot(50, 50)]] * 10, [[dot(300, 300)]] * 10
    gap = [[]] * 60
    assert list(track([*here, *gap, *here])) == [[1]] * 10 + [[]] * 60 + [[2]] * 10
    assert list(track([*here, *gap[:20], *here])) == [[1]] * 10 + [[]] * 20 + [[1]] * 10
    assert list(track([*here, *gap, *here], bridge=60)) == [[1]] * 10 + [[]] * 60 + [[1]] * 10
    fixed = list(track([*here, *gap, *there], objects=1))
    assert fixed == [[1]] * 10 + [[]] * 60 + [[1]] * 10
    assert list(track([*here, *there], objects=1)) == [[1]] * 20  # a jump


def test_births():
    """What is not found three times in a row is nothing; who is, is so from the first time."""
    flicker = [[dot(10, 10)], [dot(10, 10), dot(200, 200)], [dot(10, 10)], [dot(10, 10)]]
    assert list(track(flicker)) == [[1], [1, None], [1], [1]]
    late = [[dot(10, 10)]] * 3 + [[dot(10, 10), dot(200, 200)]] * 3
    assert list(track(late)) == [[1]] * 3 + [[1, 2]] * 3
    assert list(track(late, birth=1)) == [[1]] * 3 + [[1, 2]] * 3
    assert list(track(late, birth=4)) == [[1]] * 3 + [[1, None]] * 3
    assert list(track([[dot(1, 1)]])) == [[1]] and list(track([])) == []
    assert list(track([[], [dot(1, 1)]])) == [[], [None]]


def test_weak_objects_go_on_but_never_begin():
    strong, weak = dot(50, 50, 0.9), dot(50, 50, 0.3)
    frames = [[strong]] * 6 + [[weak]] * 3 + [[strong]] * 2 + [[strong, dot(200, 200, 0.3)]] * 5
    ids = list(track(frames))
    assert ids == [[1]] * 11 + [[1, None]] * 5
    assert list(track(frames, sure=0.2))[-1] == [1, 2]
    nothing = dot(50, 50, 0.01)
    assert list(track([*frames[:6], [nothing]]))[-1] == [None]


def test_an_object_that_was_found_twice_is_one():
    frames = [[dot(50, 50), dot(51, 50), dot(200, 200)]] * 5
    assert list(track(frames)) == [[1, None, 2]] * 5
    assert alike(dot(50, 50), dot(50, 50), np.array([0.1])) == 1


def test_answers_come_while_frames_are_read():
    taken = []

    def frames():
        for t in range(100):
            taken.append(t)
            yield [dot(50, 50)]

    told = list(islice(Tracker(TrackOptions(birth=3)).follow(frames()), 10))
    assert told == [[1]] * 10 and taken == [*range(12)]


@given(st.lists(st.lists(st.tuples(st.floats(-50, 500), st.floats(-50, 500), st.floats(0, 1)),
                         max_size=4), max_size=12), st.sampled_from([None, 1, 3]),
       st.sampled_from(["oks", "iou", "distance"]))  # fmt: skip
@settings(max_examples=60)
def test_any_objects_whatever(frames, limit, by):
    objects = [[dot(*one) for one in frame] for frame in frames]
    ids = list(track(objects, objects=limit, by=by))
    assert [len(own) for own in ids] == [len(frame) for frame in frames]
    for own in ids:
        kept = [i for i in own if i is not None]
        assert len(kept) == len(set(kept)) <= (limit or 4)


def test_points_that_are_missing():
    true = walkers(2, 150, seed=3)
    rng = np.random.default_rng(0)
    gone = true.copy()
    gone[rng.random(true.shape[:3]) < 0.3] = np.nan
    frames, _ = detected(gone, drop=0.05, false=0, seed=1)
    told = measured(true, frames, list(track(frames, objects=2)))
    assert told["switches"] == 0 and told["tracks"] == 2
    nowhere = [[Keypoints(np.full((6, 2), np.nan), np.ones(6), None, frames[0][0].skeleton, SIZE)]]
    assert list(track(nowhere * 4)) == [[None]] * 4


def test_sizes():
    assert size_of(dot(5, 5)) == pytest.approx(0.05 * 384)
    assert size_of(dot(5, 5, box=[0, 0, 40, 10])) == pytest.approx(20.0)
    line = Keypoints(np.array([[0, 0], [90.0, 0]]), np.ones(2), None, Skeleton("l", ("a", "b")),
                     SIZE)  # fmt: skip
    assert size_of(line) == pytest.approx(90 * 0.1**0.5)


def test_the_prediction_goes_on_and_grows_unsure():
    motion = Motion(dot(0, 0))
    for x in range(1, 20):
        motion.predict(True)
        motion.correct(dot(3.0 * x, 0))
    assert motion.state[2] == pytest.approx(3.0, abs=0.1)
    before = motion.spread
    motion.predict(True)
    assert motion.points[0, 0] == pytest.approx(60, abs=0.5) and motion.spread > before
    for _ in range(200):
        motion.predict(False)
    assert motion.points[0, 0] < 85 and motion.spread == pytest.approx(motion.size**2)


@pytest.mark.parametrize(
    "wrong",
    [{"objects": 0}, {"by": "luck"}, {"least": 0.0}, {"birth": 0}, {"bridge": -1}, {"sigma": 0}],
)
def test_options_that_cannot_be(wrong):
    with pytest.raises(SettingsError):
        track([], **wrong)


@pytest.mark.data
@pytest.mark.parametrize("scene", ["as they are", "crossing", "meeting"])
def test_flies(data_folder, scene):
    """Two flies of 800 frames, found with noise of 1.5 px, a tenth missing, false alarms in a
    fifth of the frames; no switch, also where one is led through the other."""
    labels = read(data_folder / "flies" / "labels.slp")
    true = np.full((2, 800, 24, 2), np.nan)
    for sample in labels.samples:
        true[int(sample.track[-1]) - 1, sample.frame] = sample.points
    true = true[:, 200:500]
    if scene != "as they are":
        true = together(true, 150, 60, scene == "crossing")
    frames, _ = detected(true, merged=10.0, seed=5)
    told = measured(true, frames, list(track(frames, objects=2)))
    assert told["switches"] == 0 and told["tracks"] == 2 and told["mota"] > 0.83
