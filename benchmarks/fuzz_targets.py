"""What `fuzz.py` feeds: for each target folders of valid files, and the function that reads them.

Seeds are written by heatkp's own writers, by hand here, and, with `--formats FOLDER`, taken from a
folder of samples in which each folder holds a small data set.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from heatkp import runs
from heatkp.config import Settings, assign, load_settings, parse_settings
from heatkp.data.images import read_image
from heatkp.data.readers import READERS, read, recognise
from heatkp.data.samples import InMemory, Labels, Sample
from heatkp.data.writers import write_labels
from heatkp.errors import HeatkpError
from heatkp.evaluation.objects.results import read_results
from heatkp.evaluation.out_of_fold import load_out_of_fold
from heatkp.export.opening import open_export
from heatkp.inference.box_files import BoxFile
from heatkp.inference.sharding.manifest import read_manifest
from heatkp.inference.sources import find_sources, read_images
from heatkp.kaggle.forms import read_submission
from heatkp.models import build_model
from heatkp.models.encoders import _read_file
from heatkp.registry import LABEL_WRITERS
from heatkp.runs.record import describe
from heatkp.skeletons import skeleton_of
from heatkp.sweeps.space import parse_space
from heatkp.sweeps.space_file import read_space_file
from heatkp.viz.curves import read_history
from heatkp.viz.tracks import read_paths

SMALL = (32, 24)
NAMES = ["nose", "left_ear", "right_ear", "tail"]
SUFFIXES = {
    ".json", ".xml", ".csv", ".txt", ".pts", ".asf", ".eye", ".tps", ".yaml", ".yml", ".mat",
    ".slp", ".h5", ".tar", ".TPS",
}  # fmt: skip
"""Files of label sets that are changed; images beside them stay."""


@dataclass
class Target:
    """What is read: `run(folder, file)` for a folder of which `file` was changed."""

    name: str
    seeds: list[tuple[Path, str]]
    run: Callable[[Path, Path], object]


def _image(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (SMALL[1], SMALL[0], 3), np.uint8)
    Image.fromarray(values).save(path)
    return path


def _labels(count: int = 2) -> Labels:
    rng = np.random.default_rng(1)
    skeleton, samples = skeleton_of(NAMES, 4), []
    for i in range(count):
        image = InMemory(rng.integers(0, 256, (SMALL[1], SMALL[0], 3), np.uint8))
        points = rng.uniform(2, 20, (4, 2)).astype(np.float32)
        box = np.array([1, 1, 22, 22], np.float32)
        samples.append(
            Sample(
                id=f"im{i}", image=image, points=points, visibility=np.full(4, 2, np.uint8), box=box
            )
        )
    return Labels(skeleton, samples, ())


def _texts(folder: Path, files: dict[str, str | bytes], images: tuple[str, ...] = ()) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    for i, name in enumerate(images):
        _image(folder / name, i)
    return folder


def _by_hand(place: Path) -> dict[str, Path]:
    """Seeds of formats that heatkp only reads."""
    found: dict[str, Path] = {}
    faces = [f"{n}_{a}" for n in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
             for a in "xy"]  # fmt: skip
    rows = "000001.jpg  20 10 12 11 15 14 12 18 19 18\n000002.jpg  20 10 12 11 15 14 12 18 19 18\n"
    found["celeba"] = _texts(
        place / "celeba",
        {"Anno/list_landmarks_align_celeba.txt": f"2\n{' '.join(faces)}\n{rows}",
         "Eval/list_eval_partition.txt": "000001.jpg 0\n000002.jpg 1\n"},
        ("Img/img_align_celeba/000001.jpg", "Img/img_align_celeba/000002.jpg"),
    )  # fmt: skip
    found["bioid"] = _texts(
        place / "bioid", {"BioID_0000.eye": "#LX\tLY\tRX\tRY\n20\t14\t9\t16\n"}, ("BioID_0000.pgm",)
    )
    row = " ".join(["12.5"] * 196) + " 1 2 20 22 0 0 0 0 0 0 0--Parade/a.jpg\n"
    listed = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt"
    found["wflw"] = _texts(place / "wflw", {listed: row * 2}, ("WFLW_images/0--Parade/a.jpg",))
    lines = "".join(f"{3 + i},{4 + i}\n" for i in range(19)) + "1\n" * 8
    found["isbi"] = _texts(
        place / "isbi",
        {f"AnnotationsByMD/400_{who}/001.txt": lines for who in ("senior", "junior")},
        ("RawImage/TrainingData/001.bmp",),
    )
    found["tps"] = _texts(
        place / "tps", {"a.tps": "LM=2\n20.5 5.5\n15 9.25\nIMAGE=a.png\nID=0\nSCALE=0.05\n"},
        ("a.png",),
    )  # fmt: skip
    notes = [{"image_id": 1, "bbox": [1, 1, 20, 20], "category_id": 1,
              "keypoints": [[2.0, 2.0, 1], [3, 4, 1], [0, 0, 0], [5, 6, 1]]}]  # fmt: skip
    kinds = [{"id": 1, "name": "dog", "keypoints": NAMES, "skeleton": [[0, 3]]}]
    content = {"images": {"1": "a.png"}, "annotations": notes, "categories": kinds}
    found["animalpose"] = _texts(
        place / "animalpose", {"keypoints.json": json.dumps(content)}, ("images/a.png",)
    )
    shapes = [{"shape_attributes": {"name": "point", "cx": 5 + i, "cy": 9},
               "region_attributes": {"part": name}} for i, name in enumerate(NAMES)]  # fmt: skip
    via = {"a.png1": {"filename": "a.png", "size": 1, "regions": shapes, "file_attributes": {}}}
    found["via"] = _texts(place / "via", {"via.json": json.dumps(via)}, ("a.png",))
    asf = "".join(f"0 {4 if i < 13 else 0} {i / 60} {i / 70} {i} {i - 1} {i + 1}\n"
                  for i in range(58))  # fmt: skip
    found["imm"] = _texts(place / "imm", {"01-1m.asf": f"# x\n58\n{asf}\n01-1m.jpg\n"})
    _image(found["imm"] / "01-1m.jpg")
    from heatkp.skeletons import FACE15

    columns = ",".join(f"{n}_{a}" for n in FACE15.point_names for a in "xy")
    row = ",".join(["12.5"] * 30) + "," + " ".join(["7"] * 96 * 96)
    found["kaggle15"] = _texts(place / "kaggle15", {"training.csv": f"{columns},Image\n{row}\n"})
    return found


def _matlab(place: Path) -> dict[str, Path]:
    from scipy.io import savemat

    lsp = _texts(place / "lsp", {}, ("images/im0001.jpg",))
    savemat(lsp / "joints.mat", {"joints": np.full((3, 14, 1), 9.0)})
    points = np.zeros(16, [("id", "O"), ("x", "O"), ("y", "O"), ("is_visible", "O")])
    for i in range(16):
        points[i] = (i, 5.0 + i, 9.0, 1)
    person = {"annopoints": {"point": points}, "scale": 1.0, "objpos": {"x": 9.0, "y": 9.0}}
    notes = {"annolist": {"image": {"name": "a.jpg"}, "annorect": person}, "img_train": 1}
    mpii = _texts(place / "mpii", {}, ("images/a.jpg",))
    savemat(mpii / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": notes})
    return {"lsp": lsp, "mpii": mpii}


def _sleap(place: Path) -> dict[str, Path]:
    """By the writer of predictions, through the format of its own tests."""
    import h5py

    folder = _texts(place / "sleap", {}, ("a.png",))
    with h5py.File(folder / "a.slp", "w") as file:
        meta = file.create_group("metadata")
        meta.attrs["format_id"] = 1.2
        nodes = [{"id": i} for i in range(4)]
        graph = {"nodes": nodes, "links": [], "graph": {"name": "a"}}
        told = {"nodes": [{"name": n} for n in NAMES], "skeletons": [graph]}
        meta.attrs["json"] = json.dumps(told)
        video = {"backend": {"filename": ["a.png"], "shape": [1, 24, 32, 3]}, "filename": "a.png"}
        file["videos_json"] = [json.dumps(video)]
        file["tracks_json"] = [json.dumps([0, "one"])]
        frames = [("frame_id", "i8"), ("video", "i4"), ("frame_idx", "i8"),
                  ("instance_id_start", "i8"), ("instance_id_end", "i8")]  # fmt: skip
        file["frames"] = np.array([(0, 0, 0, 0, 1)], frames)
        kinds = [("instance_id", "i8"), ("instance_type", "u1"), ("frame_id", "i8"),
                 ("skeleton", "i4"), ("track", "i4"), ("from_predicted", "i8"), ("score", "f4"),
                 ("point_id_start", "i8"), ("point_id_end", "i8")]  # fmt: skip
        file["instances"] = np.array([(0, 0, 0, 0, 0, -1, 1.0, 0, 4)], kinds)
        fields = [("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")]
        file["points"] = np.array([(5.0 + i, 6.0, True, True) for i in range(4)], fields)
    return {"sleap": folder}


def _read(format: str) -> Callable[[Path, Path], None]:
    """Reads a folder, in both ways, and checks what everybody counts on."""

    def run(folder: Path, file: Path) -> None:
        with suppress(HeatkpError):
            recognise(folder)
        place = folder
        for strict in (False, True):
            try:
                labels = read(place, format, strict=strict)
            except HeatkpError as error:
                assert str(error), "an empty message"
                place = file if not strict and place == folder else place
                continue
            count = len(labels.skeleton)
            for sample in labels.samples:
                assert sample.points.shape == (count, 2) and sample.points.dtype == np.float32
                assert np.isin(sample.visibility, (0, 1, 2)).all()
                assert np.isfinite(sample.points[sample.visibility > 0]).all()
                assert sample.box is None or np.isfinite(sample.box).all()

    return run


def _reader_targets(place: Path, formats: Path | None) -> list[Target]:
    folders: dict[str, list[Path]] = {}
    for name in LABEL_WRITERS:
        try:
            path = place / "written" / name
            write_labels(_labels(), path, name, first_only=True)
        except HeatkpError as error:
            print(f"no seed of {name}: {error}")
            continue
        folders.setdefault(name if name in READERS else "coco", []).append(path)
    for make in (_by_hand, _matlab, _sleap):
        for name, path in make(place / "hand").items():
            folders.setdefault(name, []).append(path)
    for path in sorted(formats.iterdir()) if formats is not None else ():
        if path.is_dir():
            copy = shutil.copytree(path, place / "given" / path.name)
            (copy / "expected.json").unlink(missing_ok=True)
            try:
                folders.setdefault(recognise(copy), []).append(copy)
            except HeatkpError as error:
                print(f"{path.name}: {error}")
    targets = []
    for name in READERS:
        seeds = [
            (folder, file.relative_to(folder).as_posix())
            for folder in folders.get(name, [])
            for file in sorted(folder.rglob("*"))
            if file.suffix in SUFFIXES and file.is_file() and file.stat().st_size < 200_000
        ]
        if not seeds:
            print(f"no seed of {name}")
            continue
        targets.append(Target(f"reader-{name}", seeds, _read(name)))
    return targets


def _settings(folder: Path, file: Path) -> None:
    load_settings(file)


def _assigned(folder: Path, file: Path) -> None:
    values: dict[str, Any] = {}
    for line in file.read_bytes().decode("utf-8", "replace").splitlines()[:20]:
        assign(values, line)
    parse_settings(values)


def _space(folder: Path, file: Path) -> None:
    parse_space(read_space_file(file), Settings().model_dump(), str(file))


def _load(folder: Path, file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runs.load_run(file)


def _images(folder: Path, file: Path) -> None:
    for found in read_images(find_sources([str(file)]).sources):
        del found


def _boxes(folder: Path, file: Path) -> None:
    BoxFile(file, [folder / "a.png"])


def _network(place: Path) -> tuple[Any, dict[str, Any]]:
    settings = parse_settings({
        "data": {"size": [16, 16]},
        "model": {"architecture": "plain_unet", "options": {"widths": [2, 2]}, "stride": 2},
    })  # fmt: skip
    model = build_model(settings, 4)
    return model, describe(settings, skeleton_of(NAMES, 4))


def _file_targets(place: Path) -> list[Target]:
    """All that is no reader of labels."""
    root = _texts(place / "files", {}, ("a.png",))

    def seeded(name: str, content: str | bytes) -> tuple[Path, str]:
        folder = _texts(root / name.replace("/", "_"), {name: content}, ("a.png",))
        return folder, name

    settings = [
        (_texts(root / path.stem, {path.name: path.read_bytes()}), path.name)
        for path in sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))
    ]
    spaces = [
        (_texts(root / path.stem, {path.name: path.read_bytes()}), path.name)
        for path in sorted((Path(__file__).parent.parent / "configs" / "sweeps").glob("*.yaml"))
    ]
    model, description = _network(place)
    (root / "w").mkdir()
    runs.save_weights(root / "w" / "a.safetensors", model, description)
    weights = (root / "w", "a.safetensors")
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    file = io.BytesIO()
    torch.save({"heatkp": description, "state_dict": state, "epoch": 1}, file)
    plain = io.BytesIO()
    torch.save(model.state_dict(), plain, _use_new_zipfile_serialization=False)
    found = {"image_id": 1, "category_id": 1, "keypoints": [1.0, 2.0, 1.0] * 4, "score": 0.5}
    coco = place / "written" / "coco"
    boxes = [(coco, p.relative_to(coco).as_posix()) for p in coco.rglob("*.json")]
    tracks = "image,frame,time,track,point,x,y,score\na.mp4,0,0.0,1,nose,1.0,2.0,0.5\n"
    history = "epoch,train_loss,val_loss,val_mae,val_mse,lr,seconds\n0,1.0,1.0,2.0,1e-3,0.001,1.0\n"
    arrays = io.BytesIO()
    np.savez_compressed(arrays, ids=np.array(["a"]), folds=np.zeros(1), labelled=np.ones((1, 4)),
                        predictions=np.zeros((1, 4, 2)), labels=np.zeros((1, 4, 2)))  # fmt: skip
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as packed:
        packed.add(root / "a.png", "a.png")
    exported = {"heatkp_export": 1, "file": "model.onnx", "runtime": "onnx", "precision": "f32",
                "model": description}  # fmt: skip
    images = []
    values = np.random.default_rng(0).integers(0, 255, (9, 12, 3), np.uint8)
    for suffix in ("png", "jpg", "bmp", "gif", "tif", "webp", "ppm", "jp2"):
        content = io.BytesIO()
        Image.fromarray(values).save(content, {"jpg": "jpeg", "tif": "tiff", "jp2": "jpeg2000"}
                                     .get(suffix, suffix))  # fmt: skip
        images.append(seeded(f"i.{suffix}", content.getvalue()))
    for suffix, kind in (("png", np.uint16), ("tiff", np.float32), ("hdr", np.float32)):
        deep = cv2.imencode(f".{suffix}", values.astype(kind))[1].tobytes()
        images.append(seeded(f"deep.{suffix}", deep))
    return [
        Target("settings", settings, _settings),
        Target("assignments", [seeded("a.txt", "model.stride=2\ndata.size=[32, 32]\n")], _assigned),
        Target("space", spaces, _space),
        Target("weights", [weights], _load),
        Target("checkpoint", [seeded("a.ckpt", file.getvalue())], _load),
        Target("encoder-weights", [seeded("e.pth", file.getvalue()),
                                   seeded("legacy.pth", plain.getvalue())],
               lambda folder, path: _read_file(path)),
        Target("boxes", boxes, _boxes),
        Target("results", [seeded("r.json", json.dumps([found, found]))],
               lambda folder, path: read_results(path, 4)),
        Target("submission", [seeded("s.csv", "Id,Predicted\n0,2.5\n1,3.5\n2,1\n3,1\n")],
               lambda folder, path: read_submission(path, 1, 2)),
        Target("tracks", [seeded("tracks.csv", tracks)], lambda folder, path: read_paths(path)),
        Target("history", [seeded("metrics.csv", history)],
               lambda folder, path: read_history(path)),
        Target("out-of-fold", [seeded("o.npz", arrays.getvalue())],
               lambda folder, path: load_out_of_fold(path)),
        Target("manifest", [seeded("manifest.json", json.dumps({"made_by": "heatkp predict"}))],
               lambda folder, path: read_manifest(folder)),
        Target("export", [seeded("model.json", json.dumps(exported))],
               lambda folder, path: open_export(folder)),
        Target("image", images, lambda folder, path: read_image(path)),
        Target("tar", [seeded("t.tar", tar.getvalue())], _images),
    ]  # fmt: skip


def targets(place: Path, formats: Path | None) -> dict[str, Target]:
    """All targets by name, with their seeds in a folder."""
    os.environ.setdefault("HEATKP_CACHE", str(place / "cache"))
    found = [*_reader_targets(place, formats), *_file_targets(place)]
    return {target.name: target for target in found}
