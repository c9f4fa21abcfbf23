"""What a metric is, and how one becomes known."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from heatkp.evaluation.metrics._errors import Array
from heatkp.registry import METRICS

M = TypeVar("M", bound=Callable[..., Any])
Per = Literal["point", "length", "set", "objects"]


class Relative(NamedTuple):
    """Distances from the truth over a length, such as the inter-ocular one.

    Attributes:
        distance: (N, K); NaN where not known.
        usable: (N, K) which of them count: labelled, in images with that length.
        images: (N,) the mean over an image's labelled points; NaN without points or length,
            infinite where a prediction is no number.
    """

    distance: Array
    usable: npt.NDArray[np.bool_]
    images: Array


@dataclass(frozen=True)
class Metric:
    """A figure by which predictions are judged.

    Attributes:
        name: its key in metrics.json.
        label, meaning: what tables call it, and say of it.
        function: for `point`, called with `Errors`, it gives values (N, K), of which the mean
            over labelled points counts, of all and of each point. For `length`, called with
            `Relative` for each length, and for `set`, called with `Errors` and the `Skeleton`,
            it gives a number, or None where it has none; with `parts`, a dictionary of those.
            For `objects` it is called with a list of `ImageObjects`, and gives such a dictionary:
            these figures are of pictures with any number of objects, and stand beside the others.
        per: which of these.
        form: how a number is written, as `format` takes it.
        unit: `px` or nothing.
        higher: whether higher is better.
        ranked: of `objects`: whether it looks at all that was found, by its score, also at what
            is not sure enough to count.
        of_input: whether it counts in units of the network's input, which points alone do not
            tell.
        order: where it stands in tables.
        parts: keys of the numbers that it consists of, with what each is called.
    """

    name: str
    label: str
    meaning: str
    function: Callable[..., Any] = field(repr=False)
    per: Per = "point"
    form: str = ".3f"
    unit: str = ""
    higher: bool = False
    of_input: bool = False
    order: float = 100.0
    ranked: bool = False
    parts: Mapping[str, str] = field(default_factory=dict)


def metric(
    name: str,
    label: str,
    meaning: str,
    *,
    per: Per = "point",
    form: str = ".3f",
    unit: str = "",
    higher: bool = False,
    of_input: bool = False,
    order: float = 100.0,
    ranked: bool = False,
    parts: Mapping[str, str] | None = None,
) -> Callable[[M], M]:
    """Makes a function known as the metric of that name; arguments as in `Metric`.

    Raises `ExtensionError` where the name is taken.
    """

    def register(function: M) -> M:
        made = Metric(
            name, label, meaning, function, per, form, unit, higher, of_input, order, ranked,
            parts or {},
        )  # fmt: skip
        METRICS.register(name, made, f"{function.__module__}.{function.__qualname__}")
        return function

    return register


def all_metrics(per: Per | None = None) -> list[Metric]:
    """The metrics in the order of tables; only those of a kind where it is named.

    Warns of those that cannot be loaded, and leaves them out.
    """
    found, broken = METRICS.load_all()
    for reason in broken:
        warnings.warn(reason, stacklevel=2)
    return sorted((m for m in found.values() if per in (None, m.per)), key=lambda m: m.order)
