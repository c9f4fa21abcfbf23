"""What came of a sweep: its trials, its table `sweep.csv`, and its figures."""

from __future__ import annotations

import csv
import io
import json
import math
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.study import Study, create_study
from optuna.trial import FrozenTrial, TrialState

from heatkp import runs
from heatkp.errors import DataError, SettingsError
from heatkp.files import reason, write_text
from heatkp.sweeps.recovery import standing_trials
from heatkp.sweeps.space import Space
from heatkp.sweeps.space_file import text
from heatkp.sweeps.study import quiet_optuna

RUNS = "runs"
CSV = "sweep.csv"
FEWEST = 10
"""Finished trials from which importances are computed."""

_STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "stopped",
}
_ORDER = ("finished", "running", "stopped", "pruned", "diverged", "failed")
FIGURES = ("train_loss", "val_mae", "val_mse", "mae_photo", "epochs", "minutes")


@dataclass(frozen=True)
class TrialResult:
    """A trial of a sweep.

    Attributes:
        folder: its run folder, which may be on another machine; None before it has one.
        parameters: what it used, by the parameters' short names: a number, a setting's value,
            or a variant's name.
        figures: `train_loss`, `val_mae` (input pixels) and `val_mse` (of coordinates over width
            and height) of the epoch that was kept, `mae_photo` (image pixels), `epochs`,
            `minutes`; None where it did not come so far.
        state: finished, pruned, diverged, failed, running or stopped.
        value: the error that the sweep minimises, of a finished trial.
        reason: of a failure.
    """

    number: int
    folder: Path | None
    parameters: dict[str, Any]
    figures: dict[str, float | None]
    state: str
    value: float | None
    reason: str = ""

    @property
    def run(self) -> str:
        """The name of its folder."""
        return "" if self.folder is None else self.folder.name


@dataclass(repr=False)
class SweepResult:
    """A sweep that ran, or one that is read.

    Attributes:
        folder: where `runs/`, `sweep.csv` and the figures are.
        trials: finished ones by their error, then the others by how far down they came. A trial
            that drew the settings of an earlier one has its result and is not listed.
        study: Optuna's, for its own tools.
        ended: why it ended; empty where it was only read.
        notes: what the figures leave out, and of how many trials the importances are.
    """

    folder: Path
    space: Space
    study: Study
    trials: list[TrialResult]
    ended: str = ""
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        done = sum(trial.state == "finished" for trial in self.trials)
        best = "" if self.best is None else f", best {self.best.run}: {self.best.value:.4g} px"
        return f"<sweep {self.folder}: {done} of {len(self.trials)} trials finished{best}>"

    @property
    def best(self) -> TrialResult | None:
        """The finished trial of the smallest error."""
        return next((trial for trial in self.trials if trial.state == "finished"), None)

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row for each trial, with the columns of `sweep.csv`."""
        names = self.space.short_names().values()
        return [
            {"run": t.run, **{k: t.parameters.get(k) for k in names}, **t.figures,
             "state": t.state, "reason": t.reason}
            for t in self.trials
        ]  # fmt: skip

    def write_csv(self) -> None:
        """The table as `sweep.csv`, whole or not at all. Raises `OSError`."""
        names = self.space.short_names().values()
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["run", *names, *FIGURES, "state", "reason"])
        for t in self.trials:
            used = [text(t.parameters[k]) if k in t.parameters else "" for k in names]
            figures = ["" if v is None else f"{v:.6g}" for v in t.figures.values()]
            writer.writerow([t.run, *used, *figures, t.state, t.reason])
        write_text(self.folder / CSV, out.getvalue())

    def save(self) -> None:
        """Write the table and the figures, and note what they leave out.

        Raises `SettingsError` where the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.write_csv()
            self.notes = _draw(self)
        except OSError as error:
            raise SettingsError(f"cannot write into {self.folder}: {reason(error)}") from None


def read_results(study: Study, space: Space, folder: Path, ended: str = "") -> SweepResult:
    """The results so far, from the study and the run folders."""

    def key(trial: TrialResult) -> tuple[int, float, int]:
        error = trial.value if trial.value is not None else trial.figures["val_mae"]
        return _ORDER.index(trial.state), math.inf if error is None else error, trial.number

    found = sorted((_result(t, space, folder) for t in _own_trials(study)), key=key)
    return SweepResult(folder, space, study, found, ended)


