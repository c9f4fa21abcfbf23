"""A search space: what a sweep varies, checked against the settings that it starts from."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from heatkp.config import Settings, parse_settings, put
from heatkp.config.keywords import places_of
from heatkp.errors import SettingsError
from heatkp.sweeps.space_file import (
    Bounds,
    Choices,
    Entry,
    Variants,
    json_values,
    parse_space_file,
    text,
)

Params = Mapping[str, Any]
"""What a trial uses, as Optuna stores it: the label of an option, or a number, by the
parameter's name."""

SAMPLES = (
    "data.format", "data.path", "data.train", "data.val", "data.test", "data.points",
    "data.skeleton", "data.split", "data.group", "data.validation", "data.folds", "data.fold",
    "data.split_seed", "data.train_count", "data.val_count", "data.drawn_seed",
)  # fmt: skip
"""Settings that change what is validated on, so that errors could not be compared."""
FRAMING = (
    "data.size", "data.crop", "data.box", "data.box_scale", "data.box_shift", "data.keep_aspect",
    "data.box_inside",
)  # fmt: skip
"""Settings that change how long an input pixel is: such trials compare in image pixels."""

_BRACKETS = re.compile(r"[()\[\]{}\s]+")
_UNSAFE = re.compile(r"[^\w.,=+-]+")
_FIELD = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Choice:
    """One of several options, each of which sets one or several settings.

    Attributes:
        name: `section.key`, or a word of the user's where options set several settings.
        options: by label what each sets, `section.key` -> value.
    """

    name: str
    options: dict[str, dict[str, Any]]

    def assignments(self, drawn: Any) -> dict[str, Any]:
        return self.options[drawn]

    def value(self, drawn: Any) -> Any:
        """What to show: the setting's value, or the label where it says more."""
        value = self.options[drawn].get(self.name)
        return value if text(value) == drawn else drawn

    @property
    def keys(self) -> set[str]:
        return {key for option in self.options.values() for key in option}

    def extremes(self) -> list[Any]:
        """Values to check."""
        return list(self.options)

    def grid(self) -> list[Any]:
        return list(self.options)

    def distribution(self) -> BaseDistribution:
        return CategoricalDistribution(tuple(self.options))

    def suggest(self, trial: Trial) -> Any:
        return trial.suggest_categorical(self.name, tuple(self.options))


@dataclass(frozen=True)
class Range:
    """A number between two others; `whole` where the setting takes no fraction."""

    name: str
    bounds: Bounds
    whole: bool

    def assignments(self, drawn: Any) -> dict[str, Any]:
        return {self.name: drawn}

    def value(self, drawn: Any) -> Any:
        return drawn

    @property
    def keys(self) -> set[str]:
        return {self.name}

    def extremes(self) -> list[Any]:
        """Values to check."""
        return [self._number(self.bounds.low), self._number(self.bounds.high)]

    def _number(self, value: float) -> float:
        return round(value) if self.whole else float(f"{value:.12g}")

    def grid(self) -> list[Any]:
        low, high, step = self.bounds.low, self.bounds.high, self.bounds.step
        if step is None:
            raise SettingsError(
                f"{self.name}: a grid needs choices, or low, high and step; with low and high "
                "alone use the sampler tpe or random"
            )
        count = math.floor((high - low) / step + 1e-9) + 1
        return [self._number(low + i * step) for i in range(count)]

    def distribution(self) -> BaseDistribution:
        bounds = self.bounds
        # Optuna warns of a high that is no whole number of steps away, and takes the last step.
        high = bounds.high if bounds.step is None else self.grid()[-1]
        if self.whole:
            step = int(bounds.step or 1)
            return IntDistribution(int(bounds.low), int(high), log=bounds.log, step=step)
        return FloatDistribution(bounds.low, high, log=bounds.log, step=bounds.step)

    def suggest(self, trial: Trial) -> Any:
        found = self.distribution()
        if isinstance(found, IntDistribution):
            return trial.suggest_int(
                self.name, found.low, found.high, step=found.step, log=found.log
            )
        assert isinstance(found, FloatDistribution)
        return trial.suggest_float(self.name, found.low, found.high, step=found.step, log=found.log)


Parameter = Choice | Range


def folder_safe(name: str) -> str:
    """A name that is one folder on any system: without brackets and spaces, other characters
    than letters, digits and `.,=+-_` become `-`, and it is cut at 120 characters."""
    return _UNSAFE.sub("-", _BRACKETS.sub("", name)).strip("-.")[:120].rstrip("-.") or "run"


