"""What is found in an image: points with scores, spread and the box that they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.inputs import ImageLike, as_image
from heatkp.data.samples import Image, Visibility
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]
POINT, LINE, BOX, ELLIPSE = (255, 45, 120), (255, 225, 235), (61, 220, 90), (255, 200, 40)
"""RGB of what is drawn."""
_BITS = 4
"""Of the fraction of a pixel that OpenCV draws to."""


@dataclass(frozen=True, repr=False)
class Keypoints:
    """One object found in an image.

    Attributes:
        points: float64 (K, 2), pixels of the image, centres on integers; they may lie outside.
        scores: float64 (K,), in [0, 1] as the head's decoder defines them; NaN for regression.
        covariance: float64 (K, 2, 2) in squared pixels of the image, or None.
        skeleton: names, lines and sides of the points.
        image_size: (W, H) of the image.
        box: edges (x0, y0, x1, y1) that the points were found from, in pixels of the image, as
            given or as the detector drew it; None where the whole image was looked at.
        box_score: the detector's, or None for a box that was given.
        object_score: how sure it is that an object with these points is there: the score of the
            trained finder that found it times the mean of the points' scores, as top-down methods
            on COCO have it (Xiao et al., 2018); None where there was no finder. Scores of other
            detectors have scales of their own.
        image: index of the image in the list that was given.
        track: which object of the video it is, through time, from 1; None where nothing tells.
        raw: float64 (K, 2), the points as they were found, where `points` are smoothed; NaN for
            what was not found.
    """

    points: Array
    scores: Array
    covariance: Array | None
    skeleton: Skeleton
    image_size: tuple[int, int]
    box: Array | None = None
    box_score: float | None = None
    object_score: float | None = None
    image: int = 0
    track: int | None = None
    raw: Array | None = None

    def __repr__(self) -> str:
        score = "" if self.score is None else f", score {self.score:.2f}"
        points = f"{len(self.points)} points of {self.skeleton.name!r}"
        return f"Keypoints({points}, image {self.image}{score})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.points, dtype=dtype)

    @property
    def certainty(self) -> float | None:
        """What objects are ranked by: `object_score`, or `score` where there is none."""
        return self.score if self.object_score is None else self.object_score

    @property
    def score(self) -> float | None:
        """Mean of the points' scores; where the head gives none, the box's, or None."""
        known = self.scores[np.isfinite(self.scores)]
        return float(known.mean()) if len(known) else self.box_score

    def without_unsure(self, least: float) -> Keypoints:
        """A copy in which points that are scored below `least` are NaN, as absent ones are; they
        keep their scores. Points without a score stay, as those of head `regression`."""
        unsure = self.scores < least
        spread = self.covariance
        return replace(
            self,
            points=np.where(unsure[:, None], np.nan, self.points),
            covariance=None if spread is None else np.where(unsure[:, None, None], np.nan, spread),
        )

    def to_coco(
        self, image_id: int = 1, annotation_id: int = 1, category_id: int = 1
    ) -> dict[str, Any]:
        """A COCO keypoint annotation, in plain Python numbers.

        `keypoints` are x, y, v triples in pixels with centres on integers, (0, 0, 0) for a point
        that is not finite and else v = 2; `bbox` is x, y, width, height from the image's edge,
        of the box or, without one, of the points. `score` is `certainty`, left out where there is
        none.
        """
        found = np.isfinite(self.points).all(axis=1)
        triples = np.zeros((len(self.points), 3))
        triples[found, :2] = self.points[found].round(3)
        triples[found, 2] = Visibility.VISIBLE
        edges = self.box
        if edges is None:
            kept = self.points[found] if found.any() else np.full((1, 2), -0.5)
            edges = np.concatenate([kept.min(axis=0), kept.max(axis=0)])
        x0, y0, x1, y1 = (float(v) for v in edges)
        bbox = [round(v, 3) for v in (x0 + 0.5, y0 + 0.5, x1 - x0, y1 - y0)]
        annotation: dict[str, Any] = {
            "id": annotation_id,
            "image_id": image_id,
            "category_id": category_id,
            "keypoints": [v for x, y, s in triples.tolist() for v in (x, y, int(s))],
            "num_keypoints": int(found.sum()),
            "bbox": bbox,
            "area": round(bbox[2] * bbox[3], 3),
            "iscrowd": 0,
        }
        if self.track is not None:
            annotation["track_id"] = self.track
        if self.certainty is not None:
            annotation["score"] = round(self.certainty, 4)
        return annotation

    def draw(
        self,
        image: ImageLike,
        box: bool = True,
        lines: bool = True,
        ellipses: bool = False,
    ) -> Image:
        """A copy of an image, uint8 (H, W, 3) RGB, with the points drawn on it.

        Sizes follow the face, and on large images what can be seen when they fill a screen.

        Args:
            image: as `inputs.as_image` takes it; usually the one predicted on, or what `draw` gave
                for another face in it.
            box: draw the box that the points were found from, too.
            lines: join the points as the skeleton says.
            ellipses: outline where each point lies with 86 % probability (two standard
                deviations), where the head gives a covariance.

        Raises:
            DataError: for a file or an array that is no image.
        """
        canvas = as_image(image).copy()
        self.draw_on(canvas, box, lines, ellipses)
        return canvas

    def draw_on(
        self, canvas: Image, box: bool = True, lines: bool = True, ellipses: bool = False
    ) -> None:
        """Draw the points on an image, uint8 (H, W, 3) RGB, itself; the rest as `draw`."""
        found = np.asarray(np.isfinite(self.points).all(axis=1))
        if found.any():
            _Pen(canvas, self.points[found]).draw(self, found, box, lines, ellipses)


class Results(list[Keypoints]):
    """What was found in one image or several, in the images' order: a list of `Keypoints`."""

    def of(self, image: int) -> Results:
        """What was found in one of the images, by its place in the list that was given."""
        return Results(one for one in self if one.image == image)

    def draw(self, image: ImageLike, index: int = 0, **options: Any) -> Image:
        """A copy of an image, uint8 (H, W, 3) RGB, with all objects drawn on it.

        Args:
            image: as `Keypoints.draw` takes it.
            index: which of the images that were given it is.
            options: those of `Keypoints.draw`.

        Raises:
            DataError: for an image that cannot be read.
        """
        canvas = as_image(image).copy()
        for one in self.of(index):
            one.draw_on(canvas, **options)
        return canvas


