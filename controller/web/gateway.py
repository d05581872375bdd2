"""The WSGI side of the bridge: the environment of a call, and its whole answer (PEP 3333); no event loop here."""

import io
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import unquote_to_bytes

from controller.web.asgi import Headers, Scope, header

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: Header fields of one hop, which a WSGI application may not set (PEP 3333); the server sets its own.
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"})
#: Statuses that never carry a body (RFC 9110, 15.3.5 and 15.4.5).
_BODILESS = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete HTTP answer, ready for the wire."""

    status: int
    headers: Headers
    body: bytes


def build_environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of one ASGI request whose body has been read.

    Paths are percent-decoded bytes shown as latin-1. A chunked upload arrives here as a plain body of known length.
    Fields with an underscore in their name are dropped: they would pass for their namesake with a hyphen.
    """
    server = scope.get("server") or ("localhost", 80)
    client = scope.get("client") or ("", 0)
    raw_path = scope.get("raw_path") or str(scope["path"]).encode()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": str(scope.get("root_path", "")).encode().decode("latin-1"),
        "PATH_INFO": unquote_to_bytes(raw_path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": str(server[0]),
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": str(client[0]),
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").upper()
        if "_" not in name and name not in {"TRANSFER-ENCODING", "CONTENT-LENGTH"}:
            _add_header(environ, name, raw_value.decode("latin-1"))
    if body or header(scope, b"content-length") is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _add_header(environ: dict[str, Any], name: str, value: str) -> None:
    key = "CONTENT_TYPE" if name == "CONTENT-TYPE" else "HTTP_" + name.replace("-", "_")
    if key in environ:
        value = environ[key] + ("; " if name == "COOKIE" else ",") + value
    environ[key] = value


def gather(app: WsgiApp, environ: dict[str, Any], max_bytes: int) -> Answer:
    """Call `app` and collect its answer whole; raises what it raises, and RuntimeError where it breaks the protocol.

    An answer of more than `max_bytes` is an error, so an endless generator cannot fill the memory.
    """
    started: list[tuple[str, list[tuple[str, str]]]] = []
    chunks: list[bytes] = []

    def start_response(
        status: str,
        headers: list[tuple[str, str]],
        exc_info: tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None = None,
    ) -> Callable[[bytes], None]:
        if started and exc_info is None:
            raise RuntimeError("start_response was called twice without exc_info")
        started[:] = [(status, list(headers))]
        return chunks.append

    result = app(environ, start_response)
    try:
        size = 0
        for chunk in result:
            size += len(chunk)
            if size > max_bytes:
                raise RuntimeError(f"the answer is longer than {max_bytes} bytes; endless answers belong to a stream")
            chunks.append(chunk)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    if not started:
        raise RuntimeError("the application returned without calling start_response")
    return _finish(*started[0], b"".join(chunks), head_only=environ["REQUEST_METHOD"] == "HEAD")


def _finish(status_line: str, headers: list[tuple[str, str]], body: bytes, *, head_only: bool) -> Answer:
    status = int(status_line.split(" ", 1)[0])
    bodiless = status in _BODILESS
    kept = [(name.lower(), value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
    declared = next((value for name, value in kept if name == "content-length"), None)
    kept = [(name, value) for name, value in kept if name != "content-length"]
    if not bodiless:
        # A HEAD answer repeats what GET would say, and only the application knows that if it sent no body.
        length = declared if head_only and declared is not None else str(len(body))
        kept.append(("content-length", length))
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept]
    return Answer(status, encoded, b"" if head_only or bodiless else body)
