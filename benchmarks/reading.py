"""How long a large COCO file takes to read, and how much memory.

    python benchmarks/reading.py --out /tmp/reading

Makes a file as COCO writes them, with as many images as its train2017 has and a million annotations
of 17 points (with random coordinates, a third of the points not labelled, a short outline each),
and a tiny PNG for each image; then reads it in a process of its own on one core: `json.load` alone,
for comparison, and `heatkp.data.readers.read`, which checks the values, finds the images and makes
samples. Time and memory are that process's, imports not counted; memory is the highest resident
size.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

IMAGES, ANNOTATIONS, POINTS = 118_287, 1_000_000, 17
SIZE = (640, 480)
BLOCK = 10_000


def make(folder: Path, images: int, annotations: int, points: int) -> Path:
    """Write images and annotations into a new folder, block by block; the file's path."""
    pictures = folder / "train2017"
    pictures.mkdir(parents=True)
    (folder / "annotations").mkdir()
    content = cv2.imencode(".png", np.zeros((1, 1), np.uint8))[1].tobytes()
    names = [f"{i:012d}.png" for i in range(images)]
    for name in names:
        (pictures / name).write_bytes(content)
    entries = [
        {"license": 1, "file_name": name, "height": SIZE[1], "width": SIZE[0], "id": i}
        for i, name in enumerate(names)
    ]
    categories = [
        {"id": 1, "name": "person", "keypoints": [f"p{k}" for k in range(points)], "skeleton": []}
    ]
    path = folder / "annotations" / "person_keypoints_train2017.json"
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        file.write('{"info": {}, "licenses": [], "images": ' + json.dumps(entries))
        file.write(', "annotations": [')
        for start in range(0, annotations, BLOCK):
            block = range(start, min(start + BLOCK, annotations))
            file.write(", " * (start > 0))
            file.write(json.dumps([note(rng, i, i % images, points) for i in block])[1:-1])
        file.write('], "categories": ' + json.dumps(categories) + "}")
    return path


def note(rng: np.random.Generator, number: int, image: int, points: int) -> dict[str, object]:
    """One annotation: whole pixels, and a box of hundredths, as COCO's."""
    x, y = rng.integers(0, SIZE[0], points), rng.integers(0, SIZE[1], points)
    v = rng.integers(0, 3, points)
    triples = np.where(v > 0, [x, y, v], 0).T
    box = [round(float(s), 2) for s in rng.uniform(1, 400, 4)]
    return {
        "segmentation": [[round(float(s), 2) for s in rng.uniform(1, 400, 8)]],
        "num_keypoints": int((v > 0).sum()),
        "area": box[2] * box[3],
        "iscrowd": 0,
        "keypoints": triples.ravel().tolist(),
        "image_id": image,
        "bbox": box,
        "category_id": 1,
        "id": number,
    }


def measure(path: Path, how: str) -> dict[str, float]:
    """Seconds and megabytes of one reading, in this process."""
    if how == "json.load":

        def run() -> int:
            with path.open(encoding="utf-8") as file:
                return len(json.load(file)["annotations"])
    else:
        from heatkp.data.readers import READERS, read

        READERS.load_all()  # imports, which do not count

        def run() -> int:
            return len(read(path).samples)

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    count = run()
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "annotations": count,
        "seconds": seconds,
        "processor": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "megabytes": after.ru_maxrss / 1024,
        "before": before.ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a new folder; it is kept")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--annotations", type=int, default=ANNOTATIONS)
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--one", choices=["json.load", "heatkp"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    path = options.out / "annotations" / "person_keypoints_train2017.json"
    if options.one:
        print(json.dumps(measure(path, options.one)))
        return
    if not path.exists():
        make(options.out, options.images, options.annotations, options.points)
    print(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB\n")
    print("| read by | annotations | seconds | of the processor | highest memory, MB |")
    print("|---|--:|--:|--:|--:|")
    for how in ("json.load", "heatkp"):
        command = [sys.executable, __file__, "--out", str(options.out), "--one", how]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        print(
            f"| `{how}` | {found['annotations']:,} | {found['seconds']:.1f} | "
            f"{found['processor']:.1f} | {found['megabytes']:.0f} |"
        )


if __name__ == "__main__":
    main()
