"""Does a submission find the same in images and in their mirrored copies?

    python benchmarks/mirror.py SUBMISSION LABELS.xml [--json OUT]

SUBMISSION is a file of 68 points that `heatkp eval --kaggle` made for LABELS.xml, whose entries
hold NAME.jpg and NAME_mirror.jpg; labelled points are not needed. Points of mirrored copies are
mirrored back with left and right exchanged. Differences are in pixels of the image files, over
all pairs. Boxes of mirrored copies need not be mirror images of the originals' boxes: how far
they differ is printed too, for a model that crops by the box inherits some of it. With
`--flip-test` a model agrees with itself by construction, but for what the copy's file changed:
measure without it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from heatkp.data.readers import read
from heatkp.errors import HeatkpError
from heatkp.evaluation.mirror import mirror_consistency
from heatkp.kaggle.forms import read_submission
from heatkp.skeletons import FACE68


def line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("submission", type=Path, metavar="SUBMISSION")
    parser.add_argument("labels", type=Path, metavar="LABELS.xml")
    parser.add_argument("--json", type=Path, default=None, metavar="OUT")
    options = parser.parse_args()
    try:
        samples = read(options.labels).samples
        found = read_submission(options.submission, len(samples), len(FACE68))
        result = mirror_consistency(found, samples, FACE68)
    except HeatkpError as error:
        parser.error(str(error))
    boxes = result["box_difference"]
    print(
        f"{result['pairs']} pairs of an image and its mirrored copy\n"
        f"mean |difference|: {result['mean_difference']:.3f} pixels, over x and y\n"
        f"mean distance: {result['mean_distance']:.3f} pixels\n"
        "mean |difference| of the boxes' edges: "
        + ("no boxes" if boxes is None else f"{boxes:.3f} pixels")
        + "\n"
    )
    print(line("point", "name", "mean \\|difference\\|", "mean distance") + "\n|--:|---|--:|--:|")
    for number, point in enumerate(result["points"]):
        figures = (f"{point[key]:.3f}" for key in ("mean_difference", "mean_distance"))
        print(line(number, point["name"], *figures))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
