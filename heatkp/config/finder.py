"""The section `finder`: the network that finds objects in whole images."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from heatkp.config.conditions import FINDS
from heatkp.config.section import Count, NotNegative, Positive, Section


class Finder(Section):
    """How objects are found, where `trainer.task` trains a finder. What is null is as for the
    points: `model.encoder`, `trainer.epochs` and so on."""

    size: Annotated[int, Field(ge=32, le=4096), FINDS] = 320
    """Longest side, in pixels, to which an image or a tile is brought for the network."""
    tile: Annotated[int, Field(ge=0), FINDS] = 0
    """Side of the square parts, in pixels of the image, in which images are looked at; for large
    images of small objects. 0: whole images."""
    architecture: Annotated[str | None, FINDS] = None
    """As `model.architecture`."""
    encoder: Annotated[str | None, FINDS] = None
    """As `model.encoder`."""
    encoder_weights: Annotated[str | None, FINDS] = None
    """As `model.encoder_weights`."""
    options: Annotated[dict[str, Any] | None, FINDS] = None
    """Further arguments of the architecture."""
    epochs: Annotated[Count | None, FINDS] = None
    """As `trainer.epochs`."""
    batch_size: Annotated[Count | None, FINDS] = None
    """As `trainer.batch_size`; images, or tiles, a step."""
    lr: Annotated[Positive | None, FINDS] = None
    """As `optimiser.lr`."""
    place_weight: Annotated[NotNegative, FINDS] = 1.0
    """Weight of the centres' places within their map pixels in the loss."""
    size_weight: Annotated[NotNegative, FINDS] = 1.0
    """Weight of the logarithms of the boxes' sides in the loss."""
    nms: Annotated[float, Field(gt=0.0, le=1.0), FINDS] = 0.6
    """Of two boxes that share more than this of their common area the less sure one goes."""
    max_objects: Annotated[Count, FINDS] = 300
    """So many of the surest of each image or tile are found at most."""
    min_score: Annotated[float | None, Field(ge=0.0, le=1.0), FINDS] = None
    """Objects of a lower score are left out; null: the score that was best on the validation
    images, by the harmonic mean of precision and recall."""
