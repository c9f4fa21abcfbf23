"""Tables of numbers that pandas wrote to HDF5, read without pandas.

pandas writes a `DataFrame` in one of two forms (pandas/io/pytables.py): "fixed", whose columns,
rows and blocks of values are arrays of their own, and "table", a compound array with the names of
its columns pickled into an attribute. That attribute is unpickled here without any class, so that
a file can do no harm.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.frames import open_hdf5, read_array
from heatkp.errors import DataError

if TYPE_CHECKING:
    import h5py

Names = list[tuple[str, ...]]


class Frame(NamedTuple):
    """Names of columns and of rows, by levels, and values (rows, columns)."""

    columns: Names
    rows: Names
    values: npt.NDArray[np.float64]


class _Plain(pickle.Unpickler):
    """Lists, tuples, texts and numbers only."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is not expected")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").rstrip("\0")
    return str(value)


def _attribute(node: h5py.Group | h5py.Dataset, name: str) -> str:
    return _text(node.attrs.get(name, ""))


def read_frame(path: Path) -> Frame:
    """The table in a file, or the only one with columns of several levels.

    Raises `DataError` where there is none, where h5py is missing, and for a damaged file.
    """
    with open_hdf5(path) as file:
        kinds = {name: _attribute(node, "pandas_type") for name, node in file.items()}
        found = [name for name, kind in kinds.items() if kind in ("frame", "frame_table")]
        if not found:
            holds = ", ".join(list(file)[:5]) or "nothing"
            raise DataError(
                f"{path} holds no table of labels that pandas wrote (it holds {holds}); expected "
                "DeepLabCut's CollectedData file, with df_with_missing"
            )
        chosen = "df_with_missing" if "df_with_missing" in found else found[0]
        node = file[chosen]
        frame = _fixed(node) if kinds[chosen] == "frame" else _table(node)
    if frame.values.shape != (len(frame.rows), len(frame.columns)):
        raise DataError(f"{path} is damaged: its table has other sizes than its names")
    return frame


def _axis(node: h5py.Group, name: str) -> Names:
    """Names along an axis of the fixed form."""
    if _attribute(node, f"{name}_variety") != "multi":
        return [(_text(value),) for value in _level(node[name])]
    levels = []
    for i in range(int(node.attrs[f"{name}_nlevels"])):
        values, codes = _level(node[f"{name}_level{i}"]), read_array(node[f"{name}_label{i}"])
        levels.append(["" if code < 0 else _text(values[code]) for code in codes.tolist()])
    return list(zip(*levels))


def _level(data: h5py.Dataset) -> list[Any]:
    """Values of an axis' level; those of type object are a pickled array."""
    if _attribute(data, "CLASS") == "VLARRAY":
        raise ValueError("names that are pickled objects; save it with a newer pandas")
    return list(read_array(data).tolist())


def _fixed(node: h5py.Group) -> Frame:
    columns, rows = _axis(node, "axis0"), _axis(node, "axis1")
    places: dict[tuple[str, ...], int] = {name: i for i, name in enumerate(columns)}
    values = np.full((len(rows), len(columns)), np.nan)
    for i in range(int(node.attrs["nblocks"])):
        items, block = _axis(node, f"block{i}_items"), node[f"block{i}_values"]
        if _attribute(block, "CLASS") == "VLARRAY":
            continue  # texts, such as comments
        numbers = read_array(block)
        numbers = numbers if block.attrs.get("transposed", False) else numbers.T
        values[:, [places[item] for item in items]] = numbers
    return Frame(columns, rows, values)


def _unpickled(value: Any) -> Any:
    content = value if isinstance(value, bytes) else bytes(value)
    return _Plain(io.BytesIO(content), encoding="utf-8").load()


def _names(items: Sequence[Any]) -> Names:
    return [tuple(map(_text, i)) if isinstance(i, tuple) else (_text(i),) for i in items]


def _table(node: h5py.Group) -> Frame:
    columns = _names(_unpickled(node.attrs["non_index_axes"])[0][1])
    places = {name: i for i, name in enumerate(columns)}
    data = node["table"]
    content = read_array(data)
    values = np.full((len(content), len(columns)), np.nan)
    for field in content.dtype.names:
        kind = data.attrs.get(f"{field}_kind")
        if field != "index" and not isinstance(kind, str | None):
            items = _names(_unpickled(kind))
            values[:, [places[item] for item in items]] = content[field].reshape(len(values), -1)
    return Frame(columns, [(_text(row),) for row in content["index"].tolist()], values)
