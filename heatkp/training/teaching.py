"""What teachers give a training: soft labels of its samples, and of images without labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import Progress, TaskID

from heatkp import heatmaps as hm
from heatkp.config import Settings, expand_path
from heatkp.data.boxes import BoxStyle
from heatkp.data.dataset import KeypointDataset
from heatkp.data.images import ImageOptions
from heatkp.data.samples import KeypointData, Sample, fingerprint
from heatkp.data.soft_labels import SoftLabels, unlabelled_sample
from heatkp.data.transforms import Framing
from heatkp.errors import DataError, SettingsError
from heatkp.inference.batches import predictions
from heatkp.inference.box_files import BoxFile
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.predictor import Predictor
from heatkp.inference.sources import Failure, find_sources, read_images
from heatkp.registry import HEADS
from heatkp.runs import TEACHER
from heatkp.training.teachers import Said, Teacher

Array = npt.NDArray[np.float64]
SHOWN = 3
FEWEST = 10
"""Labels of a point from which its noise is told; of fewer, it counts as none."""


class Found(NamedTuple):
    """Samples without labels, how many images they are from, and what was left out."""

    samples: list[Sample]
    images: int = 0
    notes: tuple[str, ...] = ()


def require_takes_mixtures(settings: Settings) -> None:
    """Raises `SettingsError` for a head that cannot learn from teachers."""
    name = settings.head.name
    if settings.teacher.models and name in HEADS and not HEADS[name].takes_mixtures:
        able = ", ".join(name for name, head in HEADS.usable().items() if head.takes_mixtures)
        raise SettingsError(
            f"teacher.models: head {settings.head.name} cannot learn from teachers, for its loss "
            f"takes points only; choose one of {able}"
        )


def soft_labels(
    settings: Settings,
    data: KeypointData,
    style: BoxStyle | None,
    console: Console,
    run: Path,
) -> SoftLabels | None:
    """What the teachers that settings name say of the training samples and of unlabelled images;
    None without teachers. Where the `run` has begun, what they said then.

    `style` is how boxes of the training samples lie around points. Raises as `Teacher.open` and
    `Teacher.say` do, and `SettingsError` where no image without labels is left.
    """
    if not settings.teacher.models:
        return None
    if (run / TEACHER).is_file():
        return _require_images(SoftLabels.load(run / TEACHER))
    device = settings.trainer.device
    teachers = [Teacher.open(name, data.skeleton, device) for name in settings.teacher.models]
    found = find_unlabelled(settings, data, teachers, style)
    samples = [*data.train, *found.samples]
    said = _all_said(teachers, samples, settings, console)
    labels = _judged(settings, data, found, teachers, said)
    for line in (*_teacher_lines(labels, teachers, data), *_unlabelled_lines(labels, found)):
        console.print(f"  {line}", highlight=False, style="dim", soft_wrap=True)
    if found.images and not labels.unlabelled:
        raise SettingsError(
            "teacher.unlabelled: no point of these images is kept, for the teachers are not sure "
            "of any: lower teacher.min_confidence, raise teacher.max_spread, or train better "
            "teachers"
        )
    return labels


def _require_images(labels: SoftLabels) -> SoftLabels:
    """Raises `DataError` where images that the run had without labels are gone."""
    gone = [s for s in labels.unlabelled if s.file is not None and not s.file.is_file()]
    if gone:
        raise DataError(
            f"{len(gone)} of {len(labels.unlabelled)} images without labels are gone, such as "
            f"{gone[0].file}: put them back, or start a new run"
        )
    return labels


def _all_said(
    teachers: Sequence[Teacher], samples: Sequence[Sample], settings: Settings, console: Console
) -> list[Said]:
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("teachers look", total=len(teachers) * len(samples))
        said = []
        for i, teacher in enumerate(teachers):
            before = i * len(samples)
            size, flips = settings.trainer.batch_size, settings.teacher.flip_test
            said.append(
                teacher.say(
                    samples, size, flips,
                    partial(_advance, bar, task, before),
                )
            )  # fmt: skip
    return said


def _advance(bar: Progress, task: TaskID, before: int, done: int) -> None:
    bar.update(task, completed=before + done)


def find_unlabelled(
    settings: Settings, data: KeypointData, teachers: Sequence[Teacher], style: BoxStyle | None
) -> Found:
    """The objects in the images that `teacher.unlabelled` names, other than those of the labels."""
    given = settings.teacher.unlabelled
    if given is None:
        return Found([])
    paths = [str(expand_path(path, "teacher.unlabelled")) for path in given]
    sources = find_sources(paths)
    if sources.failures:
        failure = sources.failures[0]
        raise SettingsError(f"teacher.unlabelled: {failure.name}: {failure.reason}")
    images = [s for s in sources.sources if not (s.is_video or s.is_tar)]
    known = (*data.part("all"), *data.empty, *data.left_out)
    listed = {s.file.resolve() for s in known if s.file is not None}
    fresh = [s for s in images if s.path.resolve() not in listed]
    if not fresh:
        why = f"all {len(images)} have labels, or validate" if images else "there is none"
        raise SettingsError(f"teacher.unlabelled: {', '.join(given)} holds no further image: {why}")
    notes = []
    if others := len(sources.sources) - len(images):
        notes.append(f"{others} videos and tars among images without labels are left out")
    if labelled := len(images) - len(fresh):
        notes.append(f"{labelled} of these images are left out: they have labels, or validate")
    teacher = next((t for t in teachers if t.predictor.finds_objects), teachers[0])
    first = teacher.predictor
    boxes: Any = _boxes(settings, first, [s.path for s in fresh])
    options = ImageOptions.of(settings.data).upright
    boxed = settings.data.crop == "box"
    samples: list[Sample] = []
    failed, looked = [], 0
    for one in predictions(
        first, read_images(fresh, options=options), boxes, settings.trainer.batch_size, passes=1
    ):
        if isinstance(one, Failure):
            failed.append(one)
            continue
        looked += 1
        for j, keypoints in enumerate(_shown(one.objects or (), boxed)):
            name = f"unlabelled/{one.input_image.name}" + (f"#{j + 1}" if j else "")
            box = keypoints.box
            if boxed and style is not None and (teacher.places >= 0).all():
                # As the labels' boxes lie around these points; the teacher may know others, too.
                around = style.around(keypoints.points[teacher.places])
                box = box if around is None else around
            count = len(data.skeleton)
            samples.append(unlabelled_sample(one.input_image.file, name, count, box, options))
    if failed:
        notes.append(
            f"{len(failed)} images without labels could not be used, such as {failed[0].name}: "
            f"{failed[0].reason}"
        )
    return Found(samples, looked, tuple(notes))


def _shown(objects: Sequence[Keypoints], boxed: bool) -> Sequence[Keypoints]:
    """Those that the student sees: all, or of whole images the surest."""
    if boxed or len(objects) < 2:
        return objects
    return [max(objects, key=lambda one: one.box_score or 0.0)]


def _boxes(settings: Settings, predictor: Predictor, paths: Sequence[Path]) -> Any:
    """Boxes as `predictions` takes them."""
    given = settings.teacher.boxes
    if given in ("auto", "objects", "image"):
        return predictor.ready_for(None if given == "auto" else given)
    path = expand_path(given, "teacher.boxes")
    if not path.is_file():
        raise SettingsError(
            f"teacher.boxes: there is no file {path}; give auto, objects, image, or a file"
        )
    return BoxFile(path, paths, upright=settings.data.orient).find


def _judged(
    settings: Settings,
    data: KeypointData,
    found: Found,
    teachers: Sequence[Teacher],
    said: Sequence[Said],
) -> SoftLabels:
    """Soft labels of what was said: teachers count by their scores, unlabelled points are kept by
    confidence."""
    section = settings.teacher
    points, covariance, scores = (np.stack(part, 1) for part in zip(*said))
    usable = np.isfinite(points).all(-1) & np.isfinite(covariance).all((-1, -2))
    points = np.where(usable[..., None], points, np.nan)
    covariance = np.where(usable[..., None, None], covariance, 0.0)
    # A head without scores counts as one that is sure.
    weights = np.where(usable, np.clip(np.nan_to_num(scores, nan=1.0), 1e-6, 1.0), 0.0)
    count = np.maximum(usable.sum(1), 1)
    confidence = np.where(usable.any(1), weights.sum(1) / count, 0.0)
    mixture = hm.Mixture(
        *(torch.from_numpy(np.moveaxis(a, 1, 2)) for a in (points, covariance, weights))
    )
    total = mixture.total_covariance.numpy()
    every = [*data.train, *found.samples]
    plain = _plain_matrices(settings, data, every)
    linear = plain[:, None, :, :2]
    spread = np.sqrt(np.trace(linear @ total @ linear.swapaxes(-1, -2), axis1=-2, axis2=-1) / 2)
    sure = (confidence >= section.min_confidence) & (
        spread <= section.max_spread * max(settings.data.size)
    )
    trust = np.where(sure & usable.any(1), confidence * section.unlabelled_weight, 0.0)
    trust[: len(data.train)] = 0.0
    kept = np.asarray(trust.any(1))
    kept[: len(data.train)] = True
    unlabelled = [s for s, k in zip(found.samples, kept[len(data.train) :]) if k]
    residuals = _residuals(data, mixture.mean.numpy(), usable.any(1), plain)
    noise = _noise(residuals) if section.label_noise else np.zeros((points.shape[2], 2, 2))
    known = usable[len(data.train) :].any(1)
    record: dict[str, Any] = {
        "teachers": [_with_error(t, one, data, plain) for t, one in zip(teachers, said)],
        "validation": fingerprint(data.val),
    }
    if section.unlabelled is not None:
        record["unlabelled"] = {
            "images": found.images, "objects": len(found.samples), "points": int(known.sum()),
            "kept_objects": len(unlabelled), "kept_points": int((trust > 0).sum()),
        }  # fmt: skip
    return SoftLabels(
        ids=tuple(s.id for s, k in zip(every, kept) if k),
        points=points[kept].astype(np.float32),
        covariance=covariance[kept].astype(np.float32),
        weights=weights[kept].astype(np.float32),
        trust=trust[kept].astype(np.float32),
        label_covariance=noise.astype(np.float32),
        share=section.weight,
        unlabelled=unlabelled,
        record=record,
    )


def _plain_matrices(settings: Settings, data: KeypointData, samples: Sequence[Sample]) -> Array:
    """Image pixels to input pixels without augmentation, (N, 2, 3)."""
    framing = Framing.of(settings.data)
    dataset = KeypointDataset(samples, data.skeleton, framing)
    return np.stack([dataset.plain_matrix(i) for i in range(len(samples))])


def _residuals(
    data: KeypointData, means: Array, known: npt.NDArray[np.bool_], plain: Array
) -> Array:
    """How far labels are from what was said, (N, K, 2), in input pixels; NaN where one lacks."""
    count = len(data.train)
    truth = np.stack([s.points for s in data.train]).astype(np.float64)
    labelled = np.stack([s.visibility > 0 for s in data.train]) & known[:count]
    away = (truth - means[:count]) @ plain[:count, :, :2].swapaxes(-1, -2)
    return np.where(labelled[..., None], away, np.nan)


def _noise(residuals: Array) -> Array:
    """Covariance (K, 2, 2) of each point's residuals about 0, the largest twentieth left out."""
    found = np.zeros((residuals.shape[1], 2, 2))
    for k in range(residuals.shape[1]):
        own = residuals[:, k][np.isfinite(residuals[:, k]).all(-1)]
        if len(own) < FEWEST:
            continue
        own = own[np.hypot(*own.T) <= np.quantile(np.hypot(*own.T), 0.95)]
        found[k] = own.T @ own / len(own)
    return found


