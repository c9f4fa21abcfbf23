"""Pages that are made from the code: settings from their models, commands from click."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import click
from pydantic import BaseModel

NOTE = "<!-- Made by docs/reference.py when the site is built. -->\n"


def cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def plain(text: str) -> str:
    """What click prints, for a cell: brackets there are no links."""
    parts = cell(text).split("`")
    parts[::2] = [re.sub(r"([\[\]<])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """The string below each field of a class, its bases' included."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)) or kind is BaseModel:
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        assert isinstance(tree, ast.ClassDef)
        for field, after in zip(tree.body, tree.body[1:]):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found[field.target.id] = inspect.cleandoc(after.value.value)
    return found


def type_words(schema: dict[str, Any]) -> str:
    """A JSON schema's type in a few words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(type_words, schema["anyOf"])))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any value")
    if kind == "array":
        if "prefixItems" in schema:
            return "list of " + ", ".join(map(type_words, schema["prefixItems"]))
        inner = type_words(schema.get("items", {}))
        least, most = schema.get("minItems"), schema.get("maxItems")
        count = f"{least} x " if least is not None and least == most else ""
        return f"list of {count}{inner}"
    words = {"integer": "whole number", "number": "number", "string": "text", "null": "null",
             "boolean": "true or false", "object": "mapping"}.get(kind, kind)  # fmt: skip
    return words + bounds(schema)


def bounds(schema: dict[str, Any]) -> str:
    """The numbers that a schema allows."""
    said = [
        f"{sign} {schema[key]:g}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"),
                          ("exclusiveMaximum", "<"))
        if key in schema
    ]  # fmt: skip
    return f" ({' and '.join(said)})" if said else ""


def shown(value: Any) -> str:
    """A default as a settings file has it."""
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value != "" else ""


def field_table(model: type[BaseModel], prefix: str, defaults: dict[str, Any]) -> Iterator[str]:
    """A row for each field: name, type, default, description."""
    docs, properties = field_docs(model), model.model_json_schema().get("properties", {})
    yield "| setting | type | default | |"
    yield "|---|---|---|---|"
    for name in model.model_fields:
        about = cell(docs.get(name, ""))
        kind = cell(type_words(properties[name]))
        yield f"| `{prefix}{name}` | {kind} | {cell(shown(defaults[name]))} | {about} |"


def settings_page() -> str:
    """reference/settings.md."""
    from heatkp.config import Settings
    from heatkp.registry import HEADS

    settings = Settings()
    lines = [
        NOTE,
        "# Settings",
        "",
        "All settings of a run, from the models that check them. `--set KEY=VALUE` changes one, a "
        "YAML file with a section for each first word holds many (`--config FILE`), and from "
        "Python they are keywords of `heatkp.train`. `settings.yaml` in a run's folder has all of "
        "them as they were. Unknown names are refused.",
        "",
    ]
    for section, field in Settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type) and issubclass(model, BaseModel)
        values = getattr(settings, section).model_dump()
        lines += [f"## {section}", "", inspect.cleandoc(model.__doc__ or ""), ""]
        lines += [*field_table(model, f"{section}.", values), ""]
    lines += [
        "## Settings of one head",
        "",
        "They stand in the section `head`, beside those above.",
    ]
    for name in HEADS:
        options = HEADS[name].Options
        if options.model_fields:
            lines += ["", f"### {name}", ""]
            lines += field_table(options, "head.", options().model_dump())
    return "\n".join(lines) + "\n"


def commands(
    command: click.Command, path: tuple[str, ...] = ("heatkp",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands below one, with their full names, in the order in which they were added."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))
    else:
        yield path, command


def help_text(text: str) -> Iterator[str]:
    """What click prints of a docstring: paragraphs that begin with \\b keep their lines."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        kept, words = paragraph.startswith("\b"), paragraph.removeprefix("\b").strip("\n")
        if kept:
            yield from ("```text", textwrap.dedent(words), "```", "")
        elif words:
            yield from (words, "")


def commands_page() -> str:
    """reference/commands.md."""
    from heatkp.cli import main

    lines = [
        NOTE,
        "# Commands",
        "",
        "What `heatkp COMMAND --help` prints. `heatkp --debug COMMAND` shows where an error comes "
        "from. Exit codes: 0, all is done; 1, something could not be done, which is named; 2, the "
        "command could not begin.",
        "",
    ]
    for path, command in commands(main):
        context = click.Context(command, info_name=" ".join(path))
        usage = " ".join(command.collect_usage_pieces(context))
        lines += [f"## {' '.join(path)}", "", "```text", f"{' '.join(path)} {usage}", "```", ""]
        lines += help_text(command.help or "")
        rows = [r for p in command.get_params(context) if (r := p.get_help_record(context))]
        if rows:
            lines += ["| option | |", "|---|---|"]
            lines += [f"| `{cell(names)}` | {plain(about)} |" for names, about in rows]
            lines.append("")
        if command.epilog:
            lines += help_text(command.epilog)
    return "\n".join(lines) + "\n"
