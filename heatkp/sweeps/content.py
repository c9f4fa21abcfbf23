"""What a space file says, as plain values."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from heatkp.config import read_yaml

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


def read_content(path: str | Path) -> dict[str, Any]:
    """The content of a space file, its names as they are written. Raises `SettingsError`."""
    read_yaml(path)  # says what is wrong with a file that cannot be read
    return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader) or {}


def plain(content: Any) -> Any:
    """The same as a database gives it back, which keeps JSON; texts such as 1e-3 as numbers."""
    return _numbers(json.loads(json.dumps(content, default=str)))


def _numbers(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as a string; people mean a number."""
    if isinstance(value, str) and _EXPONENT.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    return value