def _with_error(teacher: Teacher, said: Said, data: KeypointData, plain: Array) -> dict[str, Any]:
    """A teacher's record, with its mean distance from the training labels, in input pixels."""
    away = _residuals(data, said.points, np.asarray(np.isfinite(said.points).all(-1)), plain)
    distance = np.linalg.norm(away, axis=-1)
    error = float(np.nanmean(distance)) if np.isfinite(distance).any() else None
    score = said.scores[: len(data.train)]
    confidence = float(np.nanmean(score)) if np.isfinite(score).any() else None
    return {**teacher.record, "distance_from_labels": error, "mean_score": confidence}


def _teacher_lines(
    labels: SoftLabels, teachers: Sequence[Teacher], data: KeypointData
) -> list[str]:
    lines = []
    for record, teacher in zip(labels.record["teachers"], teachers):
        error, score = record["distance_from_labels"], record["mean_score"]
        told = [f"head {record['head']}", f"{record['points']} of {len(data.skeleton)} points"]
        if error is not None:
            told.append(f"{error:.2f} input pixels from the training labels on average")
        if score is not None:
            told.append(f"mean score {score:.2f}")
        lines.append(f"teacher {teacher.name}: {', '.join(told)}")
        held = teacher.predictor.loaded.validation
        if held is not None and data.val and held != fingerprint(data.val):
            lines.append(
                f"teacher {teacher.name} held back other samples than this run: where it was "
                "trained on some that validate here, errors here are too small"
            )
    return lines


def _unlabelled_lines(labels: SoftLabels, found: Found) -> list[str]:
    counts = labels.record.get("unlabelled")
    if counts is None:
        return []
    return [
        *found.notes,
        f"{counts['images']} images without labels: {counts['objects']} objects; "
        f"{counts['kept_points']} of {counts['points']} points are kept "
        "(teacher.min_confidence, teacher.max_spread), and train in "
        f"{counts['kept_objects']} samples",
    ]
