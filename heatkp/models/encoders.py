"""Encoders and segmentation networks of segmentation-models-pytorch and timm, with weights."""

from __future__ import annotations

import difflib
import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha1
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from heatkp.config import Model, encoder_name, expand_path
from heatkp.errors import CheckpointError, SettingsError
from heatkp.models.own_encoder import OwnEncoder, known_to_smp, named_encoder
from heatkp.models.plain_unet import plain_unet
from heatkp.models.upsampling import keep_centres

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
CENTRED = ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])

Statistics = tuple[list[float], list[float]]


def _alike(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, 4, 0.5)
    return f"; close to it: {', '.join(close)}" if close else ""


def check_names(model: Model) -> None:
    """Raises `SettingsError` for an architecture or encoder that does not exist."""
    import segmentation_models_pytorch as smp
    import timm

    architectures = sorted([*smp.MODEL_ARCHITECTURES_MAPPING, "plain_unet"])
    if model.architecture.lower() not in architectures:
        raise SettingsError(
            f"model.architecture: {model.architecture!r} is none of {', '.join(architectures)}"
        )
    if not isinstance(model.encoder, str) or ":" in model.encoder:
        return
    if model.encoder.startswith("tu-"):
        name = model.encoder[3:].split(".")[0]
        if not timm.is_model(name):
            raise SettingsError(
                f"model.encoder: timm has no model {name!r}{_alike(name, timm.list_models())}"
            )
    elif model.encoder not in smp.encoders.encoders:
        names = smp.encoders.get_encoder_names()
        raise SettingsError(
            f"model.encoder: there is no encoder {model.encoder!r}{_alike(model.encoder, names)}. "
            "Any encoder of segmentation-models-pytorch will do, tu-NAME for one of timm's, or "
            "package.module:Class for one of your own"
        )


_OURS = {"self", "kwargs", "arch", "encoder_name", "encoder_weights", "in_channels", "classes"}
_OURS |= {"activation", "aux_params"}
"""Arguments of segmentation-models-pytorch that other settings decide, or the map layer."""


def _check_options(model: Model) -> None:
    """segmentation-models-pytorch ignores arguments that it does not know; we do not.

    Those for an encoder of timm are left to timm, which checks what it is given.
    """
    import segmentation_models_pytorch as smp

    network = smp.MODEL_ARCHITECTURES_MAPPING[model.architecture.lower()]
    allowed = sorted(set(inspect.signature(network.__init__).parameters) - _OURS)
    given, of_timm = set(model.options or {}), str(model.encoder).startswith("tu-")
    refused = sorted(given & _OURS if of_timm else given.difference(allowed))
    if refused:
        more = ", and what timm's encoder takes" if of_timm else ""
        raise SettingsError(
            f"model.options: {model.architecture} has no {refused[0]!r}; "
            f"allowed: {', '.join(allowed)}{more}"
        )


def _weights_file(model: Model) -> Path | None:
    """The file of weights, or None where settings ask for no file."""
    if model.encoder_weights in ("none", "imagenet"):
        return None
    path = expand_path(model.encoder_weights, "model.encoder_weights")
    if not path.is_file():
        raise SettingsError(
            f"model.encoder_weights: {path} is neither a file nor one of none, imagenet"
        )
    return path


def input_statistics(model: Model) -> Statistics:
    """Mean and standard deviation of pixels in [0, 1] that the encoder's weights expect."""
    import segmentation_models_pytorch as smp
    import timm

    if model.mean is not None or model.std is not None:
        if model.mean is None or model.std is None or len(model.mean) != len(model.std):
            raise SettingsError("model.mean and model.std: give both, with one number per channel")
        return model.mean, list(model.std)
    if model.encoder_weights == "none":
        return CENTRED
    if str(model.encoder).startswith("tu-"):
        config = timm.models.get_pretrained_cfg(model.encoder[3:])
        return (list(config.mean), list(config.std)) if config else IMAGENET
    if model.encoder_weights == "imagenet":
        if not isinstance(model.encoder, str):
            return IMAGENET
        found = smp.encoders.get_preprocessing_params(model.encoder, "imagenet")
        return found["mean"], found["std"]
    return IMAGENET


