"""What a sweep varies: the space file, read and checked against the settings."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from heatkp.config import Settings, parse_settings, put
from heatkp.errors import SettingsError
from heatkp.sweeps.content import plain

Chosen = Mapping[str, Any]
"""What a trial uses: the label of an option, or a number, by the parameter's name."""

SAMPLES = (
    "data.format", "data.path", "data.points", "data.skeleton", "data.split", "data.validation",
    "data.split_seed", "data.train_count", "data.val_count", "data.drawn_seed",
)  # fmt: skip
"""Settings that change what is validated on, so that errors could not be compared."""
FRAMING = (
    "data.size", "data.crop", "data.box", "data.box_scale", "data.box_shift", "data.keep_aspect",
    "data.box_inside",
)  # fmt: skip
"""Settings that change how long an input pixel is: such trials compare in photo pixels."""

_BRACKETS = re.compile(r"[()\[\]{}\s]+")
_UNSAFE = re.compile(r"[^\w.,=+-]+")
_FIELD = re.compile(r"\{([^{}]*)\}")
_RANGE_KEYS = {"low", "high", "log", "step"}


@dataclass(frozen=True)
class Choice:
    """One of several options, each of which sets one or several settings.

    Attributes:
        name: `section.key`, or a word of the user's where options set several settings.
        options: by label what each sets, `section.key` -> value.
    """

    name: str
    options: dict[str, dict[str, Any]]

    def assignments(self, value: Any) -> dict[str, Any]:
        return self.options[value]

    @property
    def keys(self) -> set[str]:
        return {key for option in self.options.values() for key in option}

    def tests(self) -> list[Any]:
        """Values that are checked."""
        return list(self.options)

    def grid(self) -> list[Any]:
        """Values that a grid takes."""
        return list(self.options)


@dataclass(frozen=True)
class Range:
    """A number between two others, both included; `whole` where the setting is an integer."""

    name: str
    low: float
    high: float
    log: bool
    step: float | None
    whole: bool

    def assignments(self, value: Any) -> dict[str, Any]:
        return {self.name: value}

    @property
    def keys(self) -> set[str]:
        return {self.name}

    def tests(self) -> list[Any]:
        return [self.low, self.high]

    def grid(self) -> list[Any]:
        if self.step is None:
            raise SettingsError(
                f"{self.name}: a grid needs choices, or low, high and step; with low and high "
                "alone use --sampler tpe or random"
            )
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        values = [self.low + i * self.step for i in range(count)]
        return [round(v) if self.whole else float(f"{v:.12g}") for v in values]


Parameter = Choice | Range


def text(value: Any) -> str:
    """A value as it stands in names and tables: `0.001`, `16,32,64`."""
    if isinstance(value, (list, tuple)):
        return ",".join(text(v) for v in value)
    if isinstance(value, Mapping):
        return ",".join(f"{k}={text(v)}" for k, v in value.items())
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def folder_safe(name: str) -> str:
    """A name that is one folder on any system: without brackets and spaces, other characters
    than letters, digits and `.,=+-_` become `-`, and it is cut at 120 characters."""
    return _UNSAFE.sub("-", _BRACKETS.sub("", name)).strip("-.")[:120].rstrip("-.") or "run"


