from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from heatkp.config import Data, parse_settings
from heatkp.data.intensity import levels
from heatkp.errors import SettingsError

WAYS = ["range", "percentile", 8, 12, 16]
DEEP = [np.uint16, np.int8, np.int16, np.int32, np.uint32, np.uint64, np.float32, np.float64]
shapes = st.one_of(
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3)),
)


@given(st.data(), st.sampled_from(DEEP), st.sampled_from(WAYS))
def test_any_values_become_levels_in_their_order(data, dtype, way):
    values = data.draw(arrays.arrays(dtype, shapes))
    seen = levels(values, way)
    assert seen.dtype == np.uint8 and seen.shape == values.shape
    flat, found = values.ravel(), seen.ravel()
    known = ~np.isnan(flat.astype(np.float64))
    order = np.argsort(flat[known], kind="stable")
    assert (np.diff(found[known][order].astype(int)) >= 0).all()
    assert (found[~known] == 0).all()
    finite = flat[np.isfinite(flat.astype(np.float64))].astype(np.float64)
    if way == "range" and finite.size and finite.max() / 2 - finite.min() / 2 > 0:
        assert found[flat == finite.max()].min() == 255 and found[flat == finite.min()].max() == 0


@given(arrays.arrays(np.uint8, shapes), st.sampled_from(WAYS))
def test_eight_bits_are_never_touched(values, way):
    assert (levels(values, way) == values).all()


def test_twelve_bits_keep_their_depth():
    """In 16 bits they are no 16 levels."""
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for way in ("range", "percentile", 12):
        assert len(np.unique(levels(values, way))) == 256
    assert len(np.unique(levels(values, 16))) == 17
    assert (levels(values, 12) == np.rint(values / 4095 * 255)).all()


@pytest.mark.parametrize("value", [-7.0, 0.0, 4000.0, np.nan, np.inf])
def test_what_has_no_contrast_is_black(value):
    flat = np.full((3, 4), value, np.float32)
    assert not levels(flat).any() and not levels(flat, "percentile").any()


def test_values_that_are_not_finite_or_negative():
    values = np.array([[-1.0, 0.0, 3.0], [np.nan, np.inf, -np.inf]])
    assert levels(values).tolist() == [[0, 64, 255], [0, 255, 0]]
    assert levels(np.array([[-5, 0, 5000]], np.int16), 12).tolist() == [[0, 0, 255]]


def test_percentiles_leave_single_pixels_out():
    values = np.tile(np.linspace(100, 200, 50), (20, 1))
    values[3, 3] = 60000
    assert levels(values).max() == 255 and np.median(levels(values)) == 0
    assert abs(int(np.median(levels(values, "percentile"))) - 127) <= 4
    mostly = np.full((20, 20), 5.0)
    mostly[0, 0] = 9
    assert levels(mostly, "percentile")[0].tolist()[:2] == [255, 0]


def test_channels_are_scaled_together_and_what_is_not_seen_does_not_count():
    values = np.zeros((2, 2, 3), np.uint16)
    values[0, 0], values[1, 1] = (1000, 500, 0), (60000, 60000, 60000)
    seen = np.array([[True, True], [True, False]])
    assert levels(values, "range", seen)[0, 0].tolist() == [255, 128, 0]
    assert not levels(values, "range", np.zeros((2, 2), bool)).any()


@pytest.mark.parametrize("value", [7, 17, True, 12.0, "12", "minmax", None])
def test_settings_that_are_none(value):
    with pytest.raises(SettingsError, match="intensity: "):
        parse_settings({"data": {"intensity": value}})


def test_a_run_from_before_the_setting():
    assert Data().intensity == "range" and Data(intensity=12).model_dump()["intensity"] == 12
