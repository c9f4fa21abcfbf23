"""The sections `model` and `head`: the network, and how its maps are scored and read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from heatkp.config.conditions import (
    DENSE,
    HAS_ENCODER,
    INITIALISED,
    NO_LAYERS,
    OWN_START,
    POOLS,
    REGRESSES,
    TRAINED_ENCODER,
)
from heatkp.config.layers import parse_layers
from heatkp.config.section import Count, NotNegative, Positive, Section
from heatkp.config.values import as_encoder, encoder_name


class Model(Section):
    """The network: an encoder, and for dense heads a segmentation decoder on it."""

    architecture: Annotated[str, DENSE] = "unet"
    """Any architecture of segmentation-models-pytorch, or `plain_unet`; unused by the regression
    head. `plain_unet` has no encoder: `options: {widths: [32, 64, 128]}` are its channels, finest
    level first, each with two 3x3 convolutions, batch norms and ReLUs."""
    encoder: Annotated[
        Any,
        BeforeValidator(as_encoder),
        PlainSerializer(encoder_name, when_used="always"),
        HAS_ENCODER,
        NO_LAYERS,
    ] = "tu-mobilenetv3_small_100"
    """Any encoder of segmentation-models-pytorch, `tu-NAME` for one of timm's, or
    `package.module:Class` for a torch module of one's own that gives feature maps. In Python also
    such a module itself, which is copied."""
    encoder_weights: Annotated[str, OWN_START] = "none"
    """`none`, `imagenet` (downloaded by the library) or the path of a weights file."""
    first_layer: Annotated[
        Literal["kept", "fresh"], HAS_ENCODER, NO_LAYERS, OWN_START, TRAINED_ENCODER
    ] = "kept"
    """The first convolution of a trained encoder. `kept`: its weights, summed over RGB where
    inputs are grey; `fresh`: random ones in their place."""
    layers: list[str] = Field(default_factory=list)
    """For regression: a network of one's own instead of an encoder, as a list of
    `conv CHANNELS KERNEL [stride N] [padding N]` (by default the size stays), `relu`,
    `pool KERNEL [stride N]` (maximum), `bn`, `dropout P`, `flatten`, `average`, `fc WIDTH`.
    Maps at the end are pooled as `pooling` says; `hidden` and the last layer follow."""
    initialisation: Annotated[Literal["torch", "he", "xavier"], INITIALISED] = "torch"
    """How weights of `layers`, `hidden` and `plain_unet` start: as torch starts them; normal with
    variance 2 / fan-in (He et al. 2015); or normal with 2 / (fan-in + fan-out) (Glorot and Bengio
    2010). Biases then start at 0."""
    stride: Annotated[Literal[1, 2, 4], DENSE] = 4
    """Input pixels per map pixel."""
    options: Annotated[dict[str, Any] | None, DENSE] = None
    """Further arguments of the architecture; `{}` leaves the library's. By default a U-Net gets
    narrow `decoder_channels`, which a CPU trains in half the time."""
    hidden: Annotated[list[Count], REGRESSES] = Field(default_factory=list)
    """Widths of fc layers between pooled features and output, for regression."""
    pooling: Annotated[Literal["avg", "flatten"], POOLS] = "avg"
    """How regression turns the last feature map into a vector. After `flatten` the first fc
    layer's weights learn at the learning rate over the number of the map's places."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Before the last layer."""
    output_spread: Annotated[Positive, REGRESSES] = 0.25
    """For regression: the last layer's weights start with this standard deviation over the root
    of their number, so that first outputs spread alike however wide the features are."""
    bias_spread: Annotated[NotNegative, REGRESSES] = 0.0
    """For regression: standard deviation of the last biases at the start, about the input's
    middle, as a fraction of its size."""
    freeze: list[str] = Field(default_factory=list)
    """Layers or parameters that training leaves as they are, by name, with `*` and `?`:
    `network.encoder`, `network.encoder.*.bn?`; an error names what there is. What
    a layer holds is frozen with it, and frozen batch norms use their stored statistics."""
    mean: list[float] | None = None
    """Subtracted from pixels in [0, 1]; by default what the encoder's weights expect."""
    std: list[Positive] | None = None
    """What pixels are then divided by, one number a channel, as in `mean`."""
    loss_chunk: Annotated[int, Field(ge=0), DENSE] = 0
    """Samples whose maps exist at once in a training step; 0: the whole batch. Same result,
    less memory."""
    init: str | None = None
    """A run folder, weights file, packaged model (`face68`) or one of the hub (`hf://owner/name`)
    to start from instead of fresh weights; points and network must be the same, and a head be the
    same or of its kind (`kl` may go on from `softargmax`)."""
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


GROUPED = "grouped"
"""The head that is trained on whole images with all of their objects: settings ask for it before
heads, and torch with them, are imported."""


class Head(Section):
    """How a map is scored against a point, and how a point is read off a map.

    Further keys are settings of the head that `name` names: see its `Options`.
    """

    model_config = ConfigDict(extra="allow")

    name: str = "softargmax"
    """Which head."""
    sigma: Positive | list[Positive] | None = None
    """Standard deviation of the target Gaussian, in map pixels, for all points or one for each;
    each head has its default."""
    sigma_final: Positive | None = None
    """Where sigma ends, going there evenly over the epochs; by default it stays."""
    decoder: str | None = None
    """One of the decoders that the head allows; by default its best."""

    @property
    def grouped(self) -> bool:
        """Whether it sees whole images with all of their objects."""
        return self.name == GROUPED

    @property
    def own(self) -> dict[str, Any]:
        """The further keys; null counts as not given."""
        return {k: v for k, v in (self.__pydantic_extra__ or {}).items() if v is not None}
