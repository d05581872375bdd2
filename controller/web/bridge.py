"""The bridge from ASGI to WSGI: lets the Flask application answer beside the native streams on one port."""

import asyncio
import contextvars
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from controller.telemetry import told_path
from controller.web.asgi import Problem, Receive, Scope, Send, header, send_problem, send_whole
from controller.web.gateway import Answer, WsgiApp, build_environ, gather

T = TypeVar("T")
Outcome = asyncio.Future[tuple[Any, BaseException | None]]
ErrorSink = Callable[[BaseException, str, str], None]
#: Answers on the loop what needs no worker thread; None for everything else. It must not block.
Express = Callable[[Scope, bytes], Answer | None]

_log = logging.getLogger(__name__)
_CRASHED = Problem(
    500, "internal_error", "Internal server error", "The request failed inside the server; its log says why."
)
_BUSY = Problem(
    503, "busy", "Busy", "Every worker is busy and the waiting line is full; retry.", (("Retry-After", "1"),)
)
_CROWDED = Problem(
    503, "busy", "Busy", "Too many uploads are in memory at this moment; retry.", (("Retry-After", "1"),)
)
_TOO_SLOW = Problem(408, "body_too_slow", "Body too slow", "The request's body did not arrive in time; send it again.")


class Saturated(Exception):
    """Every worker thread is busy and the waiting line is full; try again in a moment."""


@dataclass(frozen=True, slots=True)
class _Job:
    call: Callable[[], Any]
    context: contextvars.Context
    loop: asyncio.AbstractEventLoop
    done: Outcome


