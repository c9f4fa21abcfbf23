"""Extensions by name: heatkp's own, those of other packages, and those made in a program.

Each of heatkp's own is one file, called as the extension is, in the folder of its kind; files
whose names begin with an underscore hold what several share. Other packages name theirs in
their entry points (group `heatkp.heads` and so on). Neither is imported before it is used, so
that names can be listed at once and a broken package breaks nothing but itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from heatkp.errors import ExtensionError, UnknownNameError

T = TypeVar("T")
_HERE = Path(__file__).parent
OWN = "heatkp"


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value.partition(":")[0]


def _unknown(kind: str, name: object, names: Sequence[str]) -> UnknownNameError:
    close = difflib.get_close_matches(str(name), names, 1)
    hint = f", did you mean {close[0]}?" if close else ""
    return UnknownNameError(
        f"there is no {kind} {name!r}{hint} Choose one of {', '.join(names)}"
        if hint
        else f"there is no {kind} {name!r}; choose one of {', '.join(names)}"
    )


class Registry(Mapping[str, T], Generic[T]):
    """The extensions of one kind.

    Iterating gives names and imports nothing; asking for one imports that one.

    Args:
        kind: what one is called in messages, such as "head".
        module: the package that holds heatkp's own, one file each.
        group: the entry points in which other packages name theirs.

    >>> from heatkp.registry import HEADS
    >>> "kl" in HEADS, HEADS["kl"].__name__
    (True, 'KLHead')
    """

    def __init__(self, kind: str, module: str, group: str) -> None:
        self.kind, self.module, self.group = kind, module, group
        self._loaded: dict[str, tuple[T, str]] = {}
        self._plugins: dict[str, list[EntryPoint]] | None = None
        folder = _HERE.joinpath(*module.split(".")[1:])
        files = sorted(path.stem for path in folder.glob("*.py"))
        self._own = tuple(name for name in files if not name.startswith("_"))

    def register(self, name: str, value: T, place: str) -> None:
        """Make an extension known; `place` is where it is defined, `module.name`. One that is
        defined again, as in a notebook, takes its own place.

        Raises `ExtensionError` where another has that name.
        """
        if name in self._loaded and self._loaded[name][1] != place:
            raise ExtensionError(
                f"{self.kind} {name!r} is defined in {self._loaded[name][1]} and in {place}; "
                "rename one of them"
            )
        if name in self._own and not place.startswith(f"{self.module}."):
            raise ExtensionError(
                f"heatkp has a {self.kind} {name!r} of its own; rename the one in {place}"
            )
        self._loaded[name] = value, place

    def plugins(self) -> dict[str, list[EntryPoint]]:
        """The entry points of other packages, by name; several where packages clash."""
        if self._plugins is None:
            found: dict[str, list[EntryPoint]] = {}
            for entry in entry_points(group=self.group):
                same = found.setdefault(entry.name, [])
                if entry.value not in {other.value for other in same}:
                    same.append(entry)
            self._plugins = found
        return self._plugins

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._own, *sorted({*self.plugins(), *self._loaded})]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in set(self)

    def __getitem__(self, name: str) -> T:
        """The extension of that name, imported now if it was not.

        Raises `UnknownNameError` (also a `KeyError`) that lists the names, and
        `ExtensionError` for a package that is broken, or two that use one name.
        """
        clashing = self.plugins().get(name, []) if isinstance(name, str) else []
        owners = [OWN] * (name in self._own) + [_package(entry) for entry in clashing]
        if len(owners) > 1:
            raise ExtensionError(
                f"{self.kind} {name!r} is defined by {' and by '.join(owners)}; "
                f"uninstall or rename one of them"
            )
        if name not in self._loaded:
            if name in self._own:
                import_module(f"{self.module}.{name}")
            elif clashing:
                self._load(clashing[0])
            else:
                raise self.unknown(name)
        return self._loaded[name][0]

    def _load(self, entry: EntryPoint) -> None:
        where = f"{self.kind} {entry.name!r} of the package {_package(entry)}"
        try:
            entry.load()
        except Exception as error:  # whatever another package's code raises
            raise ExtensionError(
                f"the {where} cannot be loaded ({type(error).__name__}: {error}); "
                "update or uninstall that package"
            ) from error
        if entry.name not in self._loaded:
            raise ExtensionError(
                f"the {where} is named in its entry points, but loading {entry.value} registers "
                "nothing under that name"
            )

    def unknown(self, name: object, also: Iterable[str] = ()) -> UnknownNameError:
        """The error for a name that is none, with those that are (`also` first) and the closest."""
        return _unknown(self.kind, name, [*also, *self])

    def load_all(self) -> tuple[dict[str, T], list[str]]:
        """All that can be loaded, by name, and a message for each that cannot."""
        found: dict[str, T] = {}
        broken: list[str] = []
        for name in self:
            try:
                found[name] = self[name]
            except ExtensionError as error:
                broken.append(str(error))
        return found, broken

    def usable(self) -> dict[str, T]:
        """All that can be loaded, by name: packages that are broken are left out."""
        return self.load_all()[0]


class Registries(Mapping[str, Any]):
    """Several registries as one: of two extensions of one name, the first registry's counts."""

    def __init__(self, first: Registry[Any], *others: Registry[Any]) -> None:
        self.kind, self._all = first.kind, (first, *others)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for registry in self._all for name in registry))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return any(name in registry for registry in self._all)

    def __getitem__(self, name: str) -> Any:
        """As a `Registry`'s. Raises `UnknownNameError` and `ExtensionError`."""
        owner = next((registry for registry in self._all if name in registry), None)
        if owner is None:
            raise self.unknown(name)
        return owner[name]

    def unknown(self, name: object, also: Iterable[str] = ()) -> UnknownNameError:
        """The error for a name that is none, with those that are."""
        return _unknown(self.kind, name, [*also, *self])

    def usable(self) -> dict[str, Any]:
        """All that can be loaded, by name."""
        found: dict[str, Any] = {}
        for registry in reversed(self._all):
            found.update(registry.usable())
        return {name: found[name] for name in self if name in found}


