"""What was found frame by frame, kept until all is done: a run that is killed goes on with it.

Tracks are made anew from it, by the same steps in the same order, so that they are those of a run
that was never stopped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

import heatkp
from heatkp.data.predicted import SUMMARY
from heatkp.errors import SettingsError
from heatkp.files import writing
from heatkp.inference.batches import Prediction, portions
from heatkp.inference.digests import detector_digest, weights_digest
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.predictor import Predictor
from heatkp.inference.regions import SEARCHED
from heatkp.inference.sources import Failure, InputImage, Source
from heatkp.skeletons import Skeleton
from heatkp.text import name_to_text

KEPT = "unfinished.jsonl"
"""In the folder of a tracked prediction that is not done: a line of what is predicted how, then a
line a portion of frames."""
_ARRAYS = ("points", "scores", "covariance", "box")

Found = Prediction | Failure
Input = InputImage | Failure


def is_unfinished(folder: Path) -> bool:
    """Whether a folder holds a tracked prediction that can go on."""
    return (folder / KEPT).is_file()


def manifest_of(
    predictor: Predictor,
    sources: Sequence[Source],
    record: dict[str, Any],
    boxes_from: str | Sequence[str] | None,
    **reading: Any,
) -> dict[str, Any]:
    """What has to be equal for what was found to be found again; plain values.

    Args:
        record: the options that results depend on.
        boxes_from: as `save_predictions` takes it; of a file its size and time count, too.
        reading: which frames are looked at, and what is written.
    """
    backend = predictor.engine.backend
    searched = record.get("boxes") in SEARCHED
    return {
        "heatkp": heatkp.__version__,
        "model": weights_digest(predictor),
        "detector": detector_digest(predictor.detector) if searched else None,
        "points": list(predictor.skeleton.point_names),
        "runtime": [backend.name, getattr(backend, "precision", "f32")],
        "options": record,
        "boxes": _state(boxes_from) if isinstance(boxes_from, str) else boxes_from,
        "files": [_state(source.path) for source in sources],
        **reading,
    }


def _state(path: str | Path) -> list[Any]:
    """A file's name, size and time, where there is one."""
    try:
        found = os.stat(path)
    except OSError:
        return [name_to_text(os.fspath(path))]
    return [name_to_text(os.fspath(path)), found.st_size, found.st_mtime_ns]


