"""A made-up adult face: proportions, what differs between people, expressions and pose.

Head frame: x to the right of the image, y down, z towards the camera. The unit is half the
distance between the outer eye corners, the origin lies between them at the depth of the ears.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def floats(values: npt.ArrayLike) -> Floats:
    """An array of 32-bit floats."""
    return np.array(values, np.float32)


ROWS = np.array(
    [
        # y, half width, z of the edge, z of the midline (without nose, lips and chin)
        (-2.46, 0.00, -0.30, -0.30),
        (-2.36, 0.62, -0.30, 0.50),
        (-2.05, 1.14, -0.26, 1.25),
        (-1.55, 1.47, -0.16, 1.78),
        (-1.00, 1.59, -0.05, 2.02),
        (-0.48, 1.62, 0.00, 2.08),
        (0.00, 1.59, 0.05, 2.00),  # jaw point 0
        (0.43, 1.57, 0.05, 2.05),
        (0.85, 1.51, 0.10, 2.15),
        (1.26, 1.42, 0.14, 2.20),
        (1.64, 1.27, 0.38, 2.22),
        (1.98, 1.04, 0.84, 2.18),
        (2.25, 0.74, 1.34, 2.20),
        (2.46, 0.39, 1.80, 2.20),
        (2.55, 0.00, 2.08, 2.08),  # jaw point 8, the chin
    ],
    np.float32,
)
"""Level cross-sections of the head from the crown to the chin."""

JAW_ROW = 6
"""The row of jaw point 0; jaw point 8 is on the last row."""

_RIGHT_HALF: dict[int, tuple[float, float]] = {
    # brow
    17: (-1.32, -0.28),
    18: (-1.13, -0.45),
    19: (-0.85, -0.51),
    20: (-0.55, -0.47),
    21: (-0.27, -0.39),
    # bridge, tip and base of the nose
    27: (0.0, -0.04),
    28: (0.0, 0.24),
    29: (0.0, 0.52),
    30: (0.0, 0.80),
    31: (-0.31, 0.97),
    32: (-0.16, 1.02),
    33: (0.0, 1.06),
    # eye
    36: (-1.00, 0.00),
    37: (-0.83, -0.125),
    38: (-0.58, -0.125),
    39: (-0.40, 0.05),
    40: (-0.60, 0.10),
    41: (-0.83, 0.10),
    # lips, closed
    48: (-0.60, 1.50),
    49: (-0.37, 1.40),
    50: (-0.14, 1.345),
    51: (0.0, 1.375),
    57: (0.0, 1.76),
    58: (-0.17, 1.75),
    59: (-0.39, 1.665),
    60: (-0.54, 1.505),
    61: (-0.17, 1.525),
    62: (0.0, 1.535),
    66: (0.0, 1.545),
    67: (-0.17, 1.535),
    # sides of the nose that only the 58-point layout has: its points 47 to 51
    68: (-0.18, 0.06),
    69: (-0.22, 0.52),
    70: (-0.36, 0.72),
    71: (-0.38, 0.91),
    72: (-0.20, 1.00),
}

_MIRROR = {
    **{i: 43 - i for i in range(17, 22)},
    **{31: 35, 32: 34, 36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46},
    **{48: 54, 49: 53, 50: 52, 58: 56, 59: 55, 60: 64, 61: 63, 67: 65},
    **{i: 145 - i for i in range(68, 73)},
}

COUNT = 78
"""Points of the model: 68, then 47-51 and 57-53 of the 58-point layout's nose (68 to 77)."""


def _both_sides(half: dict[int, tuple[float, float]]) -> Floats:
    full = np.zeros((COUNT, 2), np.float32)
    for i, (x, y) in half.items():
        full[i] = x, y
        if i in _MIRROR:
            full[_MIRROR[i]] = -x, y
    return full


MEAN = _both_sides(_RIGHT_HALF)
"""Frontal positions (78, 2) of the mean face; the jaw (0 to 16) comes from `ROWS`."""

