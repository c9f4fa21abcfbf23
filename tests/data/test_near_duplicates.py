"""Images that are there again under other names."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from heatkp import coordinates as co
from heatkp.config import Data
from heatkp.data.drawn import drawn_sample
from heatkp.data.inspection import inspect
from heatkp.data.loading import load_data
from heatkp.data.near_duplicates import (
    Pair,
    find_near_duplicates,
    groups_of,
    label_gap,
    without_near_duplicates,
)
from heatkp.data.samples import KeypointData, Labels
from heatkp.errors import DataError
from heatkp.skeletons import FACE68
from tests.cli.test_kaggle import write_imglab
from tests.conftest import heatkp

SIZE = 128


@pytest.fixture(scope="module")
def faces():
    return [drawn_sample(3, i, FACE68, SIZE) for i in range(10)]


def again(sample, matrix, size, name, quality=85, jitter=0.0, gain=1.0):
    """The image through an affine, as a JPEG, labelled anew: each point off by `jitter` pixels."""
    seen = cv2.warpAffine(sample.image(), matrix, size, borderMode=cv2.BORDER_REPLICATE)
    seen = np.clip(gain * seen.astype(float), 0, 255).astype(np.uint8)
    _, code = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, quality])
    image = cv2.imdecode(code, cv2.IMREAD_COLOR)
    turned = np.random.default_rng(0).uniform(0, 2 * np.pi, len(sample.points))
    points = co.apply(matrix, sample.points) + jitter * np.stack(
        [np.cos(turned), np.sin(turned)], 1
    )
    corners = co.apply(matrix, sample.box.reshape(2, 2)).ravel()
    return replace(
        sample, id=name, image=lambda: image, points=points.astype(np.float32),
        box=corners.astype(np.float32), person=None,
    )  # fmt: skip


SMALLER = co.compose(co.translation(-6, 4), co.scaling(0.7, 0.7))
LARGER = co.scaling(1.3, 1.3)


@pytest.fixture(scope="module")
def copies(faces):
    return [
        again(faces[2], SMALLER, (90, 90), "smaller", jitter=1.0),
        again(faces[5], LARGER, (166, 166), "larger", quality=60, jitter=2.0, gain=0.8),
        again(faces[5], np.eye(2, 3), (SIZE, SIZE), "same"),
    ]


def test_copies_are_found_and_other_faces_are_not(faces, copies):
    told = []
    pairs = find_near_duplicates([*faces, *copies], progress=lambda *counts: told.append(counts))
    assert [(p.first, p.second) for p in pairs] == [(2, 10), (5, 11), (5, 12), (11, 12)]
    assert all(0.9 <= p.likeness <= 1.0001 for p in pairs)
    assert told[-1] == (13, 13)
    assert groups_of(pairs, 13) == [[2, 10], [5, 11, 12]]
    # From the copy's pixels to those of the image.
    for pair, matrix in zip(pairs, (SMALLER, LARGER, np.eye(2, 3))):
        back = co.apply(pair.matrix, co.apply(matrix, faces[pair.first].points))
        assert np.abs(back - faces[pair.first].points).max() < 1.5


def test_between_two_parts(faces, copies):
    pairs = find_near_duplicates(faces, copies)
    assert [(p.first, p.second) for p in pairs] == [(2, 0), (5, 1), (5, 2)]
    assert find_near_duplicates(faces, []) == [] == find_near_duplicates([], faces)
    assert find_near_duplicates(faces) == []


def test_without_labels_boxes_and_pictures_that_can_be_read(faces, copies):
    """By the box, where points do not tell; what cannot be read is passed over."""

    def bare(sample, **changes):
        nothing = np.zeros(68, np.uint8)
        return replace(sample, visibility=nothing, points=sample.points * np.nan, **changes)

    def broken():
        raise DataError("no image")

    samples = [bare(s) for s in (faces[2], faces[3], faces[5], copies[0], copies[2])]
    pairs = find_near_duplicates([*samples, replace(faces[5], image=broken)])
    assert [(p.first, p.second) for p in pairs] == [(0, 3), (2, 4)]
    flat = replace(faces[0], image=lambda: np.full((64, 64, 3), 7, np.uint8))
    assert find_near_duplicates([flat, replace(flat, id="b")]) == []
    whole = [bare(s, box=None) for s in (faces[5], copies[2], faces[1])]
    assert [(p.first, p.second) for p in find_near_duplicates(whole)] == [(0, 1)]


def test_how_far_labels_of_one_photo_are_apart(faces, copies):
    """By known matrices: 1 pixel of a copy 0.7 times as large, 2 pixels of one 1.3 times."""
    samples = [*faces, *copies]
    pairs = [
        Pair(2, 10, 1.0, co.invert(SMALLER)),
        Pair(5, 11, 1.0, co.invert(LARGER)),
        Pair(5, 12, 1.0, np.eye(2, 3)),
    ]
    lengths = [100.0] * len(samples)
    groups = 1 / 0.7 / 100, 2 / 1.3 / 100 / 2
    assert label_gap(samples, pairs, lengths) == pytest.approx(np.mean(groups), rel=1e-3)
    assert label_gap(samples, pairs[:1], lengths) == pytest.approx(groups[0], rel=1e-3)
    lengths[2] = np.nan
    assert label_gap(samples, pairs[:1], lengths) is None is label_gap(samples, [], lengths)
    # And by those that are found.
    found = label_gap(samples, find_near_duplicates(samples), [100.0] * len(samples))
    assert found == pytest.approx(np.mean(groups), rel=0.35)


def test_training_samples_that_show_a_validation_photo_are_left_out(faces, copies):
    data = KeypointData(FACE68, [copies[0], *faces[3:6]], [faces[2], copies[2]])
    left = without_near_duplicates(data)
    assert [s.id for s in left.train] == [faces[3].id, faces[4].id] and left.val == data.val
    assert [s.id for s in left.left_out] == [copies[0].id, faces[5].id]
    (note,) = left.notes
    assert "2 of 4 training samples" in note and "data.leave_out_lookalikes" in note
    with pytest.raises(DataError, match="every training sample"):
        without_near_duplicates(KeypointData(FACE68, [copies[0]], [faces[2]]))


def test_by_setting_and_in_data_info(faces, copies, tmp_path):
    path = write_imglab(tmp_path, [*faces, *copies])
    plain = load_data(Data(path=str(path), validation=0.4))
    assert len(plain.train) + len(plain.val) == 13
    left = load_data(Data(path=str(path), validation=0.4, leave_out_lookalikes=True))
    assert [s.id for s in left.val] == [s.id for s in plain.val]
    assert find_near_duplicates(plain.train, plain.val) and not find_near_duplicates(
        left.train, left.val
    )
    assert len(left.train) < len(plain.train)
    every = Data(path=str(path), validation=0.4, leave_out_lookalikes=True, train_limit=2)
    unchosen = load_data(every, chosen=False)
    assert [s.id for s in unchosen.train] == [s.id for s in plain.train]
    assert [s.id for s in unchosen.val] == [s.id for s in plain.val]
    assert not any("leave_out_lookalikes" in note for note in unchosen.notes)
    result = heatkp("data", "info", path, "--out", tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    assert "2 groups of samples that show one image under other names" in result.output
    assert "images/5, images/11, images/12" in result.output
    assert "labels of one image" in result.output and "of inter-ocular" in result.output


def test_equal_files_and_related_names_are_told_elsewhere(faces):
    """A split keeps them together, or the files are listed as equal."""
    named = [replace(s, source_image="a") for s in (faces[1], replace(faces[1], id="b"))]
    equal = [faces[4], replace(faces[4], id="c")]
    found = inspect(Labels(FACE68, [*named, *equal]))
    assert found.near_duplicates == () and found.label_gap == pytest.approx(0, abs=1e-4)
    assert len(found.same_image) == 2
