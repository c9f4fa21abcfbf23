"""Models written to files, to folders for the Hugging Face hub, and to the hub."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from heatkp.config import Settings
from heatkp.errors import SettingsError
from heatkp.hub import push_model, save_model
from heatkp.inference.detectors import Detector
from heatkp.inference.finder import ExportedFinder, Finder
from heatkp.models import KeypointModel
from heatkp.runs import FINDER, WEIGHTS, Loaded, LoadedFinder, save_weights, with_task


class Sharing:
    """What a predictor can do with the model that it has loaded."""

    loaded: Loaded
    detector: str | Detector

    @property
    def model(self) -> KeypointModel:
        """The torch network. Raises `CheckpointError` for an exported one, which has none."""
        return self.loaded.model

    def save(self, path: str | PathLike[str], overwrite: bool = False) -> Path:
        """Write all that `load_model` needs; gives the file. A finder, with its options as they are
        now, is written beside it as `finder.safetensors`.

        Args:
            path: a folder, which is made, or a file that ends in `.safetensors`.
            overwrite: replace weights that are there.

        Raises:
            SettingsError: where weights are there already, or nothing can be written.
        """
        target = Path(path)
        target = target if target.suffix == ".safetensors" else target / WEIGHTS
        beside, finder = target.parent / FINDER, self._own_finder()
        if finder is None and beside.exists():
            raise SettingsError(
                f"{beside} would find the objects of this model, which has no finder of its own: "
                "give another folder"
            )
        for file in (target, beside):
            if file.exists() and not overwrite:
                raise SettingsError(f"{file} exists already; give another place, or overwrite=True")
        shared = self._shared
        described = replace(
            shared, settings=with_task(shared.settings, finder is not None)
        ).description
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            save_weights(target, self.model, described)
            if finder is not None:
                save_weights(beside, finder.model, finder.description)
        except OSError as error:
            raise SettingsError(f"cannot write {target}: {error.strerror or error}") from None
        return target

    def save_pretrained(
        self,
        folder: str | PathLike[str],
        *,
        license: str | None = None,
        metrics: dict[str, Any] | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write a folder to share: weights, `config.json` and a model card, made from the run; and
        the weights of a finder, with its options as they are now.

        `load_model` takes the folder. Arguments and errors are those of `heatkp.hub.save_model`.
        """
        return save_model(
            self._shared, folder, None, license, metrics, overwrite, self._own_finder()
        )

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        license: str | None = None,
        metrics: dict[str, Any] | None = None,
        revision: str | None = None,
        commit_message: str = "Upload a model of heatkp",
    ) -> str:
        """Upload what `save_pretrained` writes to the Hugging Face hub; gives the page's address.
        `load_model("hf://owner/name")` loads it from there.

        The arguments and errors are those of `heatkp.hub.push_model`; `repo_id` is `owner/name`.
        """
        return push_model(
            self._shared, repo_id, private, token, license, metrics, revision, commit_message,
            self._own_finder(),
        )  # fmt: skip

    def _own_finder(self) -> LoadedFinder | None:
        """The finder that finds the model's objects, where one does, with its options in its
        settings."""
        found = self.detector
        if not isinstance(found, Finder) or self.loaded.settings.head.grouped:
            return None
        if isinstance(found, ExportedFinder) or found.loaded.settings.head.grouped:
            raise SettingsError(
                "a network of head grouped is not written as the finder of another model: save it "
                "by itself, and give it as detector"
            )
        settings = _with_options(found.loaded.settings, found)
        settings.finder.min_score = None
        return replace(found.loaded, settings=settings, min_score=found.min_score)

    @property
    def _shared(self) -> Loaded:
        """The model as it is written: head `grouped` with the options of finding that it has
        now."""
        found = self.detector
        if not isinstance(found, Finder) or not self.loaded.settings.head.grouped:
            return self.loaded
        return replace(self.loaded, settings=_with_options(self.loaded.settings, found))


def _with_options(settings: Settings, finder: Finder) -> Settings:
    """Settings with a finder's options."""
    settings = settings.model_copy(deep=True)
    own = settings.finder
    own.nms, own.max_objects, own.tile = finder.nms, finder.most, finder.tile
    own.min_score = finder.min_score
    return settings
