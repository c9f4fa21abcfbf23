"""Boxes that say nothing of where an object is, or are not in the form that is expected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.data.boxes import box_error, other_form
from heatkp.data.checks.finding import Finding
from heatkp.data.checks.sizes import header_of, read_headers, sizes_of
from heatkp.data.samples import Sample
from heatkp.errors import DataError


def image_sizes(samples: Sequence[Sample], orient: bool) -> npt.NDArray[np.float64]:
    """Width and height (S, 2) of the samples' images in pixels, as the labels declare them or as
    the files' headers say; NaN where neither does."""
    undeclared = [s for s in samples if s.declared_size is None]
    return sizes_of(samples, read_headers(undeclared, None), orient, True, None)


def box_form(samples: Sequence[Sample], sizes: npt.NDArray[np.float64]) -> list[Finding]:
    """What tells that the boxes of the labels are in another form; empty where nothing does."""
    own = [i for i, s in enumerate(samples) if s.labelled_box is not None]
    boxes = np.array([samples[i].labelled_box for i in own], np.float64).reshape(-1, 4)
    form = other_form(boxes, sizes[own])
    if form is None:
        return []
    text = f"{form.text} (such as of {samples[own[form.example]].id})"
    return [Finding(text, refused=form.proven)]


def useless_boxes(
    samples: Sequence[Sample], sizes: npt.NDArray[np.float64], orient: bool
) -> dict[int, str]:
    """Why boxes are of no use in their images, by the places of their samples."""
    found = {}
    for i, sample in enumerate(samples):
        if sample.box is None or not np.isfinite(sizes[i]).all():
            continue
        wrong = box_error(sample.box, (int(sizes[i, 0]), int(sizes[i, 1])))
        if wrong is not None and sample.declared_size is not None and sample.file is not None:
            header = header_of(sample)  # labels may declare what is not so
            wrong = wrong if header is None else box_error(sample.box, header.seen(orient))
        if wrong is not None:
            found[i] = wrong
    return found


def _told(samples: Sequence[Sample], useless: dict[int, str]) -> str:
    boxed = sum(s.box is not None for s in samples)
    place, why = next(iter(useless.items()))
    return f"{len(useless)} of {boxed} boxes are of no use, such as of {samples[place].id}: {why}"


def box_notes(samples: Sequence[Sample], orient: bool) -> tuple[str, ...]:
    """A line for each thing that is wrong with labels' boxes."""
    if not any(s.box is not None for s in samples):
        return ()
    sizes = image_sizes(samples, orient)
    form = box_form(samples, sizes)
    if form:
        refused = " (training on boxes, data.crop=box, refuses them)" * form[0].refused
        return (form[0].text + refused,)
    useless = useless_boxes(samples, sizes, orient)
    if not useless:
        return ()
    return (f"{_told(samples, useless)} (training on boxes, data.crop=box, leaves these out)",)


def find_useless_boxes(
    samples: Sequence[Sample], orient: bool, source: Path | str
) -> tuple[list[Sample], tuple[str, ...]]:
    """The samples whose box, which training shows to the network, is of no use; and notes.

    Raises `DataError` where all are, or where the boxes are not in the form that is expected.
    """
    sizes = image_sizes(samples, orient)
    given = [i for i, s in enumerate(samples) if not s.box_from_points]
    form = box_form([samples[i] for i in given], sizes[given])
    if form and form[0].refused:
        raise DataError(f"{source}: {form[0].text}")
    useless = useless_boxes(samples, sizes, orient)
    notes = tuple(f.text for f in form)
    if not useless:
        return [], notes
    told = _told(samples, useless)
    if len(useless) == len(samples):
        raise DataError(f"{source}: {told}")
    return [samples[i] for i in useless], (*notes, f"{told}; these samples are left out")
