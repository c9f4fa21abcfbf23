"""From image to network input: one affine, one resampling, then changes of colour.

Crop, zoom, rotation, shear, shift and flip are composed into one matrix. What changes colours,
blurs or covers is albumentations' work; it never sees the points, so it cannot lose any.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from heatkp import coordinates as co
from heatkp.config import Augmentation, Data
from heatkp.data.samples import Image

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network at import


DEVIATIONS = 3.0
"""What is drawn from a normal distribution stays within so many standard deviations."""


@dataclass(frozen=True)
class Framing:
    """Which region of an image becomes the W x H input, and by which affine.

    Attributes:
        size: (W, H) of the input in pixels.
        box_scale: the region is the box enlarged by this about its centre; None takes the
            whole image.
        box_shift: then it is moved by these fractions of the box's width and height.
        keep_aspect: widen the region to the input's shape rather than stretch it.
        inside: cut the region at the image's edges; not with `keep_aspect`.
        objects: the whole image is seen, and boxes say which of its objects are meant.
    """

    size: tuple[int, int]
    box_scale: float | None = None
    keep_aspect: bool = True
    box_shift: tuple[float, float] = (0.0, 0.0)
    inside: bool = False
    objects: bool = False

    @classmethod
    def of(cls, data: Data) -> Framing:
        scale = data.box_scale if data.crop == "box" else None
        return cls(
            (data.size[0], data.size[1]),
            scale,
            data.keep_aspect,
            (data.box_shift[0], data.box_shift[1]),
            data.box_inside,
            data.crop == "objects",
        )

    @property
    def takes_boxes(self) -> bool:
        """Whether what is found depends on a box: as the region that is seen, or as the object."""
        return self.box_scale is not None or self.objects

    def region(self, image_size: tuple[int, int], box: npt.ArrayLike | None) -> npt.NDArray[Any]:
        """The region (x0, y0, x1, y1) of an image of the given (W, H), in its pixels.

        Raises `ValueError` for a box without area, or one outside the image that it is cut from.
        """
        region = self.whole_region(image_size, box)
        if not self.inside:
            return region
        edges = co.image_box(*image_size)
        low, high = np.maximum(region[:2], edges[:2]), np.minimum(region[2:], edges[2:])
        if not (high - low >= 1).all():
            raise ValueError(f"the region of box {np.asarray(box).tolist()} is outside the image")
        return np.concatenate([low, high])

    def whole_region(
        self, image_size: tuple[int, int], box: npt.ArrayLike | None
    ) -> npt.NDArray[Any]:
        """`region` before it is cut at the image's edges."""
        edges = co.image_box(*image_size)
        if self.box_scale is not None and box is not None:
            given = np.asarray(box, np.float64)
            if not (given[2:] > given[:2]).all():
                raise ValueError(f"box {given.tolist()} has no area")
            half = (given[2:] - given[:2]) * self.box_scale / 2
            centre = (given[2:] + given[:2]) / 2 + self.box_shift * (given[2:] - given[:2])
            edges = np.concatenate([centre - half, centre + half])
        if self.keep_aspect:
            extent = edges[2:] - edges[:2]
            scale = float((extent / self.size).max())
            centre = (edges[2:] + edges[:2]) / 2
            half = scale * np.asarray(self.size) / 2
            edges = np.concatenate([centre - half, centre + half])
        return edges

    def matrix(self, image_size: tuple[int, int], box: npt.ArrayLike | None = None) -> co.Matrix:
        """Image pixels to input pixels. Raises `ValueError` as `region` does."""
        return co.box_to_frame(self.region(image_size, box), *self.size)


