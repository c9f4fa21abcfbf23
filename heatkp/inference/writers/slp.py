"""SLEAP's files of predictions, with tracks: `.slp`, HDF5 in the layout of sleap-io's io/slp.py.

Pixel centres lie on integers, as from format 1.1 on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import heatkp
from heatkp.errors import MissingPackageError
from heatkp.files import AtomicFile
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.inference.writers._base import About, BaseWriter
from heatkp.inference.writers._sequences import FrameSequence, SequenceCollector
from heatkp.registry import register_writer
from heatkp.skeletons import Skeleton
from heatkp.text import printable

FORMAT = 1.2
_PREDICTED = 1
_FRAMES = [("frame_id", "<u8"), ("video", "<u4"), ("frame_idx", "<u8"),
           ("instance_id_start", "<u8"), ("instance_id_end", "<u8")]  # fmt: skip
_INSTANCES = [
    ("instance_id", "<i8"), ("instance_type", "u1"), ("frame_id", "<u8"), ("skeleton", "<u4"),
    ("track", "<i4"), ("from_predicted", "<i8"), ("score", "<f4"), ("point_id_start", "<u8"),
    ("point_id_end", "<u8"), ("tracking_score", "<f4"),
]  # fmt: skip
_POINTS = [("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")]


@register_writer
class SlpFile(BaseWriter):
    """`predictions.slp`: all videos in one file, beside paths to them; needs h5py.

    Raises `MissingPackageError` where h5py is not installed.
    """

    name = "slp"
    pipes = False

    def __init__(self, folder: Path | None, about: About) -> None:
        assert folder is not None
        try:
            import h5py  # noqa: F401
        except ImportError:
            raise MissingPackageError(
                "SLEAP's files are HDF5, which needs h5py: pip install 'heatkp[sleap]'"
            ) from None
        self._about, self._found = about, SequenceCollector()
        self._folder = folder
        self._file = AtomicFile(folder / "predictions.slp")

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        self._found.add(input_image, objects)

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        import h5py

        with h5py.File(self._file.part, "w") as file:
            _write(file, self._about.skeleton, list(self._found.all.values()), self._folder)
        self._file.finish()
        return [self._file.path]

    def discard(self) -> None:
        self._file.discard()


def _write(file: Any, skeleton: Skeleton, sequences: Sequence[FrameSequence], folder: Path) -> None:
    import h5py

    frames: list[Any] = []
    instances: list[Any] = []
    points: list[Any] = []
    names: list[tuple[int, int]] = []  # video and track
    for video, sequence in enumerate(sequences):
        for number, found in sorted(zip(sequence.frames, sequence.objects), key=lambda f: f[0]):
            start = len(instances)
            for key, (values, score) in found.items():
                track = -1
                if sequence.tracked:
                    if (video, key) not in names:
                        names.append((video, key))
                    track = names.index((video, key))
                first = len(points)
                for x, y, likelihood in values.tolist():
                    seen = bool(np.isfinite([x, y]).all())
                    points.append((x, y, seen, False, np.nan_to_num(likelihood)))
                instances.append(
                    (len(instances), _PREDICTED, len(frames), 0, track, -1, np.nan_to_num(score),
                     first, len(points), 0.0)
                )  # fmt: skip
            frames.append((len(frames), video, number, start, len(instances)))
    file.create_dataset("frames", data=np.array(frames, _FRAMES))
    file.create_dataset("instances", data=np.array(instances, _INSTANCES))
    file.create_dataset("points", data=np.array([], _POINTS))
    file.create_dataset("pred_points", data=np.array(points, [*_POINTS, ("score", "<f8")]))
    several = len(sequences) > 1
    tracks = [f"video{v + 1}_track{t}" if several else f"track{t}" for v, t in names]
    for name, texts in (
        ("tracks_json", [json.dumps([0, track]) for track in tracks]),
        ("videos_json", [json.dumps(_video(sequence, folder)) for sequence in sequences]),
        ("suggestions_json", []),
    ):
        kind = h5py.string_dtype()
        file.create_dataset(name, data=np.array(texts, object), dtype=kind)
    told = file.create_group("metadata")
    told.attrs["format_id"] = FORMAT
    told.attrs["json"] = np.bytes_(json.dumps(_metadata(skeleton)))


def _video(sequence: FrameSequence, folder: Path) -> dict[str, Any]:
    def path(file: Path) -> str:
        try:
            return printable(os.path.relpath(file, folder).replace(os.sep, "/"))
        except ValueError:  # on another drive
            return printable(file.as_posix())

    width, height = sequence.size
    if sequence.files:
        shape = [len(sequence.files), height, width, 3]
        names = [path(file) for file in sequence.files]
        listed = {"type": "ImageVideo", "shape": shape, "filename": names[0], "filenames": names}
        return {"filename": names, "backend": listed}
    shape = [max(sequence.frames, default=0) + 1, height, width, 3]
    name = path(sequence.file)
    backend = {"type": "MediaVideo", "shape": shape, "filename": name, "grayscale": False,
               "bgr": True, "dataset": "", "input_format": ""}  # fmt: skip
    return {"filename": name, "backend": backend}


def _metadata(skeleton: Skeleton) -> dict[str, Any]:
    """As jsonpickle writes it: a kind of link in full at first, and then by its number."""
    links: list[dict[str, Any]] = []
    kinds: dict[int, int] = {}

    def link(source: int, target: int, kind: int, **more: int) -> None:
        told: dict[str, Any] = {"py/id": kinds.get(kind)}
        if kind not in kinds:
            kinds[kind] = len(kinds) + 1
            place = [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [kind]}]
            told = {"py/reduce": place}
        links.append({**more, "key": 0, "source": source, "target": target, "type": told})

    edges = [edge for run in skeleton.lines for edge in pairwise(run)]
    for number, (a, b) in enumerate(edges):
        link(a, b, 1, edge_insert_idx=number)
    for a, b in skeleton.pairs:
        link(a, b, 2)
        link(b, a, 2)
    nodes = [{"name": printable(name), "weight": 1.0} for name in skeleton.point_names]
    graph = {
        "directed": True,
        "graph": {"name": printable(skeleton.name), "num_edges_inserted": len(edges)},
        "links": links,
        "multigraph": True,
        "nodes": [{"id": i} for i in range(len(nodes))],
    }
    return {
        "version": "2.0.0", "skeletons": [graph], "nodes": nodes, "videos": [], "tracks": [],
        "suggestions": [], "negative_anchors": {},
        "provenance": {"made_by": f"heatkp {heatkp.__version__}"},
    }  # fmt: skip
