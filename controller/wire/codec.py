"""Decoding with one kind of error: a refusal that names the field."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

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


encode = msgspec.json.encode
