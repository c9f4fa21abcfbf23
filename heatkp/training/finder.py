"""The training of a finder: prepare, fit, measure the best weights, write into the run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import Progress

from heatkp import runs
from heatkp.config import Settings
from heatkp.data.loading import MemoryData, load_data
from heatkp.data.samples import KeypointData
from heatkp.data.scenes import Scene, split_scenes
from heatkp.evaluation.found_boxes import Matched, match, measure_found
from heatkp.files import write_text
from heatkp.inference.detectors import Detection
from heatkp.inference.finder import Finder
from heatkp.models.encoders import input_statistics
from heatkp.models.finder import FinderModel
from heatkp.text import json_text
from heatkp.training.callbacks import (
    DataWait,
    LastCheckpoint,
    StopEarly,
    Stretched,
    moving_average,
)
from heatkp.training.finder_module import (
    COLUMNS,
    LOWEST,
    FinderData,
    FinderModule,
    FinderProgress,
    FinderRecord,
)
from heatkp.training.trainer import run_trainer

LOOKED_AT = 9
"""Images whose shape decides that of the inputs."""
ALIKE = 1.1
"""Images whose width over height differ by no more than this factor are of one shape."""
STEP = 32
"""Inputs' sides are multiples of it."""


class Files(NamedTuple):
    """Where in a run's folder weights, a row for each epoch, and the last checkpoint go."""

    weights: str = runs.FINDER
    history: str = runs.FINDER_HISTORY
    last: str = runs.FINDER_LAST
    columns: tuple[str, ...] = COLUMNS


@dataclass
class PreparedFinder:
    """A finder's training whose settings, data and network have been found good."""

    settings: Settings
    data: FinderData
    module: FinderModule
    train: list[Scene]
    val: list[Scene]


def own_settings(settings: Settings) -> Settings:
    """Settings as the finder's training reads them: `finder` takes the place of the others'."""
    own, given = settings.model_copy(deep=True), settings.finder
    model = own.model
    regresses = not (settings.model.options or settings.model.architecture)
    values: dict[str, Any] = {"init": None, "transfer": None, "freeze": [], "layers": []}
    if given.architecture is not None or regresses or model.layers:
        values.update(architecture=given.architecture or "unet", options=None)
    if given.options is not None:
        values["options"] = given.options
    if given.encoder is not None:
        values.update(encoder=given.encoder, encoder_weights="none", mean=None, std=None)
    if given.encoder_weights is not None:
        values.update(encoder_weights=given.encoder_weights, mean=None, std=None)
    kept = {k: v for k, v in model.model_dump().items() if k not in values}
    if not isinstance(model.encoder, str) and given.encoder is None:
        kept["encoder"] = model.encoder
    own.model = type(model)(**kept, **{k: v for k, v in values.items() if v is not None})
    own.trainer.epochs = given.epochs or own.trainer.epochs
    own.trainer.batch_size = given.batch_size or own.trainer.batch_size
    own.optimiser.lr = given.lr or own.optimiser.lr
    if own.model.mean is None or own.model.std is None:
        mean, std = input_statistics(own.model)
        own.model.mean, own.model.std = list(mean), list(std)
    return own


