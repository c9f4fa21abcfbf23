"""XML files, read without what in XML can do harm."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from heatkp.errors import DataError
from heatkp.limits import Limit, read_bytes


def xml_root(source: Path, tag: str, tool: str) -> Element:
    """The root of a file of some tool, which is called `tag`.

    Raises `DataError` for other files, damaged ones, and those with a document type or entities.
    """
    try:
        content = read_bytes(source, Limit.LABEL_BYTES)
        root = fromstring(content, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise DataError(
            f"{source} has a document type or entities ({type(error).__name__}), which {tool} "
            "does not write and which can do harm; remove its <!DOCTYPE ...>"
        ) from None
    except (OSError, ParseError, ValueError, LookupError) as error:
        raise DataError(f"{source} is not well-formed XML: {error}") from None
    if root is None or root.tag != tag:
        found = "nothing" if root is None else f"<{root.tag}>"
        raise DataError(f"{source} is not {tool}'s: it holds {found}, expected <{tag}>")
    return root
