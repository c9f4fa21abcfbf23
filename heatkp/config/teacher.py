"""The section `teacher`: trained models whose points a training takes beside its labels."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from heatkp.config.conditions import TAUGHT, UNLABELLED
from heatkp.config.section import Fraction, NotNegative, Positive, Section
from heatkp.config.values import as_models, as_parts


class Teacher(Section):
    """Trained models, the teachers, that this one learns from: beside the labels, and from images
    without labels. They look at each image once, before training."""

    models: Annotated[list[str], BeforeValidator(as_models)] = Field(default_factory=list)
    """The teachers: runs, files of weights, packaged models (`face68`) or ones of the hub. Their
    points are matched by name. Empty: none."""
    weight: Annotated[float, Field(gt=0.0, le=1.0), TAUGHT] = 0.5
    """What teachers count of a labelled point's target, together; the label counts the rest."""
    flip_test: Annotated[bool, TAUGHT] = True
    """Average each teacher's points with those of the mirrored image, where it knows left from
    right."""
    label_noise: Annotated[bool, TAUGHT] = False
    """Let labels be as uncertain as they differ from the teachers, along each direction and for
    each point: one that slides along an edge gets a target that is longer there. What the teachers
    themselves are wrong counts, too."""
    unlabelled: Annotated[list[str] | None, BeforeValidator(as_parts), UNLABELLED] = None
    """Folders or files of images without labels, which train with the teachers' points. Images that
    the labels list are left out; none of them validates."""
    boxes: Annotated[str, UNLABELLED] = "auto"
    """Where objects are in these images: `objects`, as a teacher's finder or a detector of faces
    finds them; `image`, the whole image is one; or a file of boxes. `auto`: `objects` where a
    teacher can find them, else `image`. Where `data.crop` is `image`, the surest of an image."""
    min_confidence: Annotated[Fraction, UNLABELLED] = 0.5
    """Points of images without labels are left out where the teachers' mean score is below this."""
    max_spread: Annotated[Positive, UNLABELLED] = 0.1
    """They are left out, too, where they are more uncertain than this: the standard deviation of
    what all teachers say together, as a fraction of the input's longer side."""
    unlabelled_weight: Annotated[NotNegative, UNLABELLED] = 1.0
    """Weight of a point of an image without labels; it is multiplied with the teachers' mean score.
    A labelled point has weight 1."""

    @model_validator(mode="after")
    def _consistent(self) -> Teacher:
        if self.unlabelled is not None and not self.models:
            raise ValueError(
                "unlabelled images get their points from a teacher: name one with models "
                "(--teacher RUN)"
            )
        return self
