"""Pictures in, points out, a portion at a time, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.samples import Image
from heatkp.errors import HeatkpError, SettingsError
from heatkp.inference.detectors import Detection, Detector
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.predictor import Predictor
from heatkp.inference.sources import Fault, Picture

MOST_BYTES = 2**28
"""Of pictures in memory at once; a single one may be larger."""
Boxes = Callable[[Picture], npt.NDArray[np.float64]]
"""Gives a picture's boxes, (N, 4) edges. Raises `DataError` where it cannot tell."""


class PickyDetector:
    """What another detector finds, without what it is less sure of."""

    def __init__(
        self, detector: Detector, min_score: float | None = None, most: int | None = None
    ) -> None:
        self._detector, self.min_score, self.most = detector, min_score, most
        self.box_style = getattr(detector, "box_style", None)

    @property
    def name(self) -> str:
        return self._detector.name

    def __call__(self, image: Image) -> list[Detection]:
        found = self._detector(image)
        least = self.min_score
        return [d for d in found if least is None or d.score >= least][: self.most]


class Answer(NamedTuple):
    """What was found in a picture; `faces` is None where boxes were given, but none for it."""

    picture: Picture
    faces: list[Keypoints] | None


_Asked = tuple[Answer, npt.NDArray[np.float64] | None]
_Waiting = tuple[Answer | Fault, npt.NDArray[np.float64] | None]


def answers(
    predictor: Predictor,
    pictures: Iterable[Picture | Fault],
    boxes: Boxes | str | None = None,
    batch_size: int = 16,
    **options: Any,
) -> Iterator[Answer | Fault]:
    """Predict on pictures as they come; gives them, and faults, in their order.

    An image that the predictor refuses becomes a fault, and the others are done. So does one with
    boxes of no use; it is answered, too, where it has others. Faults of a video's boxes are called
    as the video, and come once a frame. Raises `SettingsError` for options that do not fit the
    model.

    Args:
        boxes: what `Predictor.predict` takes by name, or a function that gives them.
        options: the others of `Predictor.predict`.
    """
    waiting: list[_Waiting] = []
    size = 0
    for item in pictures:
        own = item.image.nbytes if isinstance(item, Picture) else 0
        if waiting and (len(waiting) == batch_size or size + own > MOST_BYTES):
            yield from _predict(predictor, waiting, boxes, batch_size, options)
            waiting, size = [], 0
        waiting.append(_with_boxes(item, boxes))
        size += own
    yield from _predict(predictor, waiting, boxes, batch_size, options)


def _with_boxes(item: Picture | Fault, boxes: Boxes | str | None) -> _Waiting:
    if isinstance(item, Fault) or not callable(boxes):
        return (item if isinstance(item, Fault) else Answer(item, [])), None
    try:
        given = boxes(item)
    except HeatkpError as error:
        return Fault(item.name, str(error)), None
    return Answer(item, [] if len(given) else None), given


def _predict(
    predictor: Predictor,
    waiting: list[_Waiting],
    boxes: Boxes | str | None,
    batch_size: int,
    options: dict[str, Any],
) -> Iterator[Answer | Fault]:
    def points(chosen: list[_Asked]) -> list[Keypoints]:
        images = [answer.picture.image for answer, _ in chosen]
        how = [given for _, given in chosen] if callable(boxes) else boxes
        useless.update({id(answer): [] for answer, _ in chosen})
        return predictor.predict(
            images,
            how,
            batch_size=batch_size,
            refused=lambda i, why: useless[id(chosen[i][0])].append(why),
            **options,
        )

    asked = [(a, g) for a, g in waiting if isinstance(a, Answer) and a.faces is not None]
    refused: dict[int, str] = {}
    useless: dict[int, list[str]] = {}
    try:
        for face in points(asked) if asked else []:
            found_in = asked[face.image][0]
            assert found_in.faces is not None
            found_in.faces.append(face)
    except SettingsError:  # of no picture
        raise
    except (HeatkpError, MemoryError, cv2.error):
        # One of them is to blame: each alone.
        for answer, given in asked:
            assert answer.faces is not None
            answer.faces.clear()
            try:
                answer.faces.extend(points([(answer, given)]))
            except (HeatkpError, MemoryError, cv2.error) as error:
                refused[id(answer)] = str(error) or type(error).__name__
    for item, _ in waiting:
        why = useless.get(id(item), [])
        if isinstance(item, Answer) and id(item) in refused:
            yield Fault(item.picture.name, refused[id(item)])
        elif isinstance(item, Answer) and why:
            yield _of_boxes(item, why)
            if item.faces:
                yield item
        else:
            yield item


def _of_boxes(answer: Answer, why: Sequence[str]) -> Fault:
    """Boxes of no use, said of an image, or of the video that it is from."""
    picture, total = answer.picture, len(why) + len(answer.faces or ())
    name = picture.name if picture.frame is None else picture.name.rpartition("/")[0]
    of_all = f"{len(why)} of its {total} boxes get no points: " if total > 1 else ""
    return Fault(name, of_all + why[0])