SMILE = _both_sides(
    {
        48: (-0.13, -0.10),
        60: (-0.12, -0.09),
        49: (-0.07, -0.02),
        59: (-0.08, -0.03),
        50: (-0.02, 0.03),
        51: (0.0, 0.035),
        61: (-0.03, 0.02),
        62: (0.0, 0.035),
        67: (-0.03, 0.05),
        66: (0.0, 0.06),
        58: (-0.02, 0.02),
        57: (0.0, 0.02),
        41: (0.0, -0.03),
        40: (0.0, -0.03),
        31: (-0.03, -0.01),
        70: (-0.03, -0.01),
        71: (-0.03, -0.01),
    }
)
OPEN = _both_sides(
    {
        48: (0.04, 0.16),
        60: (0.04, 0.17),
        49: (0.02, 0.02),
        50: (0.0, -0.02),
        51: (0.0, -0.02),
        61: (0.0, -0.01),
        62: (0.0, -0.015),
        59: (0.02, 0.40),
        58: (0.0, 0.50),
        57: (0.0, 0.52),
        67: (-0.03, 0.46),
        66: (0.0, 0.50),
    }
)
GRIN = _both_sides(
    {
        50: (0.0, -0.04),
        51: (0.0, -0.03),
        49: (-0.01, -0.04),
        61: (-0.05, -0.03),
        62: (0.0, -0.02),
        67: (-0.04, 0.11),
        66: (0.0, 0.13),
        58: (0.0, 0.09),
        57: (0.0, 0.10),
        59: (0.0, 0.06),
    }
)
PURSE = _both_sides(
    {
        48: (0.17, 0.0),
        60: (0.19, 0.0),
        49: (0.09, 0.0),
        59: (0.10, 0.0),
        61: (0.04, 0.0),
        67: (0.04, 0.0),
        50: (0.02, -0.02),
        58: (0.02, 0.03),
        57: (0.0, 0.03),
    }
)
RAISE = _both_sides({i: (0.0, -dy) for i, dy in zip(range(17, 22), (0.10, 0.16, 0.18, 0.17, 0.14))})
FROWN = _both_sides({21: (0.07, 0.10), 20: (0.05, 0.08), 19: (0.03, 0.04), 18: (0.01, 0.01)})
OPEN_ROWS = np.interp(np.arange(len(ROWS)), [7, 10, 14], [0.0, 0.22, 0.46]).astype(np.float32)
"""How far down a wide open mouth takes each row."""

UPPER_LIDS = ((37, 41), (38, 40), (44, 46), (43, 47))
"""Points of the upper lids and what each meets when the eye closes."""

_RIGHT_EYE, _LEFT_EYE = np.arange(36, 42), np.arange(42, 48)
_RIGHT_BROW, _LEFT_BROW = np.arange(17, 22), np.arange(22, 27)
_NOSE = np.array([*range(27, 36), *range(68, 78)])
_NOSE_SIDES = np.array([31, 32, 34, 35, *range(68, 78)])
_MOUTH = np.arange(48, 68)
_UPPER_LIP, _LOWER_LIP = np.arange(49, 54), np.arange(55, 60)


@dataclass(frozen=True)
class Traits:
    """One person at one moment. Identity values are standard deviations about the mean."""

    identity: Floats
    smile: float
    open: float
    grin: float
    purse: float
    brows: float
    blink: tuple[float, float]
    yaw: float
    pitch: float
    roll: float
    fill: float
    shift: tuple[float, float]
    skew: float


IDENTITY = (
    *("face_width", "face_length", "jaw_width", "chin_length", "cheeks", "depth"),
    *("eye_size", "eye_height", "eye_spacing", "eye_tilt"),
    *("brow_height", "brow_tilt", "brow_arch", "brow_thickness"),
    *("nose_width", "nose_length", "nose_depth", "mouth_width", "mouth_height", "lip_fullness"),
)
"""Names of the identity modes, in the order of `Traits.identity`."""


def sample_traits(rng: np.random.Generator) -> Traits:
    """Draw a person, an expression, a pose and a place in the image."""
    identity = np.clip(rng.standard_normal(len(IDENTITY)), -2, 2).astype(np.float32)
    mood = rng.random(8)
    opening = float(mood[1] ** 1.5) if mood[0] < 0.3 else 0.0
    smile = float(rng.uniform(-0.25, 1.0)) if mood[2] < 0.65 else 0.0
    grin = float(mood[4]) if smile > 0.45 and mood[3] < 0.65 else 0.0
    purse = float(mood[5]) if smile <= 0.1 and mood[6] < 0.35 else 0.0
    closed = 1.0 if mood[7] < 0.05 else float(0.5 * rng.random() ** 4 + 0.10 * max(smile, 0))
    wink = 1.0 if rng.random() < 0.02 else closed
    turned = rng.random() < 0.7
    pose = rng.uniform(-1, 1, 3)
    return Traits(
        identity=identity,
        smile=smile,
        open=opening,
        grin=grin,
        purse=purse,
        brows=float(np.clip(0.6 * rng.standard_normal(), -1, 1.3)),
        blink=(closed, wink),
        yaw=float(45 * pose[0] if turned else 12 * pose[0]),
        pitch=float(20 * pose[1] * abs(pose[1]) ** 0.4),
        roll=float(20 * pose[2] * abs(pose[2]) ** 0.4),
        fill=float(rng.uniform(0.46, 0.78)),
        shift=(float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1))),
        skew=float(rng.uniform(-0.03, 0.03)),
    )


def _scale(points: Floats, which: npt.NDArray[np.intp], sx: float, sy: float, at: int = -1) -> None:
    centre = points[which].mean(0) if at < 0 else points[at].copy()
    points[which] = centre + (points[which] - centre) * floats((sx, sy))