HEADS: Registry[Any] = Registry("head", "heatkp.models.heads", "heatkp.heads")
DECODERS: Registry[Any] = Registry("decoder", "heatkp.heatmaps.decoders", "heatkp.decoders")
RUNTIMES: Registry[Any] = Registry("runtime", "heatkp.engine.runtimes", "heatkp.runtimes")
EXPORTERS: Registry[Any] = Registry("export format", "heatkp.export.formats", "heatkp.exporters")
DETECTORS: Registry[Any] = Registry("detector", "heatkp.inference.detectors", "heatkp.detectors")
WRITERS: Registry[Any] = Registry("table format", "heatkp.inference.writers", "heatkp.writers")
FIGURES: Registry[Any] = Registry("figure", "heatkp.viz.run_figures", "heatkp.figures")
LOGGERS: Registry[Any] = Registry("logger", "heatkp.training.loggers", "heatkp.loggers")
METRICS: Registry[Any] = Registry("metric", "heatkp.evaluation.metrics", "heatkp.metrics")
READERS: Registry[Any] = Registry("format", "heatkp.data.readers", "heatkp.readers")
LABEL_WRITERS: Registry[Any] = Registry(
    "format of labels", "heatkp.data.writers", "heatkp.label_writers"
)
PREDICTION_FORMATS = Registries(WRITERS, LABEL_WRITERS)
"""What `heatkp predict --format` names: tables, and every format of label sets."""


def named(registry: Registry[Any]) -> Callable[[Any], Any]:
    """A class decorator that registers a class under its attribute `name`."""

    def register(cls: Any) -> Any:
        registry.register(cls.name, cls, f"{cls.__module__}.{cls.__qualname__}")
        return cls

    return register


register_head = named(HEADS)
register_runtime = named(RUNTIMES)
register_exporter = named(EXPORTERS)
register_detector = named(DETECTORS)
register_writer = named(WRITERS)
register_logger = named(LOGGERS)
