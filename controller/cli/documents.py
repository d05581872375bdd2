"""Documents from files or stdin: YAML or JSON, with the line of each of their fields for error messages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from controller.cli.failures import Failed
from controller.domain.errors import Invalid
from controller.usecases.documents import Parsed, parse

T = TypeVar("T")

#: Such a document is a page of text; anything much longer is another file.
_MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Document(Generic[T]):
    """What was read, and where it came from."""

    name: str
    content: T
    parsed: Parsed

    def placed(self, failed: Failed, within: str = "") -> Failed:
        """A refusal of the controller, with the line of the field that it names; `within` holds the document there."""
        line = self.parsed.line_of(failed.field.removeprefix(within).lstrip("."))
        if line is None:
            return failed
        return Failed(f"{self.name}, line {line}", str(failed), code=failed.code, status=failed.status)


def read_document(name: str, read: Callable[[Any], T]) -> Document[T]:
    """The document in a file, or on stdin for `-`, as `read` makes it.

    Raises:
        Failed: it cannot be read, is no YAML, or does not fit; the message names the line and the field.
    """
    shown = "stdin" if name == "-" else name
    text = _text_of(name, shown)
    try:
        parsed = parse(text)
    except Invalid as invalid:
        raise Failed(f"{shown} is not valid YAML", invalid.detail) from None
    try:
        content = read(parsed.content)
    except Invalid as invalid:
        field = (invalid.field or "").lstrip(".")
        line = parsed.line_of(field)
        where = shown if line is None else f"{shown}, line {line}"
        raise Failed(f"{where}: {invalid.title}", invalid.detail, field=field, code=invalid.code) from None
    return Document(shown, content, parsed)


def _text_of(name: str, shown: str) -> str:
    try:
        data = sys.stdin.buffer.read(_MOST_BYTES + 1) if name == "-" else _head_of(Path(name))
        if len(data) > _MOST_BYTES:
            raise Failed(f"{shown} is too large", f"a document has at most {_MOST_BYTES:,} bytes")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise Failed(f"{shown} cannot be read", error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise Failed(f"{shown} is not UTF-8 text", str(error)) from None


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES + 1)
