"""The server as a process: one port, one process, signals, and what is left when it is killed."""

import asyncio
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask

from controller.web.asgi import Problem
from controller.web.server import Shell, StreamRequest, StreamRoute, make_asgi, serve, serve_on
from controller.web.sockets import CannotListen, allow_connections, listen
from controller.web.stream import StreamHub

DEADLINE_S = 30
ROOT = Path(__file__).resolve().parents[2]
#: What runs in the server's process: prints its port, its start and its end.
PROGRAM = """
import sys, threading
from flask import Flask, request
from controller.web.server import StreamRoute, make_asgi, serve
from controller.web.sockets import CannotListen
from controller.web.stream import StreamHub

def say(line):
    print(line, flush=True)

app = Flask("program")
gate = threading.Event()

@app.get("/slow")
def slow():
    say("slow")
    gate.wait(0.3)  # nobody opens the gate: a request that takes a while
    return "done"

@app.post("/")
def upload():
    return str(len(request.get_data()))

hub = StreamHub()
hub.publish("t", "1", "snapshot", b"one")
shell = make_asgi(
    app, hub, {"/stream": StreamRoute("t", lambda _request: None)},
    on_startup=lambda loop, hub: say("up"), on_shutdown=lambda: say("down"),
)
try:
    serve(shell, "127.0.0.1", int(sys.argv[1]), lambda port: say(f"port {port}"), grace_s=float(sys.argv[2]))
except CannotListen as error:
    sys.exit(f"error: {error}")
"""


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[str]
    port: int

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    @contextmanager
    def stream(self) -> Iterator[http.client.HTTPResponse]:
        """A stream whose first message has arrived."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)) as connection:
            connection.request("GET", "/stream")
            answer = connection.getresponse()
            while answer.readline() != b"data: one\n":
                pass
            yield answer

    def end(self) -> tuple[int, str, str]:
        """Exit code, what is left on standard output, and standard error."""
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out, err


def launch(port: int = 0, grace_s: float = 2.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(port), str(grace_s)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@contextmanager
def program(grace_s: float = 2.0) -> Iterator[Running]:
    process = launch(grace_s=grace_s)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield Running(process, int(process.stdout.readline().removeprefix("port ")))
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_open_streams_and_answers_what_is_under_way(number: signal.Signals) -> None:
    with program() as server, ExitStack() as stack:
        streams = [stack.enter_context(server.stream()) for _ in range(5)]
        request = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
        stack.enter_context(closing(request))
        request.request("GET", "/slow")
        assert server.line() == "slow"
        server.process.send_signal(number)
        assert request.getresponse().read() == b"done"
        for stream in streams:
            stream.read()  # raises IncompleteRead unless the stream was ended cleanly
        assert server.end() == (0, "down\n", "")


def test_connections_that_are_stuck_hold_the_end_up_for_the_grace_time_only() -> None:
    with program(grace_s=0.2) as server, socket.create_connection(("127.0.0.1", server.port)) as stuck:
        stuck.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        with server.stream():  # by now the server has taken the stuck one as well
            server.process.terminate()
        code, out, err = server.end()
    assert (code, out) == (0, "down\n")
    assert "Traceback" not in err


def test_a_kill_leaves_no_process_and_no_port_behind() -> None:
    with program() as server, server.stream():
        server.process.kill()
        server.process.communicate(timeout=DEADLINE_S)
        with pytest.raises(ProcessLookupError):
            os.killpg(server.process.pid, 0)  # it led a group of its own; the group is empty
        listen("127.0.0.1", server.port).close()


def test_a_port_in_use_is_refused_with_the_reason() -> None:
    with program() as server:
        second = launch(port=server.port)
        out, err = second.communicate(timeout=DEADLINE_S)
        assert (second.returncode, out) == (1, "")
        assert (
            err
            == f"error: 127.0.0.1:{server.port} is already in use by another process; end it or choose another port\n"
        )


@pytest.mark.parametrize(
    ("host", "reason"),
    [("192.0.2.1", "192.0.2.1 is no address of this machine"), ("no.such.invalid", "no.such.invalid")],
)
def test_an_address_that_is_not_ours_is_refused_with_the_reason(host: str, reason: str) -> None:
    with pytest.raises(CannotListen, match=reason):
        listen(host, 0)


def test_room_for_connections_is_made_as_far_as_the_system_allows() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (600, before[1]))
        assert allow_connections(900) == 900
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 900
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def hello() -> Flask:
    app = Flask("hello")
    app.add_url_rule("/", view_func=lambda: "hello")
    return app


@asynccontextmanager
async def running(shell: Shell) -> AsyncIterator[str]:
    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_on(shell, sock, stop))
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        await serving


def asking() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False, verify=False)


async def test_a_refused_stream_gets_the_problem_of_its_doorman() -> None:
    asked: list[tuple[StreamRequest, str]] = []

    def doorman(request: StreamRequest) -> Problem:
        asked.append((request, threading.current_thread().name))
        return Problem(401, "unauthenticated", "Unauthenticated", "Send a token.", (("WWW-Authenticate", "Bearer"),))

    shell = make_asgi(hello(), StreamHub(), {"/stream": StreamRoute("t", doorman)})
    async with running(shell) as url, asking() as client:
        told = await client.get(f"{url}/stream?flag=a%20b", headers={"Authorization": "Bearer x"})
    assert (told.status_code, told.json()["code"]) == (401, "unauthenticated")
    assert told.headers["www-authenticate"] == "Bearer"
    request, thread = asked[0]
    assert (request.path, request.query, request.client) == ("/stream", {"flag": "a b"}, "127.0.0.1")
    assert request.headers["authorization"] == "Bearer x"
    assert thread.startswith("stream-door")


async def test_a_doorman_who_fails_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    def doorman(_request: StreamRequest) -> Problem | None:
        raise ConnectionError("the database is away")

    hub = StreamHub()
    async with running(make_asgi(hello(), hub, {"/stream": StreamRoute("t", doorman)})) as url, asking() as client:
        told = await client.get(f"{url}/stream")
    assert (told.status_code, told.json()["code"]) == (500, "internal_error")
    assert "database" not in told.text
    assert "the database is away" in caplog.text


async def test_a_stream_is_read_with_get_only() -> None:
    shell = make_asgi(hello(), StreamHub(), {"/stream": StreamRoute("t", lambda _request: None)})
    async with running(shell) as url, asking() as client:
        told = await client.post(f"{url}/stream")
    assert (told.status_code, told.headers["allow"]) == (405, "GET")


async def test_more_than_a_thousand_streams_leave_room_for_the_api() -> None:
    hub = StreamHub()
    allow_connections(2500)
    shell = make_asgi(hello(), hub, {"/stream": StreamRoute("t", lambda _request: None)})
    loop = asyncio.get_running_loop()
    async with running(shell) as url, asking() as client:
        port = int(url.rpartition(":")[2])
        with ExitStack() as stack:
            for _ in range(1100):  # granian's own limit is 1,024
                stream = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                stream.setblocking(False)
                await loop.sock_sendall(stream, b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            while hub.stats().clients != {"t": 1100}:  # noqa: ASYNC110 - the hub's figures are not an event
                await asyncio.sleep(0.01)
            assert (await client.get(url)).text == "hello"


async def test_start_and_shutdown_are_told_once_each_and_in_order() -> None:
    told: list[Any] = []
    hub = StreamHub()
    shell = make_asgi(
        hello(), hub, {}, on_startup=lambda *parts: told.append(parts), on_shutdown=lambda: told.append("down")
    )
    async with running(shell) as url, asking() as client:
        assert (await client.get(url)).text == "hello"
        assert told == [(asyncio.get_running_loop(), hub)]
    assert told[1:] == ["down"]


def test_a_start_that_fails_says_why_and_frees_the_port() -> None:
    def broken(*_parts: Any) -> None:
        raise LookupError("no database")

    with closing(listen("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told: list[int] = []
    with pytest.raises(LookupError, match="no database"):
        serve(make_asgi(hello(), StreamHub(), {}, on_startup=broken), "127.0.0.1", port, told.append)
    assert told == []
    listen("127.0.0.1", port).close()


async def test_another_server_than_ours_is_told_what_is_missing() -> None:
    async def nothing(*_parts: Any) -> Any:
        raise AssertionError("not called")

    with pytest.raises(RuntimeError, match=r"controller\.web\.server\.serve"):
        await make_asgi(hello(), StreamHub(), {})({"type": "lifespan"}, nothing, nothing)
