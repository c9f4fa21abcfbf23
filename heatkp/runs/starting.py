"""Weights that a training starts from: those of another run, whole or in part."""

from __future__ import annotations

from heatkp.config import Settings
from heatkp.data.matching import order_of
from heatkp.errors import CheckpointError
from heatkp.models import KeypointModel, heads_alike, in_order
from heatkp.runs.weights import fill, read_weights, trained_with, weights_path
from heatkp.skeletons import Skeleton


def start_from(model: KeypointModel, settings: Settings, skeleton: Skeleton) -> None:
    """Fill a new model with the weights that `model.init` names, its points matched by name.

    Heads may differ where both take maps for the same, as all of the softmax do. What a head
    learns besides the maps is taken from the same head only.

    Raises `CheckpointError` where points, network or the meaning of maps differ.
    """
    if settings.model.init is None:
        return
    path = weights_path(settings.model.init)
    state, description = read_weights(path)
    stored = description["skeleton"]
    theirs = Skeleton(stored["name"], tuple(stored["point_names"]))
    advice = "take model.transfer, which takes all but the last layer"
    order = order_of(skeleton, "this run", theirs, f"model.init {path}", advice)
    state = in_order(state, model.point_rows(), order)
    head = description["settings"]["head"]["name"]
    if head != settings.head.name:
        alike = heads_alike(head)
        if settings.head.name not in alike:
            raise CheckpointError(
                f"model.init: {path} was trained with head {head!r}, whose maps mean "
                f"something else for {settings.head.name!r}; choose one of {', '.join(alike)}, or "
                "model.transfer"
            )
        own = model.state_dict()
        state = {k: v for k, v in state.items() if not k.startswith("head.")}
        state |= {k: v for k, v in own.items() if k.startswith("head.")}
    fill(model, state, path, trained_with(head))


def source_statistics(settings: Settings) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation of pixels that the weights in `model.init` or
    `model.transfer` were trained with; None where neither is set."""
    source = settings.model.init or settings.model.transfer
    if source is None:
        return None
    trained = read_weights(weights_path(source))[1]["settings"]["model"]
    return trained["mean"], trained["std"]


def transfer_to(model: KeypointModel, settings: Settings) -> str | None:
    """Fill a new model's network with what `model.transfer` names has in common with it.

    The encoder must be the same; blocks of the decoder that the other lacks (at a finer stride)
    and the last layer stay fresh. From dense models to regression and back, the encoder is taken.
    Gives a line that says what was taken, or None where the setting is not used.

    Raises:
        CheckpointError: for what cannot be read or has another encoder.
    """
    if settings.model.transfer is None:
        return None
    path = weights_path(settings.model.transfer)
    state, _ = read_weights(path)
    dense = any(k.startswith("network.") for k in model.state_dict())
    prefix = "network." if dense else ""
    theirs = {prefix + k.removeprefix("network."): v for k, v in state.items()}
    own = {
        k: v
        for k, v in model.state_dict().items()
        if k.startswith(("network.", "encoder.")) and not k.endswith("num_batches_tracked")
    }
    encoder = [k for k in own if k.startswith(f"{prefix}encoder.")]
    taken = {k: theirs[k] for k in own if k in theirs and theirs[k].shape == own[k].shape}
    foreign = [k for k in encoder if k not in taken]
    if foreign or not encoder:
        raise CheckpointError(
            f"model.transfer: {path} has another encoder ({len(foreign)} of {len(encoder)} tensors "
            f"differ); set model.encoder to the one that it was trained with"
        )
    model.load_state_dict(taken, strict=False)
    return f"{len(taken)} of the network's {len(own)} tensors come from {settings.model.transfer}"
