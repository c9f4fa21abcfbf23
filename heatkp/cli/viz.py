"""`heatkp viz-heatmaps` and `heatkp viz`: what a run's maps look like, runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from heatkp.data.dataset import KeypointDataset
    from heatkp.evaluation.metrics import Errors
    from heatkp.runs import Loaded
    from heatkp.skeletons import Skeleton
    from heatkp.viz.maps import MapView

MAPS_EXAMPLES = """\b
Examples:
  heatkp viz-heatmaps runs/kl-1
  heatkp viz-heatmaps runs/kl-1 --points 30,36-41 --samples 4
  heatkp viz-heatmaps runs/kl-1 me.jpg --box 210,80,420,330 --out pictures/
"""
CURVES_EXAMPLES = """\b
Examples:
  heatkp viz curves runs/kl-1 runs/softargmax-1 --out curves.png
"""
ERRORS_EXAMPLES = """\b
Examples:
  heatkp viz error-curve runs/kl-1 runs/softargmax-1 --out errors.png
  heatkp viz error-curve runs/kl-1 runs/ce-1 --out errors.png --normaliser inter-ocular
"""


@click.command("viz-heatmaps", epilog=MAPS_EXAMPLES)
@click.argument("run", type=click.Path(), metavar="RUN")
@click.argument("images", type=click.Path(), nargs=-1, metavar="[IMAGES]...")
@click.option("--points", metavar="LIST",
              help="Points that get a row: numbers, ranges, names, such as 30,36-41.  "
              "[default: the 6 worst of each sample]")  # fmt: skip
@click.option("--samples", type=click.IntRange(1),
              help="How many of the best, of the median and of the worst.  [default: 2]"
              )  # fmt: skip
@click.option("--box", "boxes", multiple=True, metavar="X0,Y0,X1,Y1",
              help="Edges of the object in each of IMAGES, in their order.  [default: the whole "
              "picture]")  # fmt: skip
@click.option("--out", type=click.Path(), metavar="FOLDER",
              help="Where pictures are written.  [default: RUN/heatmaps]")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
def viz_heatmaps(
    run: str,
    images: tuple[str, ...],
    points: str | None,
    samples: int | None,
    boxes: tuple[str, ...],
    out: str | None,
    batch_size: int,
) -> None:
    """Draw the maps of a trained model over what it sees.

    Of validation data the samples with the smallest, the median and the largest mean error, or
    IMAGES.
    """
    from rich.console import Console
    from rich.progress import track

    from heatkp.cli.eval import target_path
    from heatkp.errors import SettingsError
    from heatkp.models import DenseModel
    from heatkp.runs import load_run
    from heatkp.viz import maps

    if images and samples is not None:
        raise SettingsError("--samples chooses from validation data: leave it or the pictures out")
    edges = _boxes(boxes, len(images))
    loaded = load_run(run)
    model = loaded.model
    if not isinstance(model, DenseModel):
        raise SettingsError(
            f"{run} is a regression run: it finds points without maps, so there is nothing to "
            "draw; name a run of another head, or look at predictions.png in this one"
        )
    chosen = None if points is None else maps.parse_points(points, loaded.skeleton)
    if chosen is not None and len(chosen) > maps.MOST_ROWS:
        raise SettingsError(
            f"--points: {len(chosen)} points are too many for a page, {maps.MOST_ROWS} fit; "
            "the contact sheet shows all of them anyway"
        )
    folder = target_path(run, out, "heatmaps")
    console = Console()
    errors: Errors | None = None
    with _writing(folder):
        _check_folder(folder)
    if images:
        dataset = _photos(loaded, images, edges)
        wanted = [(f"photo-{i + 1}-{Path(image).stem}", i) for i, image in enumerate(images)]
        titles = [Path(image).name[-70:] for image in images]
    else:
        dataset, errors = _validation(console, run, loaded, batch_size)
        wanted, titles = _of_validation(dataset, errors, samples or 2)
    views = [
        (name, maps.map_view(model, dataset, index, title))
        for (name, index), title in zip(wanted, titles)
    ]
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        jobs = list(_jobs(views, loaded.skeleton, chosen, folder))
        if errors is not None:
            jobs.append(_worst_job(errors, loaded.skeleton, folder))
        for draw in track(jobs, "drawing", console=console, transient=True):
            draw()
    _tell(console, folder, [name for name, _ in views], errors is not None)


def _jobs(
    views: Sequence[tuple[str, MapView]],
    skeleton: Skeleton,
    chosen: Sequence[int] | None,
    folder: Path,
) -> Iterator[Callable[[], None]]:
    """What is left to draw of each view: its page and its sheet."""
    from functools import partial

    from heatkp.viz import maps

    for name, view in views:
        points = maps.hardest_points(view) if chosen is None else chosen
        yield partial(maps.page, view, skeleton, points, folder / f"{name}.png")
        yield partial(maps.sheet, view, skeleton, folder / f"{name}-maps.png")


def _worst_job(errors: Errors, skeleton: Skeleton, folder: Path) -> Callable[[], None]:
    from functools import partial

    from heatkp.viz.worst import worst_points

    return partial(worst_points, errors, skeleton, folder / "worst_points.png")


def _tell(console: Console, folder: Path, names: Sequence[str], worst: bool) -> None:
    """Which files were written, and how to read them."""
    lines = [f"Written to {folder}:"]
    lines += [f"  {name}.png, {name}-maps.png" for name in names]
    if worst:
        lines.append("  worst_points.png")
    lines.append(
        "A good map is one small bright spot around the true point; one that is broad, doubled or "
        "elsewhere shows why a point is wrong."
    )
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Turns what the system says about a place into a message."""
    from heatkp.errors import SettingsError

    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(
            f"cannot write {target} ({reason}): choose another place with --out"
        ) from None


