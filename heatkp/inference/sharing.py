"""Models written to files, to folders for the Hugging Face hub, and to the hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heatkp.config import Settings
from heatkp.errors import SettingsError
from heatkp.hub import push_model, save_model
from heatkp.inference.detectors import Detector
from heatkp.inference.finder import ExportedFinder, Finder
from heatkp.models import KeypointModel
from heatkp.runs import FINDER, WEIGHTS, Loaded, LoadedFinder, save_weights, with_task

if TYPE_CHECKING:
    from heatkp.evaluation.exporting import ExportedRun


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

    def export(
        self,
        to: str,
        out: str | PathLike[str],
        precision: str = "f32",
        data: str | PathLike[str] | None = None,
        tolerance: float | None = None,
        note: Callable[[str], None] = lambda line: None,
    ) -> ExportedRun:
        """Write a folder that runs without heatkp, as `heatkp export` does: one file from pixels to
        points. `load_model` takes it, too. A finder is written beside it, for `load_model`.

        Args:
            to: `onnx`, `openvino`, `torch` or `executorch`.
            out: a new folder.
            precision: `f32`, `bf16`, `f16` or `int8`, as far as the format has it.
            data, tolerance, note: as `heatkp.evaluation.exporting.export_run` takes them.

        Returns:
            `exported`: files, size, and how far points deviate; `error`: of labelled samples,
            before and after.

        Raises:
            CheckpointError: for a model that was exported itself.
            ExportError: where the file deviates too far; nothing is written then.
            SettingsError, DataError, MissingPackageError: as `export_run`.

        >>> load_model("runs/mine").export("onnx", "mine-onnx").exported.files  # doctest: +SKIP
        """
        from heatkp.evaluation.exporting import export_run  # takes a while

        _ = self.model  # which an exported one has not
        done = export_run(self._shared, to, out, precision, data, tolerance, note)
        finder = self._own_finder()
        if finder is not None:
            save_weights(Path(out) / FINDER, finder.model, finder.description)
        return done

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
