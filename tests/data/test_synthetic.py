"""The drawn faces: the same everywhere, and labelled where they are painted."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatkp.coordinates import normalise
from heatkp.data import synthetic
from heatkp.data.synthetic import Face, draw_face, extras, render
from heatkp.data.synthetic.canvas import CIRCLE, Canvas
from heatkp.data.synthetic.look import sample_look
from heatkp.data.synthetic.model import Traits, sample_traits
from heatkp.data.synthetic.shape import build_head
from heatkp.skeletons import FACE58, FACE68

SAME_PLACE = {
    **{6: 8, 13: 45, 17: 42, 21: 36, 25: 39, 29: 22, 33: 26, 34: 21, 38: 17},
    **{39: 48, 41: 51, 43: 54, 45: 57, 52: 33},
}
"""Points of the 58-point layout and the points of the 68 that they equal."""


@pytest.fixture(scope="module")
def faces() -> list[Face]:
    return [draw_face(3, i, 64) for i in range(150)]


def person(index: int = 0, **changes: object) -> Traits:
    traits = sample_traits(np.random.default_rng([9, index]))
    return dataclasses.replace(traits, **changes)  # type: ignore[arg-type]


def painter(traits: Traits, size: int = 128, **changes: object) -> render.Painter:
    """A painter without anything before the face."""
    bare = {"style": "bald", "beard": "none", "glasses": "none", "occluder": "none"}
    look = sample_look(np.random.default_rng(5))
    look = dataclasses.replace(look, **(bare | changes))  # type: ignore[arg-type]
    return render.Painter(Canvas(size), build_head(traits), look, traits)


def digest(face: Face) -> str:
    parts = [face.image, face.points, face.visibility, face.points58, face.visibility58, face.box]
    return hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest()


def distance_to_edge(mask: np.ndarray, points: np.ndarray, finer: int = 8) -> np.ndarray:
    """How far (pixels) each point is from where a mask of shares passes one half."""
    size = mask.shape[0] * finer
    fine = cv2.resize(mask, (size, size), interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours(
        (fine > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    at = (points + 0.5) * finer - 0.5
    each = [[cv2.pointPolygonTest(c, xy, True) for xy in at.tolist()] for c in contours]
    return np.abs(each).min(0) / finer


class TestDeterminism:
    def test_order_of_drawing_does_not_matter(self) -> None:
        forward = [digest(draw_face(1, i, 64)) for i in range(4)]
        backward = [digest(draw_face(1, i, 64)) for i in reversed(range(4))]
        assert forward == backward[::-1]

    def test_global_random_state_is_neither_used_nor_changed(self) -> None:
        state = np.random.get_state
        before = state()[1].copy()
        first = digest(draw_face(2, 5, 48))
        assert np.array_equal(before, state()[1])
        np.random.seed(1)  # noqa: NPY002
        assert digest(draw_face(2, 5, 48)) == first

    def test_another_process_draws_the_same(self) -> None:
        source = (
            "import hashlib\nfrom heatkp.data.synthetic import draw_face\n"
            "f = draw_face(4, 7, 96)\n"
            "p = [f.image, f.points, f.visibility, f.points58, f.visibility58, f.box]\n"
            "print(hashlib.sha256(b''.join(x.tobytes() for x in p)).hexdigest())"
        )
        done = subprocess.run(
            [sys.executable, "-c", source], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == digest(draw_face(4, 7, 96))

    def test_every_index_and_seed_is_another_face(self, faces: list[Face]) -> None:
        assert len({digest(f) for f in faces}) == len(faces)
        assert len({round(f.yaw, 6) for f in faces}) == len(faces)
        assert digest(draw_face(0, 1, 48)) != digest(draw_face(1, 0, 48))


class TestContract:
    def test_shapes_types_and_ranges(self, faces: list[Face]) -> None:
        for face in faces:
            assert face.image.shape == (64, 64, 3) and face.image.dtype == np.uint8
            assert face.points.shape == (len(FACE68), 2) and face.points.dtype == np.float32
            assert face.points58.shape == (len(FACE58), 2) and face.points58.dtype == np.float32
            for codes, count in ((face.visibility, 68), (face.visibility58, 58)):
                assert codes.shape == (count,) and codes.dtype == np.uint8
                assert set(codes.tolist()) <= {1, 2}
            assert np.isfinite(face.points).all() and np.isfinite(face.points58).all()
            x0, y0, x1, y1 = face.box
            assert face.box.dtype == np.float32
            assert (face.points > (x0, y0)).all() and (face.points < (x1, y1)).all()
            assert isinstance(face.yaw, float)

    def test_faces_fill_a_good_part_of_the_picture(self, faces: list[Face]) -> None:
        fills = [np.ptp(f.points, 0).max() / 64 for f in faces]
        assert min(fills) > 0.44 and max(fills) < 0.81
        inside = [((f.points > -0.5) & (f.points < 63.5)).all(1).mean() for f in faces]
        assert np.mean(inside) > 0.98

    def test_pictures_are_neither_flat_nor_burnt_out(self, faces: list[Face]) -> None:
        means = np.array([f.image.mean() for f in faces])
        assert means.min() > 8 and means.max() < 235
        assert np.median([f.image.std() for f in faces]) > 25

    def test_yaw_covers_both_sides(self, faces: list[Face]) -> None:
        yaws = np.array([f.yaw for f in faces])
        assert yaws.min() < -35 and yaws.max() > 35
        assert np.abs(yaws).max() <= 45

    @pytest.mark.parametrize("size", [47, 513, 0, -8])
    def test_bad_size(self, size: int) -> None:
        with pytest.raises(ValueError, match=r"size -?\d+ is not between 48 and 512"):
            draw_face(0, 0, size)

    @pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1)])
    def test_negative_numbers(self, seed: int, index: int) -> None:
        with pytest.raises(ValueError, match="must be 0 or more"):
            draw_face(seed, index)

    @settings(max_examples=12, deadline=None)
    @given(st.integers(0, 2**31), st.integers(0, 2**31), st.integers(48, 130))
    def test_any_seed_index_and_size_work(self, seed: int, index: int, size: int) -> None:
        face = draw_face(seed, index, size)
        assert face.image.shape == (size, size, 3)


class TestGeometry:
    @pytest.mark.parametrize("index", range(6))
    def test_size_does_not_change_the_face(self, index: int) -> None:
        small, large = draw_face(6, index, 64), draw_face(6, index, 256)
        for name in ("points", "points58"):
            a = normalise(getattr(small, name), 64, 64)
            b = normalise(getattr(large, name), 256, 256)
            assert np.abs(a - b).max() < 1e-5
        assert np.array_equal(small.visibility, large.visibility)
        assert np.array_equal(small.visibility58, large.visibility58)
        assert small.yaw == large.yaw
        shrunk = cv2.resize(large.image, (64, 64), interpolation=cv2.INTER_AREA).astype(float)
        assert np.abs(cv2.blur(shrunk - small.image, (5, 5))).mean() < 6

    def test_layouts_agree_where_they_correspond(self, faces: list[Face]) -> None:
        ours, theirs = list(SAME_PLACE), list(SAME_PLACE.values())
        for face in faces:
            assert np.abs(face.points58[ours] - face.points[theirs]).max() < 1e-3

    def test_left_and_right_are_the_subjects(self) -> None:
        for index in range(20):
            points = build_head(person(index, yaw=0.0, pitch=0.0, roll=0.0)).points[:68]
            for left, right in FACE68.pairs:
                assert points[right, 0] < points[left, 0]
        assert np.all(np.diff(points[:17, 0]) > 0)  # the jaw runs from image-left to right
        assert np.argmax(points[:17, 1]) == 8

    @settings(max_examples=25, deadline=None)
    @given(st.floats(-45, 45), st.floats(-20, 20))
    def test_turning_the_other_way_is_the_mirror_image(self, yaw: float, pitch: float) -> None:
        even = {"identity": np.zeros(20, np.float32), "skew": 0.0, "blink": (0.1, 0.1)}
        one = build_head(person(1, yaw=yaw, pitch=pitch, roll=0.0, **even))
        other = build_head(person(1, yaw=-yaw, pitch=pitch, roll=0.0, **even))
        mirrored = other.points[:68][FACE68.flip] * (-1, 1, 1)
        assert np.abs(one.points[:68] - mirrored).max() < 2e-3

    def test_a_turned_nose_points_where_yaw_says(self) -> None:
        for yaw in (-40.0, -15.0, 15.0, 40.0):
            points = build_head(person(2, yaw=yaw, pitch=0.0, roll=0.0)).points
            middle = (points[36, 0] + points[45, 0]) / 2
            assert np.sign(points[30, 0] - middle) == np.sign(yaw)
            right, left = np.ptp(points[36:42, 0]), np.ptp(points[42:48, 0])
            assert (right > left) == (yaw > 0)  # the far eye is the narrower one


class TestOnWhatIsDrawn:
    def test_polygons_cover_what_they_should(self) -> None:
        canvas = Canvas(64)
        disc = np.float32((0.437, 0.561)) + CIRCLE * np.float32(0.2)
        box = canvas.box(disc)
        assert box is not None
        whole = np.zeros((64, 64), np.float32)
        whole[box[1] : box[3], box[0] : box[2]] = canvas.cover(disc, box)
        y, x = np.mgrid[:64, :64]
        centre = np.array([(whole * x).sum(), (whole * y).sum()]) / whole.sum()
        assert np.abs(centre - (np.float32((0.437, 0.561)) * 64 - 0.5)).max() < 0.1
        area = cv2.contourArea((disc * 64).astype(np.float32))
        assert abs(np.sqrt(whole.sum()) - np.sqrt(area)) < 0.3

    @pytest.mark.parametrize("yaw", [-44.0, -20.0, 0.0, 30.0])
    def test_jaw_lies_on_the_edge_of_the_skin(self, yaw: float) -> None:
        p = painter(person(3, yaw=yaw, shift=(0.0, 0.0), fill=0.6))
        head, size = p.head, 128
        p.canvas.layers[:3] = 0
        render.paint_skin(p, np.zeros((size, size), np.float32))
        skin = p.canvas.layers[4]
        jaw68 = p.points[:17] * size - 0.5
        jaw58 = head.image(head.jaw58) * size - 0.5
        for jaw in (jaw68, jaw58):
            assert np.median(distance_to_edge(skin, jaw)) < 0.2
            assert distance_to_edge(skin, jaw)[3:-3].max() < 0.5

    @pytest.mark.parametrize("index", range(5))
    def test_lips_are_painted_inside_their_points(self, index: int) -> None:
        traits = person(index, yaw=12.0, shift=(0.0, 0.0), fill=0.75)
        masks = []
        for lips in (np.zeros(3), np.ones(3)):
            p = painter(traits, 128, lips=lips.astype(np.float32))
            p.canvas.layers[:3] = 0.5
            render.paint_mouth(p)
            masks.append(p.canvas.layers[0].copy())
        # the upper lip is darker by a fifth; the count is of covered area, not of colour
        painted = np.minimum(np.abs(masks[1] - masks[0]) / 0.78, 1)
        both = np.zeros((1024, 1024), np.uint8)
        for polygon, value in ((p.curve("outer"), 255), (p.curve("inner"), 0)):
            fine = (polygon * 1024 - 0.5) * 256
            cv2.fillPoly(both, [np.rint(fine).astype(np.int32)], value, shift=8)
        expected = cv2.resize(both, (128, 128), interpolation=cv2.INTER_AREA) / 255
        y, x = np.mgrid[:128, :128]
        centres = [np.array([(m * x).sum(), (m * y).sum()]) / m.sum() for m in (painted, expected)]
        assert np.abs(centres[0] - centres[1]).max() < 0.5
        for name, indices in (("outer", range(48, 55)), ("inner", range(60, 65))):
            curve = p.curve(name)[: 4 * len(indices) - 3 : 4]
            assert np.abs(curve - p.points[indices]).max() < 1e-6

    @pytest.mark.parametrize("yaw", [-25.0, 0.0, 25.0])
    def test_eyes_are_painted_between_their_lids(self, yaw: float) -> None:
        p = painter(person(4, yaw=yaw, shift=(0.0, 0.0), fill=0.78, blink=(0.0, 0.0)), 256)
        for indices in (render.RIGHT_EYE, render.LEFT_EYE):
            upper, lower = render.eye_polygon(p, indices)
            mask = np.zeros((256, 256), np.float32)
            polygon = np.concatenate([upper, lower[1:-1]])
            box = p.canvas.box(polygon)
            assert box is not None
            mask[box[1] : box[3], box[0] : box[2]] = p.canvas.cover(polygon, box)
            lids = p.points[list(indices)] * 256 - 0.5
            assert distance_to_edge(mask, lids)[[1, 2, 4, 5]].max() < 0.5
            assert distance_to_edge(mask, lids).max() < 2  # a corner is sharper than any pixel

    def test_brows_are_painted_along_their_line(self) -> None:
        seen = []
        for with_brows in (False, True):
            p = painter(person(5, yaw=0.0, fill=0.78, shift=(0.0, 0.0)), 256)
            p.canvas.layers[:3] = 1
            render.paint_eyes(p, render.brow_parts(p, 1.0) if with_brows else None)
            seen.append(p.canvas.layers[0].copy())
        dark = seen[0] - seen[1]
        for x, y in p.points[[18, 19, 20, 23, 24, 25]] * 256 - 0.5:
            column = dark[:, round(float(x))][max(int(y) - 14, 0) : int(y) + 15]
            rows = np.arange(max(int(y) - 14, 0), max(int(y) - 14, 0) + len(column))
            assert abs((column * rows).sum() / column.sum() - y) < 1.0


class TestVisibility:
    def test_all_points_of_a_bare_frontal_face_are_visible(self) -> None:
        head = build_head(person(6, yaw=0.0, pitch=0.0))
        assert not head.hidden.any()

    def test_a_turned_nose_hides_what_is_behind_it(self) -> None:
        hidden = np.zeros(78, int)
        for index in range(30):
            hidden += build_head(person(index, yaw=44.0, pitch=0.0)).hidden
        far, near = [35, 42, 34, 74, 75], [31, 36, 37, 38, 41, 48, 70, 71]
        assert hidden[far].sum() > 5
        assert hidden[near].sum() == 0

    def test_dark_glasses_hide_the_eyes_and_clear_ones_do_not(self) -> None:
        look = sample_look(np.random.default_rng(5))
        for glasses, code in (("dark", 1), ("clear", 2)):
            changes = {"glasses": glasses, "occluder": "none", "style": "short"}
            seen = synthetic._draw(
                person(7, yaw=0.0, pitch=0.0),
                dataclasses.replace(look, **changes),
                64,
                np.random.default_rng(0),
            )
            assert set(seen.visibility[36:48].tolist()) == {code}
            assert set(seen.visibility58[13:29].tolist()) == {code}
            assert set(seen.visibility[48:].tolist()) == {2}

    def test_a_thing_in_front_hides_exactly_the_points_it_covers(self) -> None:
        for kind in ("hand", "object", "scarf"):
            p = painter(person(8, yaw=10.0), occluder=kind)
            outline = extras.paint_occluder(p, np.random.default_rng(3))
            codes = synthetic._visibility(p.points[:68], np.zeros(68, bool), outline)
            for (x, y), code in zip(p.points[:68].tolist(), codes, strict=True):
                inside = [cv2.pointPolygonTest(o[:, None], (x, y), False) >= 0 for o in outline]
                assert (code == 1) == any(inside)

    def test_both_codes_occur(self, faces: list[Face]) -> None:
        codes = np.stack([f.visibility for f in faces])
        assert 0.005 < (codes == 1).mean() < 0.25
        assert (codes == 2).any(0).all()
