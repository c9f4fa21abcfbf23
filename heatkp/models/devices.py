"""Where networks run."""

from __future__ import annotations

import torch

from heatkp.errors import SettingsError

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str | torch.device = "auto", setting: str = "device") -> torch.device:
    """The device of that name; `auto` is cuda where there is one, else mps, else the CPU.

    `cuda:1` is the second GPU of several. Raises `SettingsError`, which names the `setting`, for
    one that is not known or not on this machine.
    """
    if str(name) == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if _count(kind)))
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in DEVICES:
        raise SettingsError(
            f"{setting}: there is no device {str(name)!r}; choose one of {', '.join(DEVICES)}"
        )
    if (device.index or 0) >= _count(device.type):
        raise SettingsError(f"{setting}: {name} is not available on this machine; use auto")
    return device


def _count(kind: str) -> int:
    """Devices of a kind on this machine."""
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return int(kind == "cpu" or torch.backends.mps.is_available())
