"""What came of a sweep: its table, `sweep.csv`, and what the pictures show."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.study import Study, create_study
from optuna.trial import FrozenTrial, TrialState

from heatkp import runs
from heatkp.errors import DataError
from heatkp.files import write_text
from heatkp.sweeps.space import Space, text
from heatkp.sweeps.study import trials

if TYPE_CHECKING:
    from rich.table import Table

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
FIGURES = ("train_loss", "val_mae", "val_mse", "mae_photo", "epochs", "minutes")


@dataclass(frozen=True)
class Row:
    """A trial in the table; figures are None where it did not come so far.

    Attributes:
        run: the name of its folder.
        parameters: what it used, as text by the parameters' names.
        figures: `train_loss`, `val_mae` (input pixels) and `val_mse` (of coordinates over width
            and height) of the epoch that was kept, `mae_photo`, `epochs`, `minutes`.
        state: finished, pruned, diverged, failed, running or stopped.
        reason: of a failure.
    """

    number: int
    run: str
    parameters: dict[str, str]
    figures: dict[str, float | None]
    state: str
    value: float | None
    reason: str = ""


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


def _row(trial: FrozenTrial, space: Space, folder: Path) -> Row:
    attrs = trial.user_attrs
    name = attrs.get("run", "")
    figures: dict[str, float] = attrs.get("figures") or (
        measured(folder / RUNS / name) if name else {}
    )
    state = "diverged" if attrs.get("diverged") else _STATES[trial.state]
    return Row(
        number=trial.number,
        run=name,
        parameters={p.name: text(trial.params.get(p.name, "")) for p in space.parameters},
        figures={k: figures.get(k) for k in FIGURES},
        state=state,
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        reason=attrs.get("reason", ""),
    )


def rows(study: Study, space: Space, folder: Path) -> list[Row]:
    """The table: finished trials by their error, then the others by how far down they came.

    A trial that drew the settings of an earlier one has its result and no row.
    """
    found = [_row(t, space, folder) for t in trials(study) if "same_as" not in t.user_attrs]
    order = ("finished", "running", "stopped", "pruned", "diverged", "failed")

    def key(row: Row) -> tuple[int, float, int]:
        error = row.value if row.value is not None else row.figures["val_mae"]
        return order.index(row.state), math.inf if error is None else error, row.number

    return sorted(found, key=key)


def write_csv(found: list[Row], space: Space, path: Path) -> None:
    """The table as CSV, whole or not at all."""
    names = space.short_names()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", *names.values(), *FIGURES, "state", "reason"])
    for row in found:
        figures = [_plain(row.figures[k]) for k in FIGURES]
        writer.writerow([row.run, *row.parameters.values(), *figures, row.state, row.reason])
    write_text(path, out.getvalue())


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _unnamed(space: Space) -> dict[str, str]:
    """The parameters that a run's name does not tell, by name, as columns call them."""
    short = space.short_names()
    if space.template is None:
        return {}
    return {
        name: end
        for name, end in short.items()
        if f"{{{name}}}" not in space.template and f"{{{end}}}" not in space.template
    }


def table(found: list[Row], space: Space, title: str) -> Table:
    """The table for the terminal, the best run first."""
    from rich.table import Table

    shown = Table(title=title, title_justify="left", pad_edge=False)
    shown.add_column("run", overflow="fold")
    names = _unnamed(space)
    for name in names.values():
        shown.add_column(name, overflow="fold")
    photo = space.reframed
    heads = ["train loss", "MAE px", "MSE", *(["photo px"] if photo else []), "epochs", "min"]
    for head in heads:
        shown.add_column(head, justify="right", no_wrap=True)
    shown.add_column("state", no_wrap=True)
    forms = {"train_loss": ".3g", "val_mae": ".3f", "val_mse": ".3g", "mae_photo": ".3f",
             "epochs": ".0f", "minutes": ".1f"}  # fmt: skip
    for place, row in enumerate(found):
        figures = [
            "-" if row.figures[k] is None else format(row.figures[k], form)
            for k, form in forms.items()
            if photo or k != "mae_photo"
        ]
        best = place == 0 and row.state == "finished"
        cells = [row.run, *(row.parameters[p] for p in names), *figures, row.state]
        shown.add_row(*cells, style="bold" if best else None)
    return shown


def importances(study: Study) -> tuple[dict[str, float], str]:
    """The share of each parameter in how much the logarithm of the error varies, by fANOVA
    (Hutter et al., ICML 2014), and a note: of how many trials, or why there is none."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    done = [
        t for t in trials(study) if t.state == TrialState.COMPLETE and "same_as" not in t.user_attrs
    ]
    varied = [k for k in (done[0].params if done else {}) if len({t.params[k] for t in done}) > 1]
    if len(done) < FEWEST:
        return {}, f"no importances: {len(done)} trials are finished, they take {FEWEST}"
    if len(varied) < 2:
        return {}, "no importances: fewer than two parameters vary among the finished trials"

    alone = create_study()  # `study` also has the repeats, which would count again
    alone.add_trials(done)

    def target(trial: FrozenTrial) -> float:
        return math.log(max(trial.value or 0.0, 1e-12))

    try:
        found = get_param_importances(
            alone, evaluator=FanovaImportanceEvaluator(seed=0), params=varied, target=target
        )
    except ImportError:
        return {}, "no importances: fANOVA needs scikit-learn; pip install 'heatkp[sweep]'"
    rough = ", rough under 30" if len(done) < 30 else ""
    return found, f"fANOVA on {len(done)} finished trials{rough}"


def draw(study: Study, found: list[Row], space: Space, folder: Path) -> list[str]:
    """`curves.png` and `importance.png` as far as there is something to show; gives notes."""
    from heatkp.viz import sweep as pictures
    from heatkp.viz.curves import read_history

    histories, notes = {}, []
    for row in found:
        try:
            histories[row.run] = read_history(folder / RUNS / row.run / runs.HISTORY)
        except DataError:
            continue
    drawn = [row for row in found if row.run in histories]
    target = folder / "curves.png"
    if drawn:
        labels = {
            row.run: pictures.Label(row.figures["val_mae"], row.state == "finished")
            for row in drawn
        }
        pictures.sweep_curves(histories, labels, target)
    else:
        target.unlink(missing_ok=True)
    missing = sum(row.figures["epochs"] is not None for row in found) - len(drawn)
    if missing > 0:
        notes.append(f"curves.png is without {missing} runs whose folders are on other machines")
    values, note = importances(study)
    notes.append(note)
    target = folder / "importance.png"
    if values:
        names = space.short_names()
        pictures.importance({names[k]: v for k, v in values.items()}, note, target)
    else:
        target.unlink(missing_ok=True)
    return notes
