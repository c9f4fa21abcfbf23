"""Faces that heatkp draws itself: a labelled data set that needs no files.

Every image is a function of (seed, index): a person, an expression, a pose, light and a
background are drawn from that pair, and the labels are the very points the painting starts
from. Nothing but the sensor's noise depends on the size of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.synthetic import backdrop, extras, light, model, render
from heatkp.data.synthetic.canvas import Canvas
from heatkp.data.synthetic.look import Look, sample_look
from heatkp.data.synthetic.model import Floats, Traits, floats, sample_traits
from heatkp.data.synthetic.painter import LEFT_EYE, RIGHT_EYE, Painter
from heatkp.data.synthetic.shape import build_head, spline

__all__ = ["MAX_SIZE", "MIN_SIZE", "Face", "draw_face"]

MIN_SIZE, MAX_SIZE = 48, 512


@dataclass(frozen=True)
class Face:
    """A drawn face and its labels.

    Points are pixels in the convention of `heatkp.coordinates`. Jaw points follow the visible
    contour of the face. Visibility is 2 for a point that can be seen and 1 for one that is
    labelled but hidden, by the face itself, hair, dark glasses or a thing in front.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        points: (68, 2) float32 in the order of `FACE68`.
        visibility: (68,) uint8, 1 or 2.
        points58: (58, 2) float32 in the order of `FACE58`, on the same curves.
        visibility58: (58,) uint8, 1 or 2.
        box: (4,) float32, edges (x0, y0, x1, y1): the 68 points with a margin.
        yaw: degrees; positive when the nose points to the right of the image.
    """

    image: npt.NDArray[np.uint8]
    points: npt.NDArray[np.float32]
    visibility: npt.NDArray[np.uint8]
    points58: npt.NDArray[np.float32]
    visibility58: npt.NDArray[np.uint8]
    box: npt.NDArray[np.float32]
    yaw: float


_MARGIN = 0.12


def _weights58() -> tuple[Floats, list[int]]:
    """Weights (45, 78) of the 58-point layout without its jaw, and each point's nearest of 78."""
    weights = np.zeros((45, model.COUNT), np.float32)

    def curve(first: int, at: list[int], through: list[int], per: int) -> None:
        sampled = spline(len(through), per)
        for k, sample in enumerate(at):
            weights[first + k, through] = sampled[sample]

    for first, eye in ((0, LEFT_EYE), (8, RIGHT_EYE)):
        # four and three points between the corners: at quarters of each lid
        curve(first, [0, 3, 6, 9, 12], list(eye[:4]), 4)
        curve(first + 5, [3, 6, 9], [eye[3], eye[4], eye[5], eye[0]], 4)
    curve(16, [0, 5, 11, 15, 20], [22, 23, 24, 25, 26], 5)
    curve(21, [0, 5, 11, 15, 20], [21, 20, 19, 18, 17], 5)
    single = [48, 50, 51, 52, 54, 56, 57, 58, 68, 69, 70, 71, 72, 33, 73, 74, 75, 76, 77]
    weights[range(26, 45), single] = 1
    return weights, weights.argmax(1).tolist()


_WEIGHTS58, _NEAREST58 = _weights58()


