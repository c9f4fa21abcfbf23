"""The sections of a settings file: one pydantic model each, `Settings` for the whole."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from heatkp.config.layers import parse_layers
from heatkp.config.values import (
    as_encoder,
    as_intensity,
    encoder_name,
    number_as_text,
    point_pairs,
)

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
Place = Annotated[int, Field(ge=0)]


LAYOUTS = ("face68", "face58", "face15")
"""The layouts that heatkp knows: `data.layout`."""
MEMORY = "memory"
"""The `data.format` of samples that a program gave: no file holds them."""
Intensity = Literal["range", "percentile"] | int
"""How images of more than 8 bits become 256 levels: `data.intensity`."""


class Section(BaseModel):
    """A part of the settings: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_words_for_numbers(cls, values: Any) -> Any:
        """YAML reads yes and no as true and false, which would count as 1 and 0."""
        for name, value in values.items() if isinstance(values, dict) else ():
            field = cls.model_fields.get(name)
            kinds = () if field is None else (field.annotation, *get_args(field.annotation))
            if isinstance(value, bool) and bool not in kinds and {int, float} & set(kinds):
                raise ValueError(f"{name}: a number is expected, not yes, no, true or false")
        return values


class Data(Section):
    """Where samples come from and what part of an image the network sees."""

    format: str = "auto"
    """`auto` draws faces (`synthetic`) where there is no path, and else finds out the reader."""
    path: str | None = None
    points: Literal["all", "nose"] | list[Place] = "all"
    pairs: Annotated[list[tuple[int | str, int | str]] | None, BeforeValidator(point_pairs)] = None
    """All (left, right) points that change places in a mirrored image, by name or number, as in
    `[[left_eye, right_eye], [3, 4]]`; `[]` where none does. All others count as lying on the
    midline. Without it, names and positions of points decide; where they leave any open, images
    are not mirrored."""
    layout: str = "auto"
    """What numbered points, or points in the file's order, are: `face68` or another layout that
    heatkp knows. `auto`: 68 numbered points are `face68` where they have the shape of a face;
    `none`: never."""
    y_up: bool | None = None
    """Whether the file counts y upwards from the images' lower edge, as tpsDig does; its numbers
    then count from the image's corner. null: as the format does, which is upwards in TPS files."""
    skeleton: Literal["face68", "face58"] = "face68"
    """Layout that drawn faces are labelled in; files know their own."""
    split: Literal["person", "random"] = "random"
    """`random` shuffles images: samples from one image stay on one side."""
    validation: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    """Fraction of the images (or of the persons) that validation gets. 0: all samples train, no
    error is measured, and the weights of the last epoch are kept."""
    split_seed: int = 0
    leave_out_lookalikes: bool = False
    """Leave training samples out that show the image of a validation sample again, under another
    name; reads all images at the start. `heatkp data info` tells whether there are any."""
    train_limit: Annotated[int, Field(ge=0)] = 0
    """Train on so many samples at most, chosen at random with `split_seed`; 0: on all."""
    train_count: Count = 1000
    """Drawn faces to train on."""
    val_count: Place = 150
    """Drawn faces to validate on; 0 as for `validation`."""
    drawn_seed: int = 0
    size: Annotated[list[Annotated[int, Field(ge=8, le=4096)]], Field(min_length=2, max_length=2)]
    """Width and height of the network's input, in pixels."""
    crop: Literal["image", "box"] = "image"
    """What the network sees: whole images, or the region of each sample's box."""
    box: Literal["given", "points"] = "given"
    """`points`: the box around the labelled points instead of the file's; also used, and
    counted, where a file gives none."""
    box_scale: Positive = 1.5
    """The box is enlarged by this about its centre. Face detectors' boxes cut off chin and
    brows: on 300-W they hold 91 % of the points, half as large again all but 0.07 %."""
    box_shift: Annotated[list[float], Field(min_length=2, max_length=2)] = Field(
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
    orient: bool = False
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
    cache_mb: Annotated[int, Field(ge=0)] = 4096
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
    motion_blur: Fraction = 0.0
    noise: Fraction = 0.0
    jpeg: Fraction = 0.0
    """Probability of a JPEG file's artefacts."""
    occlusion: Fraction = 0.1
    """Probability that a patch covers a part of the image."""


class Model(Section):
    """The network: an encoder, and for dense heads a segmentation decoder on it."""

    architecture: str = "unet"
    """Any architecture of segmentation-models-pytorch, or `plain_unet`; unused by the regression
    head. `plain_unet` has no encoder: `options: {widths: [32, 64, 128]}` are its channels, finest
    level first, each with two 3x3 convolutions, batch norms and ReLUs."""
    encoder: Annotated[
        Any, BeforeValidator(as_encoder), PlainSerializer(encoder_name, when_used="always")
    ] = "tu-mobilenetv3_small_100"
    """Any encoder of segmentation-models-pytorch, `tu-NAME` for one of timm's, or
    `package.module:Class` for a torch module of one's own that gives feature maps. In Python also
    such a module itself, which is copied."""
    encoder_weights: str = "none"
    """`none`, `imagenet` (downloaded by the library) or the path of a weights file."""
    first_layer: Literal["kept", "fresh"] = "kept"
    """The first convolution of a trained encoder. `kept`: its weights, summed over RGB where
    inputs are grey; `fresh`: random ones in their place."""
    layers: list[str] = Field(default_factory=list)
    """For regression: a network of one's own instead of an encoder, as a list of
    `conv CHANNELS KERNEL [stride N] [padding N]` (by default the size stays), `relu`,
    `pool KERNEL [stride N]` (maximum), `bn`, `dropout P`, `flatten`, `average`, `fc WIDTH`.
    Maps at the end are pooled as `pooling` says; `hidden` and the last layer follow."""
    initialisation: Literal["torch", "he", "xavier"] = "torch"
    """How weights of `layers`, `hidden` and `plain_unet` start: as torch starts them; normal with
    variance 2 / fan-in (He et al. 2015); or normal with 2 / (fan-in + fan-out) (Glorot and Bengio
    2010). Biases then start at 0."""
    stride: Literal[1, 2, 4] = 4
    """Input pixels per map pixel."""
    options: dict[str, Any] | None = None
    """Further arguments of the architecture; `{}` leaves the library's. By default a U-Net gets
    narrow `decoder_channels`, which a CPU trains in half the time."""
    hidden: list[Count] = Field(default_factory=list)
    """Widths of fc layers between pooled features and output, for regression."""
    pooling: Literal["avg", "flatten"] = "avg"
    """How regression turns the last feature map into a vector. After `flatten` the first fc
    layer's weights learn at the learning rate over the number of the map's places."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Before the last layer."""
    output_spread: Positive = 0.25
    """For regression: the last layer's weights start with this standard deviation over the root
    of their number, so that first outputs spread alike however wide the features are."""
    bias_spread: NotNegative = 0.0
    """For regression: standard deviation of the last biases at the start, about the input's
    middle, as a fraction of its size."""
    freeze: list[str] = Field(default_factory=list)
    """Layers or parameters that training leaves as they are, by name, with `*` and `?`:
    `encoder.layer1`, `encoder.*.bn?`. What a layer holds is frozen with it, and frozen batch
    norms use their stored statistics."""
    mean: list[float] | None = None
    """Subtracted from pixels in [0, 1]; by default what the encoder's weights expect."""
    std: list[Positive] | None = None
    loss_chunk: Annotated[int, Field(ge=0)] = 0
    """Samples whose maps exist at once in a training step; 0: the whole batch. Same result,
    less memory."""
    init: str | None = None
    """A run folder, weights file or packaged model (`face68`) to start from instead of fresh
    weights; points and network must be the same, and a head be the same or of its kind (`kl` may
    go on from `softargmax`)."""
    transfer: str | None = None
    """The same, but taking all except the last layer: for other points or another head."""

    @model_validator(mode="after")
    def _one_start(self) -> Model:
        if self.init is not None and self.transfer is not None:
            raise ValueError("init and transfer both say where to start from: give one")
        return self

    @field_validator("layers")
    @classmethod
    def _readable(cls, layers: list[str]) -> list[str]:
        if layers:
            parse_layers(layers)
        return layers

    @model_validator(mode="after")
    def _narrow(self) -> Model:
        if self.layers and self.encoder_weights != "none":
            raise ValueError("layers replace the encoder: leave out encoder_weights")
        if self.options is None:
            narrow = {"decoder_channels": [128, 64, 48, 32, 16]}
            self.__dict__["options"] = narrow if self.architecture.lower() == "unet" else {}
        return self


class Head(Section):
    """How a map is scored against a point, and how a point is read off a map.

    Further keys are settings of the head that `name` names: see its `Options`.
    """

    model_config = ConfigDict(extra="allow")

    name: str = "softargmax"
    sigma: Positive | list[Positive] | None = None
    """Standard deviation of the target Gaussian, in map pixels, for all points or one for each;
    each head has its default."""
    sigma_final: Positive | None = None
    """Where sigma ends, going there evenly over the epochs; by default it stays."""
    decoder: str | None = None
    """One of the decoders that the head allows; by default its best."""

    @property
    def own(self) -> dict[str, Any]:
        """The further keys; null counts as not given."""
        return {k: v for k, v in (self.__pydantic_extra__ or {}).items() if v is not None}


class Optimiser(Section):
    """How weights change."""

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: Positive = 3e-3
    weight_decay: NotNegative = 1e-4
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    """For SGD."""
    schedule: Literal["constant", "cosine", "onecycle"] = "onecycle"
    warmup_epochs: NotNegative = 0.0
    """Epochs over which the rate grows from zero; onecycle has its own rise."""
    clip: NotNegative = 0.0
    """Largest norm of the gradient; 0 leaves it alone."""
    accumulate: Count = 1
    """Batches per step."""

    @model_validator(mode="after")
    def _consistent(self) -> Optimiser:
        if self.schedule == "onecycle" and self.warmup_epochs:
            raise ValueError("onecycle warms up by itself: leave out warmup_epochs, or use cosine")
        return self


class Trainer(Section):
    """How long, how often, how exactly."""

    epochs: Count = 8
    """Passes over the training samples. `heatkp train --resume RUN --epochs N` trains a run
    further, also one that is finished: with its optimiser as it was, the best weights of all
    epochs, and the learning rates and `head.sigma` that a run of N epochs has from there on."""
    batch_size: Count = 8
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    precision: Annotated[Literal["32", "bf16"], BeforeValidator(number_as_text)] = "32"
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    """Decay of the moving average of the weights; 0 keeps none."""
    early_stopping: Annotated[int, Field(ge=0)] = 0
    """Stop after so many epochs without a better validation error; 0: never."""
    validate_every: Count = 1
    """A validation after each so many epochs. It must divide `epochs`, so that the last one is
    validated."""
    animation_every: Annotated[int, Field(ge=0)] = 0
    """Steps between the frames of `settling.gif`, which shows a few validation faces while
    training goes on; 0 draws none. A long run takes every so many of them: at most 120."""
    animation_faces: Annotated[int, Field(ge=1, le=8)] = 4
    deterministic: bool = False
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads that torch may use; 0 leaves torch's own choice."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


class Settings(Section):
    """A whole run."""

    data: Data = Field(default_factory=Data)
    augmentation: Augmentation = Field(default_factory=Augmentation)
    model: Model = Field(default_factory=Model)
    head: Head = Field(default_factory=Head)
    optimiser: Optimiser = Field(default_factory=Optimiser)
    trainer: Trainer = Field(default_factory=Trainer)

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.augmentation.box_jitter and self.data.crop != "box":
            raise ValueError(
                "augmentation.box_jitter moves the edges of boxes, but data.crop: image uses "
                "none: set data.crop: box, or leave it out"
            )
        if self.trainer.early_stopping and not self.data.validates:
            key = "val_count" if self.data.path is None else "validation"
            raise ValueError(
                f"trainer.early_stopping watches the validation error, and data.{key}: 0 leaves "
                "none: leave it out, or keep samples for validation"
            )
        return self

    def to_yaml(self) -> str:
        """The settings in full, in the form that `load_settings` reads."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False)
