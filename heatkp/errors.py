"""The errors that a user can mend; the command line shows them without a traceback."""

from __future__ import annotations

from typing import Any


class HeatkpError(Exception):
    """Something in the input is wrong; the message says what, what is allowed, what to do."""

    def __reduce__(self) -> tuple[Any, ...]:
        # An error's own arguments need not be those of its class: it may come from a process.
        return _again, (type(self), self.args, self.__dict__)


def _again(
    kind: type[HeatkpError], arguments: tuple[Any, ...], values: dict[str, Any]
) -> HeatkpError:
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(values)
    return error


class SettingsError(HeatkpError):
    """A settings file or a flag holds something that cannot be."""


class DataError(HeatkpError):
    """An image or annotation file is missing, broken or contradicts another."""


class CheckpointError(HeatkpError):
    """A run folder or weights file is missing, broken or belongs to another model."""


class MissingPackageError(SettingsError):
    """Something was asked for that needs a package which is not installed."""


class ExportError(HeatkpError):
    """A network that cannot be exported as asked, or whose export deviates too far from it."""


class StorageError(HeatkpError):
    """A file cannot be written: the disk is full, a quota is used up, a permission was lost.

    Attributes:
        problem: which, and why.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}; {advice}")
        self.problem = problem


class DivergedError(HeatkpError):
    """A training whose loss or error is no longer a number."""


class ExtensionError(HeatkpError):
    """An extension that cannot be used: broken, or of a name that another has."""


class UnknownNameError(SettingsError, KeyError):
    """A name that no extension has."""

    __str__ = Exception.__str__  # KeyError's shows the message in quotes
