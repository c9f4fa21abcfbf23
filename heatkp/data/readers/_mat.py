"""MATLAB's .mat files, through scipy: what they hold, and values of its structures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from heatkp.errors import DataError
from heatkp.limits import Limit


def variables(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a file's variables; none of what is no such file."""
    from scipy.io import whosmat

    try:
        return {str(name): tuple(shape) for name, shape, _ in whosmat(str(path))}
    except Exception:  # whatever scipy makes of other files
        return {}


_TRIED = """
import sys
from scipy.io import loadmat
try:
    import resource
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    most = used + int(sys.argv[3])
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))
except (ImportError, OSError, ValueError):  # not on this system
    pass
try:
    loadmat(sys.argv[1], variable_names=[sys.argv[2]])
except MemoryError:
    sys.exit(77)
"""
_NO_MEMORY = 77


def _require_whole(path: Path, name: str) -> None:
    """Raises `DataError` where reading a file ends the process, as scipy's compiled reader does
    (segmentation fault) on some damaged files, or takes more memory than `Limit.LABEL_BYTES`:
    another process tries it first."""
    most = Limit.LABEL_BYTES.most
    tried = [sys.executable, "-c", _TRIED, str(path), name, str(most)]
    code = subprocess.run(tried, capture_output=True).returncode
    if code == _NO_MEMORY:
        raise DataError(
            f"{path} cannot be read as a .mat file: its content takes more than {most} bytes of "
            f"memory ({Limit.LABEL_BYTES.variable} changes that)"
        )
    if code < 0:
        raise DataError(f"{path} cannot be read as a .mat file: it is damaged")


def load_mat(path: Path, name: str) -> Any:
    """A variable, of which structures are objects and arrays have no sides of length 1.

    Raises `DataError` for a file that cannot be read, or has no such variable.
    """
    from scipy.io import loadmat

    _require_whole(path, name)
    try:
        found = loadmat(str(path), struct_as_record=False, squeeze_me=True, variable_names=[name])
    except NotImplementedError:
        raise DataError(
            f"{path} is of MATLAB 7.3, which is HDF5: save it there with -v7, and read that"
        ) from None
    except Exception as error:  # scipy has many for damaged files
        raise DataError(f"{path} cannot be read as a .mat file: {error}") from None
    if name not in found:
        raise DataError(f"{path} has no variable {name!r}")
    return found[name]


def each(value: Any) -> Iterator[Any]:
    """The elements of what MATLAB holds as one, several or none."""
    if value is None:
        return
    if isinstance(value, np.ndarray):
        yield from value.ravel()
    else:
        yield value


def scalar(owner: Any, name: str) -> float | None:
    """A number of a structure; None where it is not there, or none."""
    value = getattr(owner, name, None)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
