"""The HTTP server: Flask through the bridge and native streams on one port, in this process and no other.

Granian runs embedded on this process's own loop, so there is no supervisor and no worker process: a SIGKILL leaves
nothing behind. The socket is opened by us, because granian would share a port in use with its owner (SO_REUSEPORT) and
could not say which port it got.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.net import SocketHolder  # type: ignore[attr-defined] # its stubs lag behind; pinned by the tests
from granian.server.embed import Server

from controller.web.asgi import Problem, Receive, Scope, Send, send_problem
from controller.web.bridge import BridgeLimits, Express, Saturated, Workers, WsgiBridge
from controller.web.gateway import WsgiApp
from controller.web.sockets import BACKLOG, allow_connections, listen
from controller.web.stream import Opening, StreamHub

Loop = asyncio.AbstractEventLoop

_log = logging.getLogger(__name__)
#: Connections at one time. Each open stream takes one; beyond the limit new ones wait unaccepted, the API's too.
MAX_CONNECTIONS = 12_000
#: Stream requests that may wait for their authorization; a controller that restarts is asked by everybody at once.
_WAITING_STREAMS = 10_000
#: How long a client waits at most until its arrival has been written down.
_ARRIVAL_S = 2.0
#: Keeps granian's set-up from replacing the process's logging: levels only, no handlers of its own.
_GRANIAN_LOG = {"incremental": True, "formatters": {}, "handlers": {}, "loggers": {"_granian": {"level": "ERROR"}}}
_GET_ONLY = Problem(405, "method_not_allowed", "Method not allowed", "A stream is read with GET.", (("Allow", "GET"),))
_BUSY = Problem(503, "busy", "Busy", "Too many streams are being opened; retry.", (("Retry-After", "2"),))
_CRASHED = Problem(500, "internal_error", "Internal server error", "The stream could not be opened; the log says why.")


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What an authorization may look at."""

    path: str
    #: names in lower case; of repeated fields the last one
    headers: Mapping[str, str]
    #: of repeated parameters the last one
    query: Mapping[str, str]
    #: address of the peer
    client: str


@dataclass(frozen=True, slots=True)
class StreamRoute:
    """One path that is answered with a stream."""

    #: the hub's topic
    topic: str
    #: called on a worker thread, so it may block; None lets the client in, a problem is its answer
    authorize: Callable[[StreamRequest], Problem | None]
    #: called on the loop, so it may not; what it returns is waited for, a little while
    arrive: Callable[[StreamRequest], Future[None] | None] = lambda _request: None
    #: how its streams begin
    opening: Callable[[StreamRequest], Opening] = lambda _request: Opening()


