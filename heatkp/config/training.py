"""The sections `optimiser` and `trainer`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from heatkp.config.conditions import ANIMATED, ONE_OBJECT, SGD, VALIDATED
from heatkp.config.section import Count, NotNegative, Positive, Section
from heatkp.config.values import as_names, number_as_text


class Optimiser(Section):
    """How weights change."""

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    """Which algorithm."""
    lr: Positive = 3e-3
    """The largest learning rate."""
    weight_decay: NotNegative = 1e-4
    """Of weights with two or more dimensions; biases and norms have none."""
    momentum: Annotated[float, Field(ge=0.0, lt=1.0), SGD] = 0.9
    """For SGD."""
    schedule: Literal["constant", "cosine", "onecycle"] = "onecycle"
    """How the rate changes with the steps: not at all; down to zero along a cosine; up and then
    down to almost zero (Smith and Topin 2018)."""
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
    """What is trained, how long, how often, how exactly."""

    task: Literal["points", "finder", "finder+points"] = "points"
    """`points`: a network that finds the points of one object. `finder`: one that finds where
    objects are in whole images. `finder+points`: both, for images with many objects."""
    epochs: Count = 8
    """Passes over the training samples. `heatkp train --resume RUN --epochs N` trains a run
    further, also one that is finished: with its optimiser as it was, the best weights of all
    epochs, and the learning rates and `head.sigma` that a run of N epochs has from there on."""
    batch_size: Count = 8
    """Samples a step, over all devices together: each takes its share, so that neither the
    learning rate nor the result depends on their number. Where you make it larger, make
    `optimiser.lr` larger, too: by the square root of the factor is a usual start."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Of weights, order and augmentation."""
    precision: Annotated[Literal["32", "bf16", "16"], BeforeValidator(number_as_text)] = "32"
    """Of the network's computations; weights stay in 32 bits. 16 needs a GPU."""
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    """Decay of the moving average of the weights; 0 keeps none."""
    early_stopping: Annotated[int, Field(ge=0)] = 0
    """Stop after so many epochs without a better validation error; 0: never."""
    validate_every: Annotated[Count, VALIDATED] = 1
    """A validation after each so many epochs. It must divide `epochs`, so that the last one is
    validated."""
    animation_every: Annotated[int, Field(ge=0), ONE_OBJECT] = 0
    """Steps between the frames of `settling.gif`, which shows a few validation faces while
    training goes on; 0 draws none. A long run takes every so many of them: at most 120."""
    animation_faces: Annotated[int, Field(ge=1, le=8), ANIMATED] = 4
    """How many samples the animation shows."""
    loggers: Annotated[list[str], BeforeValidator(as_names)] = Field(
        default_factory=lambda: ["auto"]
    )
    """Where curves, settings and final metrics also go, beside the run's own files: any of
    `tensorboard`, `csv`, `wandb` and `mlflow`. `auto` is TensorBoard where it is installed; `none`,
    or an empty list, is nowhere."""
    deterministic: bool = False
    """Use only algorithms that repeat exactly on a GPU; slower. Where there is none, a warning says
    so."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads that torch may use; 0 leaves torch's own choice."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the network is trained; `auto` takes a GPU where there is one."""
    devices: Count | Literal["auto"] = 1
    """How many on each machine, one process each; `auto` takes all GPUs. Where `torchrun` or
    `srun` start the processes, as many as they start."""
    num_nodes: Count = 1
    """Machines; `torchrun` or `srun` start the processes on each."""
    strategy: Literal["auto", "ddp", "ddp_find_unused"] = "auto"
    """Of several devices. `ddp` has each compute gradients of its samples and averages them;
    `ddp_find_unused` also takes parameters that get no gradient in some steps. `auto` looks which
    is needed."""
    sync_batchnorm: bool = False
    """Batch norms see the samples of all devices instead of each its own; on GPUs."""
    compile: bool = False
    """Compile the network with `torch.compile`: minutes at the start, quicker steps."""