def _read_file(path: Path) -> Any:
    """What a weights file holds. Raises `CheckpointError` for one that cannot be read."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch thinks of a foreign file
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken or foreign file makes torch raise
        raise CheckpointError(f"model.encoder_weights: cannot read {path}: {error}") from None


def _tensors(content: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested dictionaries, as checkpoints of trainings are."""
    if isinstance(content, torch.Tensor):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _tensors(value)


def _digest(tensor: torch.Tensor) -> bytes:
    return sha1(tensor.detach().float().contiguous().numpy().tobytes()).digest()


def _require_from_file(encoder: nn.Module, path: Path, adapted: bool) -> None:
    """Raises `CheckpointError` unless an encoder's weights are those of a file.

    timm takes what fits of a file, under names that it may change, and leaves the rest random.
    A few may differ, as what depends on the input's size; with `adapted`, the first does.
    """
    own = [p for p in encoder.parameters() if p.ndim > 1][adapted:]
    given = {_digest(tensor) for tensor in _tensors(_read_file(path)) if tensor.ndim > 1}
    lacking = sum(_digest(p) not in given for p in own)
    if 20 * lacking > len(own):
        raise CheckpointError(
            f"model.encoder_weights: {path} lacks {lacking} of the encoder's {len(own)} weights; "
            "it belongs to another encoder. For weights of a heatkp run or model there are "
            "model.init and model.transfer"
        )


def _load_file(encoder: nn.Module, path: Path) -> None:
    state = _read_file(path)
    try:
        own = encoder.state_dict()
        matching = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    except Exception as error:  # whatever a broken or foreign file makes torch raise
        raise CheckpointError(f"model.encoder_weights: cannot read {path}: {error}") from None
    missing = [k for k in own if k not in matching and not k.endswith("num_batches_tracked")]
    if missing:
        raise CheckpointError(
            f"model.encoder_weights: {path} lacks {len(missing)} of the encoder's {len(own)} "
            f"tensors, {missing[0]!r} first; it belongs to another encoder"
        )
    # The encoders' own load_state_dict drops classifier weights that it knows; what is left
    # over here would only be those.
    nn.Module.load_state_dict(encoder, matching, strict=False)


def _options(model: Model, path: Path | None) -> tuple[dict[str, Any], Any]:
    """Further arguments for the encoder, and smp's `weights` argument."""
    if path is not None and str(model.encoder).startswith("tu-"):
        return {"pretrained_cfg_overlay": {"file": str(path)}}, True
    return {}, "imagenet" if model.encoder_weights == "imagenet" else None


@contextmanager
def _timm_silent() -> Iterator[None]:
    """Without timm's remark that classifier weights are left over, as they must be."""
    logger = logging.getLogger("timm.models")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _needs_rgb_first(model: Model, path: Path | None) -> bool:
    """smp's own encoders read a file of RGB weights before they change the first layer."""
    return path is not None and not str(model.encoder).startswith("tu-")


def _renew_first(encoder: nn.Module) -> None:
    """Random weights for the first convolution, as torch starts them."""
    next(m for m in encoder.modules() if isinstance(m, nn.Conv2d)).reset_parameters()


def _drop_unused(encoder: nn.Module) -> None:
    """Without the stages behind the last feature map: timm's networks of EfficientNet's and
    MobileNetV3's kind compute them all, and `encoder_depth` would save nothing."""
    inner = getattr(encoder, "model", None)
    blocks, told = getattr(inner, "blocks", None), getattr(inner, "feature_info", None)
    # Others, as vision transformers, have lists in their places.
    if not isinstance(blocks, nn.Sequential) or told is None or isinstance(told, list):
        return
    stages = [feature.get("stage") for feature in told.get_dicts()]
    if getattr(inner, "feature_hooks", 0) is None and None not in stages:
        del blocks[max(stages) :]