class Workers:
    """Runs blocking calls of one event loop on `threads` daemon threads; at most `max_waiting` more may wait.

    The threads are daemons on purpose: a call that never returns must not keep the process from ending.
    """

    def __init__(self, threads: int, max_waiting: int, name: str) -> None:
        self._limit = threads + max_waiting
        self._taken = 0  # touched by the loop's thread only
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call` on a worker thread in a copy of the current context; raises what it raises, or Saturated."""
        if self._taken >= self._limit:
            raise Saturated(f"{self._limit} calls are running or waiting already")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[T, BaseException | None]] = loop.create_future()
        self._taken += 1
        self._queue.put(_Job(call, contextvars.copy_context(), loop, done))
        result, error = await done
        if error is not None:
            raise error
        return result

    def stop(self) -> None:
        """Let each thread end after the calls that are queued; does not wait for them."""
        for _ in self._threads:
            self._queue.put(None)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            result, error = None, None
            try:
                result = job.context.run(job.call)
            except BaseException as caught:  # noqa: BLE001 - a worker outlives whatever its call raises; run() raises it again
                error = caught
            try:
                job.loop.call_soon_threadsafe(self._settle, job.done, result, error)
            except RuntimeError:  # the loop has ended: nobody waits for this answer any more
                return
            del job, result, error  # an idle thread holds on to no request

    def _settle(self, done: Outcome, result: Any, error: BaseException | None) -> None:
        self._taken -= 1
        if not done.cancelled():
            done.set_result((result, error))


@dataclass(frozen=True, slots=True)
class BridgeLimits:
    """What one bridge holds at most."""

    #: requests that may wait while all threads are busy; the next one is told to come back (503)
    waiting: int = 256
    #: bytes of all bodies that are in memory at one time
    buffered_bytes: int = 64 * 1024 * 1024
    #: seconds that one body may take to arrive
    body_s: float = 30.0
    #: bytes of one answer, since answers are gathered before they are sent
    response_bytes: int = 64 * 1024 * 1024


class _Refused(Exception):
    """The request gets a problem for an answer and never reaches the application."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class _Gone(Exception):
    """The client went away before its request was complete."""


@dataclass(slots=True)
class _Body:
    """The chunks of one upload; `held` is what it takes from the bridge's budget."""

    chunks: list[bytes] = field(default_factory=list)
    held: int = 0


class WsgiBridge:
    """An ASGI http application that runs a WSGI application on worker threads.

    Bodies are read whole (bounded) before a thread is taken, so a slow upload occupies none; answers are gathered whole
    (bounded) before they are sent, so a slow download occupies none either. Endless answers belong to the stream hub.
    `on_error(error, method, path)` hears of what the application let escape; the client sees a problem without a trace.
    """

    def __init__(
        self,
        wsgi_app: WsgiApp,
        *,
        threads: int = 8,
        max_body_bytes: int,
        limits: BridgeLimits | None = None,
        on_error: ErrorSink | None = None,
        express: Express | None = None,
    ) -> None:
        self._app = wsgi_app
        self._express = express
        self._max_body = max_body_bytes
        self._limits = limits or BridgeLimits()
        self._on_error = on_error or _write_to_log
        self._workers = Workers(threads, self._limits.waiting, "wsgi")
        self._buffered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of type http."""
        body = _Body()
        try:
            answer = await self._answer(scope, receive, body)
        except _Gone:
            return
        except _Refused as refusal:
            await send_problem(scope, send, refusal.problem)
            return
        finally:
            self._buffered -= body.held
        await send_whole(send, answer.status, answer.headers, answer.body)

    def close(self) -> None:
        """Let the worker threads end; requests that come later wait for nobody, so stop the server first."""
        self._workers.stop()

    async def _answer(self, scope: Scope, receive: Receive, body: _Body) -> Answer:
        try:
            async with asyncio.timeout(self._limits.body_s):
                await self._read(scope, receive, body)
        except TimeoutError:
            raise _Refused(_TOO_SLOW) from None
        whole = b"".join(body.chunks)
        if self._express is not None and (answer := self._express(scope, whole)) is not None:
            return answer
        environ = build_environ(scope, whole)
        del whole
        body.chunks.clear()
        try:
            return await self._workers.run(partial(self._run, environ))
        except Saturated:
            raise _Refused(_BUSY) from None

    async def _read(self, scope: Scope, receive: Receive, body: _Body) -> None:
        declared = header(scope, b"content-length")
        refused = declared is not None and declared.isdecimal() and int(declared) > self._max_body
        if refused and header(scope, b"expect") is not None:  # the client asked before it sent: no need to read on
            raise _Refused(self._too_large())
        received = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            chunk: bytes = message.get("body", b"")
            received += len(chunk)
            refused = refused or received > self._max_body
            if refused:
                # Read on for a bounded while: most clients look at the answer only once they have sent everything.
                body.chunks.clear()
                if received > 2 * self._max_body or not message.get("more_body", False):
                    raise _Refused(self._too_large())
                continue
            self._hold(chunk, body)
            if not message.get("more_body", False):
                return

    def _hold(self, chunk: bytes, body: _Body) -> None:
        if self._buffered + len(chunk) > self._limits.buffered_bytes:
            raise _Refused(_CROWDED)
        body.chunks.append(chunk)
        body.held += len(chunk)
        self._buffered += len(chunk)

    def _too_large(self) -> Problem:
        detail = f"The request's body is larger than {self._max_body} bytes; split it into smaller requests."
        return Problem(413, "body_too_large", "Body too large", detail, (("Connection", "close"),))

    def _run(self, environ: dict[str, Any]) -> Answer:
        """On a worker thread: never raises."""
        head_only = environ["REQUEST_METHOD"] == "HEAD"
        try:
            return gather(self._app, environ, self._limits.response_bytes)
        except BaseException as error:  # noqa: BLE001 - whatever an application raises, its client gets an answer
            self._on_error(error, environ["REQUEST_METHOD"], environ["PATH_INFO"])
            body = _CRASHED.body()
            headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
            return Answer(500, headers, b"" if head_only else body)


def _write_to_log(error: BaseException, method: str, path: str) -> None:
    _log.error("%s %s failed inside the application", method, told_path(path), exc_info=error)