@dataclass(frozen=True)
class Space:
    """A checked space file.

    Attributes:
        source: the file's name, for messages.
        template: what runs are called, such as `{lr}_{batch_size}`; None: key=value joined.
        parameters: what varies.
        content: the file as plain values, for the record.
        base: the settings that do not vary, as nested dictionaries.
    """

    source: str
    template: str | None
    parameters: tuple[Parameter, ...]
    content: dict[str, Any]
    base: dict[str, Any]

    def settings(self, chosen: Chosen) -> Settings:
        """The whole settings of a trial. Raises `SettingsError` for an impossible combination."""
        values = deepcopy(self.base)
        for parameter in self.parameters:
            if parameter.name in chosen:
                for key, value in parameter.assignments(chosen[parameter.name]).items():
                    put(values, key, deepcopy(value))
        return parse_settings(values, self.source)

    @property
    def reframed(self) -> bool:
        """Whether trials differ in how long an input pixel is."""
        return any(p.keys & set(FRAMING) for p in self.parameters)

    def grid(self) -> Iterator[dict[str, Any]]:
        """All combinations, the last parameter changing fastest."""
        values = [p.grid() for p in self.parameters]
        for combination in itertools.product(*values):
            yield {p.name: v for p, v in zip(self.parameters, combination)}

    def short_names(self) -> dict[str, str]:
        """Each parameter's name without its section where that is clear."""
        last = [p.name.rpartition(".")[2] for p in self.parameters]
        return {
            p.name: end if last.count(end) == 1 else p.name for p, end in zip(self.parameters, last)
        }

    def run_name(self, chosen: Chosen) -> str:
        """The name of a trial's run folder."""
        drawn = {p.name for p in self.parameters if isinstance(p, Range) and p.step is None}
        values = {
            name: f"{value:.3g}" if name in drawn and isinstance(value, float) else text(value)
            for name, value in chosen.items()
        }
        short = self.short_names()
        if self.template is None:
            given = (f"{short[p.name]}={values[p.name]}" for p in self.parameters)
            return folder_safe(",".join(given))
        by_field = {**_flat(self.settings(chosen)), **values}
        by_field |= {short[name]: value for name, value in values.items()}
        return folder_safe(_FIELD.sub(lambda m: by_field[m[1]], self.template))


def _flat(settings: Settings) -> dict[str, str]:
    """All settings as text by `section.key`, and by `key` where no other section has it."""
    sections = settings.model_dump()
    keys = [key for section in sections.values() for key in section]
    found = {}
    for name, section in sections.items():
        for key, value in section.items():
            found[f"{name}.{key}"] = text(value)
            if keys.count(key) == 1:
                found[key] = text(value)
    return found


def _choice(name: str, given: Any, place: str) -> Choice:
    if not isinstance(given, (list, dict)) or not given:
        raise SettingsError(f"{place}: choices is a list of values, or names with values")
    if "." not in name:
        raise SettingsError(
            f"{place}: there is no setting of that name; write section.key, as in optimiser.lr, "
            "or variants: for a choice of several settings at once"
        )
    items = given.items() if isinstance(given, dict) else [(text(v), v) for v in given]
    options: dict[str, dict[str, Any]] = {}
    for label, value in items:
        if str(label) in options:
            raise SettingsError(
                f"{place}: two choices read {label!r}; leave one out, or name them "
                "(choices: {first: ..., second: ...})"
            )
        options[str(label)] = {name: value}
    return Choice(name, options)


def _variants(name: str, given: Any, place: str) -> Choice:
    if not isinstance(given, dict) or not given:
        raise SettingsError(f"{place}: variants are names, each with its settings below it")
    for label, assigned in given.items():
        if not isinstance(assigned, dict) or not assigned:
            raise SettingsError(
                f"{place}, variant {label}: write settings below it, as in optimiser.lr: 0.001"
            )
        bad = [key for key in assigned if "." not in str(key)]
        if bad:
            raise SettingsError(f"{place}, variant {label}: {bad[0]!r} is no section.key")
    return Choice(name, {str(label): dict(assigned) for label, assigned in given.items()})


def _range(name: str, given: dict[str, Any], place: str, base: dict[str, Any]) -> Range:
    unknown = sorted(set(map(str, given)) - _RANGE_KEYS)
    if unknown or not {"low", "high"} <= set(given):
        raise SettingsError(
            f"{place}: {f'unknown key {unknown[0]!r}; ' if unknown else ''}write "
            "choices: [...], variants: {...}, or low: and high: with log: true or step:"
        )
    low, high, step = given["low"], given["high"], given.get("step")
    log = given.get("log", False)
    for key, value in (("low", low), ("high", high), ("step", 1 if step is None else step)):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise SettingsError(f"{place}: {key} must be a number, not {value!r}")
    if not isinstance(log, bool):
        raise SettingsError(f"{place}: log is true or false, not {log!r}")
    if low >= high:
        raise SettingsError(f"{place}: low {low} must be below high {high}")
    if log and (low <= 0 or step is not None):
        raise SettingsError(f"{place}: log: true needs a low over 0 and no step")
    if step is not None and step <= 0:
        raise SettingsError(f"{place}: step must be over 0")
    whole = all(isinstance(v, int) for v in (low, high, step or 1))
    if whole:  # 0 to 1 may be a share: whole only where the setting takes no fraction
        whole = not _accepted(base, name, low + (high - low) * 0.37 + 0.001)
    return Range(name, low, high, log, step, whole)


