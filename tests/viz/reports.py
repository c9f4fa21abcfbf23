"""Runs as reports take them, small and quick."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch

from heatkp import runs
from heatkp.config import Head
from heatkp.data.dataset import KeypointDataset
from heatkp.data.loading import load_data
from heatkp.data.transforms import Framing
from heatkp.evaluation.evaluate import predict_dataset
from heatkp.models import build_model
from heatkp.viz.curves import read_history
from heatkp.viz.report.data import ReportRun

NASTY = """</script><img src=x onerror=alert(1)>&"'{{ 7 * 7 }}\u2028"""
"""What a file's or a run's name may be at its worst."""


def report_run(folder, name, head=None, count=6, **changed):
    """A run of a folder, or one of another head that has not trained, on its first samples.

    `head` is a name or settings. `changed` are settings of the data of a run that has not trained.
    """
    loaded = runs.load_run(folder)
    if head is not None:
        settings = copy.deepcopy(loaded.settings)
        settings.head = head if isinstance(head, Head) else Head(name=head)
        settings.data = settings.data.model_copy(update=changed)
        torch.manual_seed(0)
        model = build_model(settings, len(loaded.skeleton)).eval()
        loaded = runs.Loaded(model, settings, loaded.skeleton)
    data = loaded.settings.data
    samples = load_data(data).val[:count]
    dataset = KeypointDataset(samples, loaded.skeleton, Framing.of(data), grey=data.grey)
    errors = predict_dataset(loaded.model, dataset)
    history = read_history(folder / runs.HISTORY)
    return ReportRun(name, loaded, dataset, errors, history, {"heatkp": "1", "command": ["a", "b"]})


def renamed(run, **ids):
    """The run with other ids of some samples, given as `i0=...`."""
    samples = [replace(s, id=ids.get(f"i{i}", s.id)) for i, s in enumerate(run.dataset.samples)]
    old = run.dataset
    dataset = KeypointDataset(samples, old.skeleton, old.framing, grey=old.grey)
    return replace(run, dataset=dataset)


def unlabelled(run, index, points):
    """The run with some points of a sample not labelled."""
    labelled, truth = run.errors.labelled.copy(), run.errors.image_truth.copy()
    labelled[index, points] = False
    truth[index, points] = np.nan
    errors = replace(run.errors, labelled=labelled, image_truth=truth)
    samples = list(run.dataset.samples)
    visibility = np.where(labelled[index], samples[index].visibility, 0).astype(np.uint8)
    samples[index] = replace(samples[index], visibility=visibility)
    old = run.dataset
    dataset = KeypointDataset(samples, old.skeleton, old.framing, grey=old.grey)
    return replace(run, dataset=dataset, errors=errors)
