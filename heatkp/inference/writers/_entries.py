"""What JSON tells of an image, and back from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heatkp.inference.keypoints import Array, Keypoints
from heatkp.inference.sources import InputImage
from heatkp.inference.writers._base import rounded
from heatkp.skeletons import Skeleton
from heatkp.text import name_to_text, text_to_name


def image_entry(input_image: InputImage, objects: Sequence[Keypoints]) -> dict[str, Any]:
    """An image and its objects, as plain values; names as `name_to_text` writes them."""
    height, width = input_image.image.shape[:2]
    entry: dict[str, Any] = {"image": name_to_text(input_image.name)}
    entry["file"] = name_to_text(input_image.file.as_posix())
    if input_image.member is not None:
        entry["member"] = name_to_text(input_image.member)
    if input_image.frame is not None:
        entry.update(frame=input_image.frame, time=rounded(input_image.time or 0.0, 4))
    entry.update(width=width, height=height, turned_by_exif=input_image.orientation != 1)
    entry["objects"] = [_object(found) for found in objects]
    return entry


def _object(found: Keypoints) -> dict[str, Any]:
    points = []
    for k, name in enumerate(found.skeleton.point_names):
        x, y = (rounded(v, 3) for v in found.points[k])
        point: dict[str, Any] = {"name": name, "x": x, "y": y}
        point["score"] = rounded(found.scores[k], 4)
        if found.covariance is not None:
            point["covariance"] = [[rounded(v, 4) for v in row] for row in found.covariance[k]]
        points.append(point)
    track = {} if found.track is None else {"track": found.track}
    return {
        **track,
        "box": None if found.box is None else [rounded(v, 3) for v in found.box],
        "box_score": None if found.box_score is None else rounded(found.box_score, 4),
        "score": None if found.score is None else rounded(found.score, 4),
        "object_score": None if found.object_score is None else rounded(found.object_score, 4),
        "points": points,
    }


@dataclass(frozen=True, repr=False)
class StoredKeypoints(Keypoints):
    """An object that was read back: its score is the one that was written, not the mean of the
    rounded ones.

    Attributes:
        stored_score: that score.
    """

    stored_score: float | None = None

    @property
    def score(self) -> float | None:
        return self.stored_score


def read_entry(
    entry: Mapping[str, Any], skeleton: Skeleton
) -> tuple[InputImage, list[StoredKeypoints]]:
    """What `image_entry` was made of, to the digits that it keeps.

    The image itself is not there: a black one of its size stands in, which takes no memory. Of an
    image that is stored turned, the orientation 6 stands for all of them. Raises `KeyError`,
    `TypeError` and `ValueError` for what is no such entry.
    """
    width, height = int(entry["width"]), int(entry["height"])
    black = np.broadcast_to(np.zeros((), np.uint8), (height, width, 3))
    frame, time, member = entry.get("frame"), entry.get("time"), entry.get("member")
    input_image = InputImage(
        name=text_to_name(entry["image"]),
        file=Path(text_to_name(entry["file"])),
        image=black,
        orientation=6 if entry["turned_by_exif"] else 1,
        frame=None if frame is None else int(frame),
        time=None if time is None else float(time),
        pages=int(entry.get("pages", 1)),
        member=None if member is None else text_to_name(member),
    )
    objects = [_keypoints(one, skeleton, (width, height)) for one in entry["objects"]]
    return input_image, objects


def _keypoints(
    values: Mapping[str, Any], skeleton: Skeleton, size: tuple[int, int]
) -> StoredKeypoints:
    points = values["points"]
    if [point["name"] for point in points] != list(skeleton.point_names):
        raise ValueError(f"its points are not those of {skeleton.name}")
    spread = _array([p["covariance"] for p in points]) if "covariance" in points[0] else None
    box, box_score, score = values["box"], values["box_score"], values["score"]
    object_score = values.get("object_score")
    return StoredKeypoints(
        points=_array([[p["x"], p["y"]] for p in points]),
        scores=_array([p["score"] for p in points]),
        covariance=spread,
        skeleton=skeleton,
        image_size=size,
        box=None if box is None else _array(box),
        box_score=None if box_score is None else float(box_score),
        object_score=None if object_score is None else float(object_score),
        track=None if values.get("track") is None else int(values["track"]),
        stored_score=None if score is None else float(score),
    )


def _array(values: Any) -> Array:
    return np.array(_numbers(values), np.float64)


def _numbers(values: Any) -> Any:
    """Nested lists with NaN where JSON has null."""
    if isinstance(values, list):
        return [_numbers(value) for value in values]
    return math.nan if values is None else float(values)
