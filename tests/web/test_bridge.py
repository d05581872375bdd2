"""The bridge on real sockets: what a WSGI application sees and what its clients get."""

import asyncio
import contextvars
import gzip
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from flask import Flask, Response, request

from controller.web.bridge import BridgeLimits
from controller.web.server import make_asgi, serve_on
from controller.web.sockets import listen
from controller.web.stream import StreamHub

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
MAX_BODY = 100_000
DEADLINE_S = 30


@asynccontextmanager
async def running(app: WsgiApp, *, threads: int = 4, limits: BridgeLimits | None = None) -> AsyncIterator[int]:
    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    shell = make_asgi(app, StreamHub(), {}, threads=threads, max_body_bytes=MAX_BODY, limits=limits)
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_on(shell, sock, stop))
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield port
    finally:
        stop.set()
        await serving


def client(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S, trust_env=False, verify=False)


async def true_in_time(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - the conditions belong to code that knows no events
            await asyncio.sleep(0.005)


async def raw(port: int, request_bytes: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_bytes)
    await writer.drain()
    return reader, writer


class Uploads:
    """A Flask application that keeps the bodies that it was sent."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.app = Flask("uploads")
        self.app.add_url_rule("/", view_func=self._take, methods=["GET", "POST"])

    def _take(self) -> str:
        self.seen.append(request.get_data())
        self.headers.append(dict(request.headers))
        return "taken"


async def pieces(count: int, size: int = 1000) -> AsyncIterator[bytes]:
    for number in range(count):
        await asyncio.sleep(0)
        yield bytes([number % 256]) * size


async def test_a_chunked_upload_reaches_the_application_whole() -> None:
    uploads = Uploads()
    async with running(uploads.app) as port, client(port) as http:
        told = await http.post("/", content=pieces(50))
    assert told.text == "taken"
    assert uploads.seen == [b"".join([piece async for piece in pieces(50)])]


async def test_a_compressed_body_passes_untouched() -> None:
    uploads, packed = Uploads(), gzip.compress(b"event " * 500)
    async with running(uploads.app) as port, client(port) as http:
        await http.post("/", content=packed, headers={"Content-Encoding": "gzip"})
    assert uploads.seen == [packed]
    assert uploads.headers[0]["Content-Encoding"] == "gzip"


async def test_a_body_of_exactly_the_limit_is_welcome() -> None:
    uploads = Uploads()
    async with running(uploads.app) as port, client(port) as http:
        assert (await http.post("/", content=b"x" * MAX_BODY)).status_code == 200


async def test_a_body_that_declares_too_much_is_refused() -> None:
    uploads = Uploads()
    async with running(uploads.app) as port, client(port) as http:
        told = await http.post("/", content=b"x" * (MAX_BODY + 1))
    assert (told.status_code, told.json()["code"]) == (413, "body_too_large")
    assert told.headers["content-type"] == "application/problem+json"
    assert uploads.seen == []


async def test_a_chunked_body_that_grows_too_large_is_refused() -> None:
    uploads = Uploads()
    async with running(uploads.app) as port, client(port) as http:
        told = await http.post("/", content=pieces(120))
    assert (told.status_code, told.json()["code"]) == (413, "body_too_large")
    assert uploads.seen == []


async def test_a_client_that_asks_first_is_refused_before_it_sends() -> None:
    async with running(Uploads().app) as port:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\nExpect: 100-continue\r\n\r\n"
        reader, writer = await raw(port, head)
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_a_body_that_comes_too_slowly_is_given_up() -> None:
    uploads = Uploads()
    async with running(uploads.app, limits=BridgeLimits(body_s=0.05)) as port:
        reader, writer = await raw(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        writer.close()
    assert uploads.seen == []


async def test_slow_uploads_occupy_no_thread() -> None:
    async with running(Uploads().app, threads=1) as port, client(port) as http:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"
        slow = [await raw(port, head) for _ in range(5)]
        assert (await http.get("/")).text == "taken"
        for _, writer in slow:
            writer.close()


async def test_the_memory_of_uploads_is_bounded_and_given_back() -> None:
    uploads = Uploads()
    async with running(uploads.app, limits=BridgeLimits(buffered_bytes=2500)) as port, client(port) as http:
        _, hoarder = await raw(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n" + b"x" * 2000)
        told = await http.post("/", content=b"y" * 1000)
        while told.status_code == 200:  # the hoarder's bytes may arrive later than ours
            told = await http.post("/", content=b"y" * 1000)
        assert (told.status_code, told.json()["code"]) == (503, "busy")
        assert told.headers["retry-after"] == "1"
        hoarder.close()  # a client that leaves in the middle never reaches the application
        while told.status_code == 503:
            told = await http.post("/", content=b"y" * 1000)
        assert told.status_code == 200
    assert set(uploads.seen) == {b"y" * 1000}


async def test_a_head_request_gets_the_fields_of_get_and_no_body() -> None:
    async with running(Uploads().app) as port:
        reader, writer = await raw(port, b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        told = await reader.read()
        writer.close()
    assert b"content-length: 5\r\n" in told
    assert told.endswith(b"\r\n\r\n")


async def test_a_not_modified_answer_has_no_body() -> None:
    app = Flask("etag")
    app.add_url_rule("/", view_func=lambda: Response("ignored", 304, {"ETag": '"7"'}))
    async with running(app) as port:
        reader, writer = await raw(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        told = await reader.read()
        writer.close()
    assert told.startswith(b"HTTP/1.1 304")
    assert b'etag: "7"' in told
    assert told.endswith(b"\r\n\r\n")


async def test_two_cookies_arrive_as_two_fields() -> None:
    app = Flask("cookies")

    @app.get("/")
    def cookies() -> Response:
        told = Response("ok")
        told.set_cookie("a", "1")
        told.set_cookie("b", "2")
        return told

    async with running(app) as port, client(port) as http:
        told = await http.get("/")
    assert told.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]


async def test_a_crash_is_a_problem_without_a_trace(caplog: Any) -> None:
    def app(_environ: dict[str, Any], _start: Callable[..., Any]) -> Iterable[bytes]:
        raise ZeroDivisionError("the secret of the house")

    async with running(app) as port, client(port) as http:
        told = await http.get("/crash")
    assert (told.status_code, told.json()["code"]) == (500, "internal_error")
    assert told.headers["content-type"] == "application/problem+json"
    assert "secret" not in told.text
    assert "ZeroDivisionError" not in told.text
    assert "GET /crash failed inside the application" in caplog.text
    assert "the secret of the house" in caplog.text


async def test_an_application_that_wants_to_exit_does_not_take_its_thread_along() -> None:
    def app(_environ: dict[str, Any], _start: Callable[..., Any]) -> Iterable[bytes]:
        raise SystemExit(3)

    async with running(app, threads=1) as port, client(port) as http:
        assert [(await http.get("/")).status_code for _ in range(3)] == [500, 500, 500]


class Gate:
    """A Flask application with one slow address; counts who stands at the gate."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.waiting = 0
        self.app = Flask("gate")
        self.app.add_url_rule("/slow", view_func=self._slow)
        self.app.add_url_rule("/fast", view_func=lambda: "fast")

    def _slow(self) -> str:
        self.waiting += 1
        self.opened.wait(DEADLINE_S)
        return "slow"


async def test_slow_requests_do_not_hold_up_others_while_a_thread_is_free() -> None:
    gate = Gate()
    async with running(gate.app, threads=4) as port, client(port) as http:
        slow = [asyncio.create_task(http.get("/slow")) for _ in range(3)]
        await true_in_time(lambda: gate.waiting == 3)
        assert (await http.get("/fast")).text == "fast"
        gate.opened.set()
        assert [told.text for told in await asyncio.gather(*slow)] == ["slow"] * 3


async def test_when_the_waiting_line_is_full_the_next_is_told_to_come_back() -> None:
    gate = Gate()
    async with running(gate.app, threads=1, limits=BridgeLimits(waiting=1)) as port, client(port) as http:
        first = asyncio.create_task(http.get("/slow"))
        await true_in_time(lambda: gate.waiting == 1)
        asked = [asyncio.create_task(http.get("/fast")) for _ in range(3)]
        done: set[asyncio.Task[httpx.Response]] = set()
        while len(done) < 2:  # one of the three waits in the line, the others are turned away
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert {told.result().status_code for told in done} == {503}
        assert {told.result().headers["retry-after"] for told in done} == {"1"}
        gate.opened.set()
        assert (await first).text == "slow"
        assert sorted([(await told).status_code for told in asked]) == [200, 503, 503]


async def test_nothing_that_one_request_sets_in_its_context_is_seen_by_the_next() -> None:
    seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nobody")

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        before = seen.get()
        seen.set(environ["QUERY_STRING"])
        start_response("200 OK", [])
        return [before.encode()]

    async with running(app, threads=1) as port, client(port) as http:
        assert [(await http.get(f"/?user{number}")).text for number in range(3)] == ["nobody"] * 3


async def test_paths_and_the_peer_reach_flask_as_they_were_meant() -> None:
    app = Flask("paths")
    app.add_url_rule("/<name>", view_func=lambda name: f"{name} from {request.remote_addr}")
    async with running(app) as port, client(port) as http:
        assert (await http.get("/gr%C3%BCn%20%25")).text == "grün % from 127.0.0.1"
