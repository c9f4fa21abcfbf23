"""Models on the Hugging Face hub, by names such as `hf://owner/name@revision`.

One file is fetched, `weights.safetensors`, into the hub's own cache folder, and beside it
`finder.safetensors` where the first says that the model finds its objects. They hold numbers and
text; nothing of them is executed, and they may name no code.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from heatkp.errors import CheckpointError
from heatkp.runs.folder import WEIGHTS
from heatkp.text import one_line

PREFIX = "hf://"
FORM = "hf://OWNER/NAME or hf://OWNER/NAME@REVISION"
_HF = re.compile(r"hf:/{1,2}(?=[^/])")  # one slash is left of two in a `Path`
_PART = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?", re.ASCII)
_REVISION = re.compile(r"\w[\w./-]*", re.ASCII)
_LONGEST = 96
_BY_LIBRARY = frozenset((
    "cache_dir", "checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay",
))  # fmt: skip
"""Arguments of timm's encoders that fetch or open other files."""


class HubName(NamedTuple):
    """A model on the hub.

    Attributes:
        repository: `owner/name`.
        revision: a branch, tag or commit; None for the newest.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return PREFIX + self.repository + ("" if self.revision is None else f"@{self.revision}")


def is_hub_name(path: str | os.PathLike[str]) -> bool:
    """Whether a name means a model on the hub, right or wrong.

    >>> is_hub_name("hf://ann/mouse"), is_hub_name("runs/kl-1")
    (True, False)
    """
    return _HF.match(os.fspath(path)) is not None or os.fspath(path).startswith(PREFIX)


def require_repository(name: str, form: str = "OWNER/NAME") -> str:
    """`owner/name`, as it was given. Raises `CheckpointError` for what the hub would refuse."""
    parts = name.split("/")
    good = len(parts) == 2 and all(_PART.fullmatch(part) for part in parts)
    if (
        not good
        or len(name) > _LONGEST
        or "--" in name
        or ".." in name
        or name.endswith((".git", ".ipynb"))
    ):
        raise CheckpointError(
            f"{one_line(name)!r} is no name of a model on the Hugging Face hub: write {form}, with "
            "letters, digits, '-', '_' and '.' in both parts"
        )
    return name


def parse_hub_name(path: str | os.PathLike[str]) -> HubName:
    """What a name says. Raises `CheckpointError` for one that cannot be.

    >>> parse_hub_name("hf://ann/mouse@v1.2")
    HubName(repository='ann/mouse', revision='v1.2')
    """
    text = os.fspath(path)
    name, at, revision = _HF.sub("", text, count=1).partition("@")
    if name.startswith(PREFIX):
        name = ""
    require_repository(name, FORM)
    if at and (not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision):
        raise CheckpointError(
            f"{one_line(revision)!r} is no revision of {name}: give a branch, tag or commit, as in "
            f"{FORM}"
        )
    return HubName(name, revision if at else None)


def fetch(path: str | os.PathLike[str], file: str = WEIGHTS) -> Path:
    """The file of weights of a model on the hub, or another of its files, fetched where the cache
    folder lacks it.

    The folder, a login and offline work are the library's matter: `HF_HOME`, `HF_TOKEN`,
    `hf auth login`, `HF_HUB_OFFLINE=1`.

    Raises `CheckpointError` for a name that cannot be, a model that is not there or may not be
    read, one that is not heatkp's, and where the hub cannot be reached.
    """
    name = parse_hub_name(path)
    import huggingface_hub as library

    try:
        found = library.hf_hub_download(
            name.repository, file, revision=name.revision, library_name="heatkp"
        )
    except Exception as error:  # also of the libraries that it calls
        raise CheckpointError(f"{name} {_why(error, name, file)}") from None
    return Path(found)


def _why(error: Exception, name: HubName, file: str) -> str:
    """What went wrong with a download, as the end of a sentence that begins with the name."""
    from huggingface_hub import errors

    where = "" if name.revision is None else f" at {name.revision}"
    if isinstance(error, errors.GatedRepoError):
        return (
            "asks for its terms to be accepted: do so on its page at the hub, then log in with "
            "`hf auth login`, or set HF_TOKEN"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            "is not on the Hugging Face hub, or is private: mind the spelling; for a private one "
            "log in with `hf auth login`, or set HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"has no revision {name.revision}: leave it out for the newest, or name another"
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return (
            f"is not in the cache folder{where}, and the Hugging Face hub cannot be reached: go "
            "online (without HF_HUB_OFFLINE), or name a folder that heatkp push --folder wrote"
        )
    if isinstance(error, errors.EntryNotFoundError):
        return (
            f"holds no model of heatkp{where} (no {file}): name one that heatkp push or "
            "push_to_hub has put there"
        )
    return f"cannot be fetched from the Hugging Face hub ({brief(error)})"


def brief(error: Exception) -> str:
    """The first line of a library's message."""
    lines = str(error).strip().splitlines()
    return one_line(lines[0]) if lines else type(error).__name__


def require_no_code(path: str | os.PathLike[str], model: Any) -> None:
    """Raises `CheckpointError` where the section `model` of settings from the hub names code or
    files of this computer."""
    asked = _BY_LIBRARY & set(model.options or {})
    if ":" in str(model.encoder) or asked:
        what = f"options {', '.join(sorted(asked))}" if asked else f"encoder {model.encoder!r}"
        raise CheckpointError(
            f"{os.fspath(path)} names code or files to load ({one_line(what)}), which nothing from "
            "the hub may: for an encoder of your own give it, load_model(..., encoder=...)"
        )