def _check_folder(folder: Path) -> None:
    """Raises `OSError` where a folder cannot be used or made; makes nothing."""
    import errno
    import os

    place = folder
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise OSError(errno.ENOTDIR, f"{place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, f"no permission to write in {place}")


def _boxes(texts: Sequence[str], count: int) -> list[list[float]] | None:
    """Edges of --box, one for each picture. Raises `SettingsError`."""
    import math

    from heatkp.errors import SettingsError

    if not texts:
        return None
    if len(texts) != count:
        raise SettingsError(
            f"--box: {len(texts)} boxes for {count} pictures; give one for each picture, in "
            "their order, or none"
        )
    boxes = []
    for text in texts:
        try:
            x0, y0, x1, y1 = edges = [float(part) for part in text.split(",")]
        except ValueError:
            x0 = y0 = x1 = y1 = math.nan
        if not (x0 < x1 and y0 < y1 and all(math.isfinite(v) for v in edges)):
            raise SettingsError(
                f"--box {text!r}: give four numbers x0,y0,x1,y1 in pixels of the picture with "
                "x0 < x1 and y0 < y1, such as 210,80,420,330"
            )
        boxes.append(edges)
    return boxes


def _photos(
    loaded: Loaded, images: Sequence[str], boxes: Sequence[Sequence[float]] | None
) -> KeypointDataset:
    """Pictures without labels, framed as the run's own. Raises `DataError`, `SettingsError`."""
    from functools import partial

    import numpy as np

    from heatkp.data.dataset import KeypointDataset
    from heatkp.data.samples import Sample, read_image
    from heatkp.data.transforms import Framing
    from heatkp.errors import SettingsError

    framing = Framing.of(loaded.settings.data)
    if boxes and framing.box_scale is None:
        raise SettingsError(
            "--box: this run was trained on whole pictures and takes no boxes; crop the "
            "pictures instead"
        )
    count = len(loaded.skeleton)
    samples = [
        Sample(
            id=f"{i}:{image}",
            image=partial(read_image, image, orient=True),
            points=np.full((count, 2), np.nan, np.float32),
            visibility=np.zeros(count, np.uint8),
            box=None if boxes is None else np.array(boxes[i], np.float32),
        )
        for i, image in enumerate(images)
    ]
    return KeypointDataset(samples, loaded.skeleton, framing, grey=loaded.settings.data.grey)


def _validation(
    console: Console, run: str, loaded: Loaded, batch_size: int, split: str = "val"
) -> tuple[KeypointDataset, Errors]:
    """A split of a run's own data, and the run's errors on it. Raises `DataError`."""
    from heatkp.cli.eval import Reading, demand_points, predict
    from heatkp.data.dataset import KeypointDataset
    from heatkp.data.loading import load_data
    from heatkp.data.transforms import Framing
    from heatkp.errors import DataError, HeatkpError

    settings = loaded.settings.data
    try:
        found = load_data(settings)
    except HeatkpError as error:
        raise DataError(
            f"the data that {run} was trained on cannot be read: {error}. Put it back where "
            "the run's settings say (data.path)"
        ) from None
    demand_points(run, loaded.skeleton, found.skeleton)
    samples = found.part(split)
    if not any((s.visibility > 0).any() for s in samples):
        raise DataError(f"no {split} sample of {run} has a labelled point: nothing to compare with")
    errors = predict(console, loaded, samples, settings, Reading(None, False, batch_size))
    framing = Framing.of(settings)
    return KeypointDataset(samples, loaded.skeleton, framing, grey=settings.grey), errors


def _of_validation(
    dataset: KeypointDataset, errors: Errors, count: int
) -> tuple[list[tuple[str, int]], list[str]]:
    """Chosen samples as (name, index), and a headline for each."""
    from heatkp.viz.figures import mean_distance
    from heatkp.viz.maps import choose_samples

    mean = mean_distance(errors)
    wanted = choose_samples(mean, count)
    titles = [
        f"{name}: {dataset.samples[i].id[-70:]} (mean error {mean[i]:.2f} px)" for name, i in wanted
    ]
    return wanted, titles


@click.group()
def viz() -> None:
    """Draw several runs in one picture."""


def _png(out: str) -> Path:
    """The file to write. Raises `SettingsError` where it is no PNG or cannot be."""
    from heatkp.errors import SettingsError

    path = Path(out)
    if path.suffix.lower() != ".png":
        raise SettingsError(f"--out {path}: the picture is a PNG file; end its name in .png")
    with _writing(path):
        if path.is_dir():
            raise OSError(f"{path} is a folder")
        if not path.parent.exists():
            raise OSError(f"there is no folder {path.parent}")
        _check_folder(path.parent)
    return path


def _labels(runs: Sequence[str]) -> list[str]:
    """Distinct names of runs: their folders', or as they were typed where two are the same."""
    from heatkp.errors import SettingsError

    if len(set(runs)) < len(runs):
        raise SettingsError("a run is named twice: name each once")
    places = [Path(run).resolve() for run in runs]
    names = [p.name if not p.is_file() else f"{p.parent.name}/{p.name}" for p in places]
    return names if len(set(names)) == len(names) else list(runs)


@viz.command(epilog=CURVES_EXAMPLES)
@click.argument("runs", type=click.Path(), nargs=-1, required=True, metavar="RUN...")
@click.option("--out", type=click.Path(), required=True, metavar="PNG")
def curves(runs: tuple[str, ...], out: str) -> None:
    """Training and validation loss and validation error of runs over their epochs."""
    from heatkp.runs import HISTORY
    from heatkp.viz import figures

    target = _png(out)
    names = _labels(runs)
    histories = {name: figures.read_history(Path(run) / HISTORY) for name, run in zip(names, runs)}
    with _writing(target):
        figures.compare_curves(histories, target)
    click.echo(
        f"Written to {target}. Losses compare only between runs of the same head, errors in "
        "input pixels only between inputs of the same size."
    )


@viz.command("error-curve", epilog=ERRORS_EXAMPLES)
@click.argument("runs", type=click.Path(), nargs=-1, required=True, metavar="RUN...")
@click.option("--out", type=click.Path(), required=True, metavar="PNG")
@click.option("--split", type=click.Choice(["train", "val", "all"]), default="val",
              show_default=True, help="Which samples of each run's own data.")  # fmt: skip
@click.option("--normaliser", metavar="NAME",
              help="The length that errors are divided by.  [default: the first that all runs "
              "have]")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
def error_curve(
    runs: tuple[str, ...], out: str, split: str, normaliser: str | None, batch_size: int
) -> None:
    """The share of images whose mean error is below each level, for several runs."""
    from rich.console import Console

    from heatkp.errors import SettingsError
    from heatkp.evaluation.metrics import normaliser_lengths
    from heatkp.runs import load_run
    from heatkp.viz import figures

    target = _png(out)
    names = _labels(runs)
    console = Console()
    opened = [load_run(run) for run in runs]  # all of them before the first is measured
    found = {}
    for name, run, loaded in zip(names, runs, opened):
        _, errors = _validation(console, run, loaded, batch_size, split)
        found[name] = errors, loaded.skeleton
    lengths = {name: list(normaliser_lengths(s, e)) for name, (e, s) in found.items()}
    common = [n for n in lengths[names[0]] if all(n in have for have in lengths.values())]
    if not common or normaliser not in (None, *common):
        have = "; ".join(f"{name}: {', '.join(own) or 'none'}" for name, own in lengths.items())
        problem = "the runs have no length in common" if normaliser is None else (
            f"--normaliser: not every run has {normaliser!r}"
        )  # fmt: skip
        raise SettingsError(f"{problem} ({have}); all have: {', '.join(common) or 'none'}")
    by = normaliser or common[0]
    with _writing(target):
        figures.error_curves(found, by, target)
    line = (
        f"Written to {target}. A curve shows how many images have a mean error below a share of "
        f"{by}: the further up and left, the better."
    )
    console.print(line, highlight=False, markup=False, soft_wrap=True)
