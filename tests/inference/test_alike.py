"""Whole poses that are one object, among what a predictor finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heatkp.errors import SettingsError
from heatkp.inference.alike import without_alike
from tests.inference.test_measuring import found


def test_the_surer_of_one_image_stays_in_its_place():
    sure, less, other = found(20, 20, 0.9), found(20, 20, 0.4, off=0.2), found(60, 30, 0.5)
    elsewhere = replace(less, image=1)
    assert without_alike([less, other, sure, elsewhere], 0.9) == [other, sure, elsewhere]
    assert without_alike([less, other, sure], None) == [less, other, sure]


def test_without_boxes_the_points_decide():
    first = replace(found(20, 20, 0.3), box=None, box_score=None)
    second = replace(found(20, 20, 0.6, off=0.1), box=None, box_score=None)
    assert without_alike([first, second], 0.5) == [second]
    bare = replace(first, scores=np.full(3, np.nan))
    assert without_alike([bare, first], 0.5) == [first]


def test_a_threshold_that_cannot_be():
    with pytest.raises(SettingsError):
        without_alike([found(1, 1)], 2.0)