@dataclass(frozen=True)
class Space:
    """A checked search space.

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

    def settings(self, params: Params) -> Settings:
        """The whole settings of a trial. Raises `SettingsError` for an impossible combination."""
        values = deepcopy(self.base)
        for parameter in self.parameters:
            if parameter.name in params:
                for key, value in parameter.assignments(params[parameter.name]).items():
                    put(values, key, deepcopy(value))
        return parse_settings(values, self.source)

    @property
    def varies_framing(self) -> bool:
        """Whether trials differ in how long an input pixel is."""
        return any(p.keys & set(FRAMING) for p in self.parameters)

    @property
    def objective(self) -> str:
        """The metric of a run that is minimised."""
        return "mae_photo" if self.varies_framing else "mae_input"

    def grid(self) -> Iterator[dict[str, Any]]:
        """All combinations, the last parameter changing fastest."""
        values = [p.grid() for p in self.parameters]
        for combination in itertools.product(*values):
            yield {p.name: v for p, v in zip(self.parameters, combination)}

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's form of the space; options of a choice go by their labels."""
        return {p.name: p.distribution() for p in self.parameters}

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """What a trial uses: the sampler's draw, or what a continued trial was begun with."""
        return {p.name: p.suggest(trial) for p in self.parameters}

    def short_names(self) -> dict[str, str]:
        """Each parameter's name without its section where that is clear."""
        last = [p.name.rpartition(".")[2] for p in self.parameters]
        return {
            p.name: end if last.count(end) == 1 else p.name for p, end in zip(self.parameters, last)
        }

    def values(self, params: Params) -> dict[str, Any]:
        """What a trial uses, to show, by the parameters' short names."""
        short = self.short_names()
        return {short[p.name]: p.value(params[p.name]) for p in self.parameters if p.name in params}

    def run_name(self, params: Params) -> str:
        """The name of a trial's run folder."""
        drawn = {p.name for p in self.parameters if isinstance(p, Range) and p.bounds.step is None}
        values = {
            name: f"{value:.3g}" if name in drawn and isinstance(value, float) else text(value)
            for name, value in params.items()
        }
        short = self.short_names()
        if self.template is None:
            given = (f"{short[p.name]}={values[p.name]}" for p in self.parameters)
            return folder_safe(",".join(given))
        by_field = {**_texts(self.settings(params)), **values}
        by_field |= {short[name]: value for name, value in values.items()}
        return folder_safe(_FIELD.sub(lambda m: by_field[m[1]], self.template))


def _texts(settings: Settings) -> dict[str, str]:
    """All settings as text by `section.key`, and by `key` where that is clear."""
    found = {}
    for name, section in settings.model_dump().items():
        for key, value in section.items():
            found[f"{name}.{key}"] = text(value)
            if places_of(key) == [f"{name}.{key}"]:
                found[key] = text(value)
    return found


def _accepted(base: dict[str, Any], key: str, value: Any) -> bool:
    values = deepcopy(base)
    try:
        put(values, key, value)
        parse_settings(values)
    except SettingsError:
        return False
    return True


def _range(name: str, bounds: Bounds, base: dict[str, Any]) -> Range:
    numbers = (bounds.low, bounds.high, bounds.step or 1.0)
    whole = all(number.is_integer() for number in numbers)
    if whole:  # 0 to 1 may be a fraction: whole only where the setting takes none
        whole = not _accepted(base, name, bounds.low + (bounds.high - bounds.low) * 0.37 + 0.001)
    return Range(name, bounds, whole)


def _parameter(name: str, entry: Entry, base: dict[str, Any], source: str) -> Parameter:
    if isinstance(entry, Variants):
        return Choice(name, {label: dict(keys) for label, keys in entry.variants.items()})
    if "." not in name:
        raise SettingsError(
            f"{source}: {name}: expected section.key, as in optimiser.lr; or variants: for a "
            "choice of several settings at once"
        )
    if isinstance(entry, Choices):
        return Choice(name, {label: {name: value} for label, value in entry.choices.items()})
    return _range(name, entry, base)


def _check_comparable(space: Space) -> None:
    """Raises `SettingsError` where trials would be validated on different images."""
    drawn = space.settings({}).data.drawn
    for parameter in space.parameters:
        for key in sorted(parameter.keys & set(SAMPLES)):
            raise SettingsError(
                f"{space.source}: {parameter.name}: {key} changes what trials are validated on, "
                "so their errors could not be compared; sweep each by itself"
            )
        if drawn and "data.size" in parameter.keys:
            raise SettingsError(
                f"{space.source}: {parameter.name}: faces are drawn as large as data.size, so the "
                "errors of trials could not be compared; draw them once, heatkp data synth "
                "FOLDER, and give them as data.path=FOLDER"
            )


def _check_values(space: Space) -> None:
    """Every value of every parameter beside the base settings. Raises `SettingsError`."""
    for first, second in itertools.combinations(space.parameters, 2):
        both = sorted(first.keys & second.keys)
        if both:
            raise SettingsError(
                f"{space.source}: {first.name} and {second.name} both set {both[0]}: leave it to "
                "one"
            )
    for parameter in space.parameters:
        for value in parameter.extremes():
            try:
                space.settings({parameter.name: value})
            except SettingsError as error:
                reason = str(error).partition("\n  ")[2] or str(error)
                raise SettingsError(
                    f"{space.source}: {parameter.name}, {text(value)}: {reason}"
                ) from None


def _check_template(space: Space) -> None:
    """Raises `SettingsError` where the name of runs has a field that nothing fills."""
    short = space.short_names()
    known = {*_texts(space.settings({})), *short, *short.values()}
    for field in _FIELD.findall(space.template or ""):
        if field not in known:
            raise SettingsError(
                f"{space.source}: name: nothing is called {{{field}}}; parameters here: "
                f"{', '.join(short.values())}; or any section.key"
            )


def parse_space(content: Any, base: dict[str, Any], source: str = "space") -> Space:
    """A space from the values of its file, checked against the settings that it varies.

    Args:
        content: `name:` (optional) and parameters, see `configs/sweeps/`.
        base: settings as nested dictionaries; they must be valid by themselves.

    Raises:
        SettingsError: with the place of what is unknown, wrong or impossible.
    """
    parse_settings(base, "the settings that the sweep starts from")
    content = json_values(content)
    file = parse_space_file(content, source)
    parameters = tuple(_parameter(k, entry, base, source) for k, entry in file.entries.items())
    space = Space(source, file.name, parameters, content, deepcopy(base))
    _check_comparable(space)
    _check_values(space)
    _check_template(space)
    return space
