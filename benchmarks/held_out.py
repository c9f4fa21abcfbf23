"""Predictions for samples that a network was not trained on, trained and kept for benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import heatkp
from heatkp.checking.balanced import predict_balanced
from heatkp.data.grouping import joined, sources_of
from heatkp.data.loading import with_boxes
from heatkp.data.samples import Labels, Sample
from heatkp.evaluation.measure import InferenceOptions
from heatkp.runs import load_run
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]


class HeldOut(NamedTuple):
    """Samples with what networks found in them that had not seen them, (N, K, 2)."""

    samples: list[Sample]
    found: Array


def folds(samples: Sequence[Sample], count: int, seed: int = 0) -> list[int]:
    """A fold's number for each sample; samples of one source image or person are in one."""
    groups = joined(sources_of(samples), [s.person for s in samples])
    order = np.random.default_rng(seed).permutation(max(groups) + 1)
    return [int(order[group]) % count for group in groups]


def held_out(
    run: Path,
    skeleton: Skeleton,
    train: Sequence[Sample],
    val: Sequence[Sample],
    config: Mapping[str, Any],
) -> HeldOut:
    """Train, unless it was done already, and predict the other samples."""
    kept = run / "held_out.npz"
    settings = {section: dict(values) for section, values in config.items()}
    framed = val
    if settings.get("data", {}).get("crop") == "box":
        framed, _ = with_boxes(list(val), settings["data"].get("box", "given"))
    if not kept.is_file():
        if not (run / "metrics.json").is_file():
            heatkp.train(
                list(train), val=list(val), skeleton=skeleton, config=settings, out=run,
                progress=False,
            )  # fmt: skip
        found = predict_balanced(load_run(run), framed, InferenceOptions(device="cpu"))
        np.savez(kept, ids=[s.id for s in val], found=found)
    with np.load(kept) as held:
        assert held["ids"].tolist() == [s.id for s in val]
        return HeldOut(list(val), held["found"])


def in_folds(place: Path, labels: Labels, of: Sequence[int], config: Mapping[str, Any]) -> HeldOut:
    """Predictions of each sample by a network that was trained without its fold."""
    found = np.zeros((len(labels.samples), len(labels.skeleton), 2))
    for fold in sorted(set(of)):
        own = [i for i, other in enumerate(of) if other == fold]
        train = [s for s, other in zip(labels.samples, of) if other != fold]
        val = [labels.samples[i] for i in own]
        print(f"{place.name}: fold {fold}, {len(train)} samples train", flush=True)
        run = place / f"fold-{fold}"
        found[own] = held_out(run, labels.skeleton, train, val, config).found
    return HeldOut(list(labels.samples), found)
