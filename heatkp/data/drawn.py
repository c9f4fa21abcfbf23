"""Drawn faces as samples: the data that settings without a path ask for."""

from __future__ import annotations

from functools import partial

from heatkp.config import Data
from heatkp.data.images import Image
from heatkp.data.samples import Sample
from heatkp.data.synthetic import MAX_SIZE, MIN_SIZE, draw_face
from heatkp.data.synthetic.scenes import draw_scene
from heatkp.skeletons import SKELETONS, Skeleton


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


def scene_samples(
    seed: int, index: int, size: tuple[int, int], objects: tuple[int, int]
) -> list[Sample]:
    """The faces of one drawn image, labelled in `face68`: a sample for each, of one image."""
    scene = draw_scene(seed, index, size, objects)
    image, name = partial(_stored, scene.image), f"scene-{seed}-{index:06d}"
    return [
        Sample(
            id=f"{name}-{k}",
            image=image,
            points=face.points,
            visibility=face.visibility,
            box=face.box,
            source_image=name,
        )
        for k, face in enumerate(scene.faces)
    ]


def drawn_samples(data: Data) -> list[Sample]:
    """Faces to train on, then those to validate on."""
    # As fine as the network will see them, and no finer.
    size = min(max(*data.size, MIN_SIZE), MAX_SIZE)
    skeleton, count = SKELETONS[data.skeleton], data.train_count + data.val_count
    return [drawn_sample(data.drawn_seed, i, skeleton, size) for i in range(count)]