def _tilt(points: Floats, which: npt.NDArray[np.intp], slope: float) -> None:
    points[which, 1] += slope * (points[which, 0] - points[which, 0].mean())


def _person(t: dict[str, float]) -> tuple[Floats, Floats]:
    """Points and rows of the neutral face whose identity deviates from the mean by `t`."""
    points, rows = MEAN.copy(), ROWS.copy()
    for eye, brow, side in ((_RIGHT_EYE, _RIGHT_BROW, -1), (_LEFT_EYE, _LEFT_BROW, 1)):
        _scale(points, eye, 1 + 0.05 * t["eye_size"], 1 + 0.10 * t["eye_size"])
        _scale(points, eye, 1, 1 + 0.13 * t["eye_height"])
        points[eye, 0] += side * 0.03 * t["eye_spacing"]
        points[brow, 0] += side * 0.03 * t["eye_spacing"]
        _tilt(points, eye, -side * 0.05 * t["eye_tilt"])
        _tilt(points, brow, side * (0.07 * t["brow_tilt"] - 0.02 * t["eye_tilt"]))
        _scale(points, brow, 1, 1 + 0.25 * t["brow_arch"])
        points[brow, 1] -= 0.05 * t["brow_height"]
    _scale(points, _NOSE_SIDES, 1 + 0.10 * t["nose_width"], 1)
    _scale(points, _NOSE, 1, 1 + 0.06 * t["nose_length"], at=27)
    _scale(points, _MOUTH, 1 + 0.07 * t["mouth_width"], 1)
    points[_MOUTH, 1] += 0.045 * t["mouth_height"] + 0.04 * t["nose_length"]
    # long faces and chins carry the mouth along
    points[_MOUTH, 1] += 0.03 * t["face_length"] + 0.02 * t["chin_length"]
    lip_line = points[62, 1]
    for lip in (_UPPER_LIP, _LOWER_LIP):
        points[lip, 1] = lip_line + (points[lip, 1] - lip_line) * (1 + 0.16 * t["lip_fullness"])
    points[:, 0] *= 1 + 0.018 * t["face_width"]

    rows[:, 1] *= 1 + 0.035 * t["face_width"] + 0.01 * t["cheeks"]
    rows[JAW_ROW + 3 :, 1] *= (1 + np.linspace(0.03, 0.08, 6) * t["jaw_width"]).astype(np.float32)
    rows[JAW_ROW + 1 :, 0] *= 1 + 0.03 * t["face_length"] + 0.025 * t["chin_length"]
    rows[:JAW_ROW, 0] *= 1 + 0.02 * t["face_length"]
    rows[:, 2:] *= 1 + 0.03 * t["depth"]
    return points, rows


def _modes() -> tuple[Floats, Floats]:
    """The linear identity modes (20, 78, 2) and (20, 15, 4): one standard deviation each."""
    points, rows = [], []
    for name in IDENTITY:
        more, wide = _person({other: float(other == name) for other in IDENTITY})
        points.append(more - MEAN)
        rows.append(wide - ROWS)
    return np.stack(points), np.stack(rows)


POINT_MODES, ROW_MODES = _modes()
EXPRESSIONS = np.stack([SMILE, OPEN, GRIN, PURSE, RAISE, FROWN])
"""The linear expression modes (6, 78, 2)."""
_MEANS = np.concatenate([MEAN.ravel(), ROWS.ravel()])
_MODES = np.zeros((len(IDENTITY) + len(EXPRESSIONS), len(_MEANS)), np.float32)
_MODES[: len(IDENTITY), : MEAN.size] = POINT_MODES.reshape(len(IDENTITY), -1)
_MODES[: len(IDENTITY), MEAN.size :] = ROW_MODES.reshape(len(IDENTITY), -1)
_MODES[len(IDENTITY) :, : MEAN.size] = EXPRESSIONS.reshape(len(EXPRESSIONS), -1)
_LIDS = np.array(UPPER_LIDS).T


def frontal(traits: Traits) -> tuple[Floats, Floats]:
    """The face seen from the front: points (78, 2), the jaw still empty, and rows (15, 4)."""
    weights = np.empty(len(_MODES), np.float32)
    weights[: len(IDENTITY)] = traits.identity
    weights[len(IDENTITY) :] = (
        *(traits.smile, traits.open, traits.grin, traits.purse),
        *(max(traits.brows, 0.0), max(-traits.brows, 0.0)),
    )
    flat = _MEANS + weights @ _MODES
    points, rows = flat[: MEAN.size].reshape(MEAN.shape), flat[MEAN.size :].reshape(ROWS.shape)
    rows[:, 0] += OPEN_ROWS * np.float32(traits.open)
    points[_MOUTH, 1] += np.float32(2 * traits.skew) * points[_MOUTH, 0]
    upper, lower = _LIDS
    closed = np.repeat(floats(traits.blink), 2)[:, None]
    points[upper] += (points[lower] - points[upper]) * (closed * np.float32(0.97))
    return points, rows
