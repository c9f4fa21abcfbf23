"""What shards of one prediction agree on, in a file that the first of them makes."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import heatkp
from heatkp.errors import SettingsError
from heatkp.files import AtomicFile, check_folder, writing
from heatkp.inference.digests import weights_digest
from heatkp.inference.predictor import Predictor
from heatkp.inference.sharding.shard import Names, Shard
from heatkp.skeletons import Skeleton, restored
from heatkp.text import json_text

MANIFEST = "manifest.json"
MADE_BY = "heatkp predict --shard"
SHARD_PLACE = "{shard}"
"""Stands for the shard in the stored command."""


@dataclass(frozen=True)
class Manifest:
    """What is predicted, of what, into how many shards; plain values.

    Attributes:
        model: as it was named by the first shard; it may be elsewhere for others.
        weights: a digest of the network.
        skeleton: its points.
        options: what changes results, as tables name them.
        reading: the rest of it: frames of videos, runtime, precision, what boxes come from.
        shards: how many there are.
        inputs, names: how many inputs all shards have, and the digest of their names.
        command: words that predict a shard, `SHARD_PLACE` for which; empty where it is not known.
    """

    heatkp: str
    model: str
    weights: str
    skeleton: dict[str, Any]
    options: dict[str, Any]
    reading: dict[str, Any]
    shards: int
    inputs: int
    names: str
    command: list[str]

    @property
    def points(self) -> Skeleton:
        """The layout of the points."""
        return restored(self.skeleton)

    def command_for(self, number: int) -> str:
        """The command that predicts a shard, in words where it is not known."""
        shard = f"{number}/{self.shards}"
        if not self.command:
            return f"predict shard {shard} again"
        return shlex.join(word.replace(SHARD_PLACE, shard) for word in self.command)

    def agree(self, folder: Path) -> None:
        """Put it into a folder where there is none yet, or compare it with the one that is there.

        Raises `SettingsError` that says what differs, for a folder that holds something else, and
        where it cannot be written.
        """
        with writing(folder):
            check_folder(folder)
            if not (folder / MANIFEST).exists():
                folder.mkdir(parents=True, exist_ok=True)
                if (
                    any(not path.name.startswith(".") for path in folder.iterdir())
                    and not (
                        folder / MANIFEST  # another shard has just made it
                    ).exists()
                ):
                    raise SettingsError(
                        f"{folder} exists already and is no sharded prediction: choose a new "
                        "folder with --out"
                    )
                _make(folder / MANIFEST, json_text(self._stored(), indent=1) + "\n")
        self._compare(read_manifest(folder), folder)

    def _stored(self) -> dict[str, Any]:
        return {"made_by": MADE_BY, **asdict(self)}

    def _compare(self, other: Manifest, folder: Path) -> None:
        mine, theirs = json.loads(json_text(asdict(self))), json.loads(json_text(asdict(other)))
        found = []
        for key, words in _COMPARED.items():
            if mine[key] == theirs[key]:
                continue
            if isinstance(mine[key], dict):
                keys = [k for k in {**theirs[key], **mine[key]}
                        if mine[key].get(k) != theirs[key].get(k)]  # fmt: skip
                if key == "skeleton":
                    found.append("other points")
                else:
                    found += [
                        f"{k} {_short(theirs[key].get(k))} there, {_short(mine[key].get(k))} here"
                        for k in keys
                    ]
            elif key == "weights":
                found.append(f"other weights (model {other.model} there, {self.model} here)")
            elif key == "names":
                if self.inputs == other.inputs:
                    found.append(f"{self.inputs} inputs here as there, but of other names")
            else:
                found.append(f"{words} {theirs[key]} there, {mine[key]} here")
        if found:
            raise SettingsError(
                f"{folder} was begun with something else: {'; '.join(found)}. Repeat the command "
                "as it was, or choose a new folder with --out"
            )


_COMPARED = {
    "heatkp": "heatkp",
    "weights": "weights",
    "skeleton": "points",
    "options": "options",
    "reading": "options",
    "shards": "number of shards",
    "inputs": "number of inputs",
    "names": "names of inputs",
}
"""What all shards share, with words for it."""


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _make(path: Path, text: str) -> None:
    """Write a file, unless another process was first."""
    file = AtomicFile(path)
    try:
        file.part.write_text(text, encoding="utf-8")
        try:
            os.link(file.part, path)
        except FileExistsError:
            pass
        except OSError:  # file systems without links; two that come at once compare below
            if not path.exists():
                file.finish()
    finally:
        file.discard()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a sharded prediction. Raises `SettingsError` for a folder that is none."""
    path = folder / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("made_by") == MADE_BY:
            manifest = Manifest(**{f.name: values[f.name] for f in fields(Manifest)})
            restored(manifest.skeleton)
            return manifest
    except FileNotFoundError:
        raise SettingsError(
            f"{folder} holds no {MANIFEST}: it is no folder that heatkp predict --shard made"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise SettingsError(f"{path} is damaged, or was not made by heatkp predict --shard")


def manifest_of(
    predictor: Predictor,
    shard: Shard,
    total: Names,
    *,
    model: str,
    options: dict[str, Any],
    reading: dict[str, Any],
    command: Sequence[str] = (),
) -> Manifest:
    """The manifest of a prediction, as a shard of it understands it."""
    backend = predictor.engine.backend
    how = {
        **reading,
        "runtime": backend.name,
        "precision": getattr(backend, "precision", "f32"),
        "intensity": predictor.image_options.intensity,
    }
    return Manifest(
        heatkp=heatkp.__version__,
        model=model,
        weights=weights_digest(predictor),
        skeleton=asdict(predictor.skeleton),
        options=options,
        reading=how,
        shards=shard.count,
        inputs=total.count,
        names=total.digest,
        command=list(command),
    )
