"""Sizes and habits that reviews would otherwise have to watch."""

import ast
import json
import re
from pathlib import Path

import pytest

from tests.house.tree import ROOT, named, python_files, written_files

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
ROOMY_FUNCTION_LINES = 35  # what the house aims at; longer ones are listed, not refused
# A bracket in each word, so that this file does not find itself.
UNFINISHED = re.compile(r"T[O]DO|F[I]XME|XX[X]\b|NotImplemented[E]rror")
OF_ONE_MACHINE = re.compile(r"(?<![\w.])/(?:w[o]rk|r[o]ot|h[o]me/\w+|Us[e]rs/\w+)/\w|/tm[p]/h\b")
TRACKER = re.compile(r"\b(?:issue|pull request|PR)s? #?\d+", re.IGNORECASE)
PYTHON = python_files()
WRITTEN = [path for path in written_files() if path.name not in {"LICENSE", "package-lock.json"}]


def functions_of(path: Path) -> list[tuple[str, int]]:
    """Each function of a file with its number of lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        (f"{named(path)}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def found(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    """Where a pattern occurs, as `file:line: text`."""
    return [
        f"{named(path)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_python_file_is_too_long_to_read() -> None:
    sizes = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    assert {name: size for name, size in sizes.items() if size > MAX_FILE_LINES} == {}


def test_no_function_is_too_long_to_hold_in_the_head() -> None:
    sizes = [function for path in PYTHON for function in functions_of(path)]
    roomy = [f"{size:4} {name}" for name, size in sizes if size > ROOMY_FUNCTION_LINES]
    print(f"{len(roomy)} of {len(sizes)} functions are longer than {ROOMY_FUNCTION_LINES} lines", *roomy, sep="\n")
    assert {name: size for name, size in sizes if size > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (UNFINISHED, "unfinished work is finished or left out"),
        (OF_ONE_MACHINE, "paths of one machine mean nothing on another"),
        (TRACKER, "numbers of a tracker mean nothing outside it: say what it was about"),
    ],
    ids=["unfinished", "machine", "tracker"],
)
def test_nothing_is_left_lying_about(pattern: re.Pattern[str], why: str) -> None:
    assert found(pattern, WRITTEN) == [], why


def test_every_module_says_what_it_is_for() -> None:
    modules = [path for path in PYTHON if path.is_relative_to(ROOT / "controller")]
    silent = [named(path) for path in modules if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert silent == []


@pytest.mark.parametrize("folder", ["controller/web/ops/assets", "tests/js", "tests/provider"])
def test_no_lock_names_a_registry(folder: str) -> None:
    text = (ROOT / folder / "package-lock.json").read_text(encoding="utf-8")
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert all("integrity" in entry for name, entry in packages.items() if name)


def test_the_changelog_says_what_is_coming() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
