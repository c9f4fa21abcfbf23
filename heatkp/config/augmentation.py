"""The section `augmentation`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from heatkp.config.section import Fraction, Section


class Augmentation(Section):
    """What happens to a training sample. Angles in degrees, shifts and shears as fractions."""

    flip: Fraction = 0.5
    """Probability of mirroring; labels change sides through the skeleton's table. None is
    mirrored where a point's counterpart is not known (`data.pairs`)."""
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = 8.0
    """Angles are drawn from [-rotation, rotation]."""
    angles: list[Annotated[float, Field(ge=-180.0, le=180.0)]] = Field(default_factory=list)
    """One of these is the angle instead, where there are any."""
    distribution: Literal["uniform", "normal"] = "uniform"
    """How angles and shifts are drawn. `normal`: `rotation` and `shift` are standard deviations,
    of which at most three are used."""
    scale: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Zoom factors are drawn, evenly in the logarithm, from [1 - scale, 1 / (1 - scale)]."""
    zoom: Literal["both", "out", "in"] = "both"
    """`out`: faces only become smaller, factors from [1 - scale, 1]; `in`: only larger."""
    shift: Fraction | Annotated[list[Fraction], Field(min_length=2, max_length=2)] = 0.04
    """Shifts of up to this fraction of the input's width and height, or a fraction for each."""
    shear: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """x moves by up to this times y, and y by up to this times x."""
    box_jitter: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    """Each edge of the box moves by up to this fraction of the box's size, as a detector's does."""
    retries: Annotated[int, Field(ge=0)] = 0
    """Draw another geometry, so often at most, until all labelled points are in the input;
    then go without. 0: points may leave it."""
    photometric: Fraction = 0.5
    """Strength and probability of changes of brightness, contrast, gamma and colour."""
    grey: Fraction = 0.05
    """Probability that colours are lost."""
    blur: Fraction = 0.0
    """Probability of a Gaussian blur."""
    motion_blur: Fraction = 0.0
    """Probability of a blur along one direction."""
    noise: Fraction = 0.0
    """Probability of normally distributed noise."""
    jpeg: Fraction = 0.0
    """Probability of a JPEG file's artefacts."""
    occlusion: Fraction = 0.1
    """Probability that a patch covers a part of the image."""
