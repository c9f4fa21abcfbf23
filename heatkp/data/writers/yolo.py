"""YOLO-pose: `data.yaml`, `images/SPLIT/` and `labels/SPLIT/`, as Ultralytics trains on them.

https://docs.ultralytics.com/datasets/pose/: a line is the class, the box as x, y of its centre,
width and height, then x, y, v of each point, all but class and v as fractions of the image, so
that half a pixel is added to centres. `data/utils.py` (verify_image_label) refuses labels below 0
and above 1, so boxes end at the image's edge. `train` and `val` have to be there
(check_det_dataset): where no image is for validation, val is train. Without `path` they are meant
from the file's folder. `flip_idx` is left
out where it is not known: then Ultralytics mirrors nothing.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from heatkp.data.readers._yolo import IMAGES
from heatkp.data.writers._base import (
    Holds,
    LabelledImage,
    LabelSet,
    Object,
    ToPlace,
    label_writer,
    text_of,
)
from heatkp.data.writers._boxes import within
from heatkp.skeletons import Skeleton
from heatkp.text import printable

DIGITS = 9
"""Of fractions: those of large images are as fine as those of small ones need to be."""
_SPLITS = ("train", "val", "test")


def _place(image: ToPlace) -> str:
    return f"images/{image.split if image.split in _SPLITS else 'train'}/{image.name}"


def _line(found: Object, size: tuple[int, int]) -> str | None:
    """An object; None where no box of it is in the image."""
    extent = found.extent
    box = None if extent is None else within(extent, size)
    if box is None:
        return None
    edges = (box + 0.5) / np.tile(size, 2)
    values = [*((edges[:2] + edges[2:]) / 2), *(edges[2:] - edges[:2])]
    cells = ["0", *(text_of(value, DIGITS) for value in values)]
    for point, code in zip((found.points + 0.5) / np.array(size), found.visibility):
        cells += [*(text_of(v, DIGITS) for v in point), str(int(code))] if code else ["0"] * 3
    return " ".join(cells)


def _config(skeleton: Skeleton, splits: set[str]) -> dict[str, Any]:
    names = [printable(name) for name in skeleton.point_names]
    told: dict[str, Any] = {
        split: f"images/{split}" for split in _SPLITS if split in splits or split != "test"
    }
    if "val" not in splits and "train" in splits:
        told["val"] = told["train"]  # Ultralytics trains on nothing without
    told["kpt_shape"] = [len(names), 3]
    if not skeleton.unpaired:
        told["flip_idx"] = skeleton.flip.tolist()
    told["names"] = {0: printable(skeleton.name)}
    told["kpt_names"] = {0: names}
    return told


def _label_file(folder: Path, image: LabelledImage) -> Path:
    inner = PurePosixPath(image.name).relative_to("images")
    return folder / "labels" / inner.parent / f"{inner.name.rpartition('.')[0]}.txt"


@label_writer(
    "yolo",
    "YOLO-pose: `data.yaml`, and a `.txt` for each image",
    suffixes=IMAGES,
    holds=Holds.NAMES | Holds.PAIRS | Holds.OCCLUSION | Holds.MISSING | Holds.BARE | Holds.EMPTY
    | Holds.SEVERAL | Holds.BOXES | Holds.SPLITS,
    digits=4,
    place=_place,
    beside=True,
    read_from="data.yaml",
)  # fmt: skip
def write_yolo(labels: LabelSet, folder: Path) -> list[str]:
    """One class. Images of no split are in `train`; an image without an object has no `.txt`."""
    lost = cut = made = 0
    for image in labels.images:
        lines: list[str] = []
        for found in image.objects:
            line = _line(found, image.size)
            lost += line is None
            made += line is not None and found.box is None
            if found.box is not None:
                kept = within(found.box, image.size)
                cut += kept is not None and bool((kept != found.box).any())
            lines += [line] if line is not None else []
        if lines:
            target = _label_file(folder, image)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    splits = {PurePosixPath(image.name).parts[1] for image in labels.images}
    config = _config(labels.skeleton, splits)
    for split in ("train", "val"):
        (folder / config[split]).mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, default_flow_style=None)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    without = sum(image.split not in _SPLITS for image in labels.images)
    alone = "train" in splits and "val" not in splits
    counts = {
        "images of train that val has, too, for there are no others": alone * len(labels.images),
        "images of no split, which are in train": without,
        "objects left out, for they have no box in the image": lost,
        "objects without a box, which get the extent of their points": made,
        "boxes that end at the image's edge now": cut,
    }
    return [f"{what}: {count}" for what, count in counts.items() if count]
