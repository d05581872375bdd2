"""Requests in, answers out: bounded bodies, one form of error, request ids and the headers of every answer."""

from __future__ import annotations

import logging
import re
import secrets
import zlib
from typing import Any, TypeVar

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from controller.domain.errors import (
    Invalid,
    Malformed,
    NotFound,
    Refusal,
    TooFast,
    TooLarge,
    TooManyAttempts,
    Unauthenticated,
)
from controller.domain.errors import Unavailable as _Unavailable
from controller.telemetry import told_path
from controller.wire.codec import decode, encode
from controller.wire.problems import CONTENT_TYPE, problem_of

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Bytes of a body under /api/v1, packed or unpacked.
MOST_BYTES = 256 * 1024
#: Cursors and the like stay exact in any JSON reader.
MOST_NUMBER = 2**53

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: PostgreSQL's text holds every character but this one; a backslash that is itself escaped does not count.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_GZIP = 31
#: What every answer says.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class NoSuchPath(NotFound):
    """There is nothing at this address."""

    code = "no_such_path"


class MethodNotAllowed(Refusal):
    """This address does not take this method."""

    code = "method_not_allowed"
    status = 405


class UnsupportedEncoding(Refusal):
    """The body is packed in a way this server does not read."""

    code = "unsupported_encoding"
    status = 415


class Misdirected(Refusal):
    """This server does not answer under that host name."""

    code = "misdirected"
    status = 421


class BadRequest(Refusal):
    """The request could not be understood."""

    code = "bad_request"


class InternalError(Refusal):
    """The request failed inside the server; its log says why."""

    code = "internal_error"
    status = 500


def install(app: Flask) -> None:
    """Give an application request ids, headers and the one error handler."""
    app.before_request(_take_request_id)
    app.after_request(_finish)
    app.register_error_handler(Refusal, refuse)
    app.register_error_handler(HTTPException, _refuse_http)
    app.register_error_handler(Exception, _refuse_crash)


def answer(document: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(encode(document), status, mimetype="application/json")


def body(form: type[T], most_bytes: int = MOST_BYTES) -> T:
    """The request's body read strictly as `form`; an absent body stands for an empty object.

    Raises:
        TooLarge: more than `most_bytes`, packed or unpacked. Malformed: no JSON, or damaged gzip. Invalid: a field does
        not fit; it is named. UnsupportedEncoding: packed, but not with gzip.
    """
    return decode(read_body(most_bytes) or b"{}", form)


def read_body(most_bytes: int = MOST_BYTES) -> bytes:
    """The request's body unpacked, without what no text of ours can hold.

    Raises:
        TooLarge, Malformed, UnsupportedEncoding: as for `body`.
    """
    raw = raw_body(most_bytes)
    if b"\\u0000" in raw and _NUL.search(raw):  # the pattern alone takes longer than all the rest of a report
        raise Malformed("the body has a NUL character (\\u0000) in a string; leave it out")
    return raw


def raw_body(most_bytes: int = MOST_BYTES) -> bytes:
    """The request's body unpacked and unread.

    Raises:
        TooLarge: more than `most_bytes`, packed or unpacked. Malformed: damaged gzip. UnsupportedEncoding: packed, but
        not with gzip.
    """
    return _plain(_received(most_bytes), most_bytes)


def number(name: str, default: int, least: int = 0, most: int = MOST_NUMBER) -> int:
    """A whole number of the query string.

    Raises:
        Invalid: it is none, or out of bounds.
    """
    text = request.args.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 16 or not least <= int(text) <= most:
        raise Invalid(f"write a whole number from {least} to {most}", field=name)
    return int(text)


def limit(default: int = 100, most: int = 1000) -> int:
    """The `limit` of a list."""
    return number("limit", default, 1, most)


def request_id() -> str:
    """The id of the present request, which its log lines, its answer and its audit entries carry."""
    return str(g.request_id)


def tagged(response: Response, etag: str) -> Response:
    """The response with its ETag; becomes a 304 when the client holds the same (weak comparison, lists, `*`)."""
    response.set_etag(etag)
    response.headers["Cache-Control"] = "no-cache"
    if request.if_none_match.contains_weak(etag):
        response.status_code = 304
        response.set_data(b"")
    return response


def refuse(refusal: Refusal) -> Response:
    """The problem that a refusal is answered with."""
    response = Response(encode(problem_of(refusal, request_id())), refusal.status, content_type=CONTENT_TYPE)
    response.headers.update(headers_of(refusal))
    return response


def headers_of(refusal: Refusal) -> dict[str, str]:
    """What a refusal says beside its body, in whatever form that has: when to come back, or how to come in.

    Whole seconds, since dates are read differently by every client.
    """
    if isinstance(refusal, TooFast | TooManyAttempts | _Unavailable):
        return {"Retry-After": str(getattr(refusal, "retry_after_s", 1))}
    if isinstance(refusal, Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="canary-controller"'}
    return {}


def _received(most_bytes: int) -> bytes:
    request.max_content_length = most_bytes
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise TooLarge(f"the body is larger than {most_bytes:,} bytes; send it in smaller parts") from None


def _plain(raw: bytes, most_bytes: int) -> bytes:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in {"identity", ""}:
        return raw
    if encoding not in {"gzip", "x-gzip"}:
        raise UnsupportedEncoding(f"{encoding[:40]!r} is not read here; send gzip, or plain JSON")
    unpacker = zlib.decompressobj(_GZIP)
    try:
        plain = unpacker.decompress(raw, most_bytes + 1)
    except zlib.error as error:
        raise Malformed(f"the body is not gzip: {error}") from None
    if len(plain) > most_bytes:
        raise TooLarge(f"the unpacked body is larger than {most_bytes:,} bytes; send it in smaller parts")
    if not unpacker.eof or unpacker.unused_data:
        raise Malformed("the gzip body is cut off, or goes on behind its end")
    return plain


def _take_request_id() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = request_id()
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _refuse_http(error: HTTPException) -> Any:
    status = error.code or 500
    if status < 400:
        return error
    response = refuse(_refusal_of(status))
    for name, value in error.get_headers():
        if name in {"Allow", "Retry-After"}:
            response.headers[name] = value
    return response


def _refusal_of(status: int) -> Refusal:
    match status:
        case 404:
            return NoSuchPath(f"nothing answers at {request.path[:200]!r}; the API is under /api/v1")
        case 405:
            return MethodNotAllowed(f"{request.method[:20]} is not answered here; the Allow header says what is")
        case 413:
            return TooLarge("send it in smaller parts")
        case _ if status < 500:
            return BadRequest("a header, the query string or the path is not well formed")
        case _:
            return InternalError()


def crashed(error: Exception) -> Refusal:
    """What a client is told of an error that nobody expected; the log has the rest."""
    if isinstance(error, HTTPException):
        return _refusal_of(error.code or 500)
    _log.error("%s %s failed (request %s)", request.method, told_path(request.path), request_id(), exc_info=error)
    return InternalError()


def _refuse_crash(error: Exception) -> Response:
    return refuse(crashed(error))
