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
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 shows what it can
    logs.configure(None, "stageline")  # so that no command's warnings mix with its results on stdout
    threads.exit_on_crash()  # else a command could wait for ever for what a thread was to bring
    with explain_errors():
        app()
