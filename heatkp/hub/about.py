"""What is known of a model beside its weights: its run's metrics and versions, terms that hold."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from heatkp.config import Settings
from heatkp.errors import HeatkpError
from heatkp.runs import ENVIRONMENT, METRICS, PACKAGED, WEIGHTS, Loaded, run_folder, weights_path
from heatkp.runs.hub import is_hub_name

_PATHS = ("path", "train", "val", "test")


@dataclass(frozen=True)
class About:
    """What a card tells of a model, beside what its settings say.

    Attributes:
        license: of the weights, an identifier of the hub or any words; None: not stated.
        metrics: as `metrics.json` of a run holds them; empty where they are not known.
        environment: as `environment.json` of a run.
        card: of a model that comes with heatkp, its own.
        terms: of each model that comes with heatkp and that this one is, or began with: its
            name, and what its card says.
    """

    license: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    card: str | None = None
    terms: dict[str, str] = field(default_factory=dict)


def about_model(
    loaded: Loaded, license: str | None = None, metrics: dict[str, Any] | None = None
) -> About:
    """What is known of a model; `metrics` in place of its run's."""
    run = _run(loaded.source)
    found = _json(run, METRICS) if metrics is None else metrics
    card = None if loaded.source is None else _packaged(loaded.source)
    began = loaded.settings.model.init or loaded.settings.model.transfer
    terms: dict[str, str] = {}
    for name in (loaded.source, began, *loaded.settings.teacher.models):
        text = None if name is None else _packaged(name)
        said = None if text is None else re.search(r"\*\*Terms\.\*\* (.+?)(?:\n\n|\Z)", text, re.S)
        if said is not None:
            terms[PurePath(str(name)).name] = " ".join(said[1].split())
    return About(license, found, _json(run, ENVIRONMENT), card, terms)


def _run(source: str | None) -> Path | None:
    """The folder of the run that a model's best weights are of; None where they are of none."""
    if source is None or is_hub_name(source):
        return None
    try:
        folder, file = run_folder(source), weights_path(source)
    except HeatkpError:  # moved since it was loaded
        return None
    # Metrics are of the best weights, not of a checkpoint.
    return folder if file == folder / WEIGHTS else None


def _json(run: Path | None, name: str) -> dict[str, Any]:
    try:
        found = {} if run is None else json.loads((run / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _packaged(name: str) -> str | None:
    """The card of a model that comes with heatkp; None for another."""
    card = PACKAGED / f"{name}.md"
    if PurePath(name).name != name or Path(name).exists() or not card.is_file():
        return None
    return card.read_text(encoding="utf-8")


def public_settings(settings: Settings) -> Settings:
    """A copy without this computer's folders: of absolute paths the last part is left."""
    public = settings.model_copy(deep=True)
    for key in _PATHS:
        # Past the checks, which a shortened path need not pass.
        public.data.__dict__[key] = _public(getattr(public.data, key))
    public.data.__dict__["cache"] = "auto"
    for key in ("init", "transfer", "encoder_weights"):
        public.model.__dict__[key] = _public(getattr(public.model, key))
    for key in ("models", "unlabelled", "boxes"):
        public.teacher.__dict__[key] = _public(getattr(public.teacher, key))
    return public


def _public(value: Any) -> Any:
    if isinstance(value, list):
        return [_public(part) for part in value]
    if not isinstance(value, str) or is_hub_name(value):
        return value
    for kind in ("/", "\\"):
        if value.startswith((kind, "~")) or re.match(r"[A-Za-z]:[/\\]", value):
            return re.split(r"[/\\]", value.rstrip("/\\"))[-1] or "data"
    return value
