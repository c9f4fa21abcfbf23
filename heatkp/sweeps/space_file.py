"""The space file: how it is read, and what may stand in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from heatkp.config import read_yaml
from heatkp.errors import SettingsError
from heatkp.limits import Limit, load_yaml, read_text

_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


class _Loader(yaml.SafeLoader):
    """Keys are the text that was written: YAML 1.1 reads `on` and `off` as true and false, but
    here they are names."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)  # `<<` is not a name
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


def read_space_file(path: str | Path) -> dict[str, Any]:
    """The values in a space file, its names as they are written. Raises `SettingsError`."""
    read_yaml(path)  # says what is wrong with a file that cannot be read
    text = read_text(Path(path), Limit.SETTINGS_BYTES)
    return load_yaml(text, _Loader) or {}


def json_values(content: Any) -> Any:
    """The same as a database gives it back, which keeps JSON; texts such as 1e-3 as numbers."""

    def plain(value: Any) -> Any:
        return value.item() if isinstance(value, np.generic) else str(value)

    return _numbers(json.loads(json.dumps(content, default=plain)))


def _numbers(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as a string; people mean a number."""
    if isinstance(value, str) and _EXPONENT.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    return value


def text(value: Any) -> str:
    """A value as it stands in names and tables: `0.001`, `16,32,64`."""
    if isinstance(value, (list, tuple)):
        return ",".join(text(v) for v in value)
    if isinstance(value, Mapping):
        return ",".join(f"{k}={text(v)}" for k, v in value.items())
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _labelled(value: Any) -> Any:
    """Choices by their labels: names that the file gives, or the values as text."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        raise ValueError("expected a list of values, or names with values")
    labels = [text(v) for v in value]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ValueError(
            f"two choices read {twice!r}: leave one out, or name them "
            "(choices: {first: ..., second: ...})"
        )
    return dict(zip(labels, value))


Key = Annotated[str, Field(pattern=r"^[^.]+(\.[^.]+)+$")]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Choices(_Entry):
    """Values of one setting, by label."""

    choices: Annotated[dict[str, Any], BeforeValidator(_labelled), Field(min_length=1)]


class Variants(_Entry):
    """Several settings at once, `section.key` -> value, by label."""

    variants: Annotated[
        dict[str, Annotated[dict[Key, Any], Field(min_length=1)]], Field(min_length=1)
    ]


class Bounds(_Entry):
    """A number from `low` to `high`, both included; a whole multiple of `step` above `low`."""

    low: Number
    high: Number
    log: Annotated[bool, Field(strict=True)] = False
    step: Annotated[Number, Field(gt=0.0)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Bounds:
        if self.low >= self.high:
            raise ValueError(f"low {text(self.low)} must be below high {text(self.high)}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log: true needs a low over 0 and no step")
        return self


FORMS = "choices: [...], variants: {...}, or low: and high: with log: true or step:"


def _form(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    return next((form for form in ("choices", "variants") if form in value), "bounds")


Entry = Annotated[
    Annotated[Choices, Tag("choices")]
    | Annotated[Variants, Tag("variants")]
    | Annotated[Bounds, Tag("bounds")],
    Discriminator(
        _form, custom_error_type="form", custom_error_message=f"expected {FORMS} below it"
    ),
]


class SpaceFile(BaseModel):
    """A whole space file: how runs are called, and what varies."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = None
    entries: Annotated[dict[str, Entry], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _split(cls, content: Any) -> dict[str, Any]:
        if not isinstance(content, dict):
            raise ValueError("expected parameters, such as optimiser.lr, each with what it varies")
        rest = {key: value for key, value in content.items() if key != "name"}
        return {"name": content.get("name"), "entries": rest}


def parse_space_file(content: Any, source: str) -> SpaceFile:
    """The values of a space file, checked by themselves. Raises `SettingsError`."""
    try:
        return SpaceFile.model_validate(content)
    except ValidationError as error:
        lines = dict.fromkeys(_line(item) for item in error.errors())
        raise SettingsError(f"{source}:\n  " + "\n  ".join(lines)) from None


_TEXTS = {
    "dict_type": "expected names, each with settings below it, as in optimiser.lr: 0.001",
    "extra_forbidden": f"unknown key here; expected {FORMS}",
    "missing": f"missing; expected {FORMS}",
    "string_pattern_mismatch": "expected section.key, as in optimiser.lr",
    "too_short": "expected at least one",
}


def _line(item: Any) -> str:
    """One of pydantic's errors: the place as the file has it, what is allowed there."""
    place = [str(part) for part in item["loc"] if part != "[key]"]
    if place == ["entries"]:
        return "nothing varies; write for example optimiser.lr: {choices: [1e-3, 1e-4]}"
    if place[:1] == ["entries"]:
        place = [place[1], *place[3:]]  # between them the name of the form, which nobody wrote
    said = _TEXTS.get(item["type"])
    if said is None:
        said = item["msg"].removeprefix("Value error, ")
        if item["type"] not in ("value_error", "form"):
            said += f" (got {item['input']!r})"
    return f"{', '.join(place) or 'space'}: {said}"
