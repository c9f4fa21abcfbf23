"""Exported networks, opened again; and runs, by the runtime that is asked for."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heatkp import runs as run_folders
from heatkp.config import parse_settings
from heatkp.data.boxes import BoxStyle
from heatkp.data.crops import default_folder
from heatkp.engine import TorchBackend
from heatkp.engine.exported import ExportedBackend, require_packages
from heatkp.errors import CheckpointError, MissingPackageError, SettingsError
from heatkp.export import description as describing
from heatkp.export.exporting import export_network
from heatkp.export.parity import Inputs, answers, deviation, require_parity
from heatkp.limits import Limit, read_text
from heatkp.models.devices import choose_device
from heatkp.registry import EXPORTERS, RUNTIMES
from heatkp.runs import PACKAGED, Loaded, weights_path
from heatkp.skeletons import restored
from heatkp.text import existing

AUTO = ("openvino", "onnx")
"""What `auto` tries on a processor, the quickest first (benchmarks/runtimes.md)."""


def is_export(path: str | os.PathLike[str]) -> bool:
    """Whether it is a folder that `heatkp export` wrote."""
    return (Path(path) / describing.FILE).is_file()


def open_export(path: str | os.PathLike[str]) -> Loaded:
    """An exported network with what it was trained for; it has no torch network.

    Raises `CheckpointError` for a folder that is none, or damaged, and `MissingPackageError`
    where its runtime is not installed.
    """
    folder = Path(path)
    try:
        about = json.loads(read_text(folder / describing.FILE, Limit.SETTINGS_BYTES))
        version, file = about["heatkp_export"], folder / Path(about["file"]).name
        runtime, precision, stored = about["runtime"], about["precision"], about["model"]
        settings = parse_settings(stored["settings"], str(folder), stored=True)
        skeleton = restored(stored["skeleton"], settings.data.pairs is not None)
        style = BoxStyle.read(stored.get("box_style"))
        parts = (stored.get("validation"), stored.get("training"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SettingsError) as error:
        raise CheckpointError(f"{folder / describing.FILE} is damaged: {error}") from None
    if version != describing.VERSION:
        raise CheckpointError(
            f"{folder} was exported by another version of heatkp (form {version}); export it again"
        )
    if not file.is_file():
        raise CheckpointError(f"{folder} lacks {file.name}: export it again")
    backend = RUNTIMES[runtime](file, precision)
    return Loaded(None, settings, skeleton, style, *parts, backend=backend)


def file_size(loaded: Loaded, run: str | os.PathLike[str]) -> int:
    """Bytes of the files that hold a network: of an export, or a run's weights."""
    if isinstance(loaded.backend, ExportedBackend):
        file = loaded.backend.file
        return sum(
            p.stat().st_size for p in file.parent.glob(f"{file.stem}.*") if p.suffix != ".json"
        )
    return weights_path(run).stat().st_size


def packaged_export(name: str) -> Path | None:
    """The quick form of a model that comes with heatkp, where there is one."""
    folder = PACKAGED / name
    return folder if is_export(folder) else None


def open_runtime(
    path: str | os.PathLike[str],
    runtime: str | None = None,
    device: str = "auto",
    precision: str | None = None,
    encoder: Any = None,
) -> Loaded:
    """A run, a file of weights, the name of a model that comes with heatkp, or an exported
    folder, ready to run.

    Args:
        runtime: `torch`; or `onnx` or `openvino`, for which a run is exported once, into the
            user's cache folder; or `auto`: on a GPU torch, else the quickest that is installed.
            None: an exported folder's own; of a model that comes with heatkp its quick form where
            `pip install 'heatkp[fast]'` was run and there is no GPU; else torch.
        precision: what the network computes in: `f32`, `bf16` with torch and openvino, `f16`
            weights with onnx and openvino. None: f32, or what an exported folder was made in.

    Raises:
        CheckpointError: for what is missing or damaged.
        SettingsError: for a runtime that is none or does not fit the device.
        MissingPackageError: where it is not installed.
        ExportError: where the network cannot be exported so.
    """
    place = Path(existing(os.fspath(path)))
    if is_export(place):
        return _exported(place, runtime, device, precision)
    if runtime not in (None, "auto") and runtime not in RUNTIMES:
        raise RUNTIMES.unknown(runtime, ["auto"])
    on_processor = choose_device(device).type == "cpu"
    quick = packaged_export(str(path)) if not place.exists() else None
    unasked = runtime in (None, "auto") and precision is None and encoder is None
    if unasked and quick is not None and on_processor:
        try:
            return replace(open_export(quick), source=str(path))
        except MissingPackageError:  # torch, then
            pass
    if runtime == "auto":
        quicker = on_processor and not run_folders.is_grouped(path)
        runtime = (_installed() if quicker else None) or "torch"
    if runtime in (None, "torch"):
        return _torch(run_folders.load_run(path, device, encoder), precision or "f32")
    kind = RUNTIMES[runtime]
    if not issubclass(kind, ExportedBackend):  # of another package, made of a network
        loaded = run_folders.load_run(path, device, encoder)
        return replace(loaded, backend=kind(loaded.model))
    if not on_processor:
        raise SettingsError(
            f"runtime {runtime} runs on the processor: choose device cpu, or runtime torch"
        )
    return _cached(path, runtime, precision or "f32", encoder)


