"""Maps lie where they should on images, and images show the samples that they say."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from heatkp import coordinates as co
from heatkp.config import Head as HeadSettings
from heatkp.errors import DataError, SettingsError
from heatkp.evaluation.metrics import Errors
from heatkp.registry import HEADS
from heatkp.skeletons import FACE68, Skeleton
from heatkp.viz import canvas, curves, figures, maps
from heatkp.viz.point_errors import mean_face, worst_points
from tests.conftest import scratch

FIVE = Skeleton("five", ("a", "b", "c-d", "3", "$x_$"), lines=((0, 1, 2),))


def view_of(count=5, labelled=True, stride=4, size=(32, 24), **changes):
    rng = np.random.default_rng(0)
    points = rng.uniform(4, 20, (count, 2))
    truth = points + rng.normal(0, 2, (count, 2))
    shape = (count, -(-size[1] // stride), -(-size[0] // stride))
    view = maps.MapView(
        "a $title",
        rng.integers(0, 255, (3, size[1], size[0]), np.uint8),
        rng.random(shape, np.float32),
        rng.random(shape, np.float32),
        stride,
        points,
        truth if labelled else np.full_like(truth, np.nan),
        rng.random(count),
        np.tile(4 * np.eye(2), (count, 1, 1)),
        np.linalg.norm(points - truth, axis=1),
        "what training asks for",
    )
    return replace(view, **changes)


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([1, 2, 4, 8]))
def test_extent_agrees_with_the_convention(width, height, stride):
    left, right, bottom, top = maps.map_extent(width, height, stride)
    assert (left, top) == (-0.5, -0.5)
    assert (right, bottom) == (width * stride - 0.5, height * stride - 0.5)
    for u in {0, width - 1}:  # pixel u's centre, by extent and by the rule
        drawn = left + (u + 0.5) * (right - left) / width
        assert drawn == pytest.approx(co.map_to_input(float(u), stride))


@pytest.mark.parametrize(("stride", "size"), [(4, (32, 24)), (4, (30, 22)), (2, (14, 10))])
@pytest.mark.parametrize("hot", [(0, 0), (2, 1), (3, 4)])
def test_a_hot_pixel_covers_its_input_pixels(stride, size, hot):
    width, height = size
    values = np.zeros((-(-height // stride), -(-width // stride)), np.float32)
    values[hot[1], hot[0]] = 1
    zoom = 6  # screen pixels to an input pixel
    figure = Figure((width * zoom / 100, height * zoom / 100), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    canvas.show_image(axis, np.zeros((1, height, width), np.uint8))
    maps.draw_map(axis, values, stride)
    drawn = FigureCanvasAgg(figure)
    drawn.draw()
    seen = np.asarray(drawn.buffer_rgba())[..., :3].max(2) > 60
    blocks = seen.reshape(height, zoom, width, zoom).mean((1, 3))
    expected = np.zeros((height, width))
    x, y = hot[0] * stride, hot[1] * stride
    expected[y : y + stride, x : x + stride] = 1
    np.testing.assert_array_equal(blocks, expected)


def test_a_tile_of_the_sheet_agrees():
    values = np.zeros((1, 6, 8), np.float32)
    values[0, 4, 3] = 1
    view = view_of(1, size=(30, 22), maps=values, image=np.zeros((1, 22, 30), np.uint8))
    expected = np.zeros((22, 30), bool)
    expected[16:20, 12:16] = True
    np.testing.assert_array_equal(maps.tile(view, 0).max(2) > 0.2, expected)


@pytest.mark.parametrize(("name", "peak"), [("kl", None), ("argmax", 1), ("bce", 1), ("ce", None),
                                            ("nll", None)])  # fmt: skip
def test_targets_are_the_heads_own(name, peak):
    head = HEADS[name](HeadSettings(name=name), 3)
    points = torch.tensor([[[5.0, 4.0], [float("nan")] * 2, [50.0, 4.0]]])
    found = head.target(points, (12, 16))[0]
    assert not found[1:].any()
    assert divmod(int(found[0].argmax()), 16) == (4, 5)
    if peak:
        assert float(found[0].max()) == pytest.approx(peak)
        assert float(found[0, 4, 6]) == pytest.approx(np.exp(-0.5 / 1.5**2))
    else:
        assert float(found[0].sum()) == pytest.approx(1)
    if name == "kl":
        assert float(found[0, 4, 6] / found[0, 4, 5]) == pytest.approx(np.exp(-0.5))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (HeadSettings(name="softargmax", regulariser="variance"), "mean and width only"),
        (HeadSettings(name="marginal"), "row and column sums"),
        (HeadSettings(name="nll"), "width as learned"),
        (HeadSettings(name="softargmax"), "what training asks for"),
        (HeadSettings(name="kl"), "what training asks for"),
        (HeadSettings(name="argmax"), "what training asks for"),
    ],
)
def test_words_say_what_training_asks_for(head, words, tmp_path, monkeypatch):
    made = HEADS[head.name](head, 5)
    assert words in made.asks
    written = []
    monkeypatch.setattr(maps, "save", lambda figure, path: written.append(figure))
    maps.page(view_of(asks=made.asks), FIVE, [4], tmp_path / "page.png")
    titles = [axis.get_title() for axis in written[0].axes]
    assert [t for t in titles if "target of 4" in t and made.asks in t]


def test_no_target_where_training_asks_for_no_map(tmp_path, monkeypatch):
    """A mean alone may belong to any map: a Gaussian would be made up."""
    head = HEADS["softargmax"](HeadSettings(name="softargmax", regulariser="none"), 3)
    assert head.target(torch.full((1, 3, 2), 4.0), (12, 16)) is None
    written = []
    monkeypatch.setattr(maps, "save", lambda figure, path: written.append(figure))
    nothing = np.full((5, 6, 8), np.nan, np.float32)
    maps.page(view_of(targets=nothing), FIVE, [4, 0], tmp_path / "page.png")
    titles = [axis.get_title() for axis in written[0].axes]
    assert "all predicted maps, summed" in titles and not any("target" in t for t in titles)


@given(st.floats(0.1, 9), st.floats(0.1, 9), st.floats(0, 179))
def test_ellipse_of_a_known_covariance(long, ratio, degrees):
    short = long / (1.1 + ratio)
    turn = co.rotation(degrees)[:, :2]
    found = maps.ellipse(turn @ np.diag([long**2, short**2]) @ turn.T)
    assert found is not None
    assert found[:2] == pytest.approx((4 * long, 4 * short))
    assert min((found[2] - degrees) % 180, (degrees - found[2]) % 180) < 1e-4


@pytest.mark.parametrize("bad", [[[np.nan, 0], [0, 1]], [[0, 0], [0, 0]], [[1, 2], [2, 1]]])
def test_what_has_no_ellipse(bad):
    assert maps.ellipse(bad) is None


def test_points_by_number_range_and_name():
    assert maps.parse_points("30, 36-38,jaw_0,37", FACE68) == [30, 36, 37, 38, 0]
    assert maps.parse_points("c-d,3,0 - 1", FIVE) == [2, 3, 0, 1]
    for wrong in ("", "68", "5-3", "60-70", "-1", "a", "1,,2", "²", "9" * 5000, "jaw_99"):
        with pytest.raises(SettingsError, match="0 to 67"):
            maps.parse_points(wrong, FACE68)
    with pytest.raises(SettingsError, match="nose_tip"):
        maps.parse_points("nosetip", FACE68)


@given(st.lists(st.tuples(st.integers(0, 67), st.integers(0, 67)), min_size=1, max_size=6))
def test_points_come_back_as_listed(pairs):
    ranges = [(min(p), max(p)) for p in pairs]
    text = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
    expected = list(dict.fromkeys(i for a, b in ranges for i in range(a, b + 1)))
    assert maps.parse_points(text, FACE68) == expected


@given(st.text(max_size=12))
def test_any_text_is_points_or_refused(text):
    try:
        found = maps.parse_points(text, FACE68)
    except SettingsError:
        return
    assert found and set(found) <= set(range(68)) and len(set(found)) == len(found)


@given(st.lists(st.one_of(st.floats(0, 100), st.just(float("nan"))), max_size=20),
       st.integers(1, 4))  # fmt: skip
def test_chosen_samples(mean, count):
    chosen = dict(maps.choose_samples(mean, count))
    finite = [m for m in mean if np.isfinite(m)]
    assert len(chosen) == len(set(chosen.values())) == min(3 * count, len(finite))
    if finite:
        assert mean[chosen["worst-1"]] == max(finite)
    if len(finite) > count:
        assert mean[chosen["best-1"]] == min(finite)
    if len(finite) % 2 and len(finite) > 2 * count:
        assert mean[chosen["median-1"]] == np.median(finite)


def test_hardest_points():
    truth = np.zeros((5, 2))
    truth[4] = np.nan
    points = np.array([[1.0, 0], [3, 0], [np.nan, 0], [2, 0], [9, 0]])
    view = view_of(points=points, truth=truth, scores=np.array([0.5, 0.1, 0.9, 0.2, 0.3]))
    assert maps.hardest_points(view, 3) == [2, 1, 3]
    unlabelled = replace(view, truth=np.full((5, 2), np.nan), points=np.zeros((5, 2)))
    assert maps.hardest_points(unlabelled, 2) == [1, 3]


def test_chosen_samples_by_hand():
    mean = [4.0, np.nan, 0.0, 1.0, 6.0, 2.0, 5.0, 3.0]
    assert maps.choose_samples(mean, 2) == [
        ("best-1", 2), ("best-2", 3), ("median-1", 7), ("median-2", 5), ("worst-1", 4),
        ("worst-2", 6),
    ]  # fmt: skip
    assert maps.choose_samples(mean[:4], 2) == [("best-1", 2), ("worst-1", 0), ("worst-2", 3)]
    assert maps.choose_samples([], 2) == []


def test_the_hardest_points_of_a_partly_labelled_sample():
    """By their errors, not by their scores; six unless asked."""
    truth = np.zeros((9, 2))
    truth[8] = np.nan
    points = np.array([[k + 1.0, 0] for k in range(9)])
    view = view_of(points=points, truth=truth, scores=np.arange(9.0))
    assert maps.hardest_points(view) == [7, 6, 5, 4, 3, 2]
    assert set(maps.hardest_points(view, 99)) == set(np.flatnonzero(view.labelled).tolist())


def test_worst_tenth():
    error = np.arange(20.0)
    error[19] = np.nan
    assert np.flatnonzero(maps.worst_tenth(error)).tolist() == [17, 18]
    assert not maps.worst_tenth(np.array([3.0])).any()
    for count, worst in ((2, 1), (10, 1), (11, 2), (20, 2), (21, 3)):
        assert maps.worst_tenth(np.arange(float(count))).sum() == worst
    assert not maps.worst_tenth(np.full(4, np.nan)).any()


@pytest.mark.parametrize(
    "view",
    [
        view_of(),
        view_of(labelled=False, covariance=None),
        view_of(points=np.full((5, 2), np.nan), maps=np.zeros((5, 6, 8), np.float32)),
    ],
)
def test_pages_and_sheets(view, tmp_path):
    maps.page(view, FIVE, [4, 0], tmp_path / "page.png")
    maps.sheet(view, FIVE, tmp_path / "sheet.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.png", "sheet.png"]
    columns = 3 if view.labelled.any() else 2
    height, width = cv2.imread(str(tmp_path / "page.png")).shape[:2]
    assert width == pytest.approx(110 * columns * 1.1 * 2.3, abs=2)
    assert height > 2.5 * 110 * 1.1 * 2.3 * 24 / 32


def errors_of(n=4, k=5):
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, 60, (n, k, 2))
    found = truth + np.arange(k)[None, :, None]  # point k is wrong by k in x and y
    boxes = np.tile([0.0, 0, 30, 40], (n, 1))
    labelled = np.ones((n, k), bool)
    labelled[:, 3:4] = False
    labelled[0, 1:2] = False
    half = np.stack([co.scaling(0.5, 0.5)] * n)
    return Errors(2 * found, 2 * truth, half, labelled, boxes, (64, 64))


def test_mean_face():
    errors = errors_of()
    points, lengths = mean_face(errors)
    np.testing.assert_allclose(points[1], errors.input_truth[1:, 1].mean(0))
    np.testing.assert_allclose(lengths[[0, 1, 4]], np.sqrt(2) * np.array([0, 1, 4]))
    assert np.isnan(points[3]).all() and np.isnan(lengths[3])


def test_worst_points(tmp_path):
    worst_points(errors_of(), FIVE, tmp_path / "a.png")
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] == pytest.approx(110 * 11.4, abs=2)
    one = errors_of(2, 1)
    single = Skeleton("one", ("a",))
    worst_points(one, single, tmp_path / "b.png")
    with pytest.raises(DataError, match="labelled"):
        worst_points(replace(one, labelled=one.labelled & False), single, tmp_path / "c.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_mean_distance_counts_labelled_points():
    errors = errors_of()
    errors.labelled[3] = False
    mean = figures.mean_distance(errors)
    np.testing.assert_allclose(mean[:2], np.sqrt(2) * np.array([6 / 3, 7 / 4]))
    assert np.isnan(mean[3])


def test_a_picture_that_cannot_be_finished_leaves_nothing(tmp_path, monkeypatch):
    def stop(self, path, **kwargs):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", stop)
    with pytest.raises(OSError, match="full"):
        maps.sheet(view_of(), FIVE, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@settings(max_examples=30)
@given(st.text(max_size=60))
def test_any_history_is_read_or_refused(tmp_path_factory, text):
    path = scratch(tmp_path_factory) / "history.csv"
    path.write_bytes(("epoch,train_loss,val_loss,val_mae,lr\n" + text).encode("utf8", "replace"))
    try:
        columns = curves.read_history(path)
    except DataError as error:
        assert "history.csv" in str(error)
    else:
        assert all(len(x) == len(y) for x, y in columns.values())
