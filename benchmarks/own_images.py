"""Images as users have them: makes difficult ones and runs `heatkp predict` on them.

    python benchmarks/own_images.py OUT [-- OPTIONS OF heatkp predict]

Makes OUT/images from faces of the iBUG 300-W training images in `$HEATKP_DATA`: a group image of
three faces of different sizes, images turned by EXIF, half a face, no face, grey, with
transparency, with 16 bits, 24 pixels small, 9000 pixels large, a text called .jpg, a JPEG that
was cut off, a video that moves over an image. Then OUT/found is predicted and a table printed:
what is expected, what came out. Look at OUT/found/images.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.readers import read
from heatkp.data.samples import read_image

Image = npt.NDArray[np.uint8]
EXPECTED = {
    "1_group.jpg": "3 faces",
    "2_turned_exif6.jpg": "1 face, upright",
    "2_turned_exif3.jpg": "1 face, upright",
    "3_half_face.jpg": "0 or 1 face",
    "4_no_face.jpg": "0 faces",
    "5_grey.png": "1 face",
    "6_transparent.png": "1 face",
    "7_16_bits.png": "1 face",
    "8_24_pixels.png": "0 or 1 face",
    "9_9000_pixels.jpg": "1 face",
    "text.jpg": "fault",
    "cut_off.jpg": "fault",
}
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0%c\0\0\0\0\0\0"


def faces(folder: Path, count: int) -> list[tuple[Image, npt.NDArray[np.float64]]]:
    """Images of distinct persons in which a face is well away from the border, with its box."""
    samples = read(folder / "labels_ibug_300W_train.xml").samples
    found = []
    for sample in samples[:: max(1, len(samples) // 60)]:
        image = read_image(sample.file)  # type: ignore[arg-type]
        assert sample.box is not None
        x0, y0, x1, y1 = sample.box.astype(float)
        room = 0.35 * (x1 - x0)
        if min(x0, y0, image.shape[1] - x1, image.shape[0] - y1) > room:
            found.append((image, sample.box.astype(np.float64)))
        if len(found) == count:
            break
    return found


def save(path: Path, image: Image) -> None:
    colours = image[..., ::-1] if image.ndim == 3 and image.shape[2] == 3 else image
    assert cv2.imwrite(str(path), np.ascontiguousarray(colours)), path


def save_turned(path: Path, image: Image, orientation: int, turns: int) -> None:
    """A JPEG that lies as a camera held sideways stores it."""
    stored = np.rot90(image, turns)
    content = cv2.imencode(".jpg", np.ascontiguousarray(stored[..., ::-1]))[1].tobytes()
    exif = EXIF % orientation
    marker = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path.write_bytes(content[:2] + marker + content[2:])


def group(parts: list[tuple[Image, npt.NDArray[np.float64]]]) -> Image:
    """Three faces side by side, 60, 130 and 200 pixels wide."""
    canvas = np.full((520, 1200, 3), 90, np.uint8)
    left = 40
    for (image, box), width in zip(parts, (60, 130, 200)):
        scale = width / (box[2] - box[0])
        x0, y0, x1, y1 = (round(v) for v in box + (box[2] - box[0]) * np.array([-1, -1, 1, 1]) / 3)
        crop = image[max(0, y0) : y1, max(0, x0) : x1]
        crop = np.asarray(cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
        top = 500 - crop.shape[0]
        canvas[top:500, left : left + crop.shape[1]] = crop
        left += crop.shape[1] + 120
    return canvas


def make(folder: Path, data: Path) -> None:
    """All files, into a new folder."""
    folder.mkdir(parents=True)
    parts = faces(data / "ibug", 6)
    image, box = parts[3]
    save(folder / "1_group.jpg", group(parts[:3]))
    save_turned(folder / "2_turned_exif6.jpg", image, 6, 1)
    save_turned(folder / "2_turned_exif3.jpg", parts[4][0], 3, 2)
    save(folder / "3_half_face.jpg", image[:, : round((box[0] + box[2]) / 2)])
    rng = np.random.default_rng(0)
    field = cv2.GaussianBlur(rng.uniform(0, 255, (400, 600, 3)), (0, 0), 12)
    save(folder / "4_no_face.jpg", np.uint8(np.clip(127 + 6 * (field - 127), 0, 255)))
    save(folder / "5_grey.png", cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    alpha = np.full(image.shape[:2], 255, np.uint8)
    alpha[: max(1, int(box[1]) // 2)] = 0
    save(folder / "6_transparent.png", np.dstack([image[..., ::-1], alpha]))
    save(folder / "7_16_bits.png", image.astype(np.uint16) * 257)
    x0, y0, x1, y1 = (round(v) for v in box)
    save(folder / "8_24_pixels.png", cv2.resize(image[y0:y1, x0:x1], (24, 24), None, 0, 0, 3))
    scale = 9000 / max(image.shape)
    save(folder / "9_9000_pixels.jpg", cv2.resize(image, None, fx=scale, fy=scale))
    (folder / "text.jpg").write_text("This is no image.\n")
    whole = cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()
    (folder / "cut_off.jpg").write_bytes(whole[: len(whole) // 2])
    pan(folder / "clip.mp4", *parts[5])


def pan(path: Path, image: Image, box: npt.NDArray[np.float64], frames: int = 15) -> None:
    """A window that moves from left to right over an image, with the face in it."""
    width = min(image.shape[1] * 3 // 4, round((box[2] - box[0]) * 1.8)) // 2 * 2
    height = image.shape[0] // 2 * 2
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (width, height))
    assert writer.isOpened()
    middle = (box[0] + box[2]) / 2 - width / 2
    for shift in np.linspace(-0.3, 0.3, frames):
        left = round(float(np.clip(middle + shift * width, 0, image.shape[1] - width)))
        writer.write(np.ascontiguousarray(image[:height, left : left + width, ::-1]))
    writer.release()


def report(found: Path) -> None:
    """Each file's faces, or why there are none."""
    content = json.loads((found / "points.json").read_text(encoding="utf-8"))
    clip = [p for p in content["images"] if "frame" in p]
    failures = {f["image"]: f["reason"] for f in content["errors"]}
    print("| file | expected | found | size | face width, points' score |\n|---|---|---|---|---|")
    for picture in content["images"]:
        if picture in clip:
            continue
        each = [f"{f['box'][2] - f['box'][0]:.0f} px, {f['score']:.2f}" if f["box"]
                else f"{f['score']:.2f}" for f in picture["objects"]]  # fmt: skip
        name = picture["image"]
        print(f"| {name} | {EXPECTED.get(name, '')} | {len(each)} faces | "
              f"{picture['width']}x{picture['height']} | {'; '.join(each)} |")  # fmt: skip
    with_face = sum(bool(p["objects"]) for p in clip)
    print(f"| clip.mp4 | a face a frame | {with_face} of {len(clip)} frames | | |")
    for name, reason in failures.items():
        print(f"| {name} | {EXPECTED.get(name, '')} | fault: {reason} | | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    parser.add_argument("options", nargs="*", help="of heatkp predict, after --")
    arguments = parser.parse_args()
    data = os.environ.get("HEATKP_DATA")
    if not data:
        parser.error("HEATKP_DATA names no folder of data")
    if arguments.out.exists():
        parser.error(f"{arguments.out} exists already: name a new folder")
    make(arguments.out / "photos", Path(data))
    found = arguments.out / "found"
    command = [sys.executable, "-m", "heatkp", "predict", str(arguments.out / "photos")]
    start = time.perf_counter()
    formats = [f"--format={f}" for f in ("json", "csv", "coco", "pts")]
    done = subprocess.run([*command, *formats, "--out", str(found), *arguments.options])
    print(f"exit code {done.returncode}, {time.perf_counter() - start:.1f} s with start-up\n")
    report(found)


if __name__ == "__main__":
    main()