def begun(folder: Path, manifest: dict[str, Any], skeleton: Skeleton) -> KeptFrames:
    """The file in a folder, which is made where it is not there.

    Raises `SettingsError` as `KeptFrames` does, and where the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        kept = KeptFrames(folder, manifest, skeleton)
        _clean(folder)
        return kept


_PART = re.compile(r"\.[0-9a-f]{12}\.\w+")
"""What `AtomicFile` and `AtomicFolder` call things that are not whole."""


def _clean(folder: Path) -> None:
    """Remove what a run that was killed has left half written, and the folders of tables that one
    that was stopped wrote: they are written anew, as all its files are."""
    for place in (folder, folder / "images"):
        for path in place.iterdir() if place.is_dir() else ():
            if _PART.fullmatch(path.name):
                _remove(path)
    try:
        written = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["written"]
        names = {path.name for path in folder.iterdir()} & set(map(str, written)) - {"images"}
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in names:
        if (folder / name).is_dir():
            _remove(folder / name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class KeptFrames:
    """The file of what was found, of which one process at a time has the use."""

    def __init__(self, folder: Path, manifest: dict[str, Any], skeleton: Skeleton) -> None:
        """Raises `SettingsError` for a folder where something else was begun, `OSError` as files
        do."""
        self.path, self._skeleton = folder / KEPT, skeleton
        self._file: BinaryIO = self.path.open("a+b")
        self._lock(folder)
        self._file.seek(0)
        first = self._file.readline()
        told = json.dumps(manifest, sort_keys=True) + "\n"
        if not first.endswith(b"\n"):  # new, or killed before its first line was whole
            self._file.seek(0)
            self._file.truncate()
            self._file.write(told.encode())
            self._file.flush()
        elif first != told.encode():
            self._file.close()
            raise _other(folder, first, manifest)

    def _lock(self, folder: Path) -> None:
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise SettingsError(
                f"another process predicts into {folder}: wait for it, or choose another folder "
                "with --out"
            ) from None
        except OSError:  # network file systems without it
            pass

    def close(self) -> None:
        """No more is found; the file stays."""
        self._file.close()

    def remove(self) -> None:
        """All is done."""
        self._file.close()
        with suppress(OSError):
            self.path.unlink()

    def over(
        self,
        inputs: Iterable[Input],
        batch_size: int,
        answer: Callable[[list[Input]], Iterable[Found]],
    ) -> Iterator[Found]:
        """What is found in images, in their order: what is known of a portion, else the answer,
        which is kept.

        Args:
            batch_size: as `predictions` takes it, which must be given portions one by one for its
                batches to be the same, whatever is known.
            answer: gives what is found in a portion.
        """
        reading = True
        for part in portions(inputs, batch_size):
            found = None
            if reading:
                start = self._file.tell()
                found = self._restored(self._file.readline(), part)
                if found is None:  # the rest is of other images, or was cut off
                    reading = False
                    self._file.seek(start)
                    self._file.truncate()
            if found is None:
                found = list(answer(part))
                self._file.write(self._line(part, found))
                self._file.flush()
            yield from found

    def _line(self, part: list[Input], found: Sequence[Found]) -> bytes:
        places = {id(item): i for i, item in enumerate(part)}
        told: list[Any] = []
        for one in found:
            if isinstance(one, Failure):
                told.append({"failure": [name_to_text(one.name), one.reason]})
            else:
                objects = None if one.objects is None else [_values(o) for o in one.objects]
                told.append({"at": places[id(one.input_image)], "objects": objects})
        line = {"images": [name_to_text(item.name) for item in part], "found": told}
        return (json.dumps(line) + "\n").encode()

    def _restored(self, line: bytes, part: list[Input]) -> list[Found] | None:
        """What a line says of a portion; None where it is of another, or not whole."""
        if not line.endswith(b"\n"):
            return None
        try:
            values = json.loads(line)
            if values["images"] != [name_to_text(item.name) for item in part]:
                return None
            return [self._one(told, part) for told in values["found"]]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None

    def _one(self, told: dict[str, Any], part: list[Input]) -> Found:
        if "failure" in told:
            name, reason = told["failure"]
            # With the name as it is, whose letters a file cannot always hold.
            known = {name_to_text(item.name): item.name for item in part}
            return Failure(known.get(name, name), reason)
        image = part[told["at"]]
        if isinstance(image, Failure):
            raise ValueError("a fault is no image")
        if told["objects"] is None:
            return Prediction(image, None)
        return Prediction(image, [self._object(values) for values in told["objects"]])

    def _object(self, values: dict[str, Any]) -> Keypoints:
        arrays = {
            name: None if values[name] is None else np.array(values[name], np.float64)
            for name in _ARRAYS
        }
        width, height = values["image_size"]
        return Keypoints(
            **arrays,  # type: ignore[arg-type]
            skeleton=self._skeleton,
            image_size=(width, height),
            box_score=values["box_score"],
            object_score=values["object_score"],
            image=values["image"],
        )


def _values(one: Keypoints) -> dict[str, Any]:
    """An object for JSON, whose floats come back as they were."""
    arrays = {
        name: None if array is None else np.asarray(array, np.float64).tolist()
        for name, array in ((name, getattr(one, name)) for name in _ARRAYS)
    }
    return {
        **arrays,
        "image_size": list(one.image_size),
        "box_score": one.box_score,
        "object_score": one.object_score,
        "image": one.image,
    }


def _other(folder: Path, line: bytes, manifest: dict[str, Any]) -> SettingsError:
    """What differs from what was begun in a folder."""
    try:
        there = json.loads(line)
        mine = json.loads(json.dumps(manifest))
        keys = [key for key in {**there, **mine} if there.get(key) != mine.get(key)]
    except (ValueError, TypeError):
        keys = []
    return SettingsError(
        f"{folder} holds a prediction that was stopped and was begun with something else "
        f"({', '.join(keys) or 'not known'}): repeat the command as it was to go on with it, or "
        "choose a new folder with --out"
    )
