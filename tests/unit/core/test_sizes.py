"""No Python file and no function grows beyond what a reader can take in at once."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import REPOSITORY

MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 40


def python_files() -> list[Path]:
    """The Python files of the repository; the unit tier starts no git, so its folders are named here."""
    folders = ["stageline", "models", "benchmarks", "scripts", "tests", "docs"]
    folders += [path.name for path in REPOSITORY.glob("*_service")]
    return [path for folder in folders for path in sorted((REPOSITORY / folder).rglob("*.py"))]


def long_functions(source: str) -> Iterator[tuple[str, int]]:
    """Yield the name and the length of each function that is too long, nested ones and docstrings included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield node.name, length


def test_no_python_file_is_over_250_lines() -> None:
    """A longer file is split in two."""
    lengths = {str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines()) for path in python_files()}
    assert len(lengths) > 100, "the files of the repository were not found"
    assert {path: length for path, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_no_function_is_over_40_lines() -> None:
    """A longer function is split in two."""
    found = [
        f"{path.relative_to(REPOSITORY)}: {name} has {length} lines"
        for path in python_files()
        for name, length in long_functions(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize("header", ["def f():", "async def f():", "class C:\n    def f(self):"])
def test_a_function_of_41_lines_is_noticed(header: str) -> None:
    """Plain functions, coroutines and methods are all measured, from `def` to their last line."""
    indent = " " * (8 if "class" in header else 4)
    assert list(long_functions("\n".join([header, *[f"{indent}x = 1"] * 39]))) == []
    assert list(long_functions("\n".join([header, *[f"{indent}x = 1"] * 40]))) == [("f", 41)]
