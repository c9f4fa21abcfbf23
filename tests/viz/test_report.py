"""What a report holds, and that it holds what was measured."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.config import Head
from heatkp.errors import DataError, SettingsError
from heatkp.viz import maps as viz_maps
from heatkp.viz.report import data, faces, page, tables
from tests.viz.reports import NASTY, renamed, report_run, unlabelled


@pytest.fixture(scope="module")
def run(tiny_run):
    return report_run(tiny_run, "tiny")


@pytest.fixture(scope="module")
def regression(tiny_run):
    return report_run(tiny_run, "plain", "regression")


def facts_of(made):
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', made.html, re.S)
    return json.loads(text[1])


def decoded(uri):
    head, _, body = uri.partition(",")
    assert head == "data:image/webp;base64"
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(body), np.uint8), cv2.IMREAD_COLOR)
    return picture[:, :, ::-1]


@pytest.fixture(scope="module")
def made(run):
    return page.build([run], 4)


def test_maps_come_back_from_the_page(run, made):
    facts = facts_of(made)
    own = facts["runs"][0]["maps"]
    places = {s.id: i for i, s in enumerate(run.dataset.samples)}
    assert len(facts["faces"]) == 4 and (own["width"], own["height"], own["stride"]) == (16, 16, 4)
    for face in facts["faces"][:2]:
        found = face["runs"][0]
        view = viz_maps.map_view(run.loaded.model, run.dataset, places[face["id"]], "")
        sheet = decoded(found["atlas"])
        for k in (0, 30, 67):
            row, column = divmod(k, own["columns"])
            tile = sheet[16 * row : 16 * (row + 1), 16 * column : 16 * (column + 1)]
            for channel, maps, peaks in ((0, view.maps, "peaks"), (1, view.targets, "targetPeaks")):
                back = tile[:, :, channel] / 255 * found[peaks][k]
                assert np.abs(back - maps[k]).max() <= maps[k].max() * (0.5 / 255 + 0.006)
        assert np.allclose(found["points"], view.points, atol=0.006)
        assert np.allclose(found["truth"], view.truth, atol=0.006)
        assert np.allclose(found["distance"], view.image_error, atol=0.006)
        # The errors of the whole set, which the tables are made of, say the same.
        assert np.allclose(found["distance"], run.distance[places[face["id"]]], atol=0.02)
        ellipses = [viz_maps.ellipse(c) for c in view.covariance]
        assert np.allclose(found["ellipses"][30], ellipses[30], atol=0.006)


def test_what_is_not_labelled_is_null(run):
    spoiled = unlabelled(run, 1, [30, 36])
    facts = facts_of(page.build([spoiled], 99))
    name = spoiled.dataset.samples[1].id
    found = next(f for f in facts["faces"] if f["id"] == name)
    own = found["runs"][0]
    assert own["truth"][30] is None and own["distance"][30] is None and own["targetPeaks"][30] == 0
    assert own["length"] is None and own["mean"] is None  # without an eye no inter-ocular
    assert own["points"][30] is not None and own["distance"][31] is not None
    assert found["turn"] is None
    whole = np.nanmean(spoiled.distance)
    assert spoiled.metrics()["distance_photo"] == pytest.approx(whole)


def test_a_nasty_name_does_nothing(run):
    nasty = replace(renamed(run, i2=NASTY), name=NASTY, environment={"a": NASTY, NASTY: 1})
    made = page.build([nasty], 99)
    assert "<img src=x" not in made.html
    assert made.html.count("</script>") == 2
    facts = facts_of(made)
    assert facts["runs"][0]["name"] == NASTY and NASTY in [f["id"] for f in facts["faces"]]
    assert "{{ 7 * 7 }}" in made.html and "\u2028" not in json.dumps(facts, ensure_ascii=True)


def test_the_page_loads_nothing(made):
    assert "default-src 'none'" in made.html
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", made.html)
    assert not re.findall(r"@import|url\(", made.html)
    assert made.size == len(made.html.encode()) < page.LIMIT


def test_faces_are_left_out_where_room_ends(run, made, monkeypatch):
    facts = facts_of(made)
    each = len(json.dumps(facts["faces"][0])) + len(facts["images"][0])
    monkeypatch.setattr(page, "LIMIT", made.size - each)
    told = []
    fewer = page.build([run], 4, told.append)
    assert 0 < fewer.shown < 4 and fewer.size <= page.LIMIT and fewer.total == 6
    assert told == list(range(1, fewer.shown + 1))
    # What is left is still the worst, then the best.
    assert [f["id"] for f in facts_of(fewer)["faces"]] == [
        f["id"] for f in facts["faces"][: fewer.shown]]  # fmt: skip
    monkeypatch.setattr(page, "LIMIT", made.size // 10)
    assert page.build([run], 4).shown == 0


def test_worst_and_best_go_first(run):
    mean = data.mean_errors(run, "inter-ocular")
    chosen = data.choose([run], "inter-ocular", 4)
    assert mean[chosen[0]] == mean.max() and mean[chosen[1]] == mean.min()
    assert sorted(data.choose([run], "inter-ocular", 99)) == list(range(6))


@given(st.integers(1, 300))
def test_spread_is_an_order(count):
    order = data.spread(count)
    assert sorted(order) == list(range(count))
    begin = sorted(order[: min(count, 9)])
    assert max(np.diff(begin), default=0) <= -(-count // 4)


def test_equal_pictures_are_stored_once(run, regression):
    made = page.build(data.on_common_samples([run, regression]), 4)
    facts = facts_of(made)
    assert len(facts["images"]) == 4
    assert [f["runs"][0]["image"] for f in facts["faces"]] == [0, 1, 2, 3]
    assert all(f["runs"][1]["image"] == f["runs"][0]["image"] for f in facts["faces"])
    assert "atlas" not in facts["faces"][0]["runs"][1] and facts["runs"][1]["maps"] is None


def test_runs_are_matched_by_id(run, regression):
    shuffled = regression.take([4, 2, 0])
    one, other = data.on_common_samples([run, shuffled])
    assert [s.id for s in one.dataset.samples] == [s.id for s in other.dataset.samples]
    assert len(one.dataset) == 3
    assert np.array_equal(one.errors.image_truth, other.errors.image_truth)
    assert np.array_equal(other.errors.image_points[0], shuffled.errors.image_points[2])
    recorded = replace(run, recorded={"split": "val", "images": 6, "mae_photo": 1.0})
    notes = page.build(data.on_common_samples([recorded, shuffled]), 1).notes
    assert len(notes) == 1 and "6 faces" in notes[0] and "3 that" in notes[0]


def test_what_cannot_be_compared(run, regression):
    with pytest.raises(DataError, match=r"no validation sample in common.*data.split_seed"):
        data.on_common_samples([run.take([0, 1]), regression.take([2])])
    few = replace(regression, loaded=replace(regression.loaded,
                                             skeleton=run.skeleton.subset([1, 2])))  # fmt: skip
    with pytest.raises(SettingsError, match=r"tiny.*jaw_0.*\(66 points\)"):
        data.on_common_samples([run, few])
    with pytest.raises(SettingsError, match="at most 9"):
        data.on_common_samples([run] * 10)


def test_numbers_that_disagree_are_noted(run):
    now = run.metrics()
    same = replace(run, recorded={**now, "split": "val"})
    assert page.build([same], 1).notes == []
    other = {**now, "split": "val", "mae_photo": 2 * now["mae_photo"]}
    assert "have changed" in page.build([replace(run, recorded=other)], 1).notes[0]
    larger = replace(
        run, name="x", errors=replace(run.errors, image_truth=run.errors.image_points + 9)
    )
    assert "differ in size or labels" in page.build([run, larger], 1).notes[0]


def test_large_maps_keep_their_probability():
    rng = np.random.default_rng(0)
    maps = rng.random((2, 130, 250), np.float32)
    maps /= maps.sum((1, 2), keepdims=True)
    assert faces.block_factor(130, 250) == 2
    small = faces.cells(maps, "logits")
    assert small.shape == (2, 65, 125)
    assert np.allclose(small.sum((1, 2)), 1, atol=1e-5)
    assert small[1, 3, 4] == pytest.approx(maps[1, 6:8, 8:10].sum())
    peaks = faces.cells(maps, "gaussian")
    assert peaks[1, 3, 4] == pytest.approx(maps[1, 6:8, 8:10].mean())
    assert faces.cells(maps[:, :65, :128], "logits").shape == (2, 65, 128)
    assert faces.cells(maps[:, :129, :129], "logits").shape == (2, 65, 65)


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 5))
def test_an_atlas_has_every_map(count, height, width):
    rng = np.random.default_rng(count)
    first, second = rng.integers(0, 256, (2, count, height, width), np.uint8)
    sheet = faces.atlas(first, second)
    columns = faces.atlas_columns(count)
    for k in range(count):
        y, x = k // columns * height, k % columns * width
        tile = sheet[y : y + height, x : x + width]
        assert np.array_equal(tile[:, :, 0], first[k])
        assert np.array_equal(tile[:, :, 1], second[k])


def test_levels():
    maps = np.array([[[0, 1, 2]], [[0, 0, 0]], [[np.nan, 1, 2]]], np.float32)
    assert faces.levels(maps).tolist() == [[[0, 128, 255]], [[0, 0, 0]], [[0, 0, 0]]]


def test_distributions_say_what_was_measured(run):
    values = np.array([0.01, 0.02, 0.02, 0.05, 0.1, 0.3])
    lengths = data.lengths_of(run, "inter-ocular")
    offset = np.zeros_like(run.errors.image_points)
    offset[..., 0] = (values * lengths)[:, None]
    exact = replace(run, errors=replace(run.errors, image_points=run.errors.image_truth + offset))
    found = page.distributions([exact], "inter-ocular")
    own = found["runs"][0]
    assert found["unit"] == "%" and len(found["edges"]) == page.BINS + 1
    assert own["over"] == 1 and own["count"] == 6
    assert sum(own["histogram"]) == pytest.approx(1, abs=1e-3)
    at = dict(zip(own["levels"], own["shares"]))
    assert at[0.03] == pytest.approx(0.5) and at[0.06] == pytest.approx(4 / 6, abs=1e-5)
    pixels = page.distributions([exact], None)
    assert pixels["unit"] == "px" and pixels["runs"][0]["shares"][-1] >= 0.8


def test_tables(run, regression):
    metrics = [run.metrics(), regression.metrics()]
    rows = {row["name"]: row for row in tables.metric_rows(metrics)}
    nme = metrics[0]["normalised"]["inter-ocular"]["nme"]
    assert rows["NME, inter-ocular"]["values"][0] == f"{100 * nme:.2f} %"
    best = rows["NME, inter-ocular"]["best"]
    assert best.index(True) == int(metrics[1]["normalised"]["inter-ocular"]["nme"] < nme)
    pck = rows["PCK at 10 %, inter-ocular"]["best"]
    shares = [m["normalised"]["inter-ocular"]["pck"]["0.1"] for m in metrics]
    assert pck == ([s == max(shares) for s in shares] if len(set(shares)) > 1 else [False] * 2)
    assert not any(any(row["best"]) for row in tables.metric_rows(metrics[:1]))
    apart = {row["name"]: row["best"] for row in tables.metric_rows(metrics, same_size=False)}
    assert any(rows["MAE, input"]["best"]) and not any(apart["MAE, input"])
    assert apart["MAE, image"] == rows["MAE, image"]["best"]
    points = tables.point_rows([run, regression], "inter-ocular")
    for row, recorded in zip(points, metrics[0]["points"]):
        assert row["name"] == recorded["name"]
        assert row["cells"][0]["px"] == pytest.approx(recorded["distance_photo"])
        assert row["cells"][0]["share"] == pytest.approx(recorded["nme"]["inter-ocular"])
    parts = {row["name"]: row for row in tables.part_rows([run], "inter-ocular")}
    assert len(parts) == 10 and parts["left_eye"]["points"] == list(range(42, 48))
    own = run.distance[:, 42:48]
    assert parts["left_eye"]["cells"][0]["px"] == pytest.approx(own.mean())
    assert max(row["cells"][0]["px_bar"] for row in parts.values()) == 100


def test_parts_weigh_points_not_means(run):
    spoiled = unlabelled(run, 0, range(42, 47))
    part = next(r for r in tables.part_rows([spoiled], None) if r["name"] == "left_eye")
    own = spoiled.distance[:, 42:48]
    assert part["cells"][0]["px"] == pytest.approx(own[np.isfinite(own)].mean())
    assert part["cells"][0]["share"] is None


def test_settings_that_differ(run, regression):
    groups = dict(tables.setting_groups([run, regression]))
    heads = {row["name"]: row for row in groups["head"]}
    assert heads["name"]["differs"] and heads["name"]["values"] == ["softargmax", "regression"]
    assert not any(row["differs"] for row in groups["optimiser"])
    environment = {row["name"]: row["values"] for row in tables.environment_rows([run])}
    assert environment["command"] == ["a b"]


@pytest.mark.parametrize("head", ["ce", "bce", "nll", "argmax"])
def test_heads_and_inputs(tiny_run, head):
    other = report_run(tiny_run, head, head, count=2, size=[72, 40], grey=True)
    made = page.build([other], 2)
    facts = facts_of(made)
    own = facts["runs"][0]
    assert own["size"] == [72, 40] and (own["maps"]["width"], own["maps"]["height"]) == (18, 10)
    found = facts["faces"][0]["runs"][0]
    assert decoded(found["atlas"]).shape == (8 * 10, 9 * 18, 3)
    assert decoded(facts["images"][0]).shape == (40, 72, 3)
    peaks = np.array([p for p in found["targetPeaks"] if p], float)
    assert (peaks <= 1).all() and len(peaks) > 40
    assert ("sum to 1" in own["maps"]["white"]) == (head in ("ce", "nll"))


def test_targets_are_null_where_training_asks_for_no_map(tiny_run):
    head = Head(name="softargmax", regulariser="none")
    facts = facts_of(page.build([report_run(tiny_run, "plain mean", head, count=2)], 2))
    for face in facts["faces"]:
        found = face["runs"][0]
        assert found["targetPeaks"] == [None] * 68 and any(found["truth"])
        sheet = decoded(found["atlas"])
        assert sheet[:, :, 0].any() and not sheet[:, :, 1].any()


def test_a_run_of_one_point(run):
    """A nose alone has no length to divide by, no parts, and little to choose from."""
    nose = run.skeleton.subset([30])
    errors = run.errors
    only = replace(
        errors,
        image_points=errors.image_points[:, 30:31],
        image_truth=errors.image_truth[:, 30:31],
        labelled=errors.labelled[:, 30:31], boxes=np.full((6, 4), np.nan),
        scores=errors.scores[:, 30:31], covariance=errors.covariance[:, 30:31],
    )  # fmt: skip
    small = replace(run, errors=only, loaded=replace(run.loaded, skeleton=nose))
    assert data.common_normaliser([small]) is None
    assert np.isnan(data.head_turns(small)).all()
    assert tables.part_rows([small], None) == []
    words = tables.headline(small, small.metrics(), None)
    assert "1 point " in words and "diagonal" not in words
    assert f"{np.nanmean(small.distance):.2f} px" in words