class _Pen:
    """Drawing on an image to a fraction of a pixel, in sizes that suit a face in it."""

    def __init__(self, canvas: Image, points: Array) -> None:
        self.canvas = canvas
        self.far = 4 * max(canvas.shape)
        """What lies further outside would overflow OpenCV's integers."""
        found = float(np.hypot(*np.ptp(points, axis=0)))
        self.radius = max(found / 130, min(max(canvas.shape) / 800, found / 60), 0.8)
        self.width = max(1, round(self.radius / 1.6))

    def place(self, points: Array) -> npt.NDArray[np.int32]:
        near = np.clip(points, -self.far, self.far)
        return np.asarray(np.rint(near * 2**_BITS), np.int32)

    def outline(
        self, points: Array, colour: tuple[int, int, int], closed: bool, share: float = 1.0
    ) -> None:
        """A line with a dark edge, where it is wide enough to have one."""
        run, width = [self.place(points)[:, None]], max(1, round(share * self.width))
        if width > 1:
            edge = width + 2 * max(1, width // 3)
            cv2.polylines(self.canvas, run, closed, (0, 0, 0), edge, cv2.LINE_AA, _BITS)
        cv2.polylines(self.canvas, run, closed, colour, width, cv2.LINE_AA, _BITS)

    def dot(self, point: Array) -> None:
        x, y = (int(v) for v in self.place(point))
        rings = [(self.radius, POINT)]
        if self.radius > 1.2:  # else the rim would take more room than the dot
            rings.insert(0, (1.45 * self.radius, (0, 0, 0)))
        for radius, colour in rings:
            size = round(radius * 2**_BITS)
            cv2.circle(self.canvas, (x, y), size, colour, cv2.FILLED, cv2.LINE_AA, _BITS)

    def draw(
        self, keypoints: Keypoints, found: npt.NDArray[np.bool_], box: bool, lines: bool,
        ellipses: bool,
    ) -> None:  # fmt: skip
        if box and keypoints.box is not None:
            x0, y0, x1, y1 = keypoints.box
            corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
            self.outline(corners, BOX, True)
        for run in keypoints.skeleton.lines if lines else ():
            for a, b in pairwise(run):
                if found[a] and found[b]:
                    self.outline(keypoints.points[[a, b]], LINE, False)
        if ellipses and keypoints.covariance is not None:
            for k in np.flatnonzero(found):
                self.ellipse(keypoints.points[k], keypoints.covariance[k])
        for k in np.flatnonzero(found):
            self.dot(keypoints.points[k])

    def ellipse(self, centre: Array, covariance: Array) -> None:
        if not np.isfinite(covariance).all():
            return
        variances, axes = np.linalg.eigh(covariance)
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        reach = 2 * np.sqrt(np.maximum(variances, 0))
        self.outline(centre + (circle * reach) @ axes.T, ELLIPSE, True, 0.5)