class Shell:
    """The ASGI application of the controller: streams at their paths, everything else through the bridge."""

    def __init__(
        self,
        bridge: WsgiBridge,
        hub: StreamHub,
        routes: Mapping[str, StreamRoute],
        on_startup: Callable[[Loop, StreamHub], None] | None,
        on_shutdown: Callable[[], None] | None,
    ) -> None:
        self.hub = hub
        self._bridge = bridge
        self._routes = dict(routes)
        self._doormen = Workers(2, _WAITING_STREAMS, "stream-door")
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other kinds of scope than http are refused by raising, as ASGI asks for."""
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here: run this application with controller.web.server.serve")
        with contextlib.suppress(asyncio.CancelledError):  # the grace time is over; granian would log a trace
            await self._answer(scope, receive, send)

    def start(self, loop: Loop) -> None:
        """Bind the hub to `loop` and call the start-up hook; what the hook raises ends the start."""
        self.hub.bind(loop)
        if self._on_startup is not None:
            self._on_startup(loop, self.hub)

    def stop(self) -> None:
        """Let the worker threads end and call the shutdown hook; no request is served any more."""
        self._bridge.close()
        self._doormen.stop()
        if self._on_shutdown is not None:
            self._on_shutdown()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"])
        if route is None:
            await self._bridge(scope, receive, send)
            return
        request = _request_of(scope)
        problem = await self._refusal(route, scope["method"], request)
        if problem is not None:
            await send_problem(scope, send, problem)
            return
        await self.hub.serve(route.topic, scope, receive, send, route.opening(request))

    async def _refusal(self, route: StreamRoute, method: str, request: StreamRequest) -> Problem | None:
        if method != "GET":
            return _GET_ONLY
        try:
            problem = await self._doormen.run(partial(route.authorize, request))
            if problem is None and (known := route.arrive(request)) is not None:
                await asyncio.wait({asyncio.wrap_future(known)}, timeout=_ARRIVAL_S)
        except Saturated:
            return _BUSY
        except Exception:  # noqa: BLE001 - whatever it raises, nobody is let in and the client gets an answer
            _log.exception("the authorization of the stream %s failed", request.path)
            return _CRASHED
        return problem


def make_asgi(  # noqa: PLR0913 - the composition of the shell: each argument is one part of it
    wsgi_app: WsgiApp,
    hub: StreamHub,
    stream_routes: Mapping[str, StreamRoute],
    on_startup: Callable[[Loop, StreamHub], None] | None = None,
    on_shutdown: Callable[[], None] | None = None,
    *,
    threads: int = 8,
    max_body_bytes: int = 8 * 1024 * 1024,
    limits: BridgeLimits | None = None,
    express: Express | None = None,
) -> Shell:
    """Compose the shell; `stream_routes` maps a path to its stream.

    `on_startup(loop, hub)` is called on the loop before the first request, `on_shutdown()` after the last one.
    """
    bridge = WsgiBridge(wsgi_app, threads=threads, max_body_bytes=max_body_bytes, limits=limits, express=express)
    return Shell(bridge, hub, stream_routes, on_startup, on_shutdown)


def serve(
    asgi: Shell,
    host: str,
    port: int,
    ready: Callable[[int], None],
    *,
    grace_s: float = 2.0,
) -> None:
    """Serve until SIGTERM or SIGINT, in this process; call it on the main thread. Port 0 lets the system choose.

    `ready(port)` is called once connections are accepted. On a signal the streams are closed, requests in flight are
    answered for at most `grace_s` seconds, the shutdown hook is called, and the call returns. Raises CannotListen.
    """
    sock = listen(host, port)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(_serve_until_signal(asgi, sock, ready, grace_s))


async def serve_on(
    asgi: Shell,
    sock: socket.socket,
    stop: asyncio.Event,
    *,
    ready: Callable[[int], None] | None = None,
    grace_s: float = 2.0,
) -> None:
    """Serve on the running loop and a socket of `listen`, which is taken over, until `stop` is set.

    RuntimeError says that the server ended by itself.
    """
    with contextlib.closing(sock):
        asgi.start(asyncio.get_running_loop())
        try:
            await _serve_until(asgi, _Embedded(asgi, sock), stop, ready, grace_s)
        finally:
            asgi.stop()


async def _serve_until_signal(asgi: Shell, sock: socket.socket, ready: Callable[[int], None], grace_s: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve_on(asgi, sock, stop, ready=ready, grace_s=grace_s)


async def _serve_until(
    asgi: Shell, server: "_Embedded", stop: asyncio.Event, ready: Callable[[int], None] | None, grace_s: float
) -> None:
    serving = asyncio.create_task(server.serve())
    asked = asyncio.create_task(stop.wait())
    if ready is not None:
        ready(server.bind_port)  # the socket listens already; whoever connects before granian accepts, waits for it
    await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if serving.done():
        raise RuntimeError("the HTTP server ended by itself") from serving.exception()
    # First no new connections, then no streams: a client that comes back finds the next server, not a refusal of this.
    server.stop()  # type: ignore[no-untyped-call]
    deadline = asyncio.get_running_loop().time() + grace_s
    await asgi.hub.close_all(grace_s / 2)
    await asyncio.wait({serving}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
    if not serving.done():
        _log.warning("some connections were still busy after %s s and are cut off", grace_s)
        asyncio.get_running_loop().set_exception_handler(_unless_cut_off)
        serving.cancel()
        await asyncio.wait({serving}, timeout=grace_s)


def _unless_cut_off(loop: Loop, context: dict[str, Any]) -> None:
    """Say nothing of the future that granian sets after we have cancelled it; everything else is told."""
    if not isinstance(context.get("exception"), asyncio.InvalidStateError):
        loop.default_exception_handler(context)


class _Embedded(Server):
    """Granian in this process, on a socket that is open already."""

    def __init__(self, asgi: Shell, sock: socket.socket) -> None:
        host, port = sock.getsockname()[:2]
        super().__init__(
            asgi,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=allow_connections(MAX_CONNECTIONS),
            log_level=LogLevels.error,
            log_dictconfig=_GRANIAN_LOG,
        )
        self._listening = sock

    def _init_shared_socket(self) -> None:
        # Granian closes the descriptor it is given, so it must own it. False: this is not a Unix socket.
        self._shd: Any = SocketHolder(self._listening.detach(), False, BACKLOG)  # type: ignore[call-arg]


def _new_loop() -> Loop:
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform, and the standard loop serves as well, only slower
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _request_of(scope: Scope) -> StreamRequest:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=100))
    return StreamRequest(scope["path"], headers, query, str((scope.get("client") or ("",))[0]))
