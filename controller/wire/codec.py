"""Decoding with one kind of error: a refusal that names the field."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
import msgspec.inspect

from controller.domain.errors import Invalid, Malformed

T = TypeVar("T")

_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$?\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_KEY = re.compile(r"^Object (?:contains unknown|missing required) field `(?P<name>[^`]*)`$")


def refusal_of(error: msgspec.ValidationError) -> Invalid:
    """The error of the decoder as a refusal with the field's path."""
    match = _AT.match(str(error))
    what, path = (match["what"], match["path"]) if match else (str(error), None)
    if key := _KEY.match(what):  # the decoder's path ends at the object around it
        path = f"{path}.{key['name']}" if path else key["name"]
    return Invalid(what, field=path or None)


def decode(body: bytes | bytearray | msgspec.Raw, form: type[T]) -> T:
    """Read one JSON document strictly as `form`.

    Raises:
        Malformed: it is not JSON. Invalid: it is, but a field does not fit; the error names it.
    """
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.ValidationError as error:
        raise refusal_of(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the body is not valid JSON: {error}") from None


def convert(document: object, form: type[T]) -> T:
    """Read plain dicts and lists (of YAML, say) strictly as `form`.

    Raises:
        Invalid: a field does not fit; the error names it.
    """
    try:
        return msgspec.convert(document, form)
    except msgspec.ValidationError as error:
        raise refusal_of(error) from None


def from_texts(document: dict[str, str], form: type[T]) -> T:
    """Read texts (of a query string, say) as `form`: numbers and truths are written out in them.

    Raises:
        Invalid: a field does not fit; the error names it.
    """
    for name in _numbers(cast("Any", form)) & document.keys():
        if not document[name].isascii() or not document[name].isdecimal():
            raise Invalid("write a whole number", field=name)
    try:
        return msgspec.convert(document, form, strict=False)
    except msgspec.ValidationError as error:
        raise refusal_of(error) from None


@cache
def _numbers(form: Any) -> frozenset[str]:
    """The fields of a form that are whole numbers; the decoder would read 1e9 as one, too."""
    fields = cast("msgspec.inspect.StructType", msgspec.inspect.type_info(form)).fields
    kinds = {field.name: field.type for field in fields}
    return frozenset(name for name, kind in kinds.items() if _holds_number(kind))


def _holds_number(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(_holds_number(option) for option in kind.types)
    inner = kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind
    return isinstance(inner, msgspec.inspect.IntType)


encode = msgspec.json.encode
