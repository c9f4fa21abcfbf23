"""What happens around training: history, progress, moving average, safe checkpoints."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, EarlyStopping, WeightAveraging
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from heatkp.errors import DivergedError
from heatkp.files import replacing, write_text
from heatkp.runs import save_weights
from heatkp.training.module import KeypointModule, TrainingModule

COLUMNS = ("epoch", "train_loss", "val_loss", "val_mae", "val_mse", "lr", "seconds", "data_wait")

WAIT_TOO_LONG = 0.05
"""Share of the training steps' time."""


class RecordingFile:
    """A file that remembers why it could not be written: torch only says that it was not."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there, so a kill leaves the old one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # By a file of Python's own, for torch takes no path that is not UTF-8.
        with replacing(target) as part, part.open("wb") as file:
            told = RecordingFile(file)
            try:
                torch.save(checkpoint, cast(IO[bytes], told))
            except RuntimeError:
                if told.error is not None:
                    raise told.error from None
                raise


class LastCheckpoint(Callback):
    """Saves the whole state after every epoch, to resume from."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.path)


class StopEarly(EarlyStopping):
    """Ends a run after so many epochs without a smaller error, a resumed one too; of them, every
    `period`-th is validated. `anew` counts from the start where a checkpoint's count was enough:
    a run that is to go on."""

    def __init__(self, epochs: int, period: int = 1, anew: bool = False) -> None:
        patience = -(-epochs // period)
        super().__init__("val_mae", patience=patience, check_on_train_epoch_end=False)
        self._anew = anew

    @property
    def state_key(self) -> str:
        return EarlyStopping("val_mae").state_key  # as older checkpoints have it

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # A checkpoint keeps the count, but not that it was enough.
        if self.wait_count >= self.patience and not self._anew:
            trainer.should_stop = True
        elif self.wait_count >= self.patience:
            self.wait_count = 0


class Stretched(Callback):
    """Gives a resumed run whose number of epochs was changed the learning rates of a run that had
    that number from the beginning, from the step on at which it goes on; says so."""

    def __init__(self, console: Console) -> None:
        self._console, self._before = console, 0

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._before = int(checkpoint["heatkp"]["settings"]["trainer"]["epochs"])
        if self._before != trainer.max_epochs:
            for state in checkpoint["lr_schedulers"]:  # lengths of the one-cycle schedule
                state.pop("total_steps", None)
                state.pop("_schedule_phases", None)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._before == trainer.max_epochs:
            return
        assert isinstance(pl_module, TrainingModule)
        optimiser = trainer.optimizers[0]
        ended = optimiser.param_groups[0]["lr"]
        for config in trainer.lr_scheduler_configs:
            assert isinstance(config.scheduler, LRScheduler)
            config.scheduler.last_epoch -= 1  # what the last step computed is computed again
            config.scheduler.step()
        begins = optimiser.param_groups[0]["lr"]
        narrows = pl_module.settings.head.sigma_final is not None
        widths = "; head.sigma goes to head.sigma_final likewise" if narrows else ""
        self._console.print(
            f"goes on after epoch {trainer.current_epoch}, to {trainer.max_epochs} epochs instead "
            f"of {self._before}, with the optimiser as it was; the learning rate is now that of "
            f"schedule {pl_module.settings.optimiser.schedule} over {trainer.max_epochs} epochs: "
            f"{begins:.2g} (was {ended:.2g}){widths}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


class Diverged(Callback):
    """Raises `DivergedError` at a loss or error that is no number: such weights do not mend.

    Must come first in the list of callbacks, so that none keeps them.
    """

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, KeypointModule)
        self._require_finite("validation error", pl_module.totals()["val_mae"], trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, KeypointModule)
        self._require_finite("training loss", pl_module.train_loss or 0.0, trainer)

    def _require_finite(self, what: str, value: float, trainer: pl.Trainer) -> None:
        if not math.isfinite(value):
            raise DivergedError(
                f"training diverged: the {what} is {value} in epoch {trainer.current_epoch + 1}; "
                "take a smaller optimiser.lr, or limit its steps with optimiser.clip=1"
            )


class BestWeights(Callback):
    """Keeps the weights with the smallest validation error, as safetensors.

    Must come before the moving average in the list of callbacks: that one puts the raw weights
    back at the end of a validation, and it is the averaged ones that were measured.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = float("inf")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = float(state_dict["best"])

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, KeypointModule)
        error = pl_module.totals()["val_mae"]
        if not trainer.is_global_zero:
            return
        if error < self.best or not self.path.exists():
            self.best = error
            save_weights(self.path, pl_module.model, pl_module.describe())


class DataWait(Callback):
    """Measures for how long the steps of an epoch waited for their batches.

    `share` is that of the epoch's steps so far; the loader's start is not counted.
    """

    def __init__(self) -> None:
        self._begun = self._ended = 0.0
        self._waited = 0.0

    @property
    def share(self) -> float:
        total = self._ended - self._begun
        return self._waited / total if total > 0 else 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if batch_idx:
            self._waited += now - self._ended
        else:
            self._begun, self._waited = now, 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any
    ) -> None:
        self._ended = time.perf_counter()


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of epochs as CSV, whole or not at all; what a row lacks is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


class History(Callback):
    """One row per epoch in metrics.csv; a resumed run continues the table."""

    def __init__(self, path: Path, wait: DataWait) -> None:
        self.path, self._wait = path, wait
        self.rows: list[dict[str, Any]] = []
        self._started = time.perf_counter()
        self._validated = False

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.perf_counter()
        self._validated = False

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, KeypointModule)
        row = {
            "epoch": trainer.current_epoch,
            "train_loss": pl_module.train_loss,
            **(pl_module.totals() if self._validated else {}),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": round(time.perf_counter() - self._started, 2),
            "data_wait": round(self._wait.share, 4),
        }
        self.rows.append(row)
        if not trainer.is_global_zero:
            return
        write_rows(self.path, COLUMNS, self.rows)


class ProgressLine(Callback):
    """A bar over all steps of the run on a terminal; a line per epoch elsewhere."""

    def __init__(self, console: Console, wait: DataWait) -> None:
        self.console, self._wait = console, wait
        self._shares: list[float] = []
        self._progress: Progress | None = None

    def _text(self, trainer: pl.Trainer, module: pl.LightningModule) -> str:
        assert isinstance(module, KeypointModule)
        parts = [f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"]
        if module.train_loss is not None:
            parts.append(f"loss {module.train_loss:.4g}")
        error = trainer.callback_metrics.get("val_mae")
        if error is not None:
            parts.append(f"validation MAE {float(error):.3f} px")
        return "  ".join(parts)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self._progress.start()
        batches = int(trainer.num_training_batches)
        self._task = self._progress.add_task(
            self._text(trainer, pl_module),
            total=batches * int(trainer.max_epochs or 1),
            completed=batches * trainer.current_epoch,
        )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any
    ) -> None:
        if self._progress is not None:
            self._progress.advance(self._task)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._shares.append(self._wait.share)
        text = self._text(trainer, pl_module)
        if self._progress is not None:
            self._progress.update(self._task, description=text)
        elif not self.console.is_terminal:
            self.console.print(text, highlight=False)

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()
        if self._shares:
            share = sum(self._shares) / len(self._shares)
            more = "; give it more data.workers" if share > WAIT_TOO_LONG else ""
            self.console.print(f"waited for data {share:.1%} of the time{more}", highlight=False)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._stop()


def moving_average(decay: float) -> WeightAveraging:
    """Exponential moving average of weights and batch statistics, used to validate and kept.

    Early in training the decay is (1 + n) / (10 + n) after n steps, so that a short run is not
    an average with its random start.
    """

    def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        if not averaged.is_floating_point():
            return current
        n = float(count)
        return averaged.lerp(current, 1.0 - min(decay, (1 + n) / (10 + n)))

    return WeightAveraging(avg_fn=average)
