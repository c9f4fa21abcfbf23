"""What a face looks like apart from its shape: skin, hair, eyes, light, clothes, camera."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from heatkp.data.synthetic.model import Floats, floats

SKINS: Floats = np.array(
    [
        (0.97, 0.84, 0.77),
        (0.94, 0.77, 0.67),
        (0.90, 0.72, 0.58),
        (0.83, 0.63, 0.48),
        (0.72, 0.51, 0.37),
        (0.58, 0.39, 0.28),
        (0.44, 0.29, 0.21),
        (0.36, 0.24, 0.185),
    ],
    np.float32,
)
"""Skin from fair to dark; a person lies anywhere between two neighbours."""

HAIRS: Floats = np.array(
    [
        (0.055, 0.05, 0.05),
        (0.12, 0.085, 0.065),
        (0.21, 0.13, 0.085),
        (0.34, 0.21, 0.12),
        (0.52, 0.35, 0.19),
        (0.74, 0.57, 0.34),
        (0.48, 0.20, 0.09),
        (0.55, 0.54, 0.53),
        (0.80, 0.79, 0.77),
    ],
    np.float32,
)

IRISES: Floats = np.array(
    [
        (0.19, 0.10, 0.05),
        (0.30, 0.17, 0.08),
        (0.42, 0.28, 0.12),
        (0.36, 0.42, 0.24),
        (0.35, 0.52, 0.62),
        (0.45, 0.52, 0.55),
    ],
    np.float32,
)

HAIR_STYLES = (
    *("bald", "short", "short", "short", "receding"),
    *("fringe", "long", "long", "tied", "curly"),
)
BEARDS = ("none", "none", "none", "stubble", "stubble", "full", "moustache", "goatee")
GLASSES = (*("none",) * 7, "clear", "clear", "dark")
OCCLUDERS = (*("none",) * 17, "hand", "object", "scarf")
BACKGROUNDS = ("plain", "blobs", "blobs", "boxes", "lines", "leaves")


_GLASS_LOW, _GLASS_SPAN = floats((0.44, 0.30, 2.0)), floats((0.12, 0.12, 2.5))


@dataclass(frozen=True)
class Look:
    """Everything about the painting that is decided before the first stroke."""

    skin: Floats
    hair: Floats
    brow: Floats
    iris: Floats
    lips: Floats
    style: str
    hair_depth: float
    hairline: Floats
    """(4,): height in the middle, height at the sides, sharpness of the turn, parting."""
    beard: str
    beard_strength: float
    glasses: str
    glass_shape: Floats
    glass_colour: Floats
    occluder: str
    blush: float
    freckles: float
    gaze: Floats
    light: Floats
    """Direction towards the light in the view (x right, y down, z to the camera), unit length."""
    ambient: float
    exposure: float
    cast: Floats
    clothes: Floats
    neckline: str
    background: str
    blur: float
    noise: float
    grey: bool


def _between(table: Floats, at: float) -> Floats:
    low = min(int(at), len(table) - 2)
    result: Floats = table[low] + (table[low + 1] - table[low]) * np.float32(at - low)
    return result


class _Draws:
    """Even draws made all at once: one by one they would take most of the time."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.random: Callable[[], float] = iter(rng.random(64).tolist()).__next__

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()

    def three(self, low: float, high: float) -> Floats:
        return floats([self.uniform(low, high) for _ in range(3)])

    def below(self, count: int) -> int:
        return int(self.random() * count)


def _pick(rng: _Draws, choices: Sequence[str]) -> str:
    return choices[int(rng.random() * len(choices))]


def _light(rng: _Draws) -> tuple[Floats, float]:
    hard = rng.random() < 0.3
    across = math.radians(rng.uniform(-75, 75) if hard else rng.rng.normal(0, 28))
    up = math.radians(rng.uniform(0, 55))
    level = math.cos(up)
    direction = floats([math.sin(across) * level, -math.sin(up), math.cos(across) * level])
    ambient = rng.uniform(0.34, 0.48) if hard else rng.uniform(0.44, 0.66)
    return direction, float(ambient)


def sample_look(generator: np.random.Generator) -> Look:
    """Draw an appearance."""
    rng = _Draws(generator)
    tone = float(rng.uniform(0, len(SKINS) - 1.001))
    skin = np.minimum(_between(SKINS, tone) * rng.three(0.96, 1.04), 1)
    # dark skin goes with dark hair and eyes most of the time
    dark = tone > 3.4 and rng.random() < 0.9
    hair = HAIRS[rng.below(3 if dark else len(HAIRS))]
    hair = np.minimum(hair * rng.uniform(0.8, 1.2), 1)
    iris = IRISES[rng.below(2 if dark else len(IRISES))]
    style = _pick(rng, HAIR_STYLES)
    red = np.array([0.62, 0.28, 0.27]) * rng.uniform(0.7, 1.25)
    made_up = rng.random() < 0.2
    lips = skin * (0.88, 0.66, 0.64) * 0.75 + red * 0.25
    lips = lips * 0.4 + red * np.array([1.1, 0.7, 0.8]) * 0.6 if made_up else lips
    soft_style = style in ("long", "fringe", "tied") and rng.random() < 0.75
    beard = "none" if soft_style or made_up else _pick(rng, BEARDS)
    glasses = _pick(rng, GLASSES)
    occluder = _pick(rng, OCCLUDERS)
    light, ambient = _light(rng)
    recede = rng.uniform(0.15, 0.45) if style in ("receding", "bald") else 0.0
    cast = 1 + generator.normal(0, 0.035, 3)
    return Look(
        skin=skin.astype(np.float32),
        hair=hair.astype(np.float32),
        brow=(hair * 0.75 + skin * 0.08).astype(np.float32),
        iris=(iris * rng.uniform(0.75, 1.2)).astype(np.float32),
        lips=np.minimum(lips, 1).astype(np.float32),
        style=style,
        hair_depth=float(rng.uniform(0.35, 0.6) if style == "curly" else rng.uniform(0.08, 0.28)),
        hairline=floats(
            [
                -1.45 + rng.uniform(-0.18, 0.12) - recede,
                rng.uniform(-0.35, 0.15),
                rng.uniform(2.6, 5.5),
                rng.uniform(-1, 1),
            ]
        ),
        beard=beard,
        beard_strength=float(rng.uniform(0.15, 0.4) * (1 if beard == "stubble" else 2.2)),
        glasses=glasses,
        glass_shape=_GLASS_LOW + _GLASS_SPAN * rng.three(0, 1),
        glass_colour=(rng.uniform(0.03, 0.6) * rng.three(0.5, 1)).astype(np.float32),
        occluder=occluder,
        blush=float(rng.uniform(0.0, 0.5)),
        freckles=float(max(0.0, rng.uniform(-0.7, 0.5))),
        gaze=generator.normal(0, 0.05, 2).astype(np.float32),
        light=light,
        ambient=ambient,
        exposure=float(rng.uniform(0.86, 1.12)),
        cast=(cast / cast.mean()).astype(np.float32),
        clothes=(rng.uniform(0.05, 0.95) * rng.three(0.45, 1.0)).astype(np.float32),
        neckline=_pick(rng, ("crew", "crew", "vee", "high", "collar")),
        background=_pick(rng, BACKGROUNDS),
        blur=float(rng.uniform(0, 1) ** 2 * 0.006),
        noise=float(rng.uniform(0.004, 0.028)),
        grey=bool(rng.random() < 0.08),
    )
