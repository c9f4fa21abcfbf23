"""Results of a shard: part files that are whole or not there.

A part is JSON lines. An image is what `images` of the format json holds; one for which a file of
boxes has none is `{"image": ..., "without_box": true}`; what could not be used is `{"image": ...,
"reason": ...}`. Those of a video, a tar or another file of several images say by `input` which it
is, and are followed by `{"input": ..., "first": f, "items": n, "finished": b}`: how many there were
in earlier parts, how many there are up to here, and whether the file ended.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heatkp.errors import DataError
from heatkp.files import replacing
from heatkp.inference.sharding.shard import Shard

INPUTS, ERRORS, LOCK = "inputs.jsonl", "errors.jsonl", "lock"
_PART = re.compile(r"part-(\d{6,})\.jsonl")
_BLOCK = 2**16


@dataclass
class Done:
    """What of a shard is done.

    Attributes:
        inputs: names of those that are finished.
        begun: files of several images that are not, with how many items of each are done.
        images, errors: how many there are.
    """

    inputs: set[str] = field(default_factory=set)
    begun: dict[str, int] = field(default_factory=dict)
    images: int = 0
    errors: int = 0


class ShardFolder:
    """Where a shard's files are.

    Attributes:
        path: the folder.
    """

    def __init__(self, prediction: Path, shard: Shard) -> None:
        self.shard, self.path = shard, prediction / "shards" / shard.folder

    @property
    def is_done(self) -> bool:
        """Whether the shard was predicted to its end."""
        return (self.path / ERRORS).exists()

    def parts(self) -> list[Path]:
        """Its parts, in order."""
        found = [p for p in self.path.iterdir() if _PART.fullmatch(p.name)]
        return sorted(found, key=_number)

    def lines(self) -> Iterator[dict[str, Any]]:
        """All lines of all parts. Raises `DataError` for one that is damaged."""
        for path in self.parts():
            for number, line in enumerate(stream_lines(path), 1):
                try:
                    value = json.loads(line)
                except ValueError:
                    value = None
                if not isinstance(value, dict) or not ({"image", "input"} & value.keys()):
                    raise DataError(f"{path}, line {number}: this is no result; remove that file")
                yield value

    def done(self) -> Done:
        """What its parts hold. Raises `DataError` for one that is damaged."""
        done = Done()
        for line in self.lines():
            if "image" in line:
                done.images += "objects" in line
                done.errors += "reason" in line
                if "input" not in line:
                    done.inputs.add(line["image"])
            elif line["finished"]:
                done.begun.pop(line["input"], None)
                done.inputs.add(line["input"])
            else:
                done.begun[line["input"]] = line["items"]
        return done

    def add_part(self, lines: Iterable[str]) -> Path:
        """Write another part. Raises `OSError`."""
        parts = self.parts()
        number = _number(parts[-1]) + 1 if parts else 0
        path = self.path / f"part-{number:06d}.jsonl"
        write_lines(path, lines)
        return path

    def write_inputs(self, names: Iterable[str]) -> None:
        """List its inputs, unless that was done. Raises `OSError`."""
        if not (self.path / INPUTS).exists():
            write_lines(self.path / INPUTS, map(json.dumps, names))

    def inputs(self) -> Iterator[str]:
        """The inputs that it lists. Raises `DataError` where they are damaged, `OSError`."""
        for line in stream_lines(self.path / INPUTS):
            try:
                name = json.loads(line)
            except ValueError:
                name = None
            if not isinstance(name, str):
                raise DataError(f"{self.path / INPUTS} is damaged; remove the folder {self.path}")
            yield name

    def clean(self) -> None:
        """Remove what a process that was killed left unfinished. Raises `OSError`."""
        for path in self.path.glob(".*.part"):
            path.unlink(missing_ok=True)

    def write_errors(self) -> None:
        """Gather what could not be used: the shard is done. Raises `OSError`."""
        errors = (
            json.dumps({"image": line["image"], "reason": line["reason"]})
            for line in self.lines()
            if "reason" in line
        )
        write_lines(self.path / ERRORS, dict.fromkeys(errors))


def _number(path: Path) -> int:
    match = _PART.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def stream_lines(path: Path) -> Iterator[bytes]:
    """A file's lines; it is open only while a block is read, so that thousands can be read side
    by side."""
    place = 0
    while True:
        with path.open("rb") as file:
            file.seek(place)
            lines = file.readlines(_BLOCK)
            place = file.tell()
        if not lines:
            return
        yield from lines


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a file whole or not at all, and onto the disk. Raises `OSError`."""
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
