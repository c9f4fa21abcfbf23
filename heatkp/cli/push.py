"""`heatkp push`."""

from __future__ import annotations

import click

EXAMPLES = """\b
Examples:
  heatkp push runs/kl-1 ann/mouse-paws --license cc-by-4.0
  heatkp push runs/kl-1 ann/mouse-paws --private
  heatkp push runs/kl-1 --folder mouse-paws
"""


@click.command(epilog=EXAMPLES)
@click.argument("run", type=click.Path())
@click.argument("repository", required=False, metavar="[OWNER/NAME]")
@click.option("--private", is_flag=True, help="Only its owner sees a repository that is made.")
@click.option("--license", "--licence", "license", metavar="NAME",
              help="Of the weights: an identifier of the hub, such as cc-by-4.0, or any words.  "
              "[default: the card says that it is not stated]")  # fmt: skip
@click.option("--folder", type=click.Path(), metavar="FOLDER",
              help="Write what would be uploaded as a new folder, and upload nothing.")  # fmt: skip
def push(
    run: str, repository: str | None, private: bool, license: str | None, folder: str | None
) -> None:
    """Share a trained model on the Hugging Face hub: weights, settings and a model card; the
    finder, too, of a run that has one.

    RUN is a run's folder, a file of weights or the name of a model that comes with heatkp. The
    card is made from the run: points, data, split, metrics, training. Log in with `hf auth login`,
    or set HF_TOKEN. Others load it by hf://OWNER/NAME, everywhere that takes a model.
    """
    if repository is None and folder is None:
        raise click.UsageError("name the repository, OWNER/NAME, or a --folder to write")
    if private and folder is not None:
        raise click.UsageError("--private is about an upload: leave it out, or leave out --folder")
    from heatkp.cli.console import PlainConsole, say
    from heatkp.hub import push_model, save_model
    from heatkp.runs import finder_path, load_finder, load_run
    from heatkp.runs.hub import require_repository

    console = PlainConsole()
    if repository is not None:
        require_repository(repository)  # before the model is read
    loaded = load_run(run)
    finder = load_finder(run) if finder_path(run) is not None else None
    if folder is not None:
        target = save_model(loaded, folder, repository, license, finder=finder)
        say(console, f"Written to {target}: read {target / 'README.md'} before you share it")
        return
    assert repository is not None
    page = push_model(loaded, repository, private or None, license=license, finder=finder)
    say(console, f"Uploaded to {page}; it is loaded by hf://{repository}")
