"""Tables as DeepLabCut and Lightning Pose write them, for tests."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import write_image

PARTS = ("nose", "left_ear", "right_ear")


def table(rows, parts=PARTS, individuals=None, axes=("x", "y"), scorer="me", index=1):
    """CSV text; `rows` are names of images (with slashes) and lists of cells."""
    keys = [(i, p, a) for i in individuals or [None] for p in parts for a in axes]
    blank = [""] * (index - 1)
    lines = [["scorer", *blank, *[scorer] * len(keys)]]
    if individuals:
        lines.append(["individuals", *blank, *(key[0] for key in keys)])
    lines.append(["bodyparts", *blank, *(key[1] for key in keys)])
    lines.append(["coords", *blank, *(key[2] for key in keys)])
    for name, cells in rows:
        lines.append([*(name.split("/") if index == 3 else [name]), *map(str, cells)])
    return "\n".join(",".join(line) for line in lines) + "\n"


CONFIG = """\
Task: mice
scorer: me
multianimalproject: false
video_sets:
  C:\\videos\\v1.mp4:
    crop: 0, 64, 0, 48
bodyparts:
- nose
- left_ear
- right_ear
skeleton:
- - nose
  - left_ear
- - nose
  - tail
"""


def project(folder: Path, videos, config=CONFIG, scorer="me", **options) -> Path:
    """A project: of each video its rows, whose images are made."""
    folder.mkdir(exist_ok=True)
    if config is not None:
        (folder / "config.yaml").write_text(config)
    for video, rows in videos.items():
        place = folder / "labeled-data" / video
        place.mkdir(parents=True)
        named = [(f"labeled-data/{video}/{name}", cells) for name, cells in rows]
        text = table(named, scorer=scorer, **options)
        (place / f"CollectedData_{scorer}.csv").write_text(text)
        for number, (name, _) in enumerate(rows):
            write_image(place / name, seed=number)
    return folder
