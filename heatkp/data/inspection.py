"""What a data set holds, in numbers: sizes, boxes, points outside, faults of its files."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.config import PARTS
from heatkp.coordinates import image_box
from heatkp.data.checks import label_notes
from heatkp.data.checks.boxes import box_notes
from heatkp.data.checks.orientation import orientation
from heatkp.data.depth import depth_notes
from heatkp.data.leaks import Leak, copy_leaks, source_leaks
from heatkp.data.mirroring import mirroring_note
from heatkp.data.near_duplicates import find_near_duplicates, groups_of, label_gap
from heatkp.data.samples import Labels, Sample, Visibility
from heatkp.data.transforms import Framing
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton

SCALES = (1.0, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0)
"""Enlargements of the box of which it is told what they lose."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Spread:
    """The smallest, middle and largest of some numbers."""

    min: float
    median: float
    max: float


@dataclass(frozen=True)
class Outside:
    """How many labelled points lie outside of something, and how many samples have any."""

    points: int
    samples: int


@dataclass(frozen=True)
class Loss:
    """What lies outside a box enlarged by `scale`, as fractions of points and samples.

    `square` is the enlarged box widened to a square; only samples with a box and a labelled
    point count.
    """

    scale: float
    points: float
    samples: float
    square_points: float
    square_samples: float


@dataclass(frozen=True)
class Inspection:
    """What `inspect` finds. Lengths in pixels of the images; None where there is nothing.

    Attributes:
        images: different images, by file.
        sources: groups that a split keeps together.
        persons, videos: persons and videos that are named.
        splits: samples in each part of the labels' own split; empty where they name none.
        leaks: samples of its `val` and `test` whose image is in its `train`, too.
        layout, points: the skeleton's name and number of points.
        pairs, midline, unpaired: names of points that change places in a mirrored image, that
            stay, and of which that is not known; `mirroring`: the same in words, with what told.
        visible, occluded, not_labelled: points of all samples.
        unlabelled_samples: those without a labelled point.
        boxes: samples that have a box; `flat_boxes` of them without area, left out below.
        objects: samples of an image.
        tracks: how many the labels name.
        codes: the codes of visibility that there are, of `Visibility`.
        sides_from: what told pairs and midline: `layout`, `name`, `flip_idx`, `position`, ...
        upright: whether the points are the right way up; None where nothing tells it, and in words
            in `orientation`.
        size_of: what `size` measures: one of the skeleton's normalisers, or the diagonal of
            the box around the points.
        outside_image: samples whose image cannot be read do not count.
        missing: files that do not exist.
        unreadable: the others that are no images, with the reason.
        same_image: groups of files (or samples) with equal bytes.
        same_id: ids that several samples have.
        near-duplicates: groups of samples that show one image, though their names and bytes differ.
        label_gap: how far two labels of one image are apart, as a fraction of `size_of`: the middle
            of all groups, those of equal bytes or related names included.
        notes: the reader's, and those of `label_notes` and `box_notes`.
    """

    path: str
    format: str
    images: int
    samples: int
    sources: int
    persons: int
    videos: int
    splits: dict[str, int]
    leaks: tuple[Leak, ...]
    layout: str
    points: int
    pairs: tuple[tuple[str, str], ...]
    midline: tuple[str, ...]
    unpaired: tuple[str, ...]
    mirroring: str
    visible: int
    occluded: int
    not_labelled: int
    unlabelled_samples: int
    image_width: Spread | None
    image_height: Spread | None
    objects: Spread | None
    tracks: int
    codes: tuple[int, ...]
    sides_from: tuple[str, ...]
    upright: bool | None
    orientation: str
    boxes: int
    flat_boxes: int
    box_width: Spread | None
    box_height: Spread | None
    box_aspect: Spread | None
    size_of: str
    size: Spread | None
    outside_box: Outside | None
    outside_image: Outside | None
    enlarged: tuple[Loss, ...]
    missing: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    same_image: tuple[tuple[str, ...], ...]
    same_id: tuple[str, ...]
    near_duplicates: tuple[tuple[str, ...], ...]
    label_gap: float | None
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same as dictionaries and lists, for JSON."""
        return {**asdict(self), "leaks": [leak._asdict() for leak in self.leaks]}


class _Decoded(NamedTuple):
    size: tuple[int, int] | None
    digest: bytes
    failure: str


def _look(sample: Sample) -> _Decoded:
    """Decode an image: its (W, H), a hash of its bytes, or what is wrong."""
    try:
        image = sample.image()
        if sample.has_image_file:
            with sample.open() as file:
                content: bytes | memoryview = file.read()
        else:
            content = np.ascontiguousarray(image).data
        digest = hashlib.sha256(content).digest()
    except (DataError, OSError, cv2.error) as error:
        return _Decoded(None, b"", str(error))
    return _Decoded((image.shape[1], image.shape[0]), digest, "")


def _look_at_all(
    samples: Sequence[Sample], progress: Callable[[int, int], None]
) -> dict[str, _Decoded]:
    """Every existing image once, by name, in several threads."""
    todo = {s.image_name: s for s in samples if s.file is None or os.path.isfile(s.file)}
    seen: dict[str, _Decoded] = {}
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for name, decoded in zip(todo, pool.map(_look, todo.values())):
            seen[name] = decoded
            progress(len(seen), len(todo))
    finally:  # stopped by Ctrl-C: do not decode the rest
        pool.shutdown(wait=True, cancel_futures=True)
    return seen


def _related(a: Sample, b: Sample, seen: dict[str, _Decoded]) -> bool:
    """Whether two samples' images have equal bytes, or names by which a split keeps them
    together."""
    if a.source_image is not None and a.source_image == b.source_image:
        return True
    return seen[a.image_name].digest == seen[b.image_name].digest


def _spread(values: Iterable[float]) -> Spread | None:
    finite = np.asarray([v for v in values if np.isfinite(v)], np.float64)
    if not len(finite):
        return None
    return Spread(float(finite.min()), float(np.median(finite)), float(finite.max()))


def _outside(points: npt.NDArray[Any], edges: npt.NDArray[Any]) -> Bools:
    """Which of points (K, 2) lie outside a box (x0, y0, x1, y1); NaN does not."""
    return np.any((points < edges[:2]) | (points > edges[2:]), axis=1)


def _count(outside: Sequence[Bools]) -> Outside | None:
    if not outside:
        return None
    return Outside(sum(int(o.sum()) for o in outside), sum(bool(o.any()) for o in outside))


def _shares(outside: Sequence[Bools]) -> tuple[float, float]:
    counted = _count(outside)
    if counted is None:
        return 0.0, 0.0
    return counted.points / sum(map(len, outside)), counted.samples / len(outside)


def _losses(faces: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> Iterator[Loss]:
    """Of faces' labelled points and boxes; through `Framing`, as training will see them."""
    for scale in SCALES if faces else ():
        shares: list[float] = []
        for square in (False, True):
            framing = Framing((1, 1), scale, keep_aspect=square)
            shares += _shares([_outside(p, framing.region((1, 1), box)) for p, box in faces])
        yield Loss(scale, *shares)


