"""Everything public in the core says what it does."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import heatkp.heatmaps
import heatkp.models

MODULES = [
    found.name
    for package in (heatkp.models, heatkp.heatmaps)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


def documented(cls: type, name: str) -> bool:
    """Whether a method is explained here or, for what it overrides, by a class of heatkp."""
    if name == "forward":
        return bool(cls.__doc__)
    own = [c for c in cls.__mro__ if c.__module__.startswith("heatkp") and name in vars(c)]
    return any(vars(c)[name].__doc__ for c in own)


def lacking(module: object, name: str) -> Iterator[str]:
    for title, item in vars(module).items():
        if title.startswith("_") or getattr(item, "__module__", None) != name:
            continue
        if not (inspect.isclass(item) or inspect.isfunction(item)):
            continue
        if not item.__doc__:
            yield title
        for method, value in vars(item).items() if inspect.isclass(item) else ():
            public = inspect.isfunction(value) or isinstance(value, property | classmethod)
            if public and not method.startswith("_") and not documented(item, method):
                yield f"{title}.{method}"


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_have_docstrings(name):
    module = importlib.import_module(name)
    assert module.__doc__ and not list(lacking(module, name))
