"""The section `data`: where samples come from, and what the network sees of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from heatkp.config.conditions import AT_RANDOM, CACHED, DRAWN, FROM_FILES, IN_BOXES, VALIDATED
from heatkp.config.section import Count, Place, Positive, Section
from heatkp.config.values import as_intensity, point_pairs

LAYOUTS = ("face68", "face58", "face15")
"""The layouts that heatkp knows: `data.layout`."""
MEMORY = "memory"
"""The `data.format` of samples that a program gave: no file holds them."""
Intensity = Literal["range", "percentile"] | int
"""How images of more than 8 bits become 256 levels: `data.intensity`."""


class Data(Section):
    """Where samples come from and what part of an image the network sees."""

    format: str = "auto"
    """`auto` draws faces (`synthetic`) where there is no path, and else finds out the reader."""
    path: str | None = None
    points: Literal["all", "nose"] | list[Place] = "all"
    pairs: Annotated[
        list[tuple[int | str, int | str]] | None, BeforeValidator(point_pairs), FROM_FILES
    ] = None
    """All (left, right) points that change places in a mirrored image, by name or number, as in
    `[[left_eye, right_eye], [3, 4]]`; `[]` where none does. All others count as lying on the
    midline. Without it, names and positions of points decide; where they leave any open, images
    are not mirrored."""
    layout: Annotated[str, FROM_FILES] = "auto"
    """What numbered points, or points in the file's order, are: `face68` or another layout that
    heatkp knows. `auto`: 68 numbered points are `face68` where they have the shape of a face;
    `none`: never."""
    y_up: Annotated[bool | None, FROM_FILES] = None
    """Whether the file counts y upwards from the images' lower edge, as tpsDig does; its numbers
    then count from the image's corner. null: as the format does, which is upwards in TPS files."""
    skeleton: Annotated[Literal["face68", "face58"], DRAWN] = "face68"
    """Layout that drawn faces are labelled in; files know their own."""
    split: Annotated[Literal["person", "random"], FROM_FILES, VALIDATED] = "random"
    """`random` shuffles images: samples from one image stay on one side."""
    validation: Annotated[float, Field(ge=0.0, lt=1.0), FROM_FILES] = 0.2
    """Fraction of the images (or of the persons) that validation gets. 0: all samples train, no
    error is measured, and the weights of the last epoch are kept."""
    split_seed: Annotated[int, AT_RANDOM] = 0
    leave_out_lookalikes: Annotated[bool, FROM_FILES, VALIDATED] = False
    """Leave training samples out that show the image of a validation sample again, under another
    name; reads all images at the start. `heatkp data info` tells whether there are any."""
    train_limit: Annotated[int, Field(ge=0)] = 0
    """Train on so many samples at most, chosen at random with `split_seed`; 0: on all."""
    train_count: Annotated[Count, DRAWN] = 1000
    """Drawn faces to train on."""
    val_count: Annotated[Place, DRAWN] = 150
    """Drawn faces to validate on; 0 as for `validation`."""
    drawn_seed: Annotated[int, DRAWN] = 0
    size: Annotated[list[Annotated[int, Field(ge=8, le=4096)]], Field(min_length=2, max_length=2)]
    """Width and height of the network's input, in pixels."""
    crop: Literal["image", "box"] = "image"
    """What the network sees: whole images, or the region of each sample's box."""
    box: Annotated[Literal["given", "points"], IN_BOXES] = "given"
    """`points`: the box around the labelled points instead of the file's; also used, and
    counted, where a file gives none."""
    box_scale: Annotated[Positive, IN_BOXES] = 1.5
    """The box is enlarged by this about its centre. Face detectors' boxes cut off chin and
    brows: on 300-W they hold 91 % of the points, half as large again all but 0.07 %."""
    box_shift: Annotated[list[float], Field(min_length=2, max_length=2), IN_BOXES] = Field(
        default_factory=lambda: [0.0, 0.0]
    )
    """Then moved by these fractions of its own width and height, right and down."""
    keep_aspect: bool = True
    """Widen the region to the input's shape instead of stretching it."""
    box_inside: bool = False
    """Cut the region at the image's edges instead of continuing them; needs
    `keep_aspect: false`, for what is cut has another shape."""
    skip_outside: bool = False
    """Leave out training samples of which a labelled point lies outside the region."""
    grey: bool = False
    orient: Annotated[bool, FROM_FILES] = False
    """Whether labels were made on images turned upright, as their EXIF entry says, which most
    labelling tools show. By default labels refer to the pixels as stored. Prediction turns
    images in any case."""
    intensity: Annotated[Intensity, BeforeValidator(as_intensity)] = "range"
    """How images that hold more than 8 bits a value (PNG, TIFF) become the 256 levels that the
    network sees. `range`: each from its own least to its greatest value. `percentile`: from its
    0.5th to its 99.5th percentile, where single pixels are far off. A number of bits, 8 to 16:
    the same for all images, as 12 for values from 0 to 4095. Prediction does as training did;
    images of 8 bits stay as they are."""
    workers: Annotated[int, Field(ge=0)] = 1
    cache: str = "auto"
    """Folder for shrunk crops of the images, which spare decoding them in each epoch; `auto`
    is the user's cache folder (or $HEATKP_CACHE), `none` decodes every time."""
    cache_mb: Annotated[int, Field(ge=0), CACHED] = 4096
    """Decode every time where the crops would take more than this."""

    def __init__(self, **values: Any) -> None:
        values.setdefault("size", [96, 96])
        super().__init__(**values)

    @property
    def validates(self) -> bool:
        """Whether samples are kept for validation."""
        return bool(self.val_count if self.path is None else self.validation)

    @model_validator(mode="after")
    def _consistent(self) -> Data:
        if self.path == "":
            raise ValueError(
                "path (--data) is empty, as a shell variable is that was never set: name a file "
                "or folder, or leave it out for drawn faces"
            )
        if self.format == "synthetic" and self.path is not None:
            raise ValueError("format synthetic reads no files: leave out path, or name its format")
        if self.format not in ("auto", "synthetic", MEMORY) and not self.path:
            raise ValueError(f"format {self.format} needs path, where images and labels are")
        if self.layout not in (*LAYOUTS, "auto", "none"):
            raise ValueError(
                f"layout {self.layout!r} is none of {', '.join(LAYOUTS)}, auto and none"
            )
        if self.box_inside and (self.keep_aspect or self.crop != "box"):
            raise ValueError(
                "box_inside cuts boxes to other shapes: set crop: box and "
                "keep_aspect: false, or leave it out"
            )
        if isinstance(self.points, list) and (
            not self.points or len(set(self.points)) != len(self.points)
        ):
            raise ValueError("points: give distinct point numbers, at least one")
        return self
