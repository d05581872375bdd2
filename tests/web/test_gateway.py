"""The WSGI side of the bridge, without a socket."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.web.gateway import Answer, build_environ, gather


def scope(**parts: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [],
        "server": ("127.0.0.1", "80"),
        "client": ("10.0.0.9", "5555"),
    } | parts


def answer(app: Callable[..., Iterable[bytes]], method: str = "GET", max_bytes: int = 1000) -> Answer:
    return gather(app, build_environ(scope(method=method), b""), max_bytes)


def saying(status: str, headers: list[tuple[str, str]], *chunks: bytes) -> Callable[..., Iterable[bytes]]:
    def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status, headers)
        return chunks

    return app


@given(st.binary(min_size=1, max_size=40))
def test_the_path_arrives_as_the_bytes_that_were_meant(name: bytes) -> None:
    environ = build_environ(scope(raw_path=quote_from_bytes(b"/" + name, safe="/").encode()), b"")
    assert environ["PATH_INFO"].encode("latin-1") == b"/" + name


def test_the_environment_tells_who_asks_for_what() -> None:
    headers = [(b"host", b"x"), (b"content-type", b"text/plain"), (b"accept", b"a"), (b"accept", b"b")]
    environ = build_environ(scope(method="POST", query_string=b"a=%20", headers=headers), b"hello")
    wanted = {
        "REQUEST_METHOD": "POST",
        "QUERY_STRING": "a=%20",
        "REMOTE_ADDR": "10.0.0.9",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "5",
        "HTTP_HOST": "x",
        "HTTP_ACCEPT": "a,b",
        "wsgi.input_terminated": True,
    }
    assert {key: environ[key] for key in wanted} == wanted
    assert environ["wsgi.input"].read() == b"hello"


def test_cookies_that_came_in_several_fields_are_joined_as_cookies() -> None:
    environ = build_environ(scope(headers=[(b"cookie", b"a=1"), (b"cookie", b"b=2")]), b"")
    assert environ["HTTP_COOKIE"] == "a=1; b=2"


def test_a_field_with_an_underscore_cannot_pass_for_its_namesake() -> None:
    environ = build_environ(scope(headers=[(b"x_forwarded_for", b"evil"), (b"x-forwarded-for", b"1.2.3.4")]), b"")
    assert environ["HTTP_X_FORWARDED_FOR"] == "1.2.3.4"


def test_a_chunked_upload_looks_like_a_plain_one() -> None:
    environ = build_environ(scope(headers=[(b"transfer-encoding", b"chunked")]), b"abc")
    assert environ["CONTENT_LENGTH"] == "3"
    assert "HTTP_TRANSFER_ENCODING" not in environ


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_content_has_neither_body_nor_length(status: str) -> None:
    told = answer(saying(status, [("ETag", '"1"'), ("Content-Length", "2")], b"no"))
    assert told == Answer(int(status[:3]), [(b"etag", b'"1"')], b"")


def test_a_head_answer_keeps_the_length_that_get_would_have() -> None:
    told = answer(saying("200 OK", [("Content-Length", "1234")]), method="HEAD")
    assert (told.headers, told.body) == ([(b"content-length", b"1234")], b"")


def test_a_wrong_length_is_put_right() -> None:
    assert answer(saying("200 OK", [("Content-Length", "99")], b"abc", b"def")).headers == [(b"content-length", b"6")]


def test_fields_of_one_hop_are_left_to_the_server() -> None:
    told = answer(saying("200 OK", [("Connection", "close"), ("Transfer-Encoding", "chunked")]))
    assert told.headers == [(b"content-length", b"0")]


def test_what_is_written_the_old_way_comes_first() -> None:
    def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])(b"first ")
        return [b"second"]

    assert answer(app).body == b"first second"


def test_an_error_answer_may_replace_one_that_had_begun() -> None:
    def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        start_response("500 Broken", [], (ValueError, ValueError("x"), None))
        return [b"sorry"]

    assert answer(app).status == 500


class Chunks:
    """An iterable that remembers that it was closed."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.closed = False
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self.closed = True


def forever() -> Iterator[bytes]:
    while True:
        yield b"x" * 100


def breaking() -> Iterator[bytes]:
    yield b"x"
    raise ValueError("in the middle")


@pytest.mark.parametrize(("chunks", "error"), [(forever(), RuntimeError), (breaking(), ValueError)])
def test_an_answer_that_fails_half_way_is_closed_all_the_same(chunks: Iterator[bytes], error: type[Exception]) -> None:
    result = Chunks(chunks)

    def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return result

    with pytest.raises(error):
        answer(app)
    assert result.closed


def test_an_application_that_starts_no_answer_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="without calling start_response"):
        answer(lambda _environ, _start: [])


def test_an_application_that_starts_two_answers_is_an_error() -> None:
    def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        start_response("201 Created", [])
        return []

    with pytest.raises(RuntimeError, match="twice"):
        answer(app)
