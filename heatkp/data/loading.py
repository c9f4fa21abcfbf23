"""From settings to samples: which reader, which points, which split."""

from __future__ import annotations

from functools import partial

import numpy as np

from heatkp.config import Data, expand_path
from heatkp.data.readers import read
from heatkp.data.samples import Image, KeypointData, Sample
from heatkp.data.synthetic import MAX_SIZE, MIN_SIZE, draw_face
from heatkp.errors import DataError, SettingsError
from heatkp.skeletons import SKELETONS, Skeleton, select


def _stored(image: Image) -> Image:
    return image


def drawn_sample(seed: int, index: int, skeleton: Skeleton, size: int = 128) -> Sample:
    """One drawn face, labelled in `face68` or `face58`."""
    face = draw_face(seed, index, size)
    imm = skeleton.name == "face58"
    return Sample(
        id=f"drawn-{seed}-{index:06d}",
        image=partial(_stored, face.image),
        points=face.points58 if imm else face.points,
        visibility=face.visibility58 if imm else face.visibility,
        box=face.box,
        person=str(index),
    )


def split(samples: list[Sample], data: Data) -> tuple[list[Sample], list[Sample]]:
    """Training and validation samples.

    `person` keeps the persons whose names sort last (a `validation` share of them) for
    validation; `random` shuffles samples with `split_seed`. Raises `DataError` where a part
    would be empty.
    """
    if data.split == "person":
        named = {s.id: s.person if s.person is not None else s.id for s in samples}
        persons = sorted(set(named.values()), key=lambda p: (len(p), p))
        held = set(persons[len(persons) - round(data.validation * len(persons)) :])
        val = [s for s in samples if named[s.id] in held]
        train = [s for s in samples if named[s.id] not in held]
    else:
        order = np.random.default_rng(data.split_seed).permutation(len(samples))
        chosen = set(order[: round(data.validation * len(samples))].tolist())
        val = [s for i, s in enumerate(samples) if i in chosen]
        train = [s for i, s in enumerate(samples) if i not in chosen]
    for part, kept in (("training", train), ("validation", val)):
        if not kept:
            raise DataError(
                f"the {part} split is empty: {len(samples)} samples, data.split={data.split}, "
                f"data.validation={data.validation:g}; choose another share"
            )
    return train, val


def load_data(data: Data) -> KeypointData:
    """The samples that settings ask for, with the chosen points, in two parts.

    Raises `DataError` or `SettingsError` for whatever is wrong with files or settings.
    """
    if data.path is None:
        skeleton = SKELETONS[data.skeleton]
        # As fine as the network will see them, and no finer.
        size = min(max(*data.size, MIN_SIZE), MAX_SIZE)
        drawn = [
            drawn_sample(data.drawn_seed, i, skeleton, size)
            for i in range(data.train_count + data.val_count)
        ]
        loaded = KeypointData(skeleton, drawn[: data.train_count], drawn[data.train_count :])
    else:
        skeleton, samples = read(expand_path(data.path, "data.path"), data.format)
        loaded = KeypointData(skeleton, *split(samples, data))
    if data.points == "all":
        return loaded
    try:
        indices = select(skeleton, data.points)
    except ValueError as error:
        raise SettingsError(f"data.points: {error}") from None
    name = f"{skeleton.name}-nose" if data.points == "nose" else None
    return loaded.take(indices, name)
