"""What was found, as tables, one format a file; and as label sets, in any format that labels
are written in.

Tables are UTF-8; they hold names of files as `heatkp.text.name_to_text` writes them. They are
written as images come, so thousands need no more memory than one, and appear under their names
when they are complete.

To add a table, put a file here with a subclass of `BaseWriter` under `register_writer`; other
packages name theirs in the entry points `heatkp.writers`. A format of labels goes to
`heatkp.data.writers`.
"""

from __future__ import annotations

from pathlib import Path

from heatkp.inference.writers._base import About, BaseWriter, Names, TextFile, Writer
from heatkp.inference.writers._entries import image_entry, read_entry
from heatkp.inference.writers._label_sets import LabelSetFiles
from heatkp.registry import PREDICTION_FORMATS, WRITERS, register_writer

__all__ = [
    "WRITERS", "About", "BaseWriter", "LabelSetFiles", "Names", "TextFile", "Writer",
    "create_writer", "image_entry", "prints", "read_entry", "register_writer",
]  # fmt: skip


def create_writer(name: str, folder: Path | None, about: About) -> Writer:
    """The writer of a table, or of a label set, which goes into a folder of that name.

    Raises `UnknownNameError` for a name that is neither, `OSError` where it cannot be written.
    """
    found = PREDICTION_FORMATS[name]
    if name in WRITERS:
        writer: Writer = found(folder, about)
        return writer
    return LabelSetFiles(folder or Path(), about, found)


def prints(name: str) -> bool:
    """Whether a format can go to standard output."""
    return name in WRITERS and bool(WRITERS[name].pipes)