def shrink_factor(matrix: co.Matrix) -> int:
    """By how much an image can be shrunk before `matrix` is applied, without loss that shows."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    return max(1, int(1 / (1.25 * scale)))


def halved(image: Image) -> Image:
    """An image averaged over 2 x 2 blocks; an odd row or column at its end is left out."""
    width, height = image.shape[1] // 2, image.shape[0] // 2
    even = image[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def shrink(image: Image, factor: int) -> tuple[Image, co.Matrix]:
    """An image averaged over factor x factor blocks, and the affine from image to shrunk image.

    Bilinear resampling alone would alias when it shrinks much; block averages do not. The
    image's edge is continued to the right and below where blocks reach over it.
    """
    if factor == 1:
        return image, co.scaling(1.0, 1.0)
    height, width = image.shape[:2]
    right, below = -width % factor, -height % factor
    if right or below:
        image = np.asarray(
            cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8
        )
    small = ((width + right) // factor, (height + below) // factor)
    if factor % 2 == 0 and factor > 2:  # OpenCV halves in a quarter of the time of other factors
        image = halved(image)
    reduced = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
    offset = 0.5 / factor - 0.5
    return reduced, np.array([[1 / factor, 0.0, offset], [0.0, 1 / factor, offset]])


def warp(image: Image, matrix: co.Matrix, size: tuple[int, int]) -> Image:
    """The W x H image seen through an affine from image pixels to output pixels.

    Bilinear, with edge pixels continued outside the image.
    """
    seen = cv2.warpAffine(
        image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(seen, np.uint8)


def reach(settings: Augmentation, framing: Framing) -> float:
    """How many times larger than an input's region a region about the same centre must be to
    hold whatever `jittered` and `random_affine` can bring into the input.

    From the inverse of the random affine, bounded factor by factor.
    """
    width, height = framing.size
    ratio = max(width, height) / min(width, height)
    deviations = DEVIATIONS if settings.distribution == "normal" else 1.0
    angle = math.radians(max(map(abs, settings.angles), default=deviations * settings.rotation))
    if angle < math.atan(ratio):
        turned = math.cos(angle) + math.sin(angle) * ratio
    else:  # where the sum has its maximum
        turned = math.hypot(1.0, ratio)
    k = min(settings.shear, 0.95)
    sheared = (1 + k * ratio) / (1 - k * k)
    shift = deviations * max(_per_axis(settings.shift))
    smallest = 1.0 if settings.zoom == "in" else 1 - settings.scale
    moved = (1 + 2 * shift) / smallest
    scale = framing.box_scale
    jitter = 0.0 if scale is None else settings.box_jitter
    shifts = max(1.0, 1.0 / (scale or 1.0)) * (1 + 2 * max(map(abs, framing.box_shift)))
    return turned * sheared * moved + 2 * jitter * (turned * sheared * moved + shifts)


def jittered(rng: np.random.Generator, box: npt.ArrayLike, jitter: float) -> npt.NDArray[Any]:
    """A box with each edge moved by up to `jitter` of the box's own size."""
    edges = np.asarray(box, np.float64)
    extent = edges[2:] - edges[:2]
    return edges + rng.uniform(-jitter, jitter, 4) * np.concatenate([extent, extent])


def _per_axis(shift: float | list[float]) -> list[float]:
    return shift if isinstance(shift, list) else [shift, shift]


def _drawn(rng: np.random.Generator, settings: Augmentation, count: int) -> npt.NDArray[Any]:
    """Numbers that angles and shifts are multiples of: in [-1, 1], or standard normal."""
    if settings.distribution == "normal":
        return np.clip(rng.standard_normal(count), -DEVIATIONS, DEVIATIONS)
    return rng.uniform(-1, 1, count)


def random_affine(
    rng: np.random.Generator, settings: Augmentation, size: tuple[int, int]
) -> tuple[co.Matrix, bool]:
    """A random affine of the input frame about its centre, and whether it mirrors."""
    width, height = size
    centre = ((width - 1) / 2, (height - 1) / 2)
    if settings.angles:
        angle = float(rng.choice(settings.angles))
    else:
        angle = float(_drawn(rng, settings, 1)[0]) * settings.rotation
    smaller = rng.uniform(-1, 1)
    if settings.zoom != "both":
        smaller = abs(smaller) if settings.zoom == "out" else -abs(smaller)
    zoom = (1 - settings.scale) ** smaller
    kx, ky = rng.uniform(-1, 1, 2) * settings.shear
    dx, dy = _drawn(rng, settings, 2) * _per_axis(settings.shift) * np.asarray(size)
    flipped = bool(rng.random() < settings.flip)
    steps = [
        co.translation(-centre[0], -centre[1]),
        co.shearing(kx, ky),
        co.rotation(angle),
        co.scaling(zoom, zoom),
        co.translation(centre[0] + dx, centre[1] + dy),
    ]
    if flipped:
        steps.append(co.mirroring(width))
    return co.compose(*steps), flipped


class Photometric:
    """Random changes of brightness, contrast, colour, blur and noise, and covering patches."""

    def __init__(self, settings: Augmentation) -> None:
        import albumentations as A

        s = settings.photometric
        steps: list[Any] = []
        if s > 0:
            steps += [
                A.RandomBrightnessContrast(0.35 * s, 0.35 * s, brightness_by_max=False, p=s),
                A.RandomGamma((100 - 30 * s, 100 + 45 * s), p=0.4 * s),
                A.HueSaturationValue(12 * s, 40 * s, 15 * s, p=0.6 * s),
            ]
        if settings.grey > 0:
            steps.append(A.ToGray(p=settings.grey))
        if settings.blur > 0:
            steps.append(A.GaussianBlur((3, 5), p=settings.blur))
        if settings.motion_blur > 0:
            # By default it is off-centre, which moves the image under its points.
            centred = {"allow_shifted": False, "direction_range": (0.0, 0.0)}
            steps.append(A.MotionBlur((3, 7), p=settings.motion_blur, **centred))
        if settings.noise > 0:
            steps.append(A.GaussNoise(std_range=(0.01, 0.06), p=settings.noise))
        if settings.jpeg > 0:
            steps.append(A.ImageCompression(quality_range=(25, 80), p=settings.jpeg))
        if settings.occlusion > 0:
            steps.append(
                A.CoarseDropout(
                    (1, 2), (0.1, 0.3), (0.1, 0.3), "random_uniform", p=settings.occlusion
                )
            )
        self._compose = A.Compose(steps, seed=0) if steps else None

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """The changed image; the same generator state gives the same change."""
        if self._compose is None:
            return image
        self._compose.set_random_seed(int(rng.integers(2**31)))
        return self._compose(image=image)["image"]