def _own_trials(study: Study) -> list[FrozenTrial]:
    """Those that were trained, not the repeats that have the result of an earlier one."""
    return [t for t in standing_trials(study) if "same_as" not in t.user_attrs]


def _result(trial: FrozenTrial, space: Space, folder: Path) -> TrialResult:
    attrs = trial.user_attrs
    run = folder / RUNS / attrs["run"] if "run" in attrs else None
    figures = attrs.get("figures") or ({} if run is None else measured(run))
    return TrialResult(
        number=trial.number,
        folder=run,
        parameters=space.values(trial.params),
        figures={k: figures.get(k) for k in FIGURES},
        state="diverged" if attrs.get("diverged") else _STATES[trial.state],
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        reason=attrs.get("reason", ""),
    )


def measured(run: Path) -> dict[str, float]:
    """The figures of a run folder, as far as it came; empty where it has no epoch."""
    try:
        with (run / runs.HISTORY).open(newline="", encoding="utf-8") as file:
            history = list(csv.DictReader(file))
    except OSError:
        return {}
    if not history:
        return {}
    found = {
        "epochs": float(len(history)),
        "minutes": round(sum(float(r["seconds"]) for r in history) / 60, 3),
    }
    scored = [r for r in history if r["val_mae"] and math.isfinite(float(r["val_mae"]))]
    if scored:
        best = min(scored, key=lambda r: float(r["val_mae"]))
        found |= {k: float(best[k]) for k in ("train_loss", "val_mae", "val_mse") if best[k]}
    if (run / runs.METRICS).is_file():
        metrics = json.loads((run / runs.METRICS).read_text(encoding="utf-8"))
        found["mae_photo"] = metrics["mae_photo"]
    return found


def importances(study: Study) -> tuple[dict[str, float], str]:
    """The fraction of the variance of the logarithm of the error that each parameter explains, by
    fANOVA (Hutter et al., ICML 2014), and a note: of how many trials, or why there is none."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    done = [t for t in _own_trials(study) if t.state == TrialState.COMPLETE]
    varied = [k for k in (done[0].params if done else {}) if len({t.params[k] for t in done}) > 1]
    if len(done) < FEWEST:
        return {}, f"no importances: {len(done)} trials are finished, they take {FEWEST}"
    if len(varied) < 2:
        return {}, "no importances: fewer than two parameters vary among the finished trials"

    def target(trial: FrozenTrial) -> float:
        return math.log(max(trial.value or 0.0, 1e-12))

    try:
        with quiet_optuna():
            alone = create_study()  # `study` also has the repeats, which would count again
            alone.add_trials(done)
            found = get_param_importances(
                alone, evaluator=FanovaImportanceEvaluator(seed=0), params=varied, target=target
            )
    except ImportError:
        return {}, "no importances: fANOVA needs scikit-learn; pip install 'heatkp[sweep]'"
    rough = ", rough under 30" if len(done) < 30 else ""
    return found, f"fANOVA on {len(done)} finished trials{rough}"


def _draw(sweep: SweepResult) -> list[str]:
    """`curves.png` and `importance.png` as far as there is something to show; gives notes."""
    from heatkp.viz import sweep as figures
    from heatkp.viz.curves import read_history

    histories, labels, notes = {}, {}, []
    for trial in sweep.trials:
        if trial.folder is None:
            continue
        with suppress(DataError):
            histories[trial.run] = read_history(trial.folder / runs.HISTORY)
            labels[trial.run] = figures.Label(trial.figures["val_mae"], trial.state == "finished")
    target = sweep.folder / "curves.png"
    if histories:
        figures.sweep_curves(histories, labels, target)
    else:
        target.unlink(missing_ok=True)
    missing = sum(t.figures["epochs"] is not None for t in sweep.trials) - len(histories)
    if missing > 0:
        notes.append(f"curves.png is without {missing} runs whose folders are on other machines")
    fractions, note = importances(sweep.study)
    target = sweep.folder / "importance.png"
    if fractions:
        short = sweep.space.short_names()
        figures.importance({short[k]: v for k, v in fractions.items()}, note, target)
    else:
        target.unlink(missing_ok=True)
    return [*notes, note]