def _build(build: Any, model: Model, channels: int) -> nn.Module:
    path = _weights_file(model)
    options, weights = _options(model, path)
    rgb_first = _needs_rgb_first(model, path)
    with warnings.catch_warnings(), _timm_silent():
        warnings.simplefilter("ignore")  # deprecations inside the libraries
        try:
            network, encoder = build(weights, 3 if rgb_first else channels, options)
        except (TypeError, ValueError, KeyError, RuntimeError, AssertionError) as error:
            raise SettingsError(
                f"model: {model.architecture} with {encoder_name(model.encoder)} cannot be built: "
                f"{error}"
            ) from None
        except OSError as error:
            raise SettingsError(
                f"model.encoder_weights: ImageNet weights of {model.encoder} could not be "
                f"downloaded ({error}); use none, or the path of a file"
            ) from None
    if path is not None and not rgb_first:
        _require_from_file(encoder, path, adapted=channels != 3)
    if rgb_first and path is not None:
        _load_file(encoder, path)
        if channels != 3:
            encoder.set_in_channels(channels, pretrained=True)
    if model.first_layer == "fresh":
        _renew_first(encoder)
    _drop_unused(encoder)
    return network


def _own_encoder(model: Model, channels: int) -> OwnEncoder | None:
    """The encoder of the user's own that settings hold or name; None for one of a library."""
    if isinstance(model.encoder, str) and ":" not in model.encoder:
        return None
    if model.encoder_weights != "none":
        raise SettingsError(
            "model.encoder_weights: an encoder of your own brings its weights along; leave it out"
        )
    own = model.encoder
    return OwnEncoder(named_encoder(own, channels) if isinstance(own, str) else own, channels)


def _around(own: OwnEncoder, model: Model) -> dict[str, Any]:
    """Options of an architecture that suit an encoder of so few halvings."""
    import segmentation_models_pytorch as smp

    network = smp.MODEL_ARCHITECTURES_MAPPING[model.architecture.lower()]
    options = dict(model.options or {})
    known = inspect.signature(network.__init__).parameters
    if "encoder_depth" not in known:
        return options
    depth = min(options.get("encoder_depth", known["encoder_depth"].default), own.depth)
    widths = options.get("decoder_channels", getattr(known.get("decoder_channels"), "default", 0))
    if isinstance(widths, Sequence) and len(widths) > depth:  # coarsest first
        options["decoder_channels"] = list(widths)[-depth:]
    return {**options, "encoder_depth": depth}


def segmentation_network(model: Model, channels: int) -> nn.Module:
    """An SMP network whose last layer is the identity, or a plain U-Net: images to features."""
    import segmentation_models_pytorch as smp

    check_names(model)
    if model.architecture.lower() == "plain_unet":
        return plain_unet(model, channels)
    _check_options(model)
    own = _own_encoder(model, channels)

    def build(weights: Any, width: int, options: dict[str, Any]) -> tuple[nn.Module, nn.Module]:
        def create(name: str, given: dict[str, Any]) -> nn.Module:
            return smp.create_model(
                model.architecture,
                encoder_name=name,
                encoder_weights=weights,
                in_channels=width,
                classes=1,
                **{**given, **options},
            )

        if own is None:
            network = create(str(model.encoder), model.options or {})
        else:
            with known_to_smp(own) as name:
                network = create(name, _around(own, model))
        return network, network.encoder  # type: ignore[return-value]

    network = _build(build, model, channels)
    network.segmentation_head = nn.Identity()
    keep_centres(network)
    return network


def plain_encoder(model: Model, channels: int) -> nn.Module:
    """An SMP encoder: images to a list of feature maps, the coarsest last."""
    import segmentation_models_pytorch as smp

    check_names(model)
    own = _own_encoder(model, channels)
    if own is not None:
        return own

    def build(weights: Any, width: int, options: dict[str, Any]) -> tuple[nn.Module, nn.Module]:
        encoder = smp.encoders.get_encoder(
            model.encoder, in_channels=width, weights=weights, **options
        )
        return encoder, encoder

    return _build(build, model, channels)
