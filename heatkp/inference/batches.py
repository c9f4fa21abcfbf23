"""Images in, points out, a portion at a time, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.samples import Image
from heatkp.errors import HeatkpError, SettingsError
from heatkp.inference.detectors import Detection, Detector, suppress
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.predictor import Predictor
from heatkp.inference.sources import Failure, InputImage

MOST_BYTES = 2**28
"""Of images in memory at once; a single one may be larger."""
Boxes = Callable[[InputImage], npt.NDArray[np.float64]]
"""Gives an image's boxes, (N, 4) edges. Raises `DataError` where it cannot tell."""


class PickyDetector:
    """What another detector finds, without what it is less sure of, and of boxes that share more
    than `nms` of their common area without the less sure one."""

    def __init__(
        self,
        detector: Detector,
        min_score: float | None = None,
        most: int | None = None,
        nms: float | None = None,
    ) -> None:
        self._detector, self.min_score, self.most, self.nms = detector, min_score, most, nms
        self.tile = getattr(detector, "tile", None)
        self.box_style = getattr(detector, "box_style", None)

    @property
    def name(self) -> str:
        return self._detector.name

    def __call__(self, image: Image) -> list[Detection]:
        found = self._detector(image)
        least = self.min_score
        found = [d for d in found if least is None or d.score >= least]
        if self.nms is not None and found:
            boxes = np.array([d.box for d in found], np.float64)
            kept = suppress(boxes, np.array([d.score for d in found], np.float64), self.nms)
            found = [found[i] for i in kept]
        return found[: self.most]


class Prediction(NamedTuple):
    """What was found in an image; `objects` is None where boxes were given, but none for it."""

    input_image: InputImage
    objects: list[Keypoints] | None


_Request = tuple[Prediction, npt.NDArray[np.float64] | None]
_Waiting = tuple[Prediction | Failure, npt.NDArray[np.float64] | None]


def predictions(
    predictor: Predictor,
    inputs: Iterable[InputImage | Failure],
    boxes: Boxes | str | None = None,
    batch_size: int = 16,
    **options: Any,
) -> Iterator[Prediction | Failure]:
    """Predict on images as they come; gives them, and faults, in their order.

    An image that the predictor refuses becomes a fault, and the others are done. So does one with
    boxes of no use; it is answered, too, where it has others. Faults of a video's boxes are called
    as the video, and come once a frame. Raises `SettingsError` for options that do not fit the
    model.

    Args:
        boxes: what `Predictor.predict` takes by name, or a function that gives them.
        options: the others of `Predictor.predict`.
    """
    for part in portions(inputs, batch_size):
        waiting = [_with_boxes(item, boxes) for item in part]
        yield from _predict(predictor, waiting, boxes, batch_size, options)


def portions(
    inputs: Iterable[InputImage | Failure], batch_size: int
) -> Iterator[list[InputImage | Failure]]:
    """Inputs in the portions in which `predictions` looks at them: as many as a batch, or as
    memory allows."""
    part: list[InputImage | Failure] = []
    size = 0
    for item in inputs:
        own = item.image.nbytes if isinstance(item, InputImage) else 0
        if part and (len(part) == batch_size or size + own > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(item)
        size += own
    if part:
        yield part


def _with_boxes(item: InputImage | Failure, boxes: Boxes | str | None) -> _Waiting:
    if isinstance(item, Failure) or not callable(boxes):
        return (item if isinstance(item, Failure) else Prediction(item, [])), None
    try:
        given = boxes(item)
    except HeatkpError as error:
        return Failure(item.name, str(error)), None
    return Prediction(item, [] if len(given) else None), given


def _predict(
    predictor: Predictor,
    waiting: list[_Waiting],
    boxes: Boxes | str | None,
    batch_size: int,
    options: dict[str, Any],
) -> Iterator[Prediction | Failure]:
    def points(chosen: list[_Request]) -> list[Keypoints]:
        images = [prediction.input_image.image for prediction, _ in chosen]
        how = [given for _, given in chosen] if callable(boxes) else boxes
        useless.update({id(prediction): [] for prediction, _ in chosen})
        return predictor.predict(
            images,
            how,
            batch_size=batch_size,
            refused=lambda i, why: useless[id(chosen[i][0])].append(why),
            **options,
        )

    asked = [(a, g) for a, g in waiting if isinstance(a, Prediction) and a.objects is not None]
    refused: dict[int, str] = {}
    useless: dict[int, list[str]] = {}
    try:
        for found in points(asked) if asked else []:
            found_in = asked[found.image][0]
            assert found_in.objects is not None
            found_in.objects.append(found)
    except SettingsError:  # of no image
        raise
    except (HeatkpError, MemoryError, cv2.error):
        # One of them is to blame: each alone.
        for prediction, given in asked:
            assert prediction.objects is not None
            prediction.objects.clear()
            try:
                prediction.objects.extend(points([(prediction, given)]))
            except (HeatkpError, MemoryError, cv2.error) as error:
                refused[id(prediction)] = str(error) or type(error).__name__
    for item, _ in waiting:
        why = useless.get(id(item), [])
        if isinstance(item, Prediction) and id(item) in refused:
            yield Failure(item.input_image.name, refused[id(item)])
        elif isinstance(item, Prediction) and why:
            yield _of_boxes(item, why)
            if item.objects:
                yield item
        else:
            yield item


def _of_boxes(prediction: Prediction, why: Sequence[str]) -> Failure:
    """Boxes of no use, said of an image, or of the video that it is from."""
    input_image, total = prediction.input_image, len(why) + len(prediction.objects or ())
    name = input_image.name if input_image.frame is None else input_image.name.rpartition("/")[0]
    of_all = f"{len(why)} of its {total} boxes get no points: " if total > 1 else ""
    return Failure(name, of_all + why[0])
