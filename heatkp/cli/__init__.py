"""The command line. Commands import what they need when they run, so help answers at once."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from typing import Any

import click

import heatkp
from heatkp.cli.bench import bench
from heatkp.cli.calibrate import calibrate
from heatkp.cli.data import data
from heatkp.cli.eval import evaluate
from heatkp.cli.export import export
from heatkp.cli.predict import predict
from heatkp.cli.push import push
from heatkp.cli.report import report
from heatkp.cli.score import score
from heatkp.cli.sweep import sweep
from heatkp.cli.train import train
from heatkp.cli.viz import viz
from heatkp.cli.viz_heatmaps import viz_heatmaps
from heatkp.errors import HeatkpError
from heatkp.files import reason
from heatkp.text import safe_streams, without_codes


class UserError(click.ClickException):
    """A mistake that the user can mend: message on stderr, exit code 2."""

    exit_code = 2


def _message(error: BaseException) -> str:
    """The message alone; an error from a loader's worker carries a traceback in its text."""
    text = str(error)
    if "Original Traceback" in text:
        text = text.strip().splitlines()[-1].partition(": ")[2]
    return without_codes(text)


class _Commands(click.Group):
    def main(self, *arguments: Any, **options: Any) -> Any:
        safe_streams()
        return super().main(*arguments, **options)

    def invoke(self, ctx: click.Context) -> object:
        debug = bool(ctx.params.get("debug"))
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except HeatkpError as error:
            if debug:
                traceback.print_exc()
            raise UserError(_message(error)) from None
        except BrokenPipeError:  # as in `... | head`; click ends quietly
            raise
        except KeyboardInterrupt as interrupt:
            message = "Interrupted."
            if interrupt.args:  # a training run says where it is
                message += f" Continue with: heatkp train --resume {interrupt.args[0]}"
            click.echo(message, err=True)
            sys.exit(130)
        except OSError as error:
            if debug:
                traceback.print_exc()
            why = _message(error) if error.errno is None else reason(error)
            raise UserError(
                f"{why}. Mend that and start the command again; `heatkp --debug ...` "
                "shows where it was"
            ) from None
        except Exception as error:
            if debug:
                traceback.print_exc()
            raise click.ClickException(
                f"{type(error).__name__}: {_message(error)}\n"
                "This looks like an error in heatkp; `heatkp --debug ...` shows where."
            ) from None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `heatkp train`: it needs no data and takes a few minutes.",
)
@click.version_option(heatkp.__version__, prog_name="heatkp")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Find keypoints by dense prediction: heatmaps on segmentation backbones."""
    # What libraries cannot read is said in heatkp's own words. By variables, which OpenCV looks at
    # when it is loaded: its functions for this have other names in each version.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    warnings.filterwarnings("ignore", module=r"PIL\b")


main.add_command(train)
main.add_command(evaluate)
main.add_command(sweep)
main.add_command(predict)
main.add_command(calibrate)
main.add_command(export)
main.add_command(push)
main.add_command(bench)
main.add_command(score)
main.add_command(data)
main.add_command(viz_heatmaps)
main.add_command(viz)
main.add_command(report)
