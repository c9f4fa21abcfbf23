"""The Animal Pose data set's own JSON, which looks like COCO's and is not.

`images` are {id: name}; `bbox` is x0, y0, x1, y1 from the image's edge; `keypoints` are a list [x,
y, v] for each point, with v 1 where it is labelled (MMPose reads all of them as visible); lines
count points from 0. Coordinates are pixels from 0, as COCO's, centres on integers. Rules as in
https://github.com/open-mmlab/mmpose, tools/dataset_converters/parse_animalpose_dataset.py.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._coco_files import image_folders
from heatkp.data.readers._coco_values import LARGEST, skeleton_of, triples_of
from heatkp.data.readers._common import files_of_type, require_files, source_images
from heatkp.data.readers._json_lists import ends_of, load_lists
from heatkp.data.readers._json_values import Ids, identity_of, numbers_in, shown
from heatkp.data.readers._lines import located
from heatkp.data.samples import Labels, Sample, Visibility
from heatkp.errors import DataError
from heatkp.text import printable

_BY_ID = re.compile(r'"images"\s*:\s*\{')


def _is_one(path: Path) -> bool:
    return path.suffix.lower() == ".json" and _BY_ID.search(ends_of(path)) is not None


def _file(path: Path) -> Path | None:
    if not path.is_dir():
        return path
    found = [file for file in files_of_type(path, ".json") if _is_one(file)]
    return found[0] if len(found) == 1 else None


def _recognise(path: Path) -> bool:
    found = _file(path)
    return found is not None and _is_one(found)


def _load(source: Path) -> dict[str, Any]:
    expected = "expected images as {id: name}, and lists of annotations and categories"
    try:
        content = load_lists(source, {})
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{source} cannot be read as JSON ({error}); {expected}") from None
    kinds = {"images": dict, "annotations": list, "categories": list}
    for key, kind in kinds.items():
        part = content.get(key) if isinstance(content, dict) else None
        if not isinstance(part, kind) or not part:
            raise DataError(f"{source}: {key!r} is {shown(part)}; {expected}")
    for key in ("annotations", "categories"):
        for i, item in enumerate(content[key]):
            if not isinstance(item, dict):
                raise DataError(f"{source}: {key}[{i}] is {shown(item)}; {expected}")
    for identity, name in content["images"].items():
        if not isinstance(name, str) or not name:
            raise DataError(f"{source}: image {identity} is {shown(name)}; expected a file's name")
    return dict(content)


def _box(value: Any, place: str) -> npt.NDArray[np.float32] | None:
    if value is None:
        return None
    edges = numbers_in(value)
    if edges is None or edges.shape != (4,) or not (np.abs(edges) <= LARGEST).all():
        raise DataError(f"{place} has bbox {shown(value)}; x0, y0, x1, y1 are expected")
    return (edges - 0.5).astype(np.float32) if (edges[2:] > edges[:2]).all() else None


@reader(
    "animalpose",
    "the Animal Pose data set's own `keypoints.json`",
    recognise=_recognise,
    files="Animal Pose's keypoints.json",
    priority=0.85,
    boxes=True,
    unlabelled="visibility 0",
)
def read_animalpose(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All animals of the file (or of the folder that holds it), in its order.

    Raises `DataError` for what does not fit, and where `strict` for images that do not exist.
    """
    source = _file(path)
    if source is None:
        raise DataError(f"{path} does not hold just one JSON file of the Animal Pose data set")
    content = _load(source)
    categories = [c for c in content["categories"] if c.get("keypoints")]
    if not categories or any(c["keypoints"] != categories[0]["keypoints"] for c in categories):
        raise DataError(f"{source}: categories must have the same list of names under 'keypoints'")
    edges = categories[0].get("skeleton")
    skeleton = skeleton_of({**categories[0], "skeleton": None}, None, source)
    lines = _lines(edges, len(skeleton))
    skeleton = replace(skeleton, lines=lines) if lines and not skeleton.lines else skeleton
    names = {identity: str(name) for identity, name in content["images"].items()}
    files, notes = located(source, list(names.values()), strict, image_folders(source))
    if strict:
        require_files(source, files)
    sources = source_images(list(names.values()))
    images = {i: (ImageFile(f, options), s) for i, f, s in zip(names, files, sources)}
    ids = Ids(images)
    samples = []
    for i, note in enumerate(content["annotations"]):
        place = f"{source}: annotations[{i}]"
        found = ids.find(str(identity_of(note.get("image_id"), place, "image_id")))
        if found is None:
            raise DataError(f"{place} is of the image {note['image_id']!r}, which is not there")
        image, original = images[str(found)]
        triples = triples_of(note.get("keypoints"), len(skeleton), place)
        labelled = triples[:, 2] > 0
        if not np.isfinite(triples[labelled, :2]).all():
            raise DataError(f"{place}: a labelled point has a coordinate that is not finite")
        points = np.where(labelled[:, None], np.clip(triples[:, :2], -LARGEST, LARGEST), np.nan)
        samples.append(
            Sample.of_file(
                image,
                points.astype(np.float32),
                np.where(labelled, Visibility.VISIBLE, 0).astype(np.uint8),
                id=f"{printable(image.path.stem)}#{i}",
                box=_box(note.get("bbox"), place),
                source_image=original,
            )
        )
    return Labels(skeleton, samples, notes)


def _lines(edges: Any, count: int) -> tuple[tuple[int, int], ...]:
    """Pairs of points to join when drawing, counted from 0; none of what is no such list."""
    try:
        lines = tuple((int(a), int(b)) for a, b in edges or ())
    except (ValueError, TypeError, OverflowError):
        return ()
    return lines if all(0 <= i < count for line in lines for i in line) else ()