def _accepted(base: dict[str, Any], key: str, value: Any) -> bool:
    values = deepcopy(base)
    try:
        put(values, key, value)
        parse_settings(values)
    except SettingsError:
        return False
    return True


def _parameter(name: str, given: Any, source: str, base: dict[str, Any]) -> Parameter:
    place = f"{source}: {name}"
    if not isinstance(given, dict):
        raise SettingsError(
            f"{place}: write choices: [...], variants: {{...}}, or low: and high: below it"
        )
    kinds = [kind for kind in ("choices", "variants") if kind in given]
    if kinds and len(given) > 1:
        raise SettingsError(f"{place}: {kinds[0]} stands alone, without {', '.join(given)}")
    if "choices" in given:
        return _choice(name, given["choices"], place)
    if "variants" in given:
        return _variants(name, given["variants"], place)
    return _range(name, given, place, base)


def _check_comparable(space: Space) -> None:
    """Raises `SettingsError` where trials would be validated on different pictures."""
    drawn = space.settings({}).data.path is None
    for parameter in space.parameters:
        for key in sorted(parameter.keys & set(SAMPLES)):
            raise SettingsError(
                f"{space.source}: {parameter.name}: {key} changes what trials are validated on, "
                "so their errors could not be compared; sweep each by itself"
            )
        if drawn and "data.size" in parameter.keys:
            raise SettingsError(
                f"{space.source}: {parameter.name}: faces are drawn as large as data.size, so "
                "trials would be validated on different pictures and their errors could not be "
                "compared; draw the faces once, heatkp data synth FOLDER, and give them with "
                "--set data.path=FOLDER"
            )


def _check_values(space: Space) -> None:
    """Every value of every parameter beside the base settings. Raises `SettingsError`."""
    for parameter in space.parameters:
        for value in parameter.tests():
            try:
                space.settings({parameter.name: value})
            except SettingsError as error:
                reason = str(error).partition("\n  ")[2] or str(error)
                raise SettingsError(
                    f"{space.source}: {parameter.name}, {text(value)}: {reason}"
                ) from None


def parse_space(content: Any, base: dict[str, Any], source: str = "space") -> Space:
    """A space from the values of its file, checked against the settings that it varies.

    Args:
        content: `name:` (optional) and parameters, see `configs/sweeps/`.
        base: settings as nested dictionaries; they must be valid by themselves.

    Raises:
        SettingsError: with the place of what is unknown, wrong or impossible.
    """
    parse_settings(base, "the settings that the sweep starts from")
    content = plain(content)
    template = content.get("name")
    if template is not None and (not isinstance(template, str) or not template.strip()):
        raise SettingsError(f"{source}: name: write a text such as '{{lr}}_{{batch_size}}'")
    given = {str(key): value for key, value in content.items() if key != "name"}
    if not given:
        raise SettingsError(
            f"{source}: nothing varies; write for example optimiser.lr: {{choices: [1e-3, 1e-4]}}"
        )
    parameters = tuple(_parameter(name, value, source, base) for name, value in given.items())
    for first, second in itertools.combinations(parameters, 2):
        both = sorted(first.keys & second.keys)
        if both:
            raise SettingsError(
                f"{source}: {first.name} and {second.name} both set {both[0]}: leave it to one"
            )
    space = Space(source, template, parameters, content, deepcopy(base))
    _check_comparable(space)
    _check_values(space)
    if template is not None:
        known = {*_flat(space.settings({})), *given, *space.short_names().values()}
        for field in _FIELD.findall(template):
            if field not in known:
                raise SettingsError(
                    f"{source}: name: nothing is called {{{field}}}; parameters here: "
                    f"{', '.join(space.short_names().values())}; or any section.key"
                )
    return space
