"""Lightning's trainer as all trainings use it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from heatkp.data.loaders import TrainingData
from heatkp.errors import SettingsError
from heatkp.models import KeypointModel
from heatkp.models.devices import choose_device
from heatkp.training.callbacks import SafeCheckpointIO
from heatkp.training.module import ALONE, TrainingModule
from heatkp.training.precision import PRECISIONS, BFloat16OnProcessors
from heatkp.training.processes import Place, cluster_environment
from heatkp.training.sharing import parallel_strategy
from heatkp.training.storage import epochs_done


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice and torch's warnings about Lightning's internals, held back."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning", "pytorch_lightning")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(lightning|pytorch_lightning|torch)\b.*")
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def run_trainer(
    module: TrainingModule,
    data: TrainingData[Any],
    run: Path,
    callbacks: Sequence[Callback],
    *,
    validate_every: int,
    validates: bool,
    resume: Path | None = None,
    loggers: Any = False,
    mine: Place = ALONE,
) -> None:
    """Train a network as its module's settings say.

    Args:
        module, data: the network and its samples.
        run: the run's folder.
        callbacks: all of them, in their order.
        validate_every: epochs from one validation to the next.
        validates: whether there is any.
        resume: the checkpoint to go on from.
        loggers: as Lightning takes them; False: none.
        mine: which of several processes this is.

    Raises:
        SettingsError: where torch cannot compile the network.
        KeyboardInterrupt: where Ctrl-C was pressed, with the run's folder.
    """
    settings = module.settings
    trainer_settings = settings.trainer
    device = choose_device(trainer_settings.device, "trainer.device")
    if resume is not None:
        data.first_epoch = epochs_done(resume) or 0
    if trainer_settings.compile:
        module.model.compile_network()
    several: dict[str, Any] = {}
    if mine.world > 1:
        assert isinstance(module.model, KeypointModel)  # a finder trains on one device
        several["strategy"] = parallel_strategy(trainer_settings.strategy, module.model)
        several["num_nodes"] = mine.nodes
        several["sync_batchnorm"] = trainer_settings.sync_batchnorm
    plugins: list[Any] = [SafeCheckpointIO(), cluster_environment(mine)]
    precision = PRECISIONS[trainer_settings.precision]
    if precision == "bf16-mixed" and device.type == "cpu" and not trainer_settings.compile:
        plugins.append(BFloat16OnProcessors())
        precision = None  # the plugin's
    pl.seed_everything(trainer_settings.seed, workers=True, verbose=False)
    with _quiet():
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=mine.local_world,
            precision=precision,
            max_epochs=trainer_settings.epochs,
            accumulate_grad_batches=settings.optimiser.accumulate,
            check_val_every_n_epoch=validate_every,
            deterministic="warn" if trainer_settings.deterministic else None,
            callbacks=list(callbacks),
            limit_val_batches=1.0 if validates else 0,
            logger=loggers,
            plugins=plugins,
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            default_root_dir=run,
            **several,
        )
        try:
            trainer.fit(
                module,
                datamodule=data,
                ckpt_path=resume,
                weights_only=None if resume is None else True,
            )
        except RuntimeError as error:
            # torch._dynamo's and inductor's own errors; importing them takes a second.
            if not (trainer_settings.compile and type(error).__module__.startswith("torch._")):
                raise
            raise SettingsError(
                f"trainer.compile: torch cannot compile here ({str(error).splitlines()[0]}): "
                "leave it out"
            ) from None
        except SystemExit:  # what Lightning makes of Ctrl-C
            if trainer.interrupted:
                raise KeyboardInterrupt(str(run)) from None
            raise
