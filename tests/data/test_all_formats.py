"""Every sample of a tool's format is read as its expected.json says, as a folder and as a file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from heatkp.data.readers import READERS, read, recognise

FORMATS = {
    "animalpose_original": "animalpose",
    "bioid": "pts",
    "celeba": "celeba",
    "coco_many_categories": "coco",
    "coco_no_names": "coco",
    "coco_person": "coco",
    "csv_extra_columns": "csv",
    "cvat_coco_keypoints": "coco",
    "cvat_points": "cvat",
    "cvat_skeleton": "cvat",
    "deeplabcut_multi": "deeplabcut",
    "deeplabcut_single": "deeplabcut",
    "isbi_cephalometric": "isbi",
    "label_studio": "label_studio",
    "label_studio_min": "label_studio",
    "labelme": "labelme",
    "lightning_pose": "lightning_pose",
    "lsp_mat": "lsp",
    "morpho_csv_y_up": "csv",
    "pts_two_folders": "pts",
    "roboflow_coco": "coco",
    "sleap": "sleap",
    "tps": "tps",
    "via_json": "via",
    "wflw": "wflw",
    "yolo_pose": "yolo",
}
"""Folder -> the reader that reads it."""
FILES = {
    "animalpose_original": "keypoints.json",
    "bioid": "points_20/bioid_0000.pts",
    "celeba": "Anno/list_landmarks_align_celeba.txt",
    "coco_many_categories": "annotations/ap10k-train-split1.json",
    "coco_no_names": "face_landmarks_sample.json",
    "coco_person": "annotations/person_keypoints_val2017.json",
    "csv_extra_columns": "labels.csv",
    "cvat_coco_keypoints": "annotations/person_keypoints_default.json",
    "deeplabcut_multi": "labeled-data/video1/CollectedData_tester.csv",
    "deeplabcut_single": "config.yaml",
    "lightning_pose": "CollectedData.csv",
    "lsp_mat": "joints.mat",
    "morpho_csv_y_up": "coordinates.csv",
    "pts_two_folders": "001/annot/000006.pts",
    "roboflow_coco": "train/_annotations.coco.json",
    "sleap": "labels_format1.0.slp",
    "tps": "landmarks.TPS",
    "yolo_pose": "data.yaml",
    "wflw": "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt",
}
"""A single file of a sample, to be read alike; it may hold a part of the samples."""
FOLDERS = {"sleap": "labels.slp"}
"""What is read where a folder holds the same labels several times."""
MORE = {"morpho_csv_y_up": {"y_up": True}}
"""What a user has to say."""
UNORDERED = ("labelme",)
"""Formats whose files have the points in no order."""
SPLITS = {"valid": "val"}


def here(folder: str) -> str:
    if FORMATS[folder] not in READERS:
        pytest.skip(f"there is no reader {FORMATS[folder]} yet")
    return folder


def require_alike(folder: Path, expected: dict, path: Path, whole: bool) -> None:
    more = MORE.get(folder.name, {})
    skeleton, samples, _ = read(path, **more)
    names = [list(skeleton.point_names)]
    if folder.name in UNORDERED:
        order = [names[0].index(name) for name in expected["names"]]
        skeleton, samples = skeleton.subset(order), [s.take(order) for s in samples]
        names = [list(skeleton.point_names)]
    assert expected["names"] in names or expected.get("names_alternative") in names
    samples = [s for s in samples if not (s.ignored and not (s.visibility > 0).any())]
    told = expected["samples"]
    if not whole:
        files = {s.file for s in samples}
        told = [t for t in told if folder / t["image"] in files]
        assert told
    assert Counter(s.file for s in samples) == Counter(folder / t["image"] for t in told)
    left = list(samples)
    for one in told:
        of_image = [s for s in left if s.file == folder / one["image"]]
        sample = min(of_image, key=lambda s: distance(s, one))
        left = [s for s in left if s is not sample]
        require_one(sample, one, expected, skeleton, whole)


def distance(sample, one) -> float:
    """To tell several objects of an image apart."""
    points = expected_points(one)
    known = np.isfinite(points).all(1) & (sample.visibility > 0)
    return float(abs(sample.points[known] - points[known]).sum() + 1000 * (~known).sum())


def expected_points(one) -> np.ndarray:
    return np.array([[np.nan] * 2 if p is None else p for p in one["points"]], float)


def require_one(sample, one, expected, skeleton, whole) -> None:
    tolerance = expected["tolerance"]
    points = expected_points(one)
    if "mean_of_both" in one:
        points = np.array(one["mean_of_both"], float)
    known = np.isfinite(points).all(1)
    assert ((sample.visibility > 0) == known).all(), sample.id
    assert abs(sample.points[known] - points[known]).max(initial=0) <= tolerance, sample.id
    all_visible = "visible_alternative" in expected and set(one["visible"]) == {1}
    visible = [2] * len(one["visible"]) if all_visible else one["visible"]
    assert sample.visibility.tolist() == visible
    if "box" in one:
        assert sample.box is not None
        assert abs(sample.box - one["box"]).max() <= expected.get("box_tolerance", 0.01)
    if "split" in one and whole:
        assert sample.split == SPLITS.get(one["split"], one["split"])
    if "photo" in one:
        assert sample.source_image == one["photo"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder(formats_folder, name):
    folder = formats_folder / here(name)
    place = folder / FOLDERS.get(name, "")
    assert recognise(place) == FORMATS[name]
    expected = json.loads((folder / "expected.json").read_text())
    require_alike(folder, expected, place, True)


@pytest.mark.parametrize("name", FILES)
def test_a_file(formats_folder, name):
    folder = formats_folder / here(name)
    assert recognise(folder / FILES[name]) == FORMATS[name]
    expected = json.loads((folder / "expected.json").read_text())
    require_alike(folder, expected, folder / FILES[name], False)


def test_every_sample_is_looked_at(formats_folder):
    assert {p.name for p in formats_folder.iterdir() if p.is_dir()} == set(FORMATS)
