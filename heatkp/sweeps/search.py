"""The loop of a sweep: one training after another, each in a run folder of its own."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from optuna.exceptions import OptunaError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console

from heatkp import runs
from heatkp.config import Settings
from heatkp.data.loading import load_data
from heatkp.data.photos import crop_photo
from heatkp.data.transforms import Framing
from heatkp.errors import DataError, DivergedError, HeatkpError, SettingsError, StorageError
from heatkp.sweeps import results
from heatkp.sweeps.space import Space
from heatkp.sweeps.study import (
    SignsOfLife,
    machine_settings,
    next_trial,
    put_back,
    take_up_lost,
    trials,
)
from heatkp.training import fit, resuming
from heatkp.training.module import KeypointModule

TIME_UP = "the time is up; the same command goes on"


class _Ended(Exception):
    """A training stops before its last epoch, for a reason that the text gives."""


class _Pruned(_Ended):
    pass


class _TimeUp(_Ended):
    pass


def demand_validation(settings: Settings) -> None:
    """Raises `SettingsError` for settings under which trials have no error to compare."""
    if not settings.data.validates:
        raise SettingsError(
            "a sweep compares validation errors, and data.validation: 0 (of drawn faces "
            "data.val_count: 0) leaves none: keep samples for validation"
        )


class Monitor(Callback):
    """Reports an epoch's validation error, and ends trials that are bad, broken or too late.

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
                raise _Pruned(f"after epoch {epoch + 1}, at {error:.3f} px")
        if not last and self._deadline is not None and time.monotonic() > self._deadline:
            raise _TimeUp(f"after epoch {epoch + 1}")


@dataclass(frozen=True)
class Search:
    """A sweep to carry on with.

    Attributes:
        folder: where `runs/` and the table are.
        total: trials altogether, those of other processes and earlier days included; None: as
            many as the grid has.
        grid: all combinations in turn, instead of the sampler's choice.
        prune: whether the study's pruner is asked.
        deadline: of `time.monotonic()`; a training stops at the end of an epoch.
    """

    study: Study
    space: Space
    folder: Path
    total: int | None
    grid: bool
    prune: bool
    deadline: float | None
    console: Console

    def go(self) -> str:
        """Run trials until there are enough; says why it ended.

        Raises `KeyboardInterrupt`, and the `DataError` of data that no trial could use, after
        the trial was put back.
        """
        lost = take_up_lost(self.study)
        if lost:
            self._say(f"{lost} trials were cut off and go on")
        while True:
            if self.deadline is not None and time.monotonic() > self.deadline:
                return TIME_UP
            standing = trials(self.study)
            waiting = any(t.state == TrialState.WAITING for t in standing)
            if self.total is not None and len(standing) >= self.total and not waiting:
                return self._elsewhere(standing)
            trial = next_trial(self.study, self.space, self.grid)
            if trial is None:
                return self._elsewhere(standing)
            try:
                self._run(trial)
            except _TimeUp:
                return TIME_UP
            finally:
                self.write()
            take_up_lost(self.study)

    def write(self) -> list[results.Row]:
        """Bring `sweep.csv` up to date, or say why that cannot be; gives its rows."""
        found = results.rows(self.study, self.space, self.folder)
        path = self.folder / results.CSV
        try:
            results.write_csv(found, self.space, path)
        except OSError as error:  # no result is lost: the study has them
            self._say(f"{path} cannot be written: {error.strerror or error}; the sweep goes on")
        return found

    def _elsewhere(self, standing: list[FrozenTrial]) -> str:
        running = sum(t.state == TrialState.RUNNING for t in standing)
        return f"{running} trials are still running elsewhere" if running else "all trials are done"

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def _twin(self, trial: Trial) -> FrozenTrial | None:
        """A finished trial with the same settings: training it again would give the same."""
        for other in trials(self.study):
            if other.state == TrialState.COMPLETE and other.params == trial.params:
                return other
        return None

    def _run(self, trial: Trial) -> None:
        """One trial, from drawing to its result in the study."""
        twin = self._twin(trial)
        if twin is not None:
            trial.set_user_attr("same_as", twin.number)
            self.study.tell(trial, twin.value)
            return
        with SignsOfLife(trial):
            name = trial.user_attrs.get("run") or self._name(trial)
            run = self.folder / results.RUNS / name
            trial.set_user_attr("run", name)
            begun = sum(t.number <= trial.number for t in trials(self.study))
            of = f" of {self.total}" if self.total else ""
            self._say(f"\ntrial {begun}{of}: {name}")
            try:
                metrics = self._train(trial, run)
            except (_Pruned, DivergedError) as end:
                # To a sampler both are bad places: it learns from pruned trials, not failed ones.
                diverged = isinstance(end, DivergedError)
                self._say(f"{'diverged' if diverged else 'pruned'}: {end}")
                self._tell(trial, run, TrialState.PRUNED, reason=str(end), diverged=diverged)
            except (_TimeUp, StorageError, KeyboardInterrupt):  # it goes on when there is room
                put_back(self.study, self._frozen(trial))
                raise
            except Exception as error:  # settings that cannot be together, too little memory
                if isinstance(error, DataError) and not self._data_can_be_read():
                    put_back(self.study, self._frozen(trial))
                    raise
                self._failed(trial, run, f"{type(error).__name__}: {error}")
            else:
                self._finished(trial, run, metrics)

    def _data_can_be_read(self) -> bool:
        """With the settings that do not vary, all of it: then a trial fails by its own."""
        data = self.space.settings({}).data
        try:
            loaded, framing = load_data(data), Framing.of(data)
            for sample in (*loaded.train, *loaded.val):
                crop_photo(sample, framing, 1.0)
        except HeatkpError:
            return False
        return True

    def _finished(self, trial: Trial, run: Path, metrics: dict[str, Any]) -> None:
        key = "mae_photo" if self.space.reframed else "mae_input"
        if metrics[key] is None:
            self._failed(trial, run, f"{key} is no number: predictions are infinite or NaN")
        else:
            self._tell(trial, run, TrialState.COMPLETE, metrics[key])

    def _failed(self, trial: Trial, run: Path, reason: str) -> None:
        self._say(f"failed: {reason}")
        self._tell(trial, run, TrialState.FAIL, reason=reason)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return next(t for t in self.study.get_trials() if t.number == trial.number)

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
        demand_validation(settings)
        if (run / runs.SETTINGS).is_file():
            return resuming.resume(run, self.console, [monitor], machine_settings(settings))
        shutil.rmtree(run, ignore_errors=True)
        return fit.train(settings, run, self.console, [monitor])[1]

    def _tell(
        self, trial: Trial, run: Path, state: TrialState, value: float | None = None, **attrs: Any
    ) -> None:
        """Put a trial's end into the study, with what the table says of it."""
        try:
            for name, given in {"figures": results.measured(run), **attrs}.items():
                trial.set_user_attr(name, given)
            self.study.tell(trial, value, state)
        except (ValueError, RuntimeError, OptunaError) as error:
            if self._frozen(trial).state.is_finished():
                self._say("another process took this trial up and its result counts")
            else:
                self._say(f"the study did not take the result ({error}); the trial goes on later")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
