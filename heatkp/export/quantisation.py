"""What int8 shares over formats. NNCF does the work."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp.engine.exported import require_packages


@contextmanager
def nncf_or_refuse() -> Iterator[Any]:
    """The package nncf, whose bars and warnings are not shown. Raises `MissingPackageError`."""
    require_packages({"nncf": "nncf"}, "int8")
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        import nncf

        nncf.set_log_level(logging.ERROR)
        yield nncf


def samples_of(images: npt.NDArray[np.uint8]) -> Sequence[npt.NDArray[np.uint8]]:
    """Batches of one, as NNCF looks at them."""
    return [image[None] for image in images]
