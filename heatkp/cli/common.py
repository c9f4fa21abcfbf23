"""What commands share: settings from flags, a run by default, places to write, progress, boxes,
images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heatkp.files import check_file, reason

if TYPE_CHECKING:
    from rich.console import Console

    from heatkp.config import Settings
    from heatkp.data.dataset import KeypointDataset
    from heatkp.evaluation.metrics import Errors
    from heatkp.runs import Loaded


def _typed(assignments: Sequence[str], key: str, default: object) -> object:
    """What `--set` says of a setting, or the default."""
    from heatkp.config import assign

    found: dict[str, Any] = {}
    for assignment in assignments:
        assign(found, assignment)
    section, last = key.split(".")
    inner = found.get(section)
    return inner.get(last, default) if isinstance(inner, dict) else default


def chosen_settings(
    values: dict[str, Any], flags: Mapping[str, object], assignments: Sequence[str], source: str
) -> Settings:
    """Settings from nested dictionaries, changed by flags (names in `SHORT`) and by `--set`.

    Raises `SettingsError` for what cannot be, and where a flag and `--set` contradict each other.
    """
    from heatkp.config import SHORT, assign, parse_settings, put
    from heatkp.errors import SettingsError

    if "data" in flags:  # whatever it holds, also beside a file that names a format
        put(values, "data.format", "auto")
    for assignment in assignments:
        assign(values, assignment)
    for flag, value in flags.items():
        key, name = SHORT[flag], flag.replace("_", "-")
        other = _typed(assignments, key, value)
        if other != value:
            raise SettingsError(
                f"--{name} {value} and --set {key}={other} contradict each other: leave one out"
            )
        put(values, key, value)
    return parse_settings(values, source)


def or_newest(
    context: click.Context, parameter: click.Parameter, value: str | tuple[str, ...] | None
) -> str | tuple[str, ...]:
    """A RUN argument; where none is given the newest finished run in `runs/`, and says so."""
    if value:
        return value
    finished = sorted(Path("runs").glob("*/metrics.json"), key=lambda path: path.stat().st_mtime)
    if not finished:
        raise click.UsageError(
            "name a RUN: there is no finished one in the folder runs/ here to take instead"
        )
    run = str(finished[-1].parent)
    click.echo(f"RUN is {run}, the newest here")
    return (run,) if parameter.nargs == -1 else run


def png(out: str) -> Path:
    """The file to write. Raises `SettingsError` where it is no PNG or cannot be."""
    from heatkp.errors import SettingsError

    path = Path(out)
    if path.suffix.lower() != ".png":
        raise SettingsError(f"--out {path}: the image is a PNG file; end its name in .png")
    check_file(path)
    return path


def parse_box(text: str) -> list[float]:
    """The edges that a --box gives. Raises `SettingsError`."""
    import math

    from heatkp.errors import SettingsError

    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        x0 = y0 = x1 = y1 = math.nan
    if not (x0 < x1 and y0 < y1 and all(map(math.isfinite, (x0, y0, x1, y1)))):
        sizes = ""
        if x1 > 0 and y1 > 0:
            edges = ",".join(f"{edge:g}" for edge in (x0, y0, x0 + x1, y0 + y1))
            sizes = f"; if these are x, y, width, height, write {edges}"
        raise SettingsError(
            f"--box {text!r}: give four numbers x0,y0,x1,y1 in pixels of the image with "
            f"x0 < x1 and y0 < y1, such as 210,80,420,330{sizes}"
        )
    return [x0, y0, x1, y1]


def photos(
    loaded: Loaded, images: Sequence[str], boxes: Sequence[Sequence[float]] | None
) -> KeypointDataset:
    """Images without labels, framed as the run's own. Raises `DataError`, `SettingsError`."""
    import numpy as np

    from heatkp.data.dataset import KeypointDataset
    from heatkp.data.images import ImageFile, ImageOptions
    from heatkp.data.samples import Sample
    from heatkp.data.transforms import Framing
    from heatkp.errors import SettingsError

    framing = Framing.of(loaded.settings.data)
    if boxes and not framing.takes_boxes:
        raise SettingsError(
            "--box: this run was trained on whole images and takes no boxes; crop the "
            "images instead"
        )
    count = len(loaded.skeleton)
    options = ImageOptions.of(loaded.settings.data).upright
    samples = [
        Sample(
            id=f"{i}:{image}",
            image=ImageFile(Path(image), options),
            points=np.full((count, 2), np.nan, np.float32),
            visibility=np.zeros(count, np.uint8),
            box=None if boxes is None else np.array(boxes[i], np.float32),
        )
        for i, image in enumerate(images)
    ]
    return KeypointDataset(samples, loaded.skeleton, framing, grey=loaded.settings.data.grey)


@contextmanager
def progress_bar(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that goes away when it is done; gives what is told how many are done, and of how many.
    It is seen from then on."""
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(what, total=None, visible=False)
        yield lambda done, total: progress.update(task, completed=done, total=total, visible=True)


def validation(
    console: Console,
    run: str,
    loaded: Loaded,
    batch_size: int,
    split: str = "val",
    advice: str | None = None,
) -> tuple[KeypointDataset, Errors]:
    """`heatkp.evaluation.measure.measure_own` under a progress bar."""
    from heatkp.evaluation.measure import measure_own

    with progress_bar(console, "evaluating") as progress:
        return measure_own(run, loaded, batch_size, split, advice, progress)


def target_path(run: str, out: str | None, name: str) -> Path:
    """Where to write: `out`, or a file of that name in the run's folder."""
    from heatkp.runs import run_folder

    return Path(out) if out else run_folder(run) / name


def write(target: Path, text: str) -> None:
    """Write a file whole or not at all. Raises `SettingsError` where it cannot be."""
    from heatkp.errors import SettingsError
    from heatkp.files import write_text

    try:
        write_text(target, text)
    except OSError as error:
        raise SettingsError(f"cannot write {target}: {reason(error)}") from None
