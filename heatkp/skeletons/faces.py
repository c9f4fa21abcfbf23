"""The layouts of faces that heatkp knows."""

from __future__ import annotations

from collections.abc import Iterable

from heatkp.skeletons.skeleton import Group, Skeleton


def _numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}_{i}" for i in range(count)]


def _run(first: int, last: int, *, closed: bool = False) -> Group:
    return (*range(first, last + 1), *((first,) if closed else ()))


def _mirror(runs: Iterable[tuple[Iterable[int], Iterable[int]]]) -> tuple[tuple[int, int], ...]:
    return tuple((left, right) for lefts, rights in runs for left, right in zip(lefts, rights))


FACE68 = Skeleton(
    name="face68",
    point_names=(
        *_numbered("jaw", 17),
        *_numbered("right_brow", 5),
        *_numbered("left_brow", 5),
        *_numbered("nose_bridge", 3),
        "nose_tip",
        *_numbered("nose_base", 5),
        *_numbered("right_eye", 6),
        *_numbered("left_eye", 6),
        *_numbered("outer_lip", 12),
        *_numbered("inner_lip", 8),
    ),
    pairs=_mirror(
        [
            (range(16, 8, -1), range(0, 8)),
            (range(26, 21, -1), range(17, 22)),
            ((35, 34), (31, 32)),
            ((45, 44, 43, 42, 47, 46), (36, 37, 38, 39, 40, 41)),
            ((54, 53, 52, 55, 56), (48, 49, 50, 59, 58)),
            ((64, 63, 65), (60, 61, 67)),
        ]
    ),
    lines=(
        _run(0, 16),
        _run(17, 21),
        _run(22, 26),
        _run(27, 30),
        _run(31, 35),
        _run(36, 41, closed=True),
        _run(42, 47, closed=True),
        _run(48, 59, closed=True),
        _run(60, 67, closed=True),
    ),
    normalisers={
        "inter-ocular": ((36,), (45,)),
        "inter-pupil": (_run(36, 41), _run(42, 47)),
    },
)
"""The 68 points of Multi-PIE and iBUG 300-W (Sagonas et al. 2013), in that order."""

FACE58 = Skeleton(
    name="face58",
    point_names=(
        *_numbered("jaw", 13),
        *_numbered("left_eye", 8),
        *_numbered("right_eye", 8),
        *_numbered("left_brow", 5),
        *_numbered("right_brow", 5),
        *_numbered("lip", 8),
        *_numbered("nose", 5),
        "nose_tip",
        *(f"nose_{i}" for i in range(6, 11)),
    ),
    pairs=_mirror(
        [
            (range(12, 6, -1), range(0, 6)),
            (range(13, 21), range(21, 29)),
            (range(29, 34), range(34, 39)),
            ((43, 42, 44), (39, 40, 46)),
            (range(57, 52, -1), range(47, 52)),
        ]
    ),
    lines=(
        _run(0, 12),
        _run(13, 20, closed=True),
        _run(21, 28, closed=True),
        _run(29, 33),
        _run(34, 38),
        _run(39, 46, closed=True),
        _run(47, 57),
    ),
    normalisers={
        "inter-ocular": ((21,), (13,)),
        "inter-pupil": (_run(21, 28), _run(13, 20)),
    },
)
"""The 58 points of the IMM Face Database (Nordstrøm et al. 2004), in that order."""

FACE15 = Skeleton(
    name="face15",
    point_names=(
        "left_eye_center",
        "right_eye_center",
        "left_eye_inner_corner",
        "left_eye_outer_corner",
        "right_eye_inner_corner",
        "right_eye_outer_corner",
        "left_eyebrow_inner_end",
        "left_eyebrow_outer_end",
        "right_eyebrow_inner_end",
        "right_eyebrow_outer_end",
        "nose_tip",
        "mouth_left_corner",
        "mouth_right_corner",
        "mouth_center_top_lip",
        "mouth_center_bottom_lip",
    ),
    pairs=((0, 1), (2, 4), (3, 5), (6, 8), (7, 9), (11, 12)),
    lines=((2, 0, 3), (4, 1, 5), (6, 7), (8, 9), (11, 13, 12, 14, 11)),
    normalisers={"inter-pupil": ((1,), (0,))},
)
"""The 15 points of Kaggle's "Facial Keypoints Detection" (2013), in the order of its columns."""

UNLABELLED = Skeleton("unlabelled", ())
"""The layout of images that are there to be predicted: no points."""

NOSE_OF = {"face58": 52, "face68": 33, "face15": 10}
"""The point that "nose tip" means in the one-point task: the middle of the nose's lower edge."""

SKELETONS: dict[str, Skeleton] = {s.name: s for s in (FACE68, FACE58, FACE15)}
