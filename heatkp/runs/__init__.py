"""The run folder: settings, environment, metrics, weights, images; and how to read one."""

from heatkp.runs.finder import (
    LoadedFinder,
    describe_finder,
    finder_path,
    grouped_finder,
    is_grouped,
    least_score,
    load_finder,
    with_task,
)
from heatkp.runs.folder import (
    ENVIRONMENT,
    FINDER,
    FINDER_HISTORY,
    FINDER_LAST,
    FINDER_METRICS,
    FOLDS,
    HISTORY,
    LAST,
    METRICS,
    SETTINGS,
    TEACHER,
    WEIGHTS,
    check_run,
    create_run,
    fold_folder,
    fold_runs,
    is_folds,
    run_folder,
)
from heatkp.runs.loaded import Loaded, load_run, loaded_model
from heatkp.runs.record import describe, environment
from heatkp.runs.weights import PACKAGED, fill, read_weights, save_weights, weights_path

__all__ = [
    "ENVIRONMENT", "FINDER", "FINDER_HISTORY", "FINDER_LAST", "FINDER_METRICS", "FOLDS", "HISTORY",
    "LAST", "METRICS", "PACKAGED", "SETTINGS", "TEACHER", "WEIGHTS", "Loaded", "LoadedFinder",
    "check_run", "create_run", "describe", "describe_finder", "environment", "fill", "finder_path",
    "fold_folder", "fold_runs", "grouped_finder", "is_folds", "is_grouped", "least_score",
    "load_finder", "load_run", "loaded_model", "read_weights", "run_folder", "save_weights",
    "weights_path", "with_task",
]  # fmt: skip
