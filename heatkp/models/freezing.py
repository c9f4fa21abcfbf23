"""Freezing: layers that training leaves as they are."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from heatkp.errors import SettingsError


def _matching(names: Sequence[str], pattern: str) -> list[str]:
    found = [name for name in names if name and fnmatchcase(name, pattern)]
    if found:
        return found
    close = difflib.get_close_matches(pattern, names, 4, 0.4)
    tops = sorted({n.split(".")[0] for n in names if n})
    hint = f"close to it: {', '.join(close)}" if close else f"names begin with {', '.join(tops)}"
    raise SettingsError(f"model.freeze: nothing is called {pattern!r}; {hint}")


def freeze(model: nn.Module, patterns: Sequence[str]) -> list[nn.Module]:
    """Freeze what glob patterns name: layers with all that they hold, or single parameters.

    The parameters need no gradient afterwards. Gives the batch norms that are frozen whole: the
    caller keeps them in evaluation mode, or their statistics would go on changing.

    Raises:
        SettingsError: for a pattern that matches nothing, listing close names, and where nothing
            is left to train.
    """
    modules = dict(model.named_modules())
    parameters = dict(model.named_parameters())
    names = [*modules, *parameters]
    norms: dict[int, nn.Module] = {}
    for pattern in patterns:
        for name in _matching(names, pattern):
            if name in parameters:
                parameters[name].requires_grad_(False)
                continue
            modules[name].requires_grad_(False)
            for part in modules[name].modules():
                if isinstance(part, _BatchNorm):
                    norms[id(part)] = part
    for part in modules.values():
        own = list(part.parameters(recurse=False))
        if isinstance(part, _BatchNorm) and own and not any(p.requires_grad for p in own):
            norms[id(part)] = part
    if parameters and not any(p.requires_grad for p in parameters.values()):
        raise SettingsError("model.freeze: nothing is left to train; freeze fewer layers")
    return list(norms.values())