def draw_face(seed: int, index: int, size: int = 128) -> Face:
    """Draw one face: the same arguments always give the same bytes.

    Args:
        seed: which data set, at least 0.
        index: which face of it, at least 0.
        size: width and height in pixels, from 48 to 512. The face, its pose and the light are
            the same at every size.

    Raises:
        ValueError: if an argument is out of range.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size {size} is not between {MIN_SIZE} and {MAX_SIZE} pixels")
    if seed < 0 or index < 0:
        raise ValueError(f"seed {seed} and index {index} must be 0 or more")
    rng = np.random.default_rng([seed, index])
    return _draw(sample_traits(rng), sample_look(rng), size, rng)


def _draw(traits: Traits, look: Look, size: int, rng: np.random.Generator) -> Face:
    head = build_head(traits)
    canvas = Canvas(size)
    painter = Painter(canvas, head, look, traits)
    hiding = _paint(painter, rng)
    image = _develop(painter, rng)
    all78 = painter.points
    jaw58 = head.image(head.jaw58)
    rest58 = _WEIGHTS58 @ all78
    points58 = np.concatenate([jaw58, rest58])
    hidden58 = np.concatenate([np.zeros(13, bool), head.hidden[_NEAREST58]])
    return Face(
        image=image,
        points=_pixels(all78[:68], size),
        visibility=_visibility(all78[:68], head.hidden[:68], hiding),
        points58=_pixels(points58, size),
        visibility58=_visibility(points58, hidden58, hiding),
        box=_box(all78[:68], size),
        yaw=traits.yaw,
    )


def _pixels(fractions: Floats, size: int) -> npt.NDArray[np.float32]:
    return (fractions * size - 0.5).astype(np.float32)


def _box(fractions: Floats, size: int) -> npt.NDArray[np.float32]:
    low, high = fractions.min(0), fractions.max(0)
    margin = _MARGIN * (high - low)
    return np.concatenate([_pixels(low - margin, size), _pixels(high + margin, size)])


def _visibility(
    points: Floats, hidden: npt.NDArray[np.bool_], hiding: list[Floats]
) -> npt.NDArray[np.uint8]:
    # polygons and points do not depend on the size of the image, so nor does the answer
    covered = hidden.copy()
    for polygon in hiding:
        contour = polygon.reshape(-1, 1, 2).astype(np.float32)
        low, high = polygon.min(0), polygon.max(0)
        for k in np.flatnonzero(((points > low) & (points < high)).all(1) & ~covered):
            x, y = points[k].tolist()
            covered[k] = cv2.pointPolygonTest(contour, (x, y), False) >= 0
    return np.where(covered, 1, 2).astype(np.uint8)


def _paint(p: Painter, rng: np.random.Generator) -> list[Floats]:
    """All surfaces from back to front; returns the polygons that hide points."""
    size = p.canvas.size
    backdrop.paint_background(p.canvas, p.look.background, bool(rng.random() < 0.4), rng)
    strands = backdrop.crop(light.STRANDS, rng, size)
    clouds = backdrop.crop(light.CLOUDS, rng, size)
    extras.paint_curtain(p, strands)
    extras.paint_body(p)
    extras.paint_scalp(p, strands)
    extras.paint_ears(p)
    render.paint_skin(p, clouds)
    if p.look.freckles > 0.05:
        render.paint_freckles(p, rng)
    thickness = 1 + 0.2 * float(p.traits.identity[model.IDENTITY.index("brow_thickness")])
    render.paint_features(p, thickness)
    hiding = extras.paint_hair_front(p, strands)
    hiding += extras.paint_glasses(p)
    return hiding + extras.paint_occluder(p, rng)


_WARMTH = floats((0.03, 0.0, -0.03))[:, None, None]


def _develop(p: Painter, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Surface colours times light, through a camera."""
    canvas, look, size = p.canvas, p.look, p.canvas.size
    depth = light.scene_depth(p.head, [extras.hair_shell(p)])
    lit, shine = light.shade(depth, p.head, look.light, look.ambient)
    on_head = canvas.layers[4]
    lit = render.to_size(lit, size)
    lit -= 1
    lit *= on_head
    lit += 1
    lit *= canvas.layers[3]
    shine = render.to_size(shine, size)
    shine *= on_head
    shine *= np.float32((0.10 * (1 - look.ambient) + 0.03) * look.exposure)
    # shadows on skin and in rooms are warm: blue light falls off fastest
    planes = canvas.layers[:3]
    gain = (np.float32(look.exposure) * look.cast)[:, None, None]
    tone = lit * (gain * (1 - _WARMTH))
    tone += gain * _WARMTH
    planes *= tone
    planes += shine
    colours = list(planes)
    y, x = rng.integers(0, len(light.GRAIN) - MAX_SIZE, 2)
    grain = light.GRAIN[y : y + size, x : x + size]
    if look.grey:
        colours = [0.3 * colours[0] + 0.59 * colours[1] + 0.11 * colours[2]] * 3
        grain = cast(Floats, cv2.merge([np.ascontiguousarray(grain[:, :, 0])] * 3))
    pixels = cv2.merge(colours)
    if look.blur * size > 0.3:
        pixels = cv2.GaussianBlur(pixels, (0, 0), look.blur * size)
    # rounds and clips on the way to bytes
    image = cv2.addWeighted(pixels, 255.0, grain, 255.0 * look.noise, 0.0, dtype=cv2.CV_8U)
    return cast(npt.NDArray[np.uint8], image)
