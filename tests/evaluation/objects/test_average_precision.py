"""COCO's figures beside pycocotools', on the same files."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from heatkp.errors import DataError, SettingsError
from heatkp.evaluation.metrics import METRICS, all_metrics
from heatkp.evaluation.objects import (
    ImageObjects,
    TrueObjects,
    matched_errors,
    oks,
    sigmas_for,
    sigmas_of_repeats,
)
from heatkp.evaluation.objects.labels import read_truth
from heatkp.evaluation.objects.oks import COCO_SIGMAS
from heatkp.evaluation.objects.results import read_results, score_results
from heatkp.skeletons import Skeleton
from tests.conftest import heatkp, scratch

NAMES = ["AP", "AP50", "AP75", "AP_medium", "AP_large", "AR", "AR50", "AR75", "AR_medium",
         "AR_large"]  # fmt: skip


def case(seed, images, most, count, categories, levels):
    """Labels and results: crowds, objects without points, ties of scores, of places and of areas,
    more than 20 objects, points far off."""
    rng = np.random.default_rng(seed)
    names = list(COCO_SIGMAS)[:count]
    labels = {
        "images": [{"id": int(i), "file_name": f"{i}.jpg"} for i in rng.permutation(images) + 1],
        "categories": [
            {"id": int(c) + 1, "name": f"c{c}", "keypoints": names} for c in range(categories)
        ],
        "annotations": [],
    }
    results = []
    for image in range(1, images + 1):
        for _ in range(rng.integers(0, most + 1)):
            size = float(rng.choice([20, 32, 60, 96, 200]))
            corner = rng.integers(0, 100, 2).astype(float)
            points = (corner + rng.random((count, 2)) * size).round(rng.integers(0, 3))
            seen = rng.integers(0, 3, count) * (rng.random() < 0.85)
            kind = int(rng.integers(categories)) + 1
            area = size**2 * float(rng.choice([1.0, 0.5]))
            labels["annotations"].append({
                "id": len(labels["annotations"]) + 1, "image_id": image, "category_id": kind,
                "keypoints": np.column_stack([points * (seen > 0)[:, None], seen]).ravel().tolist(),
                "num_keypoints": int((seen > 0).sum()), "iscrowd": int(rng.random() < 0.15),
                "bbox": [*corner.tolist(), size, size], "area": area,
            })  # fmt: skip
            for _ in range(rng.integers(0, 4)):
                off = rng.normal(0, size * rng.choice([0.0, 0.02, 0.1, 0.4]), points.shape)
                found = np.column_stack([points + off, np.ones(count)]).ravel().tolist()
                score = float(rng.integers(1, levels + 1)) / levels
                results.append({"image_id": image, "category_id": kind if rng.random() < 0.9 else 1,
                                "keypoints": found, "score": score})  # fmt: skip
    if not labels["annotations"]:
        return case(seed + 1, images, max(most, 1), count, categories, levels)
    return labels, results


def theirs(labels, results, sigmas):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = json.loads(json.dumps(labels))
        truth.createIndex()
        measured = COCOeval(truth, truth.loadRes(json.loads(json.dumps(results))), "keypoints")
        measured.params.kpt_oks_sigmas = sigmas
        measured.evaluate()
        measured.accumulate()
        measured.summarize()
    return dict(zip(NAMES, measured.stats))


def ours(folder, labels, results, sigmas="coco"):
    (folder / "labels.json").write_text(json.dumps(labels))
    (folder / "results.json").write_text(json.dumps(results))
    truth = read_truth(folder / "labels.json")
    found = read_results(folder / "results.json", len(truth.skeleton))
    return score_results(found, truth, sigmas_for(truth.skeleton, sigmas))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    images=st.integers(1, 6),
    most=st.sampled_from([1, 3, 5, 30]),
    count=st.sampled_from([1, 5, 17]),
    categories=st.sampled_from([1, 1, 2]),
    levels=st.sampled_from([2, 5, 1000]),
)
def test_as_pycocotools(tmp_path_factory, seed, images, most, count, categories, levels):
    labels, results = case(seed, images, most, count, categories, levels)
    if not results:
        results = [{"image_id": 1, "category_id": 1, "keypoints": [0.0] * 3 * count, "score": 0.5}]
    sigmas = np.array(list(COCO_SIGMAS.values()))[:count]
    expected = theirs(labels, results, sigmas)
    found = ours(scratch(tmp_path_factory), labels, results)["average_precision"]
    assert list(found) == NAMES
    for name in NAMES:
        value = -1.0 if found[name] is None else found[name]
        assert value == pytest.approx(expected[name], abs=1e-9), name


def test_the_cases_hold_what_is_to_be_compared():
    """Else the comparison would say little."""
    cases = [case(seed, 6, 30, 5, 1, 2) for seed in range(5)]
    notes = [n for labels, _ in cases for n in labels["annotations"]]
    assert any(n["iscrowd"] for n in notes) and any(n["num_keypoints"] == 0 for n in notes)
    counts = [[r["image_id"] for r in results].count(i) for _, results in cases for i in range(7)]
    assert max(counts) > 20
    values = [theirs(labels, r, np.full(5, 0.05))["AP"] for labels, r in cases]
    assert min(values) > 0.02 and max(values) < 0.98


def test_oks_by_hand():
    true = np.array([[0.0, 0.0], [10.0, 0.0], [np.nan, np.nan]])
    visible, sigmas = [True, True, False], [0.1, 0.05, 0.1]
    off = true + np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    expected = (np.exp(-25 / (2 * 100 * 0.2**2)) + 1) / 2
    assert oks(off, true, visible, 100.0, sigmas) == pytest.approx(expected)
    off[1] = np.nan
    assert oks(off, true, visible, 100.0, sigmas) == pytest.approx(expected - 0.5)
    assert oks(off, true, [False] * 3, 100.0, sigmas) == 0
    many = oks(np.zeros((4, 1, 3, 2)), np.zeros((1, 5, 3, 2)), np.ones((1, 5, 3)), np.ones((1, 5)),
               sigmas)  # fmt: skip
    assert many.shape == (4, 5) and (many == 1).all()


def test_sigmas():
    coco = Skeleton("some", ("nose", "left_ankle"))
    assert sigmas_for(coco).tolist() == [0.026, 0.089]
    assert sigmas_for(coco, 0.1).tolist() == [0.1, 0.1]
    other = Skeleton("fly", ("nose", "wing"))
    assert sigmas_for(other).tolist() == [0.05, 0.05]
    for bad in ("coco", [0.1], [0.1, 0.0], float("nan")):
        with pytest.raises(SettingsError):
            sigmas_for(other, bad)


def test_sigmas_of_what_was_labelled_twice():
    rng = np.random.default_rng(0)
    areas, sigmas = rng.uniform(1000, 9000, 4000), np.array([0.02, 0.08])
    spread = np.sqrt(areas)[:, None, None] * sigmas[:, None]
    one, two = rng.normal(0, 1, (2, 4000, 2, 2)) * spread + rng.uniform(0, 500, (4000, 1, 2))
    one[:100, 1] = np.nan
    assert sigmas_of_repeats(one, two, areas) == pytest.approx(sigmas, rel=0.03)
    with pytest.raises(SettingsError):
        sigmas_of_repeats(one[:5], two[:5], areas[:5])


def scene(found, scores, true, ignored=None):
    true = np.asarray(true, np.float64).reshape(-1, 2, 2)
    n = len(true)
    hidden = np.zeros(n, bool) if ignored is None else np.array(ignored)
    truth = TrueObjects(true, np.ones((n, 2), bool), np.full(n, 100.0), np.zeros((n, 4)),
                        np.zeros(n, bool), hidden)  # fmt: skip
    return ImageObjects.of(found, scores, truth, [0.1, 0.1])


def test_misses_false_alarms_and_errors():
    true = [[[0, 0], [9, 9]], [[50, 50], [59, 59]], [[90, 0], [99, 9]]]
    found = [[[50, 51], [59, 60]], [[1, 0], [9, np.nan]], [[200, 0], [200, 9]], [[90, 0], [99, 9]]]
    told = matched_errors([scene(found, [0.9, 0.2, 0.8, 0.1], true, [False, False, True])])
    # The second matches at (exp(-1 / 8) + 0) / 2 = 0.44: not found.
    assert (told["true"], told["found"], told["missed"], told["false"]) == (2, 1, 1, 2)
    assert told["precision"] == pytest.approx(1 / 3) and told["recall"] == 0.5
    assert told["median_error"] == 1.0 and told["points_missed"] == 0
    assert told["images_with_wrong_count"] == 1
    assert told["pck_0.05"] == 0.0 and told["pck_0.1"] == 1.0
    none = matched_errors([])
    assert none["precision"] is None and none["median_error"] is None and none["true"] == 0


def test_metrics_of_objects_stand_in_the_registry():
    names = [metric.name for metric in all_metrics("objects")]
    assert names == ["average_precision", "objects"]
    assert METRICS["objects"].function([scene([], [], [[[0, 0], [9, 9]]])])["missed"] == 1


@pytest.mark.parametrize(
    "content",
    ["[1]", "3", "[", '[{"image_id": 1, "keypoints": [1, 2]}]', '[{"image_id": 9, "keypoints": 1}]',
     '[{"image_id": 1, "keypoints": [1, 2, 3, 4, 5, 6], "score": "high"}]',
     '[{"image_id": 1, "keypoints": [1, 2, 3, 4, 5, 6], "score": 1%s}]' % ("0" * 400),
     '[{"image_id": 77, "category_id": 1, "keypoints": [1, 2, 3, 4, 5, 6], "score": 1}]'],
)  # fmt: skip
def test_what_is_no_file_of_results(tmp_path, content):
    labels, _ = case(1, 2, 3, 2, 1, 2)
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    (tmp_path / "results.json").write_text(content)
    truth = read_truth(tmp_path / "labels.json")
    with pytest.raises(DataError):
        score_results(read_results(tmp_path / "results.json", 2), truth, sigmas_for(truth.skeleton))
    result = heatkp("score", tmp_path / "results.json", "--data", tmp_path / "labels.json")
    assert result.exit_code == 2 and "Traceback" not in result.output


def test_score_on_the_command_line(tmp_path):
    labels, results = case(3, 5, 4, 5, 1, 1000)
    for number, note in enumerate(labels["annotations"]):
        note["track_id"] = number % 3 + 10 * note["image_id"]
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    (tmp_path / "results.json").write_text(json.dumps(results))
    arguments = ("score", tmp_path / "results.json", tmp_path / "labels.json", "--sigmas", "0.05")
    told = json.loads(heatkp(*arguments, "--json").stdout)
    expected = theirs(labels, results, np.full(5, 0.05))
    assert told["average_precision"]["AP"] == pytest.approx(expected["AP"], abs=1e-9)
    assert "tracks" not in told  # the results have none
    text = heatkp(*arguments).output
    assert f"{expected['AP']:.4f}" in text and "false alarms" in text
    for wrong in (["--sigmas", "x"], ["--frames", "1-2"], ["--frames", "5-2"], ["--data", "x"]):
        assert heatkp(*arguments[:3], *wrong).exit_code == 2, wrong
