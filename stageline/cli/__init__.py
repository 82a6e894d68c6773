"""The command line, ``stageline``. Results go to stdout, progress to stderr; see ``common`` for the exit codes."""

import typer

from stageline.cli import lines, models, pictures, queues

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Pictures in, findings out."
)
for command in (lines.up, lines.run, pictures.upload, pictures.status, queues.queues, queues.reconcile):
    app.command()(command)
app.add_typer(queues.dead, name="dead")
app.add_typer(models.app, name="models")


def main() -> None:
    """Run a command."""
    from stageline.cli.common import explain_errors  # noqa: PLC0415

    with explain_errors():
        app()
