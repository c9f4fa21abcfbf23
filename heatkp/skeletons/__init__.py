"""Named layouts of keypoints: names, left-right pairs, lines to draw, what normalises an error.

Left and right are the subject's: a frontal face's right eye is on the left of the image.
"""

from heatkp.skeletons.faces import FACE15, FACE58, FACE68, NOSE_OF, SKELETONS, UNLABELLED
from heatkp.skeletons.making import face_points, named, restored, select, sides_by_name, skeleton_of
from heatkp.skeletons.skeleton import Group, Skeleton

__all__ = [
    "FACE15",
    "FACE58",
    "FACE68",
    "NOSE_OF",
    "SKELETONS",
    "UNLABELLED",
    "Group",
    "Skeleton",
    "face_points",
    "named",
    "restored",
    "select",
    "sides_by_name",
    "skeleton_of",
]
