"""Operations of the REST interface: the signature of a view says what it takes and gives, reads it and documents it.

    @blueprint.post("/api/v1/flags")
    @needs(Need.OPERATE)
    @operation(201)
    def create_flag(body: FlagBody) -> FlagView: ...

`body` is the request's JSON, `query` its query string; other arguments come from the path. What is returned is the
answer: a struct, nothing (204), or a Reply where the status or the form differs from case to case.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from flask import Response, request

from controller.domain.errors import Malformed
from controller.web import idempotency
from controller.web.http import answer, read_body
from controller.wire.codec import decode, from_texts

T = TypeVar("T")

#: What a view's mark is called.
MARK = "operation"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose status, headers or kind differ from case to case."""

    content: object
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    media: str = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """What an operation takes and gives.

    Attributes:
        statuses: of its answers when it works. also: of problems besides those that follow from what it takes.
        media: the kind of its answer. shape: the struct of its answer; None where there is none.
        secret: its answer is shown once, so that it is not kept for a repeated request.
    """

    name: str
    text: str
    statuses: tuple[int, ...]
    also: tuple[int, ...]
    media: str
    body: Any
    query: Any
    shape: Any
    secret: bool


def operation(
    *statuses: int,
    also: tuple[int, ...] = (),
    gives: Any = None,
    media: str = "application/json",
    secret: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Response]]:
    """Make a view an operation; `gives` is the form of its answer where it returns a Reply."""

    def mark(view: Callable[..., Any]) -> Callable[..., Response]:
        hints = get_type_hints(view)
        shape = hints.get("return")
        found = Operation(
            name=view.__name__,
            text=inspect.getdoc(view) or "",
            statuses=statuses or ((204,) if shape is type(None) else (200,)),
            also=also,
            media=media,
            body=hints.get("body"),
            query=hints.get("query"),
            shape=gives if shape is Reply else None if shape is type(None) else shape,
            secret=secret,
        )

        @wraps(view)
        def operated(**path: Any) -> Response:
            raw = read_body() if found.body is not None else b""
            given = dict(path)
            if found.body is not None:
                given["body"] = decode(raw or b"{}", found.body)
            if found.query is not None:
                given["query"] = _query(found.query)
            return idempotency.once(lambda: _response(view(**given), found), raw, keep=not found.secret)

        operated.__dict__[MARK] = found
        return operated

    return mark


def form_of(shape: Any) -> tuple[str, Any]:
    """The name of an answer's form in the documentation, and the form: `FlagView`, `Page[FlagView]`."""
    origin, inner = get_origin(shape), get_args(shape)
    name = cast("str", (origin or shape).__name__)
    return (f"{name}[{inner[0].__name__}]" if inner else name), shape


def _response(result: object, found: Operation) -> Response:
    if result is None:
        return Response(status=204)
    if not isinstance(result, Reply):
        return answer(result, found.statuses[0])
    content = result.content if isinstance(result.content, bytes) else None
    response = answer(result.content, result.status) if content is None else Response(content, result.status)
    response.content_type = result.media
    response.headers.update(result.headers)
    return response


def _query(form: type[T]) -> T:
    given = request.args.to_dict()
    if any("\0" in value for value in given.values()):
        raise Malformed("the query string has a NUL character; leave it out")
    return from_texts(given, form)
