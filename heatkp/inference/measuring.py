"""A model that finds its objects, measured from image to points."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp.data.images import Image, ImageOptions
from heatkp.data.samples import KeypointData, Sample
from heatkp.data.scenes import image_key
from heatkp.errors import DataError
from heatkp.evaluation.metrics import summarise_objects
from heatkp.evaluation.objects import ImageObjects, TrueObjects, sigmas_for
from heatkp.evaluation.objects.image_objects import MOST
from heatkp.evaluation.objects.swaps import swaps
from heatkp.inference.detectors import Detection
from heatkp.inference.finder import Finder
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.predictor import Predictor

CANDIDATE = 0.02
"""Score of a finder from which what it finds has a place on the curve of precision and recall."""


@dataclass(frozen=True)
class MeasuredObjects:
    """What a model found in images of any number of objects, beside their labels.

    Attributes:
        figures: plain numbers for JSON: the metrics of kind `objects` by name; `images`, `swaps`
            (objects whose points match another one better than their own), `min_score` from which
            an object counts, and `sigmas` of OKS. `ranked` metrics, such as average precision,
            also look at what is less sure.
        images: what counts, with the labels, of each image.
        samples: of each image one, which reads it.
    """

    figures: dict[str, Any]
    images: list[ImageObjects] = field(repr=False)
    samples: list[Sample] = field(repr=False)


class _Candidates:
    """A finder that gives, beside what counts, the surest of the rest, up to as many as COCO's
    rules look at."""

    def __init__(self, finder: Finder) -> None:
        self.name, self.box_style = finder.name, finder.box_style
        self._least = finder.min_score
        self._finder = finder.with_options(min_score=min(CANDIDATE, finder.min_score))

    def __call__(self, image: Image) -> list[Detection]:
        return self.many([image])[0]

    def many(self, images: Sequence[Image]) -> list[list[Detection]]:
        """The objects of each image, the surest first."""
        return [
            found[: max(MOST, sum(one.score >= self._least for one in found))]
            for found in self._finder.many(images)
        ]


def objects_of(data: KeypointData, part: str) -> list[Sample]:
    """The labelled objects on the images of a part (`train`, `val`, `test` or `all`), also those
    that do not count or have no labelled point, and images without an object."""
    own = data.part(part)
    images = {image_key(sample) for sample in own}
    more = [sample for sample in data.left_out if image_key(sample) in images]
    return [*own, *more, *(s for s in data.empty if part in ("all", s.split))]


def measure_objects(
    predictor: Predictor,
    samples: Sequence[Sample],
    *,
    batch_size: int = 16,
    passes: int | None = None,
    flip_test: bool = False,
    nms_oks: float | None = None,
    sigmas: npt.ArrayLike | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MeasuredObjects:
    """Find objects in images, predict their points, and match them with the labels by OKS, as
    `heatkp score` does.

    Args:
        predictor: with a detector; a finder's own lowest score says what counts.
        samples: all objects of the images, as `objects_of` gives them; one without points and box
            only says that its image is there.
        batch_size, passes, flip_test, nms_oks: as `Predictor.predict` takes them.
        sigmas: (K,) of OKS. None: as `sigmas_for` the skeleton.
        progress: is told how many images are done, and how many there are.

    Raises:
        DataError: where no object is labelled, and for an image that cannot be read.
        SettingsError: as `Predictor.predict` does.
    """
    groups: dict[Hashable, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(image_key(sample), []).append(sample)
    options = ImageOptions.of(predictor.settings.data)
    images = [own[0].read_with(options) for own in groups.values()]
    truths = [_truth(own, len(predictor.skeleton)) for own in groups.values()]
    if not any((~truth.ignored).any() for truth in truths):
        raise DataError("no image has a labelled object: there is nothing to measure")
    predictor.ready_for("objects")
    finder, seeking = predictor.detector, copy.copy(predictor)
    least = getattr(finder, "min_score", None)
    passes = predictor.usual_passes if passes is None else passes
    if isinstance(finder, Finder):
        seeking.detector = _Candidates(finder)

    def pictures() -> Iterator[Image]:
        for done, image in enumerate(images):
            if progress is not None:
                progress(done, len(images))
            yield image.rgb()

    found: list[list[Keypoints]] = [[] for _ in images]
    for one in seeking.predict(
        pictures(), "objects", batch_size, passes, flip_test, _ignore, nms_oks
    ):
        found[one.image].append(one)
    widths = sigmas_for(predictor.skeleton) if sigmas is None else np.asarray(sigmas, np.float64)
    every, sure = [], []
    for own, truth, image in zip(found, truths, images):
        told = ImageObjects.of(
            [one.points for one in own],
            [one.certainty or 0.0 for one in own],
            truth,
            widths,
            image.image_name,
            np.array([one.box for one in own], np.float64),
        )
        every.append(told)
        sure.append(told.kept([least is None or (one.box_score or 0) >= least for one in own]))
    figures = {
        "images": len(images),
        "min_score": least,
        "sigmas": [round(float(s), 4) for s in widths],
        **summarise_objects(every, sure),
        "swaps": sum(len(swaps(image)) for image in sure),
    }
    return MeasuredObjects(figures, sure, images)


def _ignore(image: int, why: str) -> None:
    """A box of no use, which gives no points."""


def _truth(samples: Sequence[Sample], count: int) -> TrueObjects:
    objects = [s for s in samples if s.labelled_box is not None or (s.visibility > 0).any()]
    return TrueObjects.of(objects, count)
