"""Many drawn faces in one image, that overlap: to train and to measure what finds objects."""

from __future__ import annotations

from typing import NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.synthetic import MAX_SIZE, MIN_SIZE, Face, draw_face

Bytes = npt.NDArray[np.uint8]
HIDDEN = 0.45
"""Most of an object's area that one in front may cover."""
TRIES = 40
"""Places that are tried for an object, until it covers none too much."""


class Drawn(NamedTuple):
    """A face in a scene.

    Attributes:
        points: (68, 2), pixels of the scene.
        visibility: (68,), 1 where the point is hidden, also by a face in front, else 2.
        box: (4,), edges in pixels of the scene.
    """

    points: npt.NDArray[np.float32]
    visibility: Bytes
    box: npt.NDArray[np.float32]


class Scene(NamedTuple):
    """An image uint8 (H, W, 3) and its faces, those in front last."""

    image: Bytes
    faces: list[Drawn]


def draw_scene(
    seed: int,
    index: int,
    size: tuple[int, int] = (640, 480),
    objects: tuple[int, int] = (1, 40),
    sides: tuple[float, float] = (20.0, 200.0),
) -> Scene:
    """Draw an image with faces: the same arguments always give the same bytes.

    Args:
        seed, index: which data set, and which image of it, at least 0.
        size: (W, H) of the image in pixels.
        objects: least and greatest number of faces. A face for which there is no place that
            leaves the others to be seen is left out, but the first is always there.
        sides: width in pixels of the smallest and the largest face's box, which are drawn evenly
            in the logarithm; none is wider or higher than the image.

    Raises:
        ValueError: if an argument is out of range.
    """
    if not 1 <= objects[0] <= objects[1]:
        raise ValueError(f"objects {objects}: the least and the greatest number, from 1")
    if not 4 <= sides[0] <= sides[1] or min(size) < MIN_SIZE:
        raise ValueError(f"sides {sides} of at least 4 pixels, in an image of {MIN_SIZE} or more")
    rng = np.random.default_rng([seed, index, 7])
    image = _ground(rng, size)
    count = int(rng.integers(objects[0], objects[1] + 1))
    widths = np.exp(rng.uniform(np.log(sides[0]), np.log(sides[1]), count))
    faces: list[Drawn] = []
    for i, width in enumerate(widths):
        face = draw_face(seed, 1000 * index + i, _size_for(width))
        _add(rng, image, faces, face, float(width))
    return Scene(image, faces)


def _size_for(width: float) -> int:
    """Side of the drawing that is then shrunk to a face of this width."""
    return int(np.clip(round(2 * width), MIN_SIZE, MAX_SIZE))


def _ground(rng: np.random.Generator, size: tuple[int, int]) -> Bytes:
    """A background of smooth colours and fine noise."""
    coarse = rng.uniform(20, 235, (5, 6, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    fine = rng.normal(0, 6, (size[1], size[0], 3))
    return cast(Bytes, np.clip(smooth + fine, 0, 255).astype(np.uint8))


def _mask(face: Face) -> npt.NDArray[np.float32]:
    """How much of each pixel is head, (S, S) in [0, 1]: an ellipse about face and forehead."""
    side = len(face.image)
    x0, y0, x1, y1 = (float(v) for v in face.box)
    y0 -= 0.3 * (y1 - y0)
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    x = (columns - (x0 + x1) / 2) / ((x1 - x0) / 2)
    y = (rows - (y0 + y1) / 2) / ((y1 - y0) / 2)
    soft = 0.08
    return cast(
        npt.NDArray[np.float32],
        np.clip((1 + soft - np.hypot(x, y)) / soft, 0, 1).astype(np.float32),
    )


def _covered(front: npt.NDArray[np.float32], behind: npt.NDArray[np.float32]) -> float:
    low, high = np.maximum(front[:2], behind[:2]), np.minimum(front[2:], behind[2:])
    return float(np.clip(high - low, 0, None).prod() / (behind[2:] - behind[:2]).prod())


def _add(
    rng: np.random.Generator, image: Bytes, faces: list[Drawn], face: Face, width: float
) -> None:
    """Put a face in front of the others where it leaves enough of them, if there is a place."""
    height_of = (face.box[3] - face.box[1]) / (face.box[2] - face.box[0])
    room = min(image.shape[1], image.shape[0] / (1.4 * float(height_of)))
    scale = min(width, 0.9 * room) / float(face.box[2] - face.box[0])
    side = max(8, round(len(face.image) * scale))
    scale = side / len(face.image)
    box = (face.box + 0.5) * scale - 0.5
    extent = box[2:] - box[:2]
    for _ in range(TRIES):
        low = rng.uniform(0, np.maximum(np.array(image.shape[1::-1]) - extent, 1e-3)) - 0.5
        moved = np.rint(low - box[:2])  # whole pixels, so that nothing is resampled again
        there = (box + np.tile(moved, 2)).astype(np.float32)
        if all(_covered(there, other.box) <= HIDDEN for other in faces):
            break
    else:
        return
    small = cv2.resize(face.image, (side, side), interpolation=cv2.INTER_AREA)
    mask = cv2.resize(_mask(face), (side, side), interpolation=cv2.INTER_AREA)
    x, y = (int(v) for v in moved)
    left, top = max(0, -x), max(0, -y)
    right, below = min(side, image.shape[1] - x), min(side, image.shape[0] - y)
    part = image[y + top : y + below, x + left : x + right]
    share = mask[top:below, left:right, None]
    part[:] = np.rint(part * (1 - share) + small[top:below, left:right] * share).astype(np.uint8)
    for k, other in enumerate(faces):
        places = np.rint(other.points - [x, y]).astype(int)
        inside = ((places >= 0) & (places < side)).all(1)
        hidden = inside.copy()
        hidden[inside] = mask[places[inside, 1], places[inside, 0]] > 0.5
        seen = np.where(hidden, np.uint8(1), other.visibility)
        faces[k] = other._replace(visibility=seen)
    points = ((face.points + 0.5) * scale - 0.5 + moved).astype(np.float32)
    faces.append(Drawn(points, face.visibility.copy(), there))
