"""The model card: what a model finds, how good it is, how it came about, how it is used."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Any

import yaml

import heatkp
from heatkp.config import Settings
from heatkp.hub.about import About
from heatkp.runs import FINDER, Loaded, LoadedFinder
from heatkp.text import one_line, printable

_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.-]*")
"""Licences as the hub names them, `apache-2.0` for one."""
_UNITS = {
    "mae_photo": ("MAE", "image pixels, mean over x and y"),
    "distance_photo": ("distance", "image pixels, mean over points"),
    "mae_normalised": ("MAE, normalised", "by the input's width and height"),
    "mse_normalised": ("MSE, normalised", "by the input's width and height"),
}

_OBJECTS = (
    ("average_precision", "AP", "AP", "from image to points, over OKS 0.5 to 0.95"),
    ("objects", "precision", "precision of objects", "from image to points, OKS 0.5"),
    ("objects", "recall", "recall of objects", "from image to points, OKS 0.5"),
)


def model_card(
    loaded: Loaded,
    settings: Settings,
    about: About,
    place: str,
    finder: LoadedFinder | None = None,
) -> str:
    """A model's card, Markdown with a YAML header.

    Args:
        settings: the model's, without what is not to be published.
        place: what `heatkp.load_model` takes, `hf://owner/name` or a folder.
        finder: finds its objects, where it has one.
    """
    title = place.removeprefix("hf://")
    parts = [
        f"# {_plain(title)}",
        f"{len(loaded.skeleton)} keypoints of an object in an image, a model of heatkp "
        f"{heatkp.__version__}.",
        *_finds(loaded, settings),
        *_finder(finder),
        *_use(settings, place, finder is not None),
        *_metrics(settings, about),
        *_data(settings, about),
        *_training(loaded, settings, about),
        *_license(about),
        *_limits(settings, about, finder is not None),
    ]
    if about.card is not None:
        body = re.sub(r"^#", "###", about.card.strip(), flags=re.M)
        parts += ["## The card that comes with it", body]
    return printable(_header(about) + "\n\n".join(parts) + "\n")


def _plain(value: Any) -> str:
    """A value as text on one line that starts no Markdown."""
    return re.sub(r"([|<>`*_\[\]\\])", r"\\\1", one_line(str(value)))


def _code(value: Any) -> str:
    return "`" + one_line(str(value)).replace("`", "'").replace("|", "/") + "`"


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _header(about: About) -> str:
    values: dict[str, Any] = {
        "library_name": "heatkp",
        "pipeline_tag": "keypoint-detection",
        "tags": ["heatkp", "keypoint-detection", "landmarks", "heatmaps"],
    }
    # Other models' terms hold, whatever license is given to what was trained from them.
    if about.license is not None and not about.terms and _IDENTIFIER.fullmatch(about.license):
        values["license"] = about.license
    elif about.license is not None or about.terms:
        values["license"] = "other"
        values["license_name"] = one_line(about.license or "terms-of-the-data")
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n\n"


def _finds(loaded: Loaded, settings: Settings) -> list[str]:
    skeleton, data = loaded.skeleton, settings.data
    width, height = data.size
    names = skeleton.point_names
    pairs = [f"{_code(names[a])}–{_code(names[b])}" for a, b in skeleton.pairs]
    region = (
        f"the region of an object's box, enlarged by {data.box_scale:g}"
        if data.crop == "box"
        else "a whole image with all of its objects"
        if data.crop == "objects"
        else "a whole image, one object each"
    )
    mirrored = (
        "Left and right points are not known, so images are not mirrored."
        if skeleton.unpaired
        else f"Left and right (the subject's): {', '.join(pairs)}."
        if pairs
        else "No point has a counterpart on the other side."
    )
    return [
        "## What it finds",
        f"{len(names)} points of the layout {_code(skeleton.name)}: "
        f"{', '.join(map(_code, names))}.",
        mirrored,
        f"It is shown {region}, as {width} x {height} pixels, {'grey' if data.grey else 'RGB'}. "
        "Points are pixels of the image, (0, 0) at the centre of the top-left one.",
    ]


def _finder(finder: LoadedFinder | None) -> list[str]:
    if finder is None:
        return []
    own, size = finder.settings.finder, max(finder.size)
    where = (
        f"in squares of {own.tile} pixels of the image, as {size} pixels"
        if own.tile
        else f"in the whole image, brought to {size} pixels on its longer side"
    )
    return [
        f"It finds its objects by itself: a finder (`{FINDER}`) looks {where}, and gives at most "
        f"{own.max_objects} boxes an image with a score of {finder.min_score:.3g} or more."
    ]


def _use(settings: Settings, place: str, finds: bool) -> list[str]:
    encoder = str(settings.model.encoder)
    more = ", encoder=...)" if ":" in encoder else ")"
    boxed = settings.data.crop == "box" and not finds
    box = ", boxes=(210, 80, 420, 330)" if boxed else ""
    flag = " --box 210,80,420,330" if boxed else ""
    parts = [
        "## How to use it",
        "```python\n"
        "import heatkp\n\n"
        f"model = heatkp.load_model({place!r}{more}\n"
        f'found = model.predict("image.jpg"{box})\n'
        "print(found[0].points, found[0].scores)\n"
        "```",
        f"```bash\nheatkp predict image.jpg --model {shlex.quote(place)}{flag}\n```",
    ]
    if ":" in encoder:
        parts.append(
            f"Its encoder is of another package: give `load_model` a module like {_code(encoder)}."
        )
    return parts


def _metrics(settings: Settings, about: About) -> list[str]:
    metrics, parts = about.metrics, ["## How good it is"]
    rows = [
        (name, f"{metrics[key]:.4g}", unit)
        for key, (name, unit) in _UNITS.items()
        if isinstance(metrics.get(key), int | float)
    ]
    for name, block in (metrics.get("normalised") or {}).items():
        if block.get("nme") is None:
            continue
        rows.append((f"NME, {_plain(name)}", f"{block['nme']:.2%}",
                     f"of the {_plain(name)} length; {block['images']} images"))  # fmt: skip
        if block.get("failure_rate") is not None:
            rows.append((f"failures, {_plain(name)}", f"{block['failure_rate']:.1%}",
                         "images with an NME over 10 %"))  # fmt: skip
    objects = metrics.get("objects") or {}
    for key, part, name, unit in _OBJECTS:
        value = (objects.get(key) or {}).get(part)
        if isinstance(value, int | float):
            rows.append((name, f"{value:.4g}", unit))
    if not rows and about.card is not None:
        return [*parts, "As the card that comes with it says, below."]
    if not rows:
        return [*parts, "Not measured, or not recorded with the model."]
    split = {"val": "samples held back for validation, which also chose the epoch"}
    on = split.get(str(metrics.get("split")), f"split {_code(metrics.get('split'))}")
    count = metrics.get("images")
    return [
        *parts,
        _table(("metric", "value", "unit or normaliser"), rows),
        f"Measured on {count} images: {on}.",
    ]


def _held_out(settings: Settings) -> str:
    data = settings.data
    if not data.validates:
        return "nothing: all samples trained it"
    if data.drawn:
        return f"{data.val_count} other drawn faces"
    if data.val is not None:
        return f"labels of their own, {_code(', '.join(data.val))}"
    if data.folds:
        return f"fold {data.fold} of {data.folds}, split by {_code(data.split)}"
    by = data.split if data.group is None else f"{data.split} {data.group}"
    return f"{data.validation:.0%} of the samples, split by {_code(by)}, seed {data.split_seed}"


def _data(settings: Settings, about: About) -> list[str]:
    data = settings.data
    drawn = f"faces that heatkp draws (seed {data.drawn_seed})"
    named = drawn if data.drawn else _code(data.place or "samples that a program gave")
    count = about.metrics.get("training_samples", data.train_count if data.drawn else None)
    rows = [
        ("data", named),
        ("format", _code(data.format)),
        ("training samples", "not recorded" if count is None else count),
        ("held out", _held_out(settings)),
    ]
    if data.leave_out_lookalikes:
        rows.append(("left out", "training samples that show a validation image again"))
    return ["## Data", _table(("", ""), rows)]


def _fresh(settings: Settings) -> str:
    weights = settings.model.encoder_weights
    return "random weights" if weights == "none" else f"an encoder's weights, {_code(weights)}"


def _training(loaded: Loaded, settings: Settings, about: About) -> list[str]:
    model, trainer, optimiser = settings.model, settings.trainer, settings.optimiser
    millions = sum(p.numel() for p in loaded.model.parameters()) / 1e6
    began = model.init or model.transfer
    dense = settings.head.name != "regression"
    network = f"{model.architecture}, encoder {model.encoder}" if dense else str(model.encoder)
    rows: list[tuple[str, Any]] = [
        ("network", f"{_code(network)}, {millions:.2g} million parameters"),
        ("head", _code(settings.head.name)),
        ("started from", _code(began) if began else _fresh(settings)),
        ("epochs", f"{trainer.epochs}, batches of {trainer.batch_size}, seed {trainer.seed}"),
        ("optimiser", f"{optimiser.name}, learning rate {optimiser.lr:g}, {optimiser.schedule}"),
        ("precision", trainer.precision),
    ]
    if taught := settings.teacher.models:
        rows.insert(3, ("taught by", ", ".join(map(_code, taught))))
    versions = {"heatkp": about.environment.get("heatkp"), **about.environment.get("packages", {})}
    known = [f"{name} {versions[name]}" for name in ("heatkp", "torch", "lightning", "timm")
             if versions.get(name)]  # fmt: skip
    if known:
        rows.append(("versions", _plain(", ".join(known))))
    return [
        "## How it was trained",
        _table(("", ""), rows),
        "All settings are in `config.json`.",
    ]


def _license(about: About) -> list[str]:
    parts = ["## Licence", f"License of these weights: {_plain(about.license or 'not stated')}."]
    for name, text in about.terms.items():
        parts.append(f"They are, or were trained from, {_code(name)}, whose terms are: {text}")
    return parts


def _limits(settings: Settings, about: About, finds: bool) -> list[str]:
    limits = [
        "It is meant for images like those that it was trained on; on others measure it first: "
        "`heatkp eval MODEL --data LABELS`.",
        "It always answers: also where there is no such object, or where points are hidden or "
        "outside the image. Scores tell how sure it is, not whether the object is there.",
    ]
    if finds:
        limits.append("Its finder finds objects of the kinds and sizes that it was trained on.")
    elif settings.data.crop == "box":
        limits.append("It needs boxes like those that it was trained on.")
    elif settings.data.crop == "objects":
        limits.append("It looks at whole images and finds objects of about the sizes, in pixels of "
                      "its input, that it was trained on.")  # fmt: skip
    else:
        limits.append("It looks at whole images and finds one object in each.")
    if not about.metrics.get("normalised") or not settings.data.validates:
        limits.append("How good it is on samples that it has not seen is not known.")
    return ["## Intended use and limits", "\n".join(f"- {line}" for line in limits)]
