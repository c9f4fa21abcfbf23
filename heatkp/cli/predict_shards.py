"""`heatkp predict --shard` and `--merge`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

MERGED = "merged"
"""Where tables go by default, in the folder of the shards."""


def predict_one(
    inputs: Sequence[str],
    listed: str | None,
    text: str,
    out: str | None,
    every: int,
    part_size: int | None,
    given: dict[str, Any],
) -> None:
    """Predict on a shard, until Ctrl-C is pressed, and say what came of it.

    `given` are the command's options of `predict_request.Options`.
    """
    from heatkp.cli.console import PlainConsole, say
    from heatkp.cli.predict_output import stoppable, tell_shard, under_bar
    from heatkp.cli.predict_request import Options, asked, framing_note, terms_note
    from heatkp.errors import SettingsError
    from heatkp.inference.sharding import Shard, list_inputs, predict_shard
    from heatkp.inference.sharding.predicting import PART_SIZE
    from heatkp.inference.sources import FoundSources, passed_over_note

    shard, options = Shard.parse(text), Options(**given)
    if out in (None, "-"):
        raise SettingsError("--shard: name the folder that all shards share with --out")
    assert out is not None
    if options.edges:
        raise SettingsError("--box is for a few images: name boxes of shards in a file (--boxes)")
    if _typed("formats"):
        raise SettingsError(
            "--format: shards write parts; choose formats when all are done, with --merge"
        )
    file = (
        options.where if options.where not in (None, "auto", "objects", "faces", "image") else None
    )
    found = list_inputs(inputs, shard, listed, keep_paths=file is not None)
    console, aside = PlainConsole(), PlainConsole(stderr=True)
    for folder in found.left_out:
        say(aside, f"left out, for it holds earlier predictions: {folder}")
    if note := passed_over_note(found.passed_over):
        say(aside, note)
    request = asked(FoundSources([], [], [], {}), options, found.paths)
    for note in (terms_note(options.model), framing_note(request), *request.notes):
        if note:
            say(aside, note)
    with under_bar(aside, len(found.names)) as progress, stoppable() as pressed:
        summary = predict_shard(
            request.predictor,
            found,
            shard,
            out,
            boxes=request.boxes,
            every=every,
            batch_size=options.batch_size,
            passes=options.passes,
            flip_test=options.flip_test,
            nms_oks=options.nms_oks,
            min_point_score=options.min_point_score,
            part_size=part_size or PART_SIZE,
            model=options.model,
            boxes_from=options.where,
            boxes_digest=None if file is None else _digest(Path(file)),
            command=_command(),
            progress=progress,
            stop=lambda: bool(pressed),
        )
    tell_shard(console, summary, Path(out), found.total.count)


def merge(folder: Path, out: str | None, formats: Sequence[str]) -> None:
    """Join the results of all shards, and say what there is."""
    from heatkp.cli.console import PlainConsole
    from heatkp.cli.predict_output import tell, under_bar
    from heatkp.inference.sharding import merge_shards

    others = [
        parameter.opts[0]
        for parameter in click.get_current_context().command.params
        if parameter.name not in ("merged", "out", "formats") and _typed(parameter.name)
    ]
    if others:
        raise click.UsageError(
            f"--merge joins what shards have found and takes --format and --out alone: leave out "
            f"{', '.join(others)}"
        )
    kinds = tuple(dict.fromkeys(formats)) or ("json",)
    piped = out == "-"
    target = None if piped else Path(out) if out is not None else folder / MERGED
    console, aside = PlainConsole(stderr=piped), PlainConsole(stderr=True)
    with under_bar(aside, None) as progress:
        summary = merge_shards(folder, target, kinds, progress=lambda done, total: progress(done))
    tell(console, summary, target, kinds)


def _typed(name: str | None) -> bool:
    return (
        click.get_current_context().get_parameter_source(name or "") == ParameterSource.COMMANDLINE
    )


def _command() -> list[str]:
    """The words that were typed, with a mark for the shard."""
    from heatkp.inference.sharding.manifest import SHARD_PLACE

    context = click.get_current_context()
    words = ["heatkp", "predict", *context.params["inputs"]]
    for parameter in click.get_current_context().command.params:
        if not isinstance(parameter, click.Option) or not _typed(parameter.name):
            continue
        value, name = context.params[parameter.name or ""], parameter.opts[0]
        if parameter.name == "shard":
            words += [name, SHARD_PLACE]
        elif parameter.is_flag:
            words.append(name)
        else:
            for one in value if parameter.multiple else [value]:
                words += [name, str(one)]
    return words


def _digest(path: Path) -> str:
    from hashlib import blake2b

    return blake2b(path.read_bytes(), digest_size=16).hexdigest()
