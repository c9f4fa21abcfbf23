"""Names of files as text: whatever bytes they are made of, printed and written without loss.

A file's name is bytes. Python shows those that are not UTF-8 as lone surrogates, which no file in
UTF-8 can hold. heatkp writes such a byte as `\\xNN`, on screens, in labels' ids and in tables.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from os import PathLike
from typing import Any

_LOOKS_ESCAPED = re.compile(r"\\\\|\\x[89a-f][0-9a-f]")
_ESCAPE = re.compile(rb"\\(?:(\\)|x([89a-f][0-9a-f]))")
_REORDERING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Marks that change the order in which the rest of a line is shown."""
_PLAIN = {"…": "...", "–": "-", "—": "-", "×": "x", "°": " deg"}
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_HANDLER = "heatkp.escaped"


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a pair of UTF-16, as names on Windows may hold
        return text.encode("utf-8", "surrogatepass")


def printable(text: str) -> str:
    """A text that UTF-8 can hold: bytes that are not UTF-8 become `\\xNN`, all else stays.

    >>> printable("caf\\udce9.jpg")
    'caf\\\\xe9.jpg'
    """
    return _bytes(text).decode("utf-8", "backslashreplace")


def without_markdown(text: str) -> str:
    """A text without Markdown's links and code marks.

    >>> without_markdown("[SLEAP](https://sleap.ai): a `.slp` file")
    'SLEAP: a .slp file'
    """
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text).replace("`", "")


def is_text(text: str) -> bool:
    """Whether UTF-8 can hold a text as it is."""
    return printable(text) == text


def one_line(text: str) -> str:
    """`printable`, with control characters escaped: line breaks, tabs, terminals' codes, and
    marks that change the order in which a line is shown.

    >>> one_line("a\\nb\\x1b[31m")
    'a\\\\nb\\\\x1b[31m'
    """
    return "".join(map(_shown, printable(text)))


def without_codes(text: str) -> str:
    """`one_line`, but line breaks stay: a message of several lines."""
    return "\n".join(map(one_line, text.split("\n")))


def _shown(sign: str) -> str:
    if sign in _SHORT:
        return _SHORT[sign]
    hidden = unicodedata.category(sign) in ("Cc", "Zl", "Zp") or sign in _REORDERING
    return _escaped(sign) if hidden else sign


def _escaped(sign: str) -> str:
    """`\\xNN` for ASCII, so that from 128 it is always a byte; else `\\uNNNN`."""
    code = ord(sign)
    if code < 128:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"


def name_to_text(name: str | PathLike[str]) -> str:
    """A file's name, or path, as tables hold it; other names give other texts.

    Bytes that are not UTF-8 become `\\xNN`. Backslashes are doubled in names with such bytes, and
    in names that would look as if they had them. `text_to_name` is the inverse.

    >>> [name_to_text(n) for n in ("caf\\udce9.jpg", "caf\\\\xe9.jpg", "a\\\\b.jpg", "café.jpg")]
    ['caf\\\\xe9.jpg', 'caf\\\\\\\\xe9.jpg', 'a\\\\b.jpg', 'café.jpg']
    """
    raw = _bytes(os.fspath(name))
    text = raw.decode("utf-8", "backslashreplace")
    if not _LOOKS_ESCAPED.search(text):
        return text
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def text_to_name(text: str) -> str:
    """The name that `name_to_text` wrote, as this system's functions take it."""
    raw = _bytes(text)
    if _LOOKS_ESCAPED.search(text):
        raw = _ESCAPE.sub(lambda m: m[1] or bytes([int(m[2], 16)]), raw)
    try:
        return os.fsdecode(raw)
    except UnicodeDecodeError:  # on Windows, where no name is so
        return text


def spellings(text: str) -> list[str]:
    """The names that a file may have where a table calls it so, the likeliest first.

    As `name_to_text` wrote it; as it stands; with accents composed or apart, as systems differ;
    in the bytes of Western Europe's code page, as older archives have them.
    """
    names = [text_to_name(text), text]  # in this order both files are found where both are there
    names += [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    if not text.isascii():
        with suppress(UnicodeError):
            names.append(os.fsdecode(text.encode("cp1252")))
    return list(dict.fromkeys(names))


def existing(path: str) -> str:
    """The spelling of a path under which there is something, as it stands before others; and
    where there is none."""
    return next(filter(os.path.exists, [path, *spellings(path)]), path)


def json_text(value: Any, **options: Any) -> str:
    """`json.dumps` of what also strict readers take: no text in it holds lone surrogates."""
    return json.dumps(_each(value, printable), **options)


def storable(values: Any) -> Any:
    """Settings of which each text is valid, those that are not as `name_to_text` writes them."""
    return _each(values, lambda text: text if is_text(text) else name_to_text(text))


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """Nested dictionaries and lists with every text changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_each(key, change): _each(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_each(inner, change) for inner in value]
    return value


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """For encodings that lack a letter: `\\uNNNN`, or plain signs where there are such."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = ""
    for sign in error.object[error.start : error.end]:
        code = ord(sign)
        if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
            found += f"\\x{code - 0xDC00:02x}"
        else:
            found += _PLAIN.get(sign) or _escaped(sign)
    return found, error.end


codecs.register_error(_HANDLER, _replaced)


def safe_streams() -> None:
    """Let standard output and error escape what their encodings lack, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # None: a notebook's, or a test's
            reconfigure(errors=_HANDLER)
