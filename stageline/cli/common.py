"""Shared by the commands: exit codes, errors as one sentence, tables, and the settings of a running line."""

import json
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stageline.core import settings
from stageline.core.errors import EXIT_SETTINGS, SettingsError, StagelineError, Unavailable
from stageline.core.settings import Settings
from stageline.local.up import running_redis_url

EXIT_FAILED = 1  # a request failed: a picture was refused or failed, an id is not known
EXIT_UNAVAILABLE = 3  # no line, no Redis or no object store answers

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Url = Annotated[str, typer.Option(envvar="STAGELINE_URL", help="The address of the line's API.")]
DEFAULT_URL = "http://localhost:30005"
WIDE = 200  # columns, if the output is no terminal, so that lines are not broken
stdout = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


@contextmanager
def explain_errors() -> Iterator[None]:
    """Turn an error into one sentence and an exit code, without a traceback."""
    try:
        yield
    except SettingsError as error:
        _end(error, EXIT_SETTINGS)
    except Unavailable as error:
        _end(error, EXIT_UNAVAILABLE)
    except StagelineError as error:
        _end(error, EXIT_FAILED)


def _end(error: Exception, code: int) -> None:
    note(f"stageline: {error}")
    sys.exit(code)


def attached_settings() -> Settings:
    """Read the settings; if REDIS_URL is not set, use that of the line that runs on the data folder."""
    found = settings.load()
    url = None if "redis_url" in found.model_fields_set else running_redis_url(found.stageline_data)
    return found.model_copy(update={"redis_url": url}) if url else found


def clean(text: object) -> str:
    """Return a text without control characters; invalid Unicode becomes �."""
    kept = (c for c in str(text) if c == "\n" or unicodedata.category(c) != "Cc")
    return "".join("\ufffd" if unicodedata.category(c) == "Cs" else c for c in kept)


def say(text: str) -> None:
    """Print a line to stdout; text in it cannot style or control the terminal."""
    stdout.print(Text(clean(text)))


def note(text: str) -> None:
    """Print a line to stderr, as `say` does."""
    stderr.print(Text(clean(text)))


def print_json(content: Any) -> None:
    """Print JSON to stdout."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    text = re.sub("[\x7f-\x9f\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)  # JSON's own escapes
    sys.stdout.write(text + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table to stdout."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "image_id")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    stdout.print(table)


def found_in(results: Mapping[str, Any]) -> str:
    """Return a summary: ``2 dog, 1 person, 1 face; category dog``; the category is that of the whole picture."""
    labels = [item.get("label", "?") for item in results.get("detections") or []]
    labels += ["face"] * len(results.get("faces") or [])
    counts = {label: labels.count(label) for label in dict.fromkeys(labels)}
    parts = [", ".join(f"{count} {label}" for label, count in counts.items())] if counts else []
    whole = [item for item in results.get("categories") or [] if item.get("box") is None]
    return "; ".join([*parts, *(f"category {item.get('category', '?')}" for item in whole)]) or "nothing"
