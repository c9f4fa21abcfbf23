"""Files of found objects in COCO's form, of any tool, measured against labels."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from heatkp.data.readers._json_values import (
    Ids,
    identity_of,
    load_json,
    numbers_in,
    objects_in,
    shown,
)
from heatkp.errors import DataError
from heatkp.evaluation.metrics import summarise_objects
from heatkp.evaluation.objects.identities import TrackedFrame, measure_identities
from heatkp.evaluation.objects.image_objects import ImageObjects, areas_of, extent
from heatkp.evaluation.objects.labels import Truth
from heatkp.evaluation.objects.oks import Array, oks

_EXPECTED = (
    "results are a JSON list of objects with image_id, category_id, keypoints (x, y, score of each "
    "point) and score, or a COCO file of predictions"
)


class Result(NamedTuple):
    """One found object.

    Attributes:
        image: the image's id in the file.
        points: (K, 2) in pixels.
        score: higher is surer.
        track: which object it is through time, or None.
        category: COCO's id of it, or None.
    """

    image: int | str
    points: Array
    score: float
    track: str | None
    category: int | str | None


class Results(NamedTuple):
    """A file of found objects.

    Attributes:
        names: of images by their ids, where the file tells; also of images without an object.
    """

    objects: list[Result]
    names: dict[int | str, str]


def read_results(path: Path, count: int) -> Results:
    """The found objects of a file, of `count` points each.

    Raises `DataError` for what does not fit.
    """
    content = load_json(path, _EXPECTED)
    names: dict[int | str, str] = {}
    if isinstance(content, dict):
        for i, image in enumerate(objects_in(content.get("images"), f"{path}: 'images'")):
            where = f"{path}: images[{i}]"
            names[identity_of(image.get("id"), where, "id")] = str(image.get("file_name", ""))
        content = content.get("annotations")
    if not isinstance(content, list):
        raise DataError(f"{path} holds {shown(content)}; {_EXPECTED}")
    found = []
    for i, entry in enumerate(objects_in(content, str(path))):
        where = f"{path}: entry {i}"
        numbers = numbers_in(entry.get("keypoints"))
        if numbers is None or numbers.size != 3 * count:
            given = "no list of numbers" if numbers is None else f"{numbers.size} numbers"
            raise DataError(
                f"{where}: 'keypoints' is {given}; the labels' {count} points need {3 * count}: "
                f"{_EXPECTED}"
            )
        score = entry.get("score", 1.0)
        number = isinstance(score, int | float) and not isinstance(score, bool)
        if not number or not abs(score) <= sys.float_info.max:
            raise DataError(f"{where}: 'score' is {shown(score)}; expected a number")
        track, kind = entry.get("track_id"), entry.get("category_id")
        found.append(
            Result(
                identity_of(entry.get("image_id"), where, "image_id"),
                numbers.reshape(count, 3)[:, :2],
                float(score),
                None if track is None else str(track),
                None if kind is None else identity_of(kind, where, "category_id"),
            )
        )
    return Results(found, names)


def score_results(
    results: Results,
    truth: Truth,
    sigmas: Array,
    frames: range | None = None,
) -> dict[str, Any]:
    """How well objects were found: the metrics of objects; of tracks where both sides have them.

    Where the file of results names the images that were looked at, the other labelled images do
    not count; else all of them do.

    Args:
        sigmas: (K,), as `oks` takes them.
        frames: count only these frames of a video.

    Returns:
        A dictionary of numbers: `images`, `left_out` (results of images without labels), the
        metrics of kind `objects` by name, `tracks` of `measure_identities`.

    Raises:
        DataError: where no result is of a labelled image.
    """
    if frames is not None and not truth.by_frame:
        raise DataError("frames are numbers of a video's frames; these labels are of images")
    kinds = {image.category for image in truth.images}
    known = Ids({image.identity for image in truth.images})
    places = truth.places(results.names) if results.names else {}
    grouped: dict[tuple[int | str, int | str | None], list[Result]] = {}
    left_out = 0
    for found in results.objects:
        place = places.get(found.image) if results.names else known.find(found.image)
        kind = None if kinds == {None} else found.category
        if place is None or known.find(place) is None or kind not in kinds:
            left_out += 1
        else:
            grouped.setdefault((place, kind), []).append(found)
    if results.objects and not grouped:
        raise DataError(
            f"none of the {len(results.objects)} results is of a labelled image (the first is of "
            f"image_id {results.objects[0].image!r}, the labels' first image is "
            f"{truth.images[0].identity!r})"
        )
    looked_at = set(places.values()) if results.names else None
    images, tracked = [], []
    for image in _ordered(truth):
        if frames is not None and image.identity not in frames:
            continue
        if looked_at is not None and image.identity not in looked_at:
            continue
        own = grouped.get((image.identity, image.category), [])
        points = np.array([one.points for one in own]).reshape(-1, len(truth.skeleton), 2)
        images.append(
            ImageObjects(
                points,
                np.array([one.score for one in own], np.float64),
                image.objects,
                sigmas,
                areas_of(
                    np.array([extent(p, np.ones(len(p), bool)) for p in points]).reshape(-1, 4)
                ),
                image.name,
                image.category,
            )
        )
        tracked.append(_tracked(own, image.objects, image.tracks, sigmas))
    scored: dict[str, Any] = {
        "images": len(images),
        "left_out": left_out,
        "sigmas": [round(float(s), 4) for s in sigmas],
        **summarise_objects(images),
    }
    if any(f.true for f in tracked) and any(f.found for f in tracked) and len(kinds) == 1:
        scored["tracks"] = measure_identities(tracked)
    return scored


def _ordered(truth: Truth) -> Sequence[Any]:
    """By category, then by image, as pycocotools has them, which decides between equal scores."""
    if all(isinstance(image.identity, int) for image in truth.images):
        places = {k: i for i, k in enumerate(dict.fromkeys(x.category for x in truth.images))}
        return sorted(truth.images, key=lambda image: (places[image.category], image.identity))
    return truth.images


def _tracked(
    found: Sequence[Result], objects: Any, tracks: Sequence[str | None], sigmas: Array
) -> TrackedFrame:
    """A frame of objects that have an identity and count; the surest of several of one track."""
    best: dict[str, Result] = {}
    for one in found:
        if one.track is not None and (one.track not in best or one.score > best[one.track].score):
            best[one.track] = one
    true = [i for i, t in enumerate(tracks) if t is not None and not objects.ignored[i]]
    points = np.array([one.points for one in best.values()]).reshape(1, -1, len(sigmas), 2)
    similarity = oks(
        points, objects.points[true][:, None], objects.visible[true][:, None],
        objects.areas[true][:, None], sigmas,
    )  # fmt: skip
    return TrackedFrame([tracks[i] for i in true], list(best), similarity)
