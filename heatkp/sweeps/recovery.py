"""Trials that stand, trials that were cut off, and the queue.

Optuna's heartbeats do the work between machines: `Study.optimize` records one of a running
trial each minute, by the database's clock, and `fail_stale_trials` fails the trials that have
had none for ten, whose settings, run folder and errors so far Optuna's callback then queues as
a new trial. That trial continues from the run's checkpoint. Added here, as Optuna has no such
thing: the same command goes on at once where its process was killed on this machine, without
waiting for a heartbeat to grow stale; a trial that is interrupted is queued as it ends; and a
grid is gone through in order, once, by several machines (Optuna's `GridSampler` may give two
of them one combination, and counts a trial that was cut off as done).
"""

from __future__ import annotations

import os
import platform
import time
import warnings
from contextlib import suppress
from copy import deepcopy
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from heatkp.sweeps.space import Space

HEARTBEAT_INTERVAL = 60
"""Seconds between the heartbeats of a running trial."""
GRACE_PERIOD = 600
"""Seconds without one after which another process takes a trial up."""


class HeartbeatStorage(RDBStorage):
    """Optuna's storage with heartbeats, and with `queue_continuation` for stale trials."""

    def __init__(self, url: str, engine_kwargs: dict[str, Any] | None = None) -> None:
        super().__init__(
            url,
            engine_kwargs=engine_kwargs,
            heartbeat_interval=HEARTBEAT_INTERVAL,
            grace_period=GRACE_PERIOD,
            heartbeat_stale_trial_callback=queue_continuation,
        )

    def record_heartbeat(self, trial_id: int) -> None:
        # An exception would end Optuna's thread for good, but the database may be away for a
        # moment only.
        with suppress(Exception):
            super().record_heartbeat(trial_id)


def queue_continuation(study: Study, trial: FrozenTrial) -> None:
    """Queue a failed trial again, with its run folder and its errors so far."""
    trial = deepcopy(trial)
    for name in set(trial.user_attrs) - {"run", "grid"}:  # of the process that is gone
        del trial.user_attrs[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(study, trial)


def _continued(trials: list[FrozenTrial]) -> set[int]:
    """The numbers of trials that another one continues."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        found = {n for t in trials for n in RetryHeartbeatStaleTrialCallback.retry_history(t)}
    # How sweeps were stored before Optuna's callback was used.
    return found | {t.user_attrs["continues"] for t in trials if "continues" in t.user_attrs}


def standing_trials(study: Study) -> list[FrozenTrial]:
    """All trials but those that were dropped or are continued by another."""
    every = study.get_trials(deepcopy=False)
    continued = _continued(every)
    return [t for t in every if t.number not in continued and not _dropped(t)]


def _dropped(trial: FrozenTrial) -> bool:
    """Failed without a reason: a duplicate, or its process died before it was queued again."""
    return trial.state == TrialState.FAIL and "reason" not in trial.user_attrs


def mark_process(trial: Trial) -> None:
    """Note which process runs a trial."""
    trial.set_user_attr("process", [platform.node(), os.getpid()])


def requeue(study: Study, trial: FrozenTrial) -> bool:
    """Fail a trial that was cut off, if that is still to do, and queue its continuation.

    False where it has its result or another process was faster.
    """
    if trial.state == TrialState.RUNNING:
        try:
            study.tell(trial.number, state=TrialState.FAIL)
        except (ValueError, OptunaError):  # finished, or taken up
            return False
    elif not _dropped(trial) or trial.number in _continued(study.get_trials(deepcopy=False)):
        return False
    queue_continuation(study, trial)
    return True


def requeue_lost(study: Study) -> int:
    """Queue the running trials whose process is dead; gives how many continuations wait."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        fail_stale_trials(study)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if _process_is_dead(trial):
            requeue(study, trial)
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return sum(bool(_continued([t])) for t in waiting)


def _process_is_dead(trial: FrozenTrial) -> bool:
    """Whether a trial's process on this machine is gone.

    Asked between the trials of this process, so one that bears its number is an old one.
    """
    machine, pid = trial.user_attrs.get("process", (None, 0))
    if machine == platform.node() and os.name == "posix":
        try:
            if pid == os.getpid():
                return True
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
    if machine is not None and "alive" not in trial.user_attrs:
        return False  # Optuna's heartbeat tells
    # Killed before its first heartbeat, or of a sweep that has the time of it as `alive`.
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - trial.user_attrs.get("alive", begun) > GRACE_PERIOD


def queue_next_combination(study: Study, space: Space) -> bool:
    """Queue the first combination of the grid that no trial has; False after the last."""
    used = [t.params for t in standing_trials(study)]
    left = next((params for params in space.grid() if params not in used), None)
    if left is None:
        return False
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=left,
            distributions=space.distributions(),
            user_attrs={"grid": True},
        )
    )
    return True


def is_superfluous(study: Study, trial: Trial) -> bool:
    """Whether a trial of a grid is none: another machine took what was in the queue, or queued
    the same combination before."""
    standing = standing_trials(study)
    same = [t.number for t in standing if t.params == trial.params]
    return not trial.user_attrs.get("grid") or min(same) < trial.number
