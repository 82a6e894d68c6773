"""The command line, ``stageline``. May use: every other room."""

import io
import sys

import typer

from stageline.cli import bench, bucket, catalogue, evaluate, lines, models, pictures, queues
from stageline.cli.common import explain_errors
from stageline.core import logs, threads

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Pictures in, findings out."
)
for command in (
    lines.up,
    lines.run,
    pictures.upload,
    pictures.status,
    queues.queues,
    queues.reconcile,
    evaluate.evaluate,
):
    app.command()(command)
app.add_typer(queues.dead, name="dead")
app.add_typer(models.app, name="models")
app.add_typer(bench.app, name="bench")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(bucket.app, name="bucket")


def main() -> None:
    """Run a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 shows escapes
    logs.configure_without_settings("stageline")  # so that warnings do not mix with results on stdout
    threads.die_together()  # else a command could wait for a dead thread for ever
    with explain_errors():
        app()
