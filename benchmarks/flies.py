"""Two flies in a video: one training command, one command that finds and follows them.

    python benchmarks/flies.py OUT [--epochs 14]

Trains configs/flies.yaml in OUT/run, where that is not finished yet (frames 0-599 train, 600-799
choose), predicts frames 600-799 and 800-1099 of the video, measures the first against their labels
with `heatkp score`, and writes benchmarks/flies/predictions.json: COCO keypoint results of the
second, with the frame's number as image_id. benchmarks/flies.md has the figures. Needs HEATKP_DATA
and HEATKP_WEIGHTS.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from heatkp.data.readers import read

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "benchmarks" / "flies"
OPTIONS = ["--track", "--objects", "2", "--format", "coco", "--format", "tracks"]


def heatkp(*words: object) -> str:
    """What a command of this checkout prints; its progress goes to the terminal."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "heatkp", *map(str, words)],
        env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def predicted(run: Path, video: Path, frames: str, out: Path) -> float:
    """Predictions of frames, and the frames a second of the whole command."""
    if out.is_dir():
        raise SystemExit(f"{out} is there already: remove it, or name another folder")
    begun = time.perf_counter()
    heatkp("predict", video, "--model", run, "--frames", frames, *OPTIONS, "--out", out)
    first, last = map(int, frames.split("-"))
    return (last - first + 1) / (time.perf_counter() - begun)


def results(file: Path) -> list[dict[str, Any]]:
    """COCO keypoint results of a `coco.json`, with frames as image ids, to a hundredth pixel."""
    content = json.loads(file.read_text())
    frames = {one["id"]: int(Path(one["file_name"]).name) for one in content["images"]}
    return [
        {
            "image_id": frames[one["image_id"]],
            "category_id": one["category_id"],
            "keypoints": [round(value, 3) for value in one["keypoints"]],
            "score": round(one["score"], 4),
            "track_id": one["track_id"],
        }
        for one in content["annotations"]
    ]


def jitter(labels: Path, first: int, last: int) -> tuple[float, float]:
    """How far labels jump about from frame to frame, in pixels: of the quietest quarter of the
    points and of all, the median distance that noise alone would leave between two labellers of
    one frame's standard deviation.

    The second difference of three frames has 6 times the variance of a frame's noise, and motion
    on top: what comes out is an upper limit.
    """
    tracks: dict[str, dict[int, Any]] = {}
    for sample in read(labels).samples:
        if sample.frame is not None and first <= sample.frame <= last:
            tracks.setdefault(str(sample.track), {})[sample.frame] = sample.points
    bends = []
    for frames in tracks.values():
        known = [n for n in frames if n - 1 in frames and n + 1 in frames]
        bends += [frames[n - 1] - 2 * frames[n] + frames[n + 1] for n in known]
    spread = 1.4826 * np.nanmedian(np.abs(np.stack(bends)), axis=0) / 6**0.5  # (K, 2)
    radius = 1.1774 * np.sqrt((spread**2).mean(1))  # median of a Rayleigh distribution
    return float(np.quantile(radius, 0.25)), float(np.median(radius))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=14)
    asked = parser.parse_args()
    data, run = Path(os.environ["HEATKP_DATA"]) / "flies", asked.out / "run"
    if not (run / "metrics.json").is_file():
        heatkp("train", "--config", ROOT / "configs" / "flies.yaml", "--epochs", asked.epochs,
               "--out", run)  # fmt: skip
    speed = predicted(run, data / "video.mp4", "600-799", asked.out / "validation")
    predicted(run, data / "video.mp4", "800-1099", asked.out / "held-out")
    score = json.loads(heatkp("score", asked.out / "validation" / "coco.json", "--data",
                              data / "labels.slp", "--frames", "600-799", "--json"))  # fmt: skip
    score["label_jitter"] = jitter(data / "labels.slp", 600, 799)[1]
    (asked.out / "score.json").write_text(json.dumps(score, indent=1))
    HERE.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(one) for one in results(asked.out / "held-out" / "coco.json"))
    (HERE / "predictions.json").write_text(f"[\n{lines}\n]\n")
    print(json.dumps(score, indent=1))
    print(f"{speed:.1f} frames a second, the start of the command counted")


if __name__ == "__main__":
    main()
