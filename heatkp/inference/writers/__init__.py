"""What was found, as tables. One format a file.

Tables are UTF-8; they hold names of files as `heatkp.text.name_to_text` writes them. They are
written as images come, so thousands need no more memory than one, and appear under their names
when they are complete.

To add one, put a file here with a subclass of `BaseWriter` under `register_writer`; other
packages name theirs in the entry points `heatkp.writers`.
"""

from __future__ import annotations

from heatkp.inference.writers._base import About, BaseWriter, Names, TextFile, Writer
from heatkp.registry import WRITERS, register_writer

__all__ = ["WRITERS", "About", "BaseWriter", "Names", "TextFile", "Writer", "register_writer"]
