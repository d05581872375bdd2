"""Rollout manifests from files: YAML or JSON, checked before anything is sent, errors with the line they are on."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from controller.cli.failures import Failed
from controller.domain.errors import Invalid
from controller.wire.manifests import Manifest, manifest_of, plan_of

#: A manifest is a page of text; anything much longer is another file.
_MOST_BYTES = 1_000_000
_STEP = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest and where it came from."""

    name: str
    manifest: Manifest
    lines: dict[tuple[str, ...], int]

    def placed(self, failed: Failed) -> Failed:
        """A refusal of the controller, with the line of the field that it names."""
        line = _line_of(failed.field, self.lines)
        if line is None:
            return failed
        return Failed(f"{self.name}, line {line}", str(failed), code=failed.code, status=failed.status)


def read_manifest(name: str) -> Document:
    """The manifest in a file, or on stdin for `-`.

    Raises:
        Failed: it cannot be read, is no YAML, or does not fit; the message names the line and the field.
    """
    shown = "stdin" if name == "-" else name
    text = _text_of(name, shown)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = dict(_lines(root, ())) if root is not None else {}
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Failed(f"{shown} is not valid YAML", _yaml_problem(error)) from None
    except (RecursionError, ValueError) as error:  # a loop of aliases; a date such as 2026-13-01
        raise Failed(f"{shown} is not valid YAML", str(error)) from None
    try:
        manifest = manifest_of(document)
        plan_of(manifest)
    except Invalid as invalid:
        line = _line_of(invalid.field or "", lines)
        where = shown if line is None else f"{shown}, line {line}"
        title = f"{where}: {invalid.title}"
        raise Failed(title, invalid.detail, field=invalid.field or "", code=invalid.code) from None
    return Document(shown, manifest, lines)


def _text_of(name: str, shown: str) -> str:
    try:
        data = sys.stdin.buffer.read(_MOST_BYTES + 1) if name == "-" else _head_of(Path(name))
        if len(data) > _MOST_BYTES:
            raise Failed(f"{shown} is too large", f"a manifest has at most {_MOST_BYTES:,} bytes")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise Failed(f"{shown} cannot be read", error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise Failed(f"{shown} is not UTF-8 text", str(error)) from None


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    problem = getattr(error, "problem", None) or "unexpected text"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _lines(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Each path of a document with its line; a key that comes twice is an error, since one of the two is lost."""
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for at, item in enumerate(node.value):
            yield from _lines(item, (*path, str(at)))
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                twice = f"key {name!r} comes twice"
                raise yaml.constructor.ConstructorError(problem=twice, problem_mark=key.start_mark)
            seen.add(name)
            yield from _lines(value, (*path, name))


def _line_of(field: str, lines: dict[tuple[str, ...], int]) -> int | None:
    """The line of `stages[1].share`, or of the innermost thing around it that is there."""
    path = tuple(_STEP.findall(field))
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None