def _lengths(skeleton: Skeleton, samples: Sequence[Sample]) -> tuple[str, list[float]]:
    """A name and each sample's size, NaN where its points do not tell."""
    for name, (first, second) in skeleton.normalisers.items():
        # NaN, of a point that is not labelled, spreads to the sample's length.
        known = [np.where(s.visibility[:, None] > 0, s.points, np.nan) for s in samples]
        gaps = [p[list(first)].mean(0) - p[list(second)].mean(0) for p in known]
        return name, [float(np.hypot(*gap)) for gap in gaps]
    labelled = [s.points[s.visibility > Visibility.NOT_LABELLED] for s in samples]
    extents = [np.ptp(p, axis=0) if len(p) > 1 else (np.nan, np.nan) for p in labelled]
    return "points-diagonal", [float(np.hypot(*extent)) for extent in extents]


def _sides_from(skeleton: Skeleton) -> tuple[str, ...]:
    if not skeleton.pairs and not skeleton.midline:
        return ()
    told = {i for pair in skeleton.pairs for i in pair} | {*skeleton.midline}
    first = (skeleton.sides_from or "layout",) if told - {*skeleton.by_position} else ()
    return (*first, "position") if skeleton.by_position else first


def split_counts(samples: Sequence[Sample]) -> dict[str, int]:
    """Samples in each part of the labels' own split, in the usual order."""
    counts = Counter(s.split for s in samples if s.split is not None)
    return {part: counts[part] for part in sorted(counts, key=lambda p: (*PARTS, p).index(p))}


def _leaks(samples: Sequence[Sample], alike: Sequence[tuple[int, int]]) -> tuple[Leak, ...]:
    """Held-back samples whose image is trained on, by names, and the others by what they show."""
    parts = {part: [s for s in samples if s.split == part] for part in PARTS}
    named = source_leaks(parts)
    told = {(leak.part, name) for leak in named for name in leak.samples}
    others = [
        pair for pair in alike if not {(samples[i].split, samples[i].id) for i in pair} & told
    ]
    return (*named, *copy_leaks(samples, others))


