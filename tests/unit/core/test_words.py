"""One vocabulary: the code, the docs and the names of tests use none of the words in old_words.toml."""

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from tests.support.places import REPOSITORY

LIST = Path(__file__).with_name("old_words.toml")
RULES = tomllib.loads(LIST.read_text())
OLD: dict[str, str] = RULES["words"]
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")  # the parts of snake_case, CamelCase and CONSTANTS too
ANY = re.compile("|".join(OLD), re.IGNORECASE)  # most files have none, and need no parsing
QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|`[^`]*`')

ROOTS = ["stageline", "models", "benchmarks", "scripts", "tests", "docs", "k8s", "overlays", "monitoring", ".github"]
ROOTS += sorted(path.name for path in REPOSITORY.glob("*_service"))
ENDINGS = {".py", ".lua", ".js", ".css", ".html", ".md", ".yaml", ".yml", ".sh", ".toml", ".in"}
OWN = {LIST, Path(__file__)}


def python_lines(text: str) -> list[str]:
    """Return the lines without strings other than docstrings: those hold texts, keys and fields, which are public."""
    rows = text.splitlines()
    docstrings = {
        node.body[0].lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and ast.get_docstring(node, clean=False) is not None
    }
    kinds = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        (first, begin), (last, end) = token.start, token.end
        if token.type not in kinds or first in docstrings:
            continue
        for number in range(first, last + 1):
            row = rows[number - 1]
            left, right = (begin if number == first else 0), (end if number == last else len(row))
            rows[number - 1] = row[:left] + " " * (right - left) + row[right:]
    return rows


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file that are held against the list."""
    text = path.read_text()
    if not ANY.search(text):
        return []
    if path.suffix == ".py":
        return python_lines(text)
    if path.suffix in {".lua", ".js"}:
        return [QUOTED.sub(" ", line) for line in text.splitlines()]
    return text.splitlines()


@cache
def public_in(place: str) -> re.Pattern[str]:
    """Return the pattern of what is public in a file, of the rules for all files and for this one."""
    rules = [rule for rule in RULES["exempt"] if any(fnmatchcase(place, each) for each in rule.get("files", ["*"]))]
    return re.compile("|".join(f"(?:{rule['pattern']})" for rule in rules))


def old_words_in(line: str, place: str = "") -> list[str]:
    """Return the old words in a line of a file, without what is public."""
    return [word for word in (part.lower() for part in WORD.findall(public_in(place).sub(" ", line))) if word in OLD]


def files() -> Iterator[Path]:
    """Return every file that people write: code, docs, manifests, scripts; and those at the root."""
    yield from (path for path in REPOSITORY.iterdir() if path.suffix in ENDINGS or path.name == "Makefile")
    for root in ROOTS:
        for path in sorted((REPOSITORY / root).rglob("*")):
            if path.suffix in ENDINGS and path not in OWN and not {"__pycache__", "node_modules"} & set(path.parts):
                yield path


def finds_in(path: Path) -> list[str]:
    """Return a text ``file:line: word → the words to use`` for each old word, in the file's path too."""
    place = path.relative_to(REPOSITORY).as_posix()
    found = [(0, word) for word in old_words_in(place)]
    found += [(number, word) for number, line in enumerate(lines_of(path), 1) for word in old_words_in(line, place)]
    return [f"{place}:{number}: {word} → {OLD[word]}" for number, word in found]


def test_no_old_word_is_used() -> None:
    """Names, comments, docstrings and docs use the field's words; settings, keys, fields and metrics are exempt."""
    found = [find for path in files() for find in finds_in(path)]
    assert not found, f"{len(found)} old words, see {LIST.name}:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "def test_a_lapsed_lease() -> None: ...\n",
        "class BeatThread: ...\n",
        "x = 1  # the door answers\n",
        'def f() -> None:\n    """Tell the catalogue."""\n',
        "door_ms = 1\n",
    ],
)
def test_an_old_word_is_found_in_names_comments_and_docstrings(text: str) -> None:
    """The check sees each place where a word may stand."""
    assert [word for line in python_lines(text) for word in old_words_in(line)]


@pytest.mark.parametrize(
    "text",
    [
        'LIST = "stageline:outcomes"\n',
        "settings.door_threads\n",
        "file.tell()\n",
        "heartbeat = dead_letters\n",
        "indoor, upbeat, outdoors = 1, 2, 3\n",
        'f"the door {1} is told"\n',
    ],
)
def test_public_names_and_other_words_are_left_alone(text: str) -> None:
    """Settings, keys, texts and words that only contain an old one are no finds."""
    assert not [word for line in python_lines(text) for word in old_words_in(line)]
