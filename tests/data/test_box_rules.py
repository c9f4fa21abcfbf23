"""`box_error` and `other_form` at their limits: what is told, and what is not any more."""

from __future__ import annotations

import numpy as np
import pytest

from heatkp.data.boxes import box_error, other_form

SIZE = (40, 30)


@pytest.mark.parametrize(
    ("box", "hint"),
    [
        # Read as x, y, width, height they lie in the image, up to its edges.
        ((20, 25, 20, 5), "write 20, 25, 40, 30"),
        ((20, 25, 1, 0.5), "write 20, 25, 21, 25.5"),
        ((20, 0, 15, 5), "write 20, 0, 35, 5"),
        ((20, 25, 20.5, 5), None),
        ((20, 25, 20, 5.5), None),
        ((30, 25, 11, 3), None),
        ((20, 25, 0, 5), None),
        ((20, 25, 5, 0), None),
        ((20, 25, -1, 5), None),
        ((20, 25, 5, -1), None),
    ],
)
def test_sizes_instead_of_corners(box, hint):
    text = box_error(box, SIZE)
    assert "has no area" in text
    assert ("width, height" in text) == (hint is not None)
    if hint:
        assert text.endswith(hint)


@pytest.mark.parametrize(
    ("box", "fractions"),
    [
        ((-0.5, -0.5, 0.4, 0.4), True),
        ((0.1, 0.2, 1, 1), True),
        ((-0.6, 0.1, 0.3, 0.9), False),
        ((0.3, 0.2, 1.1, 0.9), False),
        ((10.2, 0.2, 11, 0.9), False),
        ((0.2, 10.2, 0.9, 11), False),
        ((0.2, 1.2, 0.9, 2.0), False),
    ],
)
def test_fractions_instead_of_pixels(box, fractions):
    text = box_error(box, SIZE)
    assert "smaller than a pixel" in text and ("40x30" in text) == fractions


def test_size_and_place():
    assert box_error((0, 0, 400, 10), SIZE) is None  # ten times the image's longer side
    assert "10 times" in box_error((0, 0, 400.5, 10), SIZE)
    assert "10 times" in box_error((0, 0, 10, 401), SIZE)
    whole = (-0.5, -0.5, 39.5, 29.5)
    assert box_error(whole, SIZE) is None
    for outside in ((39.5, 5, 60, 20), (5, 29.5, 20, 60), (-30, 5, -0.5, 20), (5, -30, 20, -0.5)):
        assert "outside" in box_error(outside, SIZE)
    for touching in ((39.4, 5, 60, 20), (5, 29.4, 20, 60), (-30, 5, -0.4, 20), (5, -30, 20, -0.4)):
        assert box_error(touching, SIZE) is None


def read_as_sizes(numbers):
    """Edges of boxes whose four numbers were read as x, y, width, height."""
    x, y, w, h = np.array(numbers, float).T
    return np.stack([x - 0.5, y - 0.5, x + w - 0.5, y + h - 0.5], 1)


def sizes(count, size=(100.0, 80.0)):
    return np.tile(np.array(size), (count, 1))


def test_fractions_of_a_whole_file():
    form = other_form(read_as_sizes([(0, 0, 1, 1), (1, 1, 0.2, 0.3)]), sizes(2))
    assert form.proven and form.example == 0 and "all 2 boxes" in form.text
    for other in ((-0.1, 0, 1, 1), (0, 1.1, 0.5, 0.5), (0, 0, 1.1, 1), (0, 0, 0.5, 1.5)):
        assert other_form(read_as_sizes([(0, 0, 1, 1), other]), sizes(2)) is None, other
    tiny = read_as_sizes([(0, 0, 1, 1)])  # all of an image of two pixels
    assert other_form(tiny, sizes(1, (2.0, 2.0))) is None
    assert other_form(tiny, sizes(1, (2.5, 2.5))) is not None
    assert other_form(np.zeros((0, 4)), np.zeros((0, 2))) is None


CORNERS = (60.0, 50.0, 90.0, 75.0)
"""As x, y, width, height it reaches far out of 100 x 80."""
INSIDE = (10.0, 10.0, 30.0, 30.0)
"""Lies inside, whichever way it is read."""


def test_corners_instead_of_sizes():
    form = other_form(read_as_sizes([INSIDE, CORNERS, INSIDE]), sizes(3))
    assert form is not None and not form.proven and form.example == 1
    assert form.text.startswith("1 of 3 boxes")
    assert other_form(read_as_sizes([INSIDE, CORNERS, CORNERS]), sizes(3)).example == 1
    # A third of the boxes must reach out.
    assert other_form(read_as_sizes([CORNERS, *[INSIDE] * 3]), sizes(4)) is None
    # All must lie inside as corners, a pixel more or less.
    for edge in ((-1, 0, 100, 80), (0, -1, 101, 81), (0, 0, 101, 81)):
        assert other_form(read_as_sizes([CORNERS, CORNERS, edge]), sizes(3)) is not None, edge
    for edge in ((-1.5, 0, 50, 50), (0, 0, 101.5, 50), (0, 0, 50, 81.5), (50, 10, 50, 60),
                 (50, 60, 70, 60)):  # fmt: skip
        assert other_form(read_as_sizes([CORNERS, CORNERS, edge]), sizes(3)) is None, edge


def test_how_far_is_far_and_what_is_proof():
    near, far = (55.0, 10.0, 55.0, 20.0), (55.0, 10.0, 56.0, 20.0)  # out by 10 % of 100, and more
    assert other_form(read_as_sizes([near] * 9), sizes(9)) is None
    near = (54.0, 10.0, 56.0, 20.0)
    assert other_form(read_as_sizes([near] * 9), sizes(9)) is None
    just = read_as_sizes([(5.0, 1.0, 6.0, 2.0)] * 9)  # by a tenth of 10, which floats hold
    assert other_form(just, sizes(9, (10.0, 10.0))) is None
    assert other_form(read_as_sizes([far] * 9), sizes(9)).proven
    assert not other_form(read_as_sizes([far] * 4), sizes(4)).proven
    assert other_form(read_as_sizes([far] * 5), sizes(5)).proven


def test_images_of_unknown_size_do_not_count():
    unknown = sizes(4)
    unknown[0], unknown[1, 1] = np.nan, np.nan
    form = other_form(read_as_sizes([INSIDE, INSIDE, INSIDE, CORNERS]), unknown)
    assert form.example == 3 and form.text.startswith("1 of 2 boxes")
    assert other_form(read_as_sizes([CORNERS]), np.full((1, 2), np.nan)) is None
