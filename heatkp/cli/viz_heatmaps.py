"""`heatkp viz-heatmaps`: what a run's maps look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heatkp.cli.common import or_newest, parse_box, photos, target_path, validation
from heatkp.cli.options import device_option
from heatkp.files import check_folder, writing

if TYPE_CHECKING:
    from rich.console import Console

    from heatkp.data.dataset import KeypointDataset
    from heatkp.evaluation.metrics import Errors
    from heatkp.skeletons import Skeleton
    from heatkp.viz.maps import MapView

MAPS_EXAMPLES = """\b
Examples:
  heatkp viz-heatmaps runs/kl-1
  heatkp viz-heatmaps runs/kl-1 --points 30,36-41 --samples 4
  heatkp viz-heatmaps runs/kl-1 me.jpg --box 210,80,420,330 --out images/
"""


@click.command("viz-heatmaps", epilog=MAPS_EXAMPLES)
@click.argument("run", type=click.Path(), required=False, metavar="[RUN]", callback=or_newest)
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
              help="Where images are written.  [default: RUN/heatmaps]")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@device_option
def viz_heatmaps(
    run: str,
    images: tuple[str, ...],
    points: str | None,
    samples: int | None,
    boxes: tuple[str, ...],
    out: str | None,
    batch_size: int,
    device: str,
) -> None:
    """Draw the maps of a trained model over what it sees.

    Of validation data the samples with the smallest, the median and the largest mean error, or
    IMAGES. Without RUN it is the newest in runs/.
    """
    from rich.progress import track

    from heatkp.cli.console import PlainConsole
    from heatkp.errors import SettingsError
    from heatkp.files import fitting
    from heatkp.models import DenseModel
    from heatkp.runs import load_run
    from heatkp.viz import maps

    if images and samples is not None:
        raise SettingsError("--samples chooses from validation data: leave it or the images out")
    edges = _boxes(boxes, len(images))
    loaded = load_run(run, device)
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
    console = PlainConsole()
    errors: Errors | None = None
    with writing(folder):
        check_folder(folder)
    if images:
        dataset = photos(loaded, images, edges)
        stems = [fitting(f"image-{i}-{Path(image).stem}", "") for i, image in enumerate(images, 1)]
        expected = [(stem, i) for i, stem in enumerate(stems)]
        titles = [Path(image).name[-70:] for image in images]
    else:
        advice = f"name images: heatkp viz-heatmaps {run} IMAGE..."
        dataset, errors = validation(console, run, loaded, batch_size, advice=advice)
        expected, titles = _of_validation(dataset, errors, samples or 2)
    views = [
        (name, maps.map_view(model, dataset, index, title))
        for (name, index), title in zip(expected, titles)
    ]
    with writing(folder):
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

    from heatkp.viz.point_errors import worst_points

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


def _boxes(texts: Sequence[str], count: int) -> list[list[float]] | None:
    """Edges of --box, one for each image. Raises `SettingsError`."""
    from heatkp.errors import SettingsError

    if not texts:
        return None
    if len(texts) != count:
        raise SettingsError(
            f"--box: {len(texts)} boxes for {count} images; give one for each image, in "
            "their order, or none"
        )
    return [parse_box(text) for text in texts]


def _of_validation(
    dataset: KeypointDataset, errors: Errors, count: int
) -> tuple[list[tuple[str, int]], list[str]]:
    """Chosen samples as (name, index), and a headline for each."""
    from heatkp.viz.figures import mean_distance
    from heatkp.viz.maps import choose_samples

    mean = mean_distance(errors)
    expected = choose_samples(mean, count)
    titles = [
        f"{name}: {dataset.samples[i].id[-70:]} (mean error {mean[i]:.2f} px)"
        for name, i in expected
    ]
    return expected, titles
