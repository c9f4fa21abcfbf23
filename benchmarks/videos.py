"""Frames a second of `heatkp predict` on a video, beside reading the video alone.

    python benchmarks/videos.py OUT [--video FILE] [--model RUN] [--frames 300] [--objects 1 2 4]
        [--repeats 5] [--device cpu] [--quick]

Without --video it makes one, OUT/video.mp4, H.264 of 1280 x 720 pixels at 30 frames a second, in
which drawn faces move. Measured in turns, so that what else the machine does falls on all alike,
medians of --repeats after a first turn that does not count:

- `opencv`, `pyav`: the frames decoded, to RGB arrays, and nothing else;
- `read`: the same through heatkp's reader;
- `points, N objects`: `save_predictions`, which `heatkp predict` calls, with N boxes a frame and no
  drawn copy; `track`: with tracks; `video`: and the drawn video.

Boxes are given, the same in each frame, so that the number of objects is known; --model RUN with a
finder adds `finder`, from image to points. Figures go to OUT/videos.json and are printed as a
table. `--quick` is so small that it only shows that it runs.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from measure import in_turns

from heatkp.bench.machine import machine
from heatkp.data.synthetic.scenes import draw_scene
from heatkp.inference import videos
from heatkp.inference.finder import Finder
from heatkp.inference.predictor import load_model
from heatkp.inference.saving import save_predictions
from heatkp.tracking import TrackOptions

SIZE = (1280, 720)
MOVES = 40
"""Pixels by which the drawn image goes to and fro."""


def write_video(path: Path, frames: int, size: tuple[int, int], faces: int) -> None:
    """A drawn scene that moves to and fro, as H.264 with frames that depend on others."""
    scene = draw_scene(0, 0, (size[0] + MOVES, size[1]), (faces, faces)).image
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for n in range(frames):
            left = round(MOVES / 2 * (1 + np.sin(n / 15)))
            image = np.ascontiguousarray(scene[:, left : left + size[0]])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


def boxes_of(count: int, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Boxes (count, 4) side by side."""
    side = min(size[0] / count, size[1]) * 0.8
    middles = (np.arange(count) + 0.5) * size[0] / count
    top = size[1] / 2 - side / 2
    return np.stack(
        [middles - side / 2, np.full(count, top), middles + side / 2, np.full(count, top + side)], 1
    )


def by_opencv(path: Path) -> int:
    """Frames decoded to RGB."""
    capture, count = cv2.VideoCapture(str(path)), 0
    while True:
        good, image = capture.read()
        if not good:
            capture.release()
            return count
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        count += 1


def by_pyav(path: Path) -> int:
    """Frames decoded to RGB, by as many threads as PyAV takes by itself."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(len(f.to_ndarray(format="rgb24")) > 0 for f in container.decode(video=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--model", default="face68")
    parser.add_argument("--frames", type=int, default=300, help="of the video that is made")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    size = SIZE
    if given.quick:
        given.frames, given.objects, given.repeats, size = 6, [1, 2], 1, (320, 240)
    given.out.mkdir(parents=True, exist_ok=True)
    video = given.video or given.out / "video.mp4"
    if given.video is None:
        write_video(video, given.frames, size, max(given.objects))
    frames = by_opencv(video)
    first = next(videos.frames(video)).image
    model = load_model(given.model, given.device)
    folder = given.out / "predicted"

    def predicted(boxes: Any, **options: Any) -> Callable[[], object]:
        def work() -> object:
            shutil.rmtree(folder, ignore_errors=True)
            how = {"boxes": boxes, "drawn": False, **options}
            done = save_predictions(model, video, folder, **how)
            assert done.images == frames, (done.images, frames, done.failures)
            return done

        return work

    works: dict[str, Callable[[], object]] = {
        "opencv": lambda: by_opencv(video),
        "pyav": lambda: by_pyav(video),
        "read": lambda: sum(1 for _ in videos.frames(video)),
    }
    for count in given.objects:
        edges = boxes_of(count, (first.shape[1], first.shape[0]))
        works[f"points, {count} objects"] = predicted(lambda _, edges=edges: edges)
    track = {"tracking": TrackOptions(objects=count), "formats": ("json", "tracks")}
    works[f"track, {count} objects"] = predicted(lambda _: edges, **track)
    works[f"video, {count} objects"] = predicted(lambda _: edges, **track, drawn=True)
    if isinstance(model.detector, Finder):
        works["finder"] = predicted("objects")
    seconds = in_turns(works, given.repeats)
    shutil.rmtree(folder, ignore_errors=True)
    result = {
        "machine": machine(),
        "video": {"frames": frames, "size": [first.shape[1], first.shape[0]]},
        "model": repr(model),
        "repeats": given.repeats,
        "frames_a_second": {name: frames / taken for name, taken in seconds.items()},
    }
    (given.out / "videos.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"{frames} frames of {first.shape[1]} x {first.shape[0]} pixels; {model!r}\n")
    print("| | frames a second | ms a frame | times reading |\n|---|---:|---:|---:|")
    for name, taken in seconds.items():
        share = taken / seconds["opencv"]
        print(f"| {name} | {frames / taken:.1f} | {1000 * taken / frames:.1f} | {share:.2f} |")


if __name__ == "__main__":
    main()
