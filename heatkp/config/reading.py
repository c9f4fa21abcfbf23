"""Settings from YAML files, dictionaries and `section.key=value` assignments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from heatkp.config.data import MEMORY
from heatkp.config.model import Head
from heatkp.config.section import Section
from heatkp.config.settings import Settings
from heatkp.errors import SettingsError, UnknownNameError
from heatkp.limits import Limit, load_yaml, read_text
from heatkp.registry import HEADS, READERS
from heatkp.text import existing, storable

S = TypeVar("S", bound=Section)


def _section(parent: type[BaseModel], key: str) -> type[BaseModel] | None:
    annotation: Any = parent.model_fields[key].annotation
    # In Python 3.10 `list[int]` is a type, too.
    plain = get_origin(annotation) is None and isinstance(annotation, type)
    is_section = plain and issubclass(annotation, BaseModel)
    return annotation if is_section else None


def _place(location: Iterable[str | int]) -> tuple[str, list[str]]:
    """`model.stride` from pydantic's location, and what the innermost section allows.

    Pydantic also names the members of a union that it tried; nobody wrote those.
    """
    parts: list[str] = []
    section: type[BaseModel] | None = Settings
    allowed = list(Settings.model_fields)
    for part in location:
        if section is not None:
            parts.append(str(part))
            allowed = list(section.model_fields)
            section = _section(section, str(part)) if part in section.model_fields else None
        elif isinstance(part, int):
            parts.append(str(part))
    return ".".join(parts), allowed


def _explain(
    error: ValidationError,
    source: str,
    place_of: Callable[[Iterable[str | int]], tuple[str, list[str]]] = _place,
) -> str:
    lines = []
    for item in error.errors():
        place, allowed = place_of(item["loc"])
        if item["type"] == "extra_forbidden":
            text = f"unknown key; allowed here: {', '.join(allowed)}"
        else:
            text = item["msg"].removeprefix("Value error, ")
            if item["type"] != "value_error" and "input" in item:
                text += f" (got {item['input']!r})"
            if item["type"] == "string_type" and isinstance(item["input"], int | float | date):
                text += f"; quotes make it text, as in --set \"{place}='...'\""
        lines.append(f"{place or 'settings'}: {text}")
    return f"{source}:\n  " + "\n  ".join(dict.fromkeys(lines))


NO_READER = ("auto", "synthetic", MEMORY)
"""What `data.format` may say beside the formats' names."""


def parse_settings(
    values: Mapping[str, Any], source: str = "settings", stored: bool = False
) -> Settings:
    """Settings from nested dictionaries; `source` names them in errors (`SettingsError`).

    `stored`: they are a trained model's, which works also where the package is not installed
    that reads the format of the data that it was trained on.
    Paths that are not UTF-8 are kept as `heatkp.text.name_to_text` writes them.
    """
    values = storable(values)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error, source)) from None
    except TypeError as error:  # keys that are no strings
        raise SettingsError(f"{source}: {error}") from None
    format = settings.data.format
    if not stored and format not in NO_READER and format not in READERS:
        unknown = READERS.unknown(format, NO_READER)
        raise SettingsError(f"{source}:\n  data.format: {unknown}")
    if settings.head.own:  # only then is the head itself imported, and torch with it
        try:
            kind = HEADS[settings.head.name].Options
        except UnknownNameError as error:
            raise SettingsError(f"{source}:\n  head.name: {error}") from None
        parse_options(settings.head, kind, source)
    return settings


def parse_options(head: Head, options: type[S], source: str = "settings") -> S:
    """The settings of a head's own. Raises `SettingsError` for what they do not allow."""

    def place(location: Iterable[str | int]) -> tuple[str, list[str]]:
        parts = [str(part) for part in location][:1]
        return ".".join(["head", *parts]), [*Head.model_fields, *options.model_fields]

    try:
        return options(**head.own)
    except ValidationError as error:
        raise SettingsError(_explain(error, source, place)) from None


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The dictionary in a YAML file, with `${VARIABLE}` in `data.path` and the like kept as is.

    Raises `SettingsError` for a file that is missing, is no YAML or is no dictionary.
    """
    try:
        text = read_text(Path(path), Limit.SETTINGS_BYTES)
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read the settings file {path}: {error}") from None
    try:
        values = load_yaml(text)
    except (yaml.YAMLError, ValueError) as error:  # the latter for dates that there are not
        raise SettingsError(f"{path} is not valid YAML: {error}") from None
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold sections such as 'data:' and 'model:'")
    return values


def assign(values: dict[str, Any], assignment: str) -> None:
    """Carry out `section.key=value` (value in YAML) in nested dictionaries, in place."""
    key, found, text = assignment.partition("=")
    parts = key.strip().split(".")
    if not found or not all(parts):
        raise SettingsError(f"--set {assignment!r}: write section.key=value, as in model.stride=2")
    try:
        value = _value(storable(text))
    except (yaml.YAMLError, ValueError):  # the latter for dates that there are not
        raise SettingsError(f"--set {assignment!r}: the value is not valid YAML") from None
    put(values, key.strip(), value)


def put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set `section.key` in nested dictionaries, in place."""
    *sections, last = key.split(".")
    place = values
    for part in sections:
        if place.get(part) is None:
            place[part] = {}
        place = place[part]
        if not isinstance(place, dict):
            raise SettingsError(f"{key}: {part} holds a value, it is not a section")
    place[last] = value


def _value(text: str) -> Any:
    """What YAML reads, and numbers such as 1e-3, which YAML 1.1 reads as text, unless quoted."""
    value = load_yaml(text)
    node = yaml.compose(text, yaml.SafeLoader)
    quoted = isinstance(node, yaml.ScalarNode) and node.style is not None
    if quoted or not isinstance(value, str) or not any(c.isdigit() for c in value):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def expand_path(path: str, place: str) -> Path:
    """A path of the settings with `~` and `${VARIABLE}` replaced, as this system spells it.

    Raises `SettingsError` where a variable is not set, a home folder is not known, or nothing is
    left.
    """
    expanded = os.path.expanduser(os.path.expandvars(path))
    if not expanded:
        raise SettingsError(f"{place}: {path!r} is empty: name a file or folder")
    expanded = existing(expanded)
    if expanded.startswith("~") and not os.path.exists(expanded):
        raise SettingsError(
            f"{place}: {path!r} names a home folder that is not known; give the path itself"
        )
    if "$" in expanded and not os.path.exists(expanded):
        raise SettingsError(
            f"{place}: {path!r} names an environment variable that is not set; "
            "set it or give the path itself"
        )
    return Path(expanded)


def load_settings(path: str | Path | None = None, overrides: Iterable[str] = ()) -> Settings:
    """Settings of a YAML file (or the defaults), with `section.key=value` overrides applied."""
    values = read_yaml(path) if path is not None else {}
    for assignment in overrides:
        assign(values, assignment)
    return parse_settings(values, str(path) if path is not None else "settings")