def input_size(scenes: Sequence[Scene], settings: Settings) -> tuple[int, int]:
    """(W, H) of the inputs: the images' shape where they have one, else a square; sides are
    multiples of 32. Raises `DataError` for an image that cannot be read."""
    longest = -(-settings.finder.size // STEP) * STEP
    if settings.finder.tile:
        return longest, longest
    places = np.unique(np.linspace(0, len(scenes) - 1, LOOKED_AT).round().astype(int))
    ratios = []
    for i in places:
        height, width = scenes[i].image.rgb().shape[:2]
        ratios.append(width / height)
    if max(ratios) > ALIKE * min(ratios):
        return longest, longest
    ratio = float(np.exp(np.log(ratios).mean()))
    other = max(STEP, round(longest * min(ratio, 1 / ratio) / STEP) * STEP)
    return (longest, other) if ratio > 1 else (other, longest)


def read_images(
    name: str, data: FinderData, train: Sequence[Scene], val: Sequence[Scene], console: Console
) -> None:
    """Read the images, with a bar where that takes a while, and say what was found."""
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("reading images", visible=False)
        data.preload(
            lambda done, total: bar.update(task, completed=done, total=total, visible=True)
        )
    for note in data.notes:
        console.print(f"  {note}", highlight=False, style="dim", soft_wrap=True)
    objects = [sum(len(s.boxes) for s in part) for part in (train, val)]
    shown = f"{name}: {len(train)} training images with {objects[0]} objects"
    if data.settings.data.validates:
        shown += f", {len(val)} validation images with {objects[1]}"
    width, height = data.train_set.framing.size
    console.print(f"{shown}; input {width}x{height}", highlight=False, soft_wrap=True)


def usual_side(data: FinderData) -> tuple[float, float]:
    """The geometric mean of the objects' width and height in input pixels, over some images."""
    dataset = data.train_set
    places = np.unique(np.linspace(0, len(dataset) - 1, 40).round().astype(int))
    boxes = torch.cat([dataset[int(i)]["boxes"] for i in places])
    sides = boxes[torch.isfinite(boxes).all(1), 2:].double().clamp(min=1.0)
    if not len(sides):
        return 32.0, 32.0
    width, height = sides.log().mean(0).exp().tolist()
    return width, height


def prepare(
    settings: Settings,
    console: Console,
    loaded: KeypointData | None = None,
    given: MemoryData | None = None,
    begun: bool = False,
) -> PreparedFinder:
    """Read the data and build the network, or raise what is wrong with them.

    `loaded` are samples with boxes that were read already, `given` those that a program holds.
    `begun`: weights of a checkpoint are about to be loaded.
    """
    own = own_settings(settings)
    if loaded is None:
        boxed = own.data.model_copy(update={"crop": "box"})
        loaded = load_data(boxed, given=given, boxes=True)
        for note in loaded.notes:
            console.print(f"  {note}", highlight=False, style="dim", soft_wrap=True)
    train, val = split_scenes(loaded, own.data.train_limit > 0)
    size = input_size(train, own)
    data = FinderData(own, size, train, val if own.data.validates else [])
    read_images("finder", data, train, val, console)
    torch.manual_seed(own.trainer.seed)
    blank = own.model.model_copy(deep=True)
    if begun:
        blank.encoder_weights = "none"
    channels = 1 if own.data.grey else 3
    side = usual_side(data)
    model = FinderModel(blank, own.finder, size, channels, side)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = ([s.image for s in train], [s.image for s in val])
    description = runs.describe_finder(own, size, *images)
    return PreparedFinder(own, data, FinderModule(model, own, description), train, val)


def period(settings: Settings) -> int:
    """Epochs from one validation to the next, of which the last one is."""
    period = settings.trainer.validate_every
    return period if settings.trainer.epochs % period == 0 else 1


def fit(
    prepared: PreparedFinder,
    run: Path,
    console: Console,
    resume: Path | None = None,
    callbacks: Sequence[Callback] = (),
    files: Files = Files(),  # noqa: B008  # which nothing changes
    loggers: Any = False,
    further: bool = False,
) -> None:
    """Train in a run folder, from the beginning or from a checkpoint of the last epoch.

    `loggers` are Lightning's; `further` trains on what had ended."""
    settings = prepared.settings
    validates = settings.data.validates and len(prepared.val) > 0
    wait = DataWait()
    record = FinderRecord(run / files.weights, run / files.history, wait, files.columns)
    own: list[Callback] = [record]
    if resume is not None:
        own.append(Stretched(console))
    if settings.trainer.ema:
        own.append(moving_average(settings.trainer.ema))
    if settings.trainer.early_stopping and validates:
        own.append(StopEarly(settings.trainer.early_stopping, period(settings), further))
    own += [wait, FinderProgress(console, wait), LastCheckpoint(run / files.last)]
    run_trainer(
        prepared.module,
        prepared.data,
        run,
        [*own, *callbacks],
        validate_every=period(settings),
        validates=validates,
        resume=resume,
        loggers=loggers,
    )


def finish(prepared: PreparedFinder, run: Path) -> dict[str, Any]:
    """Measure the best weights on whole validation images, as they are predicted; write figures
    and an image of some."""
    from heatkp.viz.found_objects import draw_found

    settings = prepared.settings
    if not (settings.data.validates and prepared.val):
        state, description = runs.read_weights(run / runs.FINDER_LAST)
        prepared.module.model.load_state_dict(state)
        runs.save_weights(run / runs.FINDER, prepared.module.model, description)
        finder = Finder(run, settings.trainer.device)
        draw_found(finder, prepared.train, run / "finder.png")
        metrics: dict[str, Any] = {"split": None, "images": 0, "min_score": finder.min_score}
    else:
        finder = Finder(run, settings.trainer.device)
        every = finder.with_options(min_score=LOWEST)
        matched = [found_in(scene, every(scene.image.rgb())) for scene in prepared.val]
        metrics = finding_metrics(matched, finder.min_score)
        draw_found(finder, prepared.val, run / "finder.png")
    write_text(run / runs.FINDER_METRICS, json_text(metrics, indent=1) + "\n")
    return metrics


def finding_metrics(matched: Sequence[Matched], least: float) -> dict[str, Any]:
    """Figures of what was found in validation images, from a score on."""
    found = measure_found(matched)
    kept = [_from(one, least) for one in matched]
    hits, total = sum(int(m.right.sum()) for m in kept), sum(len(m.scores) for m in kept)
    return {
        "split": "val",
        "images": len(matched),
        "objects": found.objects,
        "ap50": found.average_precision,
        "min_score": least,
        "precision": hits / max(total, 1),
        "recall": hits / max(found.objects, 1),
        "missed": found.objects - hits,
        "wrong": total - hits,
        "counts_wrong": sum(len(m.scores) != m.objects for m in kept),
    }


def found_in(scene: Scene, found: Sequence[Detection]) -> Matched:
    """What was found in a scene beside its objects whose box is known."""
    boxes = np.array([one.box for one in found], np.float64).reshape(-1, 4)
    scores = np.array([one.score for one in found], np.float64)
    known = np.isfinite(scene.boxes).all(1)
    return match(boxes, scores, scene.boxes[known], scene.ignored)


def _from(matched: Matched, least: float) -> Matched:
    sure = matched.scores >= least
    return matched._replace(
        scores=matched.scores[sure], right=matched.right[sure], which=matched.which[sure]
    )


def finding_line(name: str, metrics: Mapping[str, Any]) -> str:
    """`finding_metrics` in a line; `name` is what finds."""
    return (
        f"{name}: found {metrics['recall']:.1%} of {metrics['objects']} objects in "
        f"{metrics['images']} validation images, {metrics['wrong']} boxes are none "
        f"(IoU 0.5; AP50 {metrics['ap50']:.3f}, score from {metrics['min_score']:.2f})"
    )
