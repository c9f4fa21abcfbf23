"""What is written down of a run: versions and machine, and what its weights need beside them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import heatkp
from heatkp.config import Settings
from heatkp.data.boxes import BoxStyle
from heatkp.data.samples import Sample, fingerprint
from heatkp.skeletons import Skeleton

_PACKAGES = (
    "torch", "torchvision", "lightning", "segmentation-models-pytorch", "timm",
    "albumentations", "numpy", "opencv-python-headless",
)  # fmt: skip


def _git_commit() -> str | None:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(heatkp.__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def environment() -> dict[str, Any]:
    """Versions, machine and git commit, for the record."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "heatkp": heatkp.__version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": packages,
        "command": sys.argv,
    }


def describe(
    settings: Settings,
    skeleton: Skeleton,
    box_style: BoxStyle | None = None,
    train: Sequence[Sample] | None = None,
    validation: Sequence[Sample] | None = None,
) -> dict[str, Any]:
    """All that weights need beside them to be used again, as plain values."""
    return {
        "heatkp": heatkp.__version__,
        "settings": settings.model_dump(),
        "skeleton": asdict(skeleton),
        "box_style": None if box_style is None else box_style._asdict(),
        "training": None if train is None else fingerprint(train, ordered=True),
        "validation": None if validation is None else fingerprint(validation),
    }