def _torch(loaded: Loaded, precision: str) -> Loaded:
    """A network of torch, in bfloat16 where asked and where that does not cost exactness."""
    model = loaded.model
    if next(model.parameters()).device.type == "cpu":  # a tenth quicker (benchmarks/runtimes.md)
        model.to(memory_format=torch.channels_last)
    if precision == "f32":
        return loaded
    if precision != "bf16":
        raise SettingsError(
            f"precision {precision} is of exported networks: choose runtime onnx or openvino"
        )
    if loaded.settings.head.grouped:
        raise SettingsError("head grouped computes in f32 with torch: leave out the precision")
    inputs, backend = made_inputs(loaded), TorchBackend(model, precision)
    expected = answers(loaded.runner, inputs.images)
    found = deviation(answers(backend, inputs.images), expected, loaded.skeleton, inputs)
    require_parity(found, precision, None, "choose precision f32")
    return replace(loaded, backend=backend)


def _exported(folder: Path, runtime: str | None, device: str, precision: str | None) -> Loaded:
    loaded = open_export(folder)
    own = loaded.runner.name
    if runtime not in (None, "auto", own):
        raise SettingsError(
            f"{folder} was exported for {own}, not {runtime}: leave out the runtime, or export the "
            "run again"
        )
    if device not in ("auto", "cpu"):
        raise SettingsError(f"{folder} runs on the processor: choose device cpu")
    made = getattr(loaded.runner, "precision", None)
    if precision not in (None, made):
        raise SettingsError(f"{folder} was exported in {made}, not {precision}: leave it out")
    return loaded


def _installed() -> str | None:
    """The quickest runtime that can be exported to."""
    for name in AUTO:
        try:
            require_packages(EXPORTERS[name].packages, name)
        except MissingPackageError:
            continue
        return name
    return None


def _cached(path: str | os.PathLike[str], runtime: str, precision: str, encoder: Any) -> Loaded:
    """A run's export in the user's cache folder, made now if it is not there."""
    exporter = _exporter_for(runtime)
    if run_folders.is_grouped(path):
        raise SettingsError(
            "an export of head grouped is compared on images with its objects: heatkp export RUN "
            f"--to {exporter.name} makes a folder to take instead of the run"
        )
    require_packages(exporter.packages, f"runtime {runtime}")
    if precision == "int8":
        raise SettingsError(
            f"int8 is calibrated on images: heatkp export RUN --to {exporter.name} --precision "
            "int8 --data LABELS makes a folder to take instead of the run"
        )
    cache = default_folder()
    if cache is None:
        raise SettingsError(
            f"there is no cache folder to export into: set HEATKP_CACHE, or export the run with "
            f"heatkp export RUN --to {exporter.name}"
        )
    versions = describing.versions(exporter.packages)
    key = hashlib.sha256(weights_path(path).read_bytes())
    key.update(json.dumps([versions, runtime, precision], sort_keys=True).encode())
    folder = cache / "exports" / key.hexdigest()[:24]
    if not is_export(folder):
        loaded = run_folders.load_run(path, "cpu", encoder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        export_network(loaded, exporter.name, folder, made_inputs(loaded), precision)
        return replace(loaded, backend=open_export(folder).backend)
    opened = open_export(folder)
    if encoder is not None:
        return replace(run_folders.load_run(path, "cpu", encoder), backend=opened.backend)
    # The network is made only if it is asked for: that is most of what starting takes.
    return replace(opened, source=os.fspath(path))


def _exporter_for(runtime: str) -> Any:
    """What writes files for a runtime. Raises `SettingsError` where there is none."""
    found = next((e for e in EXPORTERS.usable().values() if e.runtime == runtime), None)
    if found is None:
        raise SettingsError(
            f"nothing exports to runtime {runtime}: name a folder that was exported for it"
        )
    return found


def made_inputs(loaded: Loaded, count: int = 8) -> Inputs:
    """Inputs that need no data: drawn faces of layouts of faces, else smooth noise."""
    from heatkp.data.transforms import Framing
    from heatkp.engine import Engine, Region

    data, skeleton = loaded.settings.data, loaded.skeleton
    if skeleton.name in ("face68", "face58"):
        from heatkp.data.drawn import drawn_sample

        engine = Engine(loaded.runner, skeleton, Framing.of(data), data.grey)
        samples = [drawn_sample(0, i, skeleton, 256) for i in range(count)]
        seen = [engine.input_of(Region(s.rgb(), np.asarray(s.box, np.float64))) for s in samples]
        return Inputs(np.stack([image.numpy() for image, _ in seen]), "drawn faces")
    import cv2

    (width, height), channels = loaded.model.size, loaded.model.channels
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, channels, 6, 6)).astype(np.float32)
    images = np.stack([
        np.stack([cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC) for c in image])
        for image in coarse
    ])  # fmt: skip
    return Inputs(images.clip(0, 255).astype(np.uint8), "smooth noise")
