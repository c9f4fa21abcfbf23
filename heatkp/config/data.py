"""The section `data`: where samples come from, and what the network sees of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from heatkp.config.conditions import (
    AROUND_BOX,
    AT_RANDOM,
    BY_GROUP,
    CACHED,
    DRAWN,
    FROM_FILES,
    IN_BOXES,
    SPLIT_OFF,
    VALIDATED,
)
from heatkp.config.section import Count, Place, Positive, Section
from heatkp.config.values import as_intensity, as_parts, frame_ranges, point_pairs

LAYOUTS = ("face68", "face58", "face15")
"""The layouts that heatkp knows: `data.layout`."""
MEMORY = "memory"
"""The `data.format` of samples that a program gave: no file holds them."""
PARTS = ("train", "val", "test")
"""What the parts of a split are called."""
Part = Annotated[list[str] | None, BeforeValidator(as_parts)]
"""Paths of labels, or parts of the split that the labels of `data.path` have of their own."""
Intensity = Literal["range", "percentile"] | int
"""How images of more than 8 bits become 256 levels: `data.intensity`."""


class Data(Section):
    """Where samples come from and what part of an image the network sees."""

    format: str = "auto"
    """`auto` draws faces (`synthetic`) where there is no path, and else finds out the reader."""
    path: str | None = None
    """Labelled images: a file or folder, as `--data` takes it."""
    train: Part = None
    """Labels to train on: a file or folder, or several, in place of `path`. Or parts of the split
    that the labels of `path` have of their own, as in `[train, val]`."""
    val: Annotated[Part, FROM_FILES] = None
    """Labels to validate on, as in `train`; without it a part of the others is."""
    test: Annotated[Part, FROM_FILES] = None
    """Labels that are kept for `heatkp eval RUN --split test`, as in `train`."""
    points: Literal["all", "nose"] | list[Place] = "all"
    """Which of the labels' points are trained: all, the nose tip, or their numbers from 0."""
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
    first_pixel: Annotated[float | None, Field(ge=-1, le=2), FROM_FILES] = None
    """What the labels' points call the centre of the first pixel, where it is not what their format
    says: 1 for points that count pixels from 1, as those of 300-W do in dlib's XML, which counts
    from 0. Else points lie a pixel off, and images that are mirrored in training a pixel off on
    the other side. Boxes stay. null: as the format does."""
    skeleton: Annotated[Literal["face68", "face58"], DRAWN] = "face68"
    """Layout that drawn faces are labelled in; files know their own."""
    split: Annotated[
        Literal["auto", "random", "person", "file", "video", "group", "lookalikes", "blocks"],
        FROM_FILES,
        VALIDATED,
    ] = "auto"
    """What stays on one side of the split. `random` shuffles images: samples from one image stay
    together; `person`: those of a person; `video`: frames of a video; `group`: rows of a table
    that are the same in the column `group`; `lookalikes`: images that are there again in another
    size or crop, for which all are read; `blocks`: neighbouring frames of a video, which is cut
    into ten blocks or more. `file`: the labels' own split. `auto`: the labels' own split where
    they have one, else `video`, where there are enough of them, or `blocks`, else `random`."""
    group: Annotated[str | None, BY_GROUP] = None
    """The column of a CSV table that `split: group` goes by."""
    validation: Annotated[float, Field(ge=0.0, lt=1.0), FROM_FILES, SPLIT_OFF] = 0.2
    """Fraction of the images (or of the persons) that validation gets. 0: all samples train, no
    error is measured, and the weights of the last epoch are kept."""
    folds: Annotated[int, Field(ge=0)] = 0
    """Cut the samples into so many parts, of which `fold` validates; `heatkp train --folds` trains
    once for each. What `split` keeps together is in one part. 0: none."""
    fold: Annotated[int, Field(ge=0)] = 0
    """Which of the `folds` validates, from 1."""
    val_frames: Annotated[str | None, FROM_FILES] = None
    """Frames of videos that validate, by their numbers from 0, as in `600-799` or
    `0-99,600-799`; all others train."""
    split_seed: Annotated[int, AT_RANDOM] = 0
    """Seed of what is chosen at random: the split, the folds, `train_limit`."""
    leave_out_lookalikes: Annotated[bool, FROM_FILES, VALIDATED] = False
    """Leave training samples out that show the image of a validation sample again, under another
    name; reads all images at the start. `heatkp data info` tells whether there are any."""
    empty_images: Annotated[bool, FROM_FILES] = True
    """Whether images that the labels list without an object show none, which a finder learns from;
    false where they are only not labelled yet."""
    train_limit: Annotated[int, Field(ge=0)] = 0
    """Train on so many samples at most, chosen at random with `split_seed`; 0: on all."""
    train_count: Annotated[Count, DRAWN] = 1000
    """Drawn faces to train on."""
    val_count: Annotated[Place, DRAWN] = 150
    """Drawn faces to validate on; 0 as for `validation`."""
    drawn_seed: Annotated[int, DRAWN] = 0
    """Seed of the drawn faces."""
    size: Annotated[list[Annotated[int, Field(ge=8, le=4096)]], Field(min_length=2, max_length=2)]
    """Width and height of the network's input, in pixels."""
    crop: Literal["image", "box", "objects"] = "image"
    """What the network sees: whole images, or the region of each sample's box. `objects`: whole
    images with the boxes of all their objects, which is what head `grouped` takes."""
    box: Annotated[Literal["given", "points"], IN_BOXES] = "given"
    """`points`: the box around the labelled points instead of the file's; also used, and
    counted, where a file gives none."""
    box_scale: Annotated[Positive, AROUND_BOX] = 1.5
    """The box is enlarged by this about its centre. Face detectors' boxes cut off chin and
    brows: on 300-W they hold 91 % of the points, half as large again all but 0.07 %."""
    box_shift: Annotated[list[float], Field(min_length=2, max_length=2), AROUND_BOX] = Field(
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
    """Show the network one channel, the brightness, instead of three."""
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
    """Processes that read and augment images beside the training's own; 0: it does so itself."""
    cache: str = "auto"
    """Folder for shrunk crops of the images, which spare decoding them in each epoch; `auto`
    is the user's cache folder (or $HEATKP_CACHE), `none` decodes every time."""
    cache_mb: Annotated[int, Field(ge=0), CACHED] = 4096
    """Decode every time where the crops would take more than this."""
    shuffle_buffer: Annotated[Count, FROM_FILES] = 5000
    """Where images are in tar shards, and more than this train, tars are read one after the other,
    in a random order, and samples are shuffled within so many: the more, the better mixed; so many
    images should fit the memory that the system has left for files, half a gigabyte where an image
    has 100 KB. Elsewhere all samples are shuffled."""

    def __init__(self, **values: Any) -> None:
        values.setdefault("size", [96, 96])
        super().__init__(**values)

    @property
    def drawn(self) -> bool:
        """Whether faces are drawn: no files are named, and no program gives samples."""
        return self.path is None and self.train is None and self.format != MEMORY

    @property
    def place(self) -> str | None:
        """The labels' path, or the paths of those to train on; None for faces that are drawn."""
        return ", ".join(self.train) if self.path is None and self.train else self.path

    @property
    def validates(self) -> bool:
        """Whether samples are kept for validation."""
        if self.val is not None or self.folds or self.val_frames is not None:
            return True
        return bool(self.val_count if self.drawn else self.validation)

    @model_validator(mode="after")
    def _consistent(self) -> Data:
        if self.path == "":
            raise ValueError(
                "path (--data) is empty, as a shell variable is that was never set: name a file "
                "or folder, or leave it out for drawn faces"
            )
        if self.format == "synthetic" and self.place is not None:
            raise ValueError("format synthetic reads no files: leave out path, or name its format")
        if self.format not in ("auto", "synthetic", MEMORY) and not self.place:
            raise ValueError(f"format {self.format} needs path, where images and labels are")
        self._check_parts()
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

    def _check_parts(self) -> None:
        """Raises `ValueError` for parts of a split that contradict each other."""
        given = {part: getattr(self, part) or [] for part in PARTS}
        words = [(part, value) for part in PARTS for value in given[part] if value in PARTS]
        if words and self.path is None:
            raise ValueError(
                f"{words[0][0]}: {words[0][1]} is a part of the labels' own split: give path, "
                f"where they are, or write ./{words[0][1]} for a file or folder of that name"
            )
        named = [value for _, value in words]
        if len(set(named)) < len(named):
            raise ValueError("train, val, test: each part of the labels' own split is named once")
        files = [value for value in given["train"] if value not in PARTS]
        if files and self.path is not None:
            raise ValueError(
                f"path and train both name labels to train on ({self.path}; {files[0]}): leave out "
                "one"
            )
        if (self.val or self.test) and self.drawn:
            raise ValueError("val and test go with path or train: name the labels to train on")
        if self.split == "group" and not self.group:
            raise ValueError("split group goes by a column of the table: name it with group")
        if self.folds == 1 or not (self.folds > 0) * 1 <= self.fold <= self.folds:
            raise ValueError("folds is 2 or more, and fold one of them, from 1; 0 both without")
        if self.val_frames is not None:
            frame_ranges(self.val_frames)
            if self.val is not None or self.folds:
                raise ValueError("val_frames says what validates: leave out val and folds")
        if self.folds and self.val is not None:
            raise ValueError("folds takes turns at validation: leave out val")
