"""A network written in one of `EXPORTERS`' formats, tried out, and kept only if it agrees."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from heatkp.engine import Backend, TorchBackend
from heatkp.engine.exported import require_packages
from heatkp.errors import ExportError, SettingsError
from heatkp.export import description as describing
from heatkp.export.formats._base import PRECISIONS, Calibration, Exporter
from heatkp.export.graph import graph_of
from heatkp.export.objects import object_answers, object_deviation, require_objects
from heatkp.export.parity import (
    TOLERANCES,
    Deviation,
    Inputs,
    answers,
    deviation,
    mean_offset,
    require_parity,
    spread,
)
from heatkp.export.programs import write_programs
from heatkp.files import new_folder, require_new
from heatkp.models import KeypointModel
from heatkp.models.grouped import GroupedModel
from heatkp.registry import EXPORTERS, RUNTIMES
from heatkp.runs import Loaded
from heatkp.text import json_text

CALIBRATION = 300
"""Inputs that int8 is calibrated on, at most."""


class Exported(NamedTuple):
    """What came of an export.

    Attributes:
        folder: where it lies; `heatkp.load_model` takes it.
        files: what is in it.
        size: bytes of the network's files.
        deviation: of its points from the network's own.
        backend: runs it.
    """

    folder: Path
    files: tuple[str, ...]
    size: int
    deviation: Deviation
    backend: Backend


def exporter_of(to: str, precision: str, model: KeypointModel) -> Exporter:
    """The exporter of a format. Raises `SettingsError` and `MissingPackageError` for what cannot
    be exported so."""
    exporter: Exporter = EXPORTERS[to]()
    if precision not in PRECISIONS:
        raise SettingsError(f"precision {precision!r}: choose {', '.join(PRECISIONS)}")
    if precision not in exporter.precisions:
        why = exporter.refusals.get(precision, "this format has no such form")
        raise SettingsError(
            f"no {precision} for {to}: {why}; choose {', '.join(exporter.precisions)}"
        )
    if isinstance(model, GroupedModel):
        if not getattr(exporter, "objects", False):
            raise SettingsError(
                f"{to} cannot hold head grouped, whose graph depends on how many objects there "
                "are: choose onnx, openvino or torch"
            )
        if precision == "int8":
            raise SettingsError("no int8 for head grouped: choose f32, bf16 or f16")
    require_packages(exporter.packages, f"exporting to {to}")
    if precision == "int8":
        require_packages({"nncf": "nncf"}, "int8")
    return exporter


def export_network(
    loaded: Loaded,
    to: str,
    out: str | PathLike[str],
    inputs: Inputs,
    precision: str = "f32",
    *,
    tolerance: float | None = None,
    calibration: npt.NDArray[np.uint8] | None = None,
    metrics: dict[str, Any] | None = None,
    terms: str | None = None,
) -> Exported:
    """Write a trained network into a new folder, whole or not at all.

    The file holds normalisation, network and decoder: raw pixels in, points, scores and
    covariance out; of head `grouped` those of all objects, with their boxes and scores. It is
    opened by its runtime and compared with the network on `inputs`.

    Args:
        to: a name of `EXPORTERS`.
        precision: one of `PRECISIONS`.
        tolerance: how far points may deviate: input pixels at most of f32, else a fraction of the
            normaliser on average. None: as in `TOLERANCES`.
        calibration: inputs for int8, others than those that are compared.
        metrics, terms: of the network, for the description.

    Raises:
        ExportError: where the file deviates further, or the network cannot be written so.
        SettingsError: for a format or precision that is none, a folder that holds something.
        MissingPackageError: for a package that is not installed.
    """
    model = deepcopy(loaded.model).cpu().eval()
    exporter = exporter_of(to, precision, model)
    target = Path(out)
    require_new(target)
    if not len(inputs.images):
        raise SettingsError("there is no input to compare the exported network on")
    compare = _comparison(loaded, model, inputs, precision)
    needed = _calibration(loaded, model, precision, tolerance, calibration)
    with new_folder(target) as folder:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of converters, about their own insides
                file = exporter.write(deepcopy(model), folder, precision, needed)
        except (RuntimeError, NotImplementedError, TypeError, ValueError, KeyError) as error:
            first = str(error).strip().partition("\n")[0]
            raise ExportError(
                f"{to} cannot hold this network ({type(error).__name__}: {first}); choose another "
                "format with --to, or another encoder or decoder"
            ) from error
        backend = RUNTIMES[exporter.runtime](folder / file, precision)
        found = compare(backend)
        other = "--to" if precision == "f32" else "--precision"
        advice = f"choose another {other}, or allow more with --tolerance; nothing was written"
        require_parity(found, precision, tolerance, advice)
        size = sum(path.stat().st_size for path in folder.iterdir())
        with torch.inference_mode():
            outputs = len(graph_of(model)(torch.from_numpy(inputs.images[:1])))
        about = describing.description(
            loaded, format=to, runtime=exporter.runtime, precision=precision, file=file,
            outputs=outputs, packages=exporter.packages, deviation=found, metrics=metrics,
            terms=terms,
        )  # fmt: skip
        (folder / describing.FILE).write_text(json_text(about, indent=1) + "\n", encoding="utf-8")
        write_programs(folder, about)
        files = tuple(sorted(path.name for path in folder.iterdir()))
    return Exported(target, files, size, found, backend)


def _comparison(
    loaded: Loaded, model: KeypointModel, inputs: Inputs, precision: str
) -> Callable[[Any], Deviation]:
    """What tells how far a backend's answers are from the network's own."""
    if not isinstance(model, GroupedModel):
        expected = answers(TorchBackend(model), inputs.images)
        return lambda backend: deviation(
            answers(backend, inputs.images), expected, loaded.skeleton, inputs
        )
    graph = graph_of(model)

    @torch.inference_mode()
    def own(images: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
        return [part.numpy() for part in graph(torch.from_numpy(images))]

    objects = object_answers(own, inputs.images)
    require_objects(objects, inputs)
    return lambda backend: object_deviation(
        object_answers(backend.infer, inputs.images), objects, model.finder, loaded.skeleton,
        inputs, precision,
    )  # fmt: skip


def _calibration(
    loaded: Loaded,
    model: KeypointModel,
    precision: str,
    tolerance: float | None,
    images: npt.NDArray[np.uint8] | None,
) -> Calibration | None:
    if precision != "int8":
        return None
    if images is None or not len(images):
        raise SettingsError(
            "int8 is calibrated on images like those that the network will see: name labelled ones "
            "with --data"
        )
    images = images[spread(list(images), CALIBRATION)]
    expected = answers(TorchBackend(model), images)
    inputs = Inputs(images, "calibration")

    def off(found: list[npt.NDArray[np.float32]]) -> float:
        points, scores = (np.asarray(part, np.float64) for part in found[:2])
        return deviation((points, scores), expected, loaded.skeleton, inputs).relative

    def offset(found: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        return mean_offset(found[0], expected[0])

    allowed = TOLERANCES["int8"] if tolerance is None else tolerance
    return Calibration(images, off, offset, allowed)
