"""What int8 shares over formats. NNCF does the work."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
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


def scope(nncf: Any, kept: Sequence[str], images: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Arguments of NNCF's functions: nodes that stay in float, and that all images count.

    Args:
        kept: names of nodes.
        images: uint8 (N, C, H, W).
    """
    return {
        "ignored_scope": nncf.IgnoredScope(names=list(kept), validate=False),
        "subset_size": len(images),
    }


def dependent(
    nodes: Iterable[tuple[str, Sequence[str], Sequence[str]]], convolutions: Sequence[str]
) -> list[str]:
    """Names of nodes that stay in float: the first convolution, which sees few channels and costs
    little, the last one and all that depends on it, the decoder.

    Args:
        nodes: name, inputs and outputs of each, in an order in which they can be computed.
        convolutions: names of those that are convolutions, in that order.
    """
    kept = list(convolutions[:1])
    reached: set[str] = set()
    for name, inputs, outputs in nodes:
        if name in convolutions[-1:] or reached & set(inputs):
            reached.update(outputs)
            kept.append(name)
    return list(dict.fromkeys(kept))
