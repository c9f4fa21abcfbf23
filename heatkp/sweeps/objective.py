"""The objective of a sweep: train a trial in a run folder of its own, and give its error."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from optuna.exceptions import TrialPruned
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console

from heatkp import runs
from heatkp.config import Settings
from heatkp.data.crops import crop_image
from heatkp.data.loading import load_data
from heatkp.data.transforms import Framing
from heatkp.errors import DataError, DivergedError, HeatkpError, SettingsError, StorageError
from heatkp.sweeps import results
from heatkp.sweeps.recovery import is_superfluous, mark_process, requeue, standing_trials
from heatkp.sweeps.space import Space
from heatkp.sweeps.study import machine_settings, make_sampler, quiet_optuna
from heatkp.training import fit, resuming
from heatkp.training.module import KeypointModule


class TimeUp(Exception):
    """The time of the sweep is over within a training."""


class _TrialFailed(Exception):
    """A trial ends without a result; the sweep goes on."""


def require_validation(settings: Settings) -> None:
    """Raises `SettingsError` for settings under which trials have no error to compare."""
    if not settings.data.validates:
        raise SettingsError(
            "a sweep compares validation errors, and data.validation: 0 (of drawn faces "
            "data.val_count: 0) leaves none: keep samples for validation"
        )


class Monitor(Callback):
    """Reports an epoch's validation error, and ends trials that are bad or too late.

    Comes after the checkpoint in the list of callbacks, so that what was reported is kept.
    """

    def __init__(self, trial: Trial, deadline: float | None, prune: bool) -> None:
        self._trial, self._deadline, self._prune = trial, deadline, prune
        self._validated = False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validated = False

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, KeypointModule)
        epoch = trainer.current_epoch
        last = epoch + 1 >= int(trainer.max_epochs or 0)
        if self._validated:
            error = pl_module.totals()["val_mae"]
            self._trial.report(error, epoch)
            if self._prune and not last and self._trial.should_prune():
                raise TrialPruned(f"after epoch {epoch + 1}, at {error:.3f} px")
        if not last and self._deadline is not None and time.monotonic() > self._deadline:
            raise TimeUp(f"after epoch {epoch + 1}")


@dataclass
class Objective:
    """What `Study.optimize` minimises, a trial a call.

    Attributes:
        folder: where `runs/` and the table are.
        total: trials altogether, those of other processes and earlier days included; None: as
            many as the grid has.
        sampler: `tpe` or `random`; `grid` for all combinations in turn.
        seed: of the sampler.
        prune: whether the study's pruner is asked.
        deadline: of `time.monotonic()`; a training stops at the end of an epoch.
    """

    study: Study
    space: Space
    folder: Path
    total: int | None
    sampler: str
    seed: int
    prune: bool
    deadline: float | None
    console: Console
    _number: int | None = field(default=None, init=False)

    def say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def run_one(self) -> None:
        """One trial, from drawing to its result in the study; what stops it queues it again.

        Raises `TimeUp`, `KeyboardInterrupt`, and the `DataError` of data that no trial could use.
        """
        self._number = None
        try:
            with quiet_optuna():
                self.study.optimize(self, n_trials=1, catch=(_TrialFailed,))
        except (Exception, KeyboardInterrupt) as error:
            if self._number is None:
                raise
            requeued = requeue(self.study, self._stored(self._number))
            if isinstance(error, (TimeUp, KeyboardInterrupt, DataError, StorageError)):
                raise
            # Optuna's assertion on what it failed to store hides the reason.
            reason = error.__context__ if isinstance(error, AssertionError) else error
            self.say(
                f"the study did not take the result ({reason}); the trial goes on later"
                if requeued
                else "another process took this trial up and its result counts"
            )
        finally:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def __call__(self, trial: Trial) -> float:
        """Train one trial, or what is left of it; gives its error."""
        self._number = trial.number
        mark_process(trial)
        self.study.sampler = make_sampler(self.sampler, self.seed, trial.number)
        self.space.suggest(trial)
        if self.sampler == "grid" and is_superfluous(self.study, trial):
            raise _TrialFailed
        duplicate = self._duplicate(trial)
        if duplicate is not None:
            trial.set_user_attr("same_as", duplicate.number)
            assert duplicate.value is not None
            return duplicate.value
        name = trial.user_attrs.get("run") or self._name(trial)
        run = self.folder / results.RUNS / name
        trial.set_user_attr("run", name)
        begun = sum(t.number <= trial.number for t in standing_trials(self.study))
        of = f" of {self.total}" if self.total else ""
        self.say(f"\ntrial {begun}{of}: {name}")
        try:
            error = self._train(trial, run)[self.space.objective]
            if error is None:
                raise _TrialFailed(
                    f"{self.space.objective} is no number: predictions are infinite or NaN"
                )
        except (TrialPruned, DivergedError) as end:
            # To a sampler both are bad places: it learns from pruned trials, not failed ones.
            diverged = isinstance(end, DivergedError)
            self.say(f"{'diverged' if diverged else 'pruned'}: {end}")
            self._note(trial, run, reason=str(end), diverged=diverged)
            raise TrialPruned(str(end)) from None
        except (TimeUp, KeyboardInterrupt):
            raise
        except StorageError as end:  # it goes on when there is room
            advice = "mend that, and the same command goes on with this trial"
            raise StorageError(end.problem, advice) from end
        except Exception as end:  # settings that cannot be together, too little memory
            if isinstance(end, DataError) and not self._data_can_be_read():
                raise
            own = isinstance(end, _TrialFailed)
            reason = str(end) if own else f"{type(end).__name__}: {end}"
            self.say(f"failed: {reason}")
            self._note(trial, run, reason=reason)
            raise _TrialFailed from None
        self._note(trial, run)
        return error

    def _duplicate(self, trial: Trial) -> FrozenTrial | None:
        """A finished trial with the same settings: training it again would give the same."""
        for other in standing_trials(self.study):
            if other.state == TrialState.COMPLETE and other.params == trial.params:
                return other
        return None

    def _data_can_be_read(self) -> bool:
        """With the settings that do not vary, all of it: then a trial fails by its own."""
        data = self.space.settings({}).data
        try:
            loaded, framing = load_data(data), Framing.of(data)
            for sample in (*loaded.train, *loaded.val):
                crop_image(sample, framing, 1.0)
        except HeatkpError:
            return False
        return True

    def _stored(self, number: int) -> FrozenTrial:
        return next(t for t in self.study.get_trials() if t.number == number)

    def _name(self, trial: Trial) -> str:
        """The run's name; with the trial's number where another has that name or folder."""
        name = self.space.run_name(trial.params)
        taken = {t.user_attrs.get("run") for t in self.study.get_trials(deepcopy=False)}
        if name in taken or (self.folder / results.RUNS / name).exists():
            return f"{name}-{trial.number}"
        return name

    def _train(self, trial: Trial, run: Path) -> dict[str, Any]:
        """Train a run, or what is left of it; gives its metrics."""
        if (run / runs.METRICS).is_file():  # cut off between its end and the study's record
            return json.loads((run / runs.METRICS).read_text(encoding="utf-8"))
        monitor = Monitor(trial, self.deadline, self.prune)
        settings = self.space.settings(trial.params)
        require_validation(settings)
        if (run / runs.SETTINGS).is_file():
            return resuming.resume(run, self.console, [monitor], machine_settings(settings))
        shutil.rmtree(run, ignore_errors=True)
        return fit.train(settings, run, self.console, [monitor])[1]

    def _note(self, trial: Trial, run: Path, **attrs: Any) -> None:
        """Put into the study what the table says of a trial."""
        for name, value in {"figures": results.measured(run), **attrs}.items():
            trial.set_user_attr(name, value)