def inspect(
    labels: Labels,
    format: str = "",
    path: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
    orient: bool = False,
) -> Inspection:
    """Count and measure what a reader found, decode every image, and look for images that are
    there several times.

    Args:
        labels: as `readers.read` gives them; with `strict=False`, missing files are told of.
        format, path: where they are from, for the record.
        progress: told how many images are decoded, and of how many; for each of two rounds.
        orient: the samples' images are read upright, as their EXIF entry says.
    """
    skeleton, samples = labels.skeleton, labels.samples
    names_of = skeleton.point_names
    seen = _look_at_all(samples, progress)
    sizes = [p.size for p in seen.values() if p.size is not None]
    equal: dict[bytes, list[str]] = {}
    for name, decoded in seen.items():
        if decoded.size is not None:
            equal.setdefault(decoded.digest, []).append(name)
    codes = Counter(int(v) for s in samples for v in s.visibility)
    boxes = [s.box.astype(np.float64) for s in samples if s.box is not None]
    extents = [box[2:] - box[:2] for box in boxes if (box[2:] > box[:2]).all()]
    faces, in_image = [], []
    for s in samples:
        known = s.points[s.visibility > Visibility.NOT_LABELLED].astype(np.float64)
        if not len(known):
            continue
        if s.box is not None and (s.box[2:] > s.box[:2]).all():
            faces.append((known, s.box.astype(np.float64)))
        looked_at = seen.get(s.image_name)
        if looked_at is not None and looked_at.size is not None:
            in_image.append(_outside(known, image_box(*looked_at.size)))
    size_of, lengths = _lengths(skeleton, samples)
    known_sizes = {name: d.size for name, d in seen.items() if d.size is not None}
    each = [known_sizes.get(s.image_name, (np.nan, np.nan)) for s in samples]
    way = orientation(samples, skeleton, np.array(each, np.float64).reshape(-1, 2))
    names = dict.fromkeys(s.image_name for s in samples)
    pairs = find_near_duplicates(samples, progress=progress)
    told = [p for p in pairs if not _related(samples[p.first], samples[p.second], seen)]
    groups = groups_of(told, len(samples))
    return Inspection(
        path=path,
        format=format,
        images=len(names),
        samples=len(samples),
        sources=len({s.id if s.source_image is None else s.source_image for s in samples}),
        persons=len({s.person for s in samples} - {None}),
        videos=len({s.video for s in samples} - {None}),
        splits=split_counts(samples),
        leaks=_leaks(samples, [(p.first, p.second) for p in pairs]),
        layout=skeleton.name,
        points=len(skeleton),
        pairs=tuple((names_of[a], names_of[b]) for a, b in skeleton.pairs),
        midline=tuple(names_of[i] for i in skeleton.midline),
        unpaired=tuple(names_of[i] for i in skeleton.unpaired),
        mirroring=mirroring_note(skeleton),
        visible=codes[Visibility.VISIBLE],
        occluded=codes[Visibility.OCCLUDED],
        not_labelled=codes[Visibility.NOT_LABELLED],
        unlabelled_samples=sum(not (s.visibility > 0).any() for s in samples),
        image_width=_spread(w for w, _ in sizes),
        image_height=_spread(h for _, h in sizes),
        objects=_spread(Counter(s.image_name for s in samples).values()),
        tracks=len({(s.video, s.track) for s in samples if s.track is not None}),
        codes=tuple(sorted(codes)),
        sides_from=_sides_from(skeleton),
        upright=way.upright,
        orientation=way.how,
        boxes=len(boxes),
        flat_boxes=len(boxes) - len(extents),
        box_width=_spread(w for w, _ in extents),
        box_height=_spread(h for _, h in extents),
        box_aspect=_spread(w / h for w, h in extents),
        size_of=size_of,
        size=_spread(lengths),
        outside_box=_count([_outside(*face) for face in faces]),
        outside_image=_count(in_image),
        enlarged=tuple(_losses(faces)),
        missing=tuple(name for name in names if name not in seen),
        unreadable=tuple((n, p.failure) for n, p in seen.items() if p.size is None),
        same_image=tuple(tuple(group) for group in equal.values() if len(group) > 1),
        same_id=tuple(i for i, count in Counter(s.id for s in samples).items() if count > 1),
        near_duplicates=tuple(tuple(samples[i].id for i in group) for group in groups),
        label_gap=label_gap(samples, pairs, lengths),
        notes=(
            *labels.notes,
            *label_notes(samples, skeleton, orient, limit=None),
            *box_notes(samples, orient),
            *depth_notes(samples),
        ),
    )
