"""Writing a model's folder for the hub, and uploading it."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import heatkp
from heatkp.errors import CheckpointError
from heatkp.files import new_folder, write_text, writing
from heatkp.hub.about import About, about_model, public_settings
from heatkp.hub.card import model_card
from heatkp.runs import FINDER, WEIGHTS, Loaded, LoadedFinder, save_weights, with_task
from heatkp.runs.hub import HubName, brief, require_repository
from heatkp.text import json_text

CONFIG, CARD = "config.json", "README.md"
FILES = (WEIGHTS, FINDER, CONFIG, CARD)
"""What a folder for the hub holds; nothing else is uploaded."""

_KEPT = ("points", "taught")
"""Metrics that are not published: long, or with names of this computer's folders."""


def save_model(
    loaded: Loaded,
    folder: str | PathLike[str],
    repository: str | None = None,
    license: str | None = None,
    metrics: dict[str, Any] | None = None,
    overwrite: bool = False,
    finder: LoadedFinder | None = None,
) -> Path:
    """Write a model as a folder for the hub: weights, `config.json`, and a card, `README.md`.

    Paths of this computer are left out.

    Args:
        folder: a new one; gives it back.
        repository: `owner/name`, as the card is to say that it is loaded; None: by the folder.
        license: of the weights; None: the card says that it is not stated.
        metrics: in place of those of the model's run.
        overwrite: replace these files in a folder that is there; others stay.
        finder: finds the model's objects; its weights are written, too.

    Raises:
        SettingsError: where the folder holds something, or cannot be written.
        CheckpointError: for an exported network, and a name that the hub would refuse.
    """
    if repository is not None:
        require_repository(repository)
    target, about = Path(folder), about_model(loaded, license, metrics)
    place = str(HubName(repository)) if repository is not None else target.name
    if not overwrite:
        with new_folder(target) as part:
            _write(loaded, part, about, place, finder)
        return target
    with writing(target):
        target.mkdir(parents=True, exist_ok=True)
        _write(loaded, target, about, place, finder)
    return target


def _write(
    loaded: Loaded, folder: Path, about: About, place: str, finder: LoadedFinder | None
) -> None:
    settings = with_task(public_settings(loaded.settings), finder is not None)
    description = {**loaded.description, "settings": settings.model_dump()}
    save_weights(folder / WEIGHTS, loaded.model, description)
    (folder / FINDER).unlink(missing_ok=True)  # of another model, which was here before
    if finder is not None:
        public = public_settings(finder.settings).model_dump()
        described = {**finder.description, "settings": public}
        save_weights(folder / FINDER, finder.model, described)
    style = loaded.box_style
    config = {
        "library_name": "heatkp",
        "heatkp": heatkp.__version__,
        "license": about.license,
        "terms": about.terms,
        "skeleton": asdict(loaded.skeleton),
        "box_style": None if style is None else style._asdict(),
        "metrics": {k: v for k, v in about.metrics.items() if k not in _KEPT} or None,
        "settings": description["settings"],
    }
    write_text(folder / CONFIG, json_text(config, indent=1) + "\n")
    write_text(folder / CARD, model_card(loaded, settings, about, place, finder))


def push_model(
    loaded: Loaded,
    repository: str,
    private: bool | None = None,
    token: str | bool | None = None,
    license: str | None = None,
    metrics: dict[str, Any] | None = None,
    revision: str | None = None,
    message: str = "Upload a model of heatkp",
    finder: LoadedFinder | None = None,
) -> str:
    """Upload a model to the hub as `save_model` writes it; gives the address of its page.

    Args:
        repository: `owner/name`; made where it is not there.
        private: who may see one that is made; None: as the owner's account says.
        token: of an account; None: that of `hf auth login` or `HF_TOKEN`.
        license, metrics: as in `save_model`.
        revision: a branch that is there; None: `main`.
        message: of the commit.
        finder: as in `save_model`.

    Raises:
        CheckpointError: for a name that the hub would refuse, and what the hub refuses.
    """
    require_repository(repository)
    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory(prefix="heatkp-") as place:
        folder = save_model(
            loaded, Path(place) / "model", repository, license, metrics, finder=finder
        )
        try:
            api = HfApi(token=token, library_name="heatkp", library_version=heatkp.__version__)
            page = api.create_repo(repository, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                allow_patterns=list(FILES),
                commit_message=message,
                revision=revision,
            )
        except Exception as error:  # also of the libraries that it calls
            raise CheckpointError(
                f"{repository} cannot be written on the Hugging Face hub ({brief(error)}): log in "
                "with `hf auth login`, or set HF_TOKEN, to a token that may write there"
            ) from None
    return str(page)
