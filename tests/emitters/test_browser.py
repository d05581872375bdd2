"""The client module in a real browser, against the manager on real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from controller.emitters import (
    DeliveryOutcome,
    DeliveryStatus,
    OutcomeClass,
    UnifiedWebSocketEmitter,
    UnifiedWebSocketManager,
    UserExecutionContext,
    browser_client,
)
from tests.browser import browser
from tests.emitters.sockets import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = """<!doctype html><title>events</title><script type="module">
import { connectEvents } from "./canary-events.js";
window.seen = []; window.statuses = []; window.messages = []; window.errors = [];
window.start = (behave = "quick") => {
  window.events = connectEvents("/chat", {
    onEvent: async (event) => {
      if (behave === "slow") await new Promise((done) => setTimeout(done, 300));
      if (behave === "broken" && event.data.n === 1) throw new Error("cannot show this");
      window.seen.push(event.data.n);
    },
    onMessage: (message) => window.messages.push(message),
    onStatus: (status, detail) => window.statuses.push([status, detail.code ?? 0]),
    onError: (error) => window.errors.push(error.message),
  });
};
window.ready = true;
</script>"""


class Site:
    """A page, the module it imports, and the sockets it opens."""

    def __init__(self, manager: UnifiedWebSocketManager, server: Server) -> None:
        self.manager, self.server = manager, server
        self.emitter = UnifiedWebSocketEmitter(manager, "alice", UserExecutionContext("alice", "thread-1"))
        self.heard: list[str | bytes] = []
        self.sockets: list[ServerConnection] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/"

    async def outcome(self, n: int) -> DeliveryOutcome:
        receipt = await self.emitter.emit_agent_thinking({"n": n})
        assert receipt
        return await receipt.outcome()

    async def connected(self, times: int = 1) -> None:
        await eventually(lambda: len(self.sockets) == times and self.manager.is_connection_active("alice"))


def page_of(_connection: ServerConnection, request: Request) -> Response | None:
    path = urlsplit(request.path).path
    if path == "/chat":
        return None
    found = {"/": (PAGE, "text/html"), "/canary-events.js": (browser_client().read_text(), "text/javascript")}
    body, kind = found.get(path, ("", "text/plain"))
    response = _connection.respond(HTTPStatus.OK if body else HTTPStatus.NOT_FOUND, body)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = f"{kind}; charset=utf-8"
    return response


@asynccontextmanager
async def serving(port: int = 0, *, acks: bool = True, **settings: Any) -> AsyncIterator[Site]:
    manager = UnifiedWebSocketManager(**{"close_timeout": 0.5, **settings})

    async def handler(websocket: ServerConnection) -> None:
        assert websocket.request is not None
        site.sockets.append(websocket)
        client = parse_qs(urlsplit(websocket.request.path).query)["client"][0]

        async def on_message(message: str | bytes) -> None:
            site.heard.append(message)

        await manager.serve_connection("alice", websocket, connection_id=client, acks=acks, on_message=on_message)

    async with serve(handler, "127.0.0.1", port, process_request=page_of, ping_interval=None) as server:
        site = Site(manager, server)
        yield site
        await manager.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[BrowserContext]:
    async with browser() as context:
        yield context


Open = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="module")
async def visit(chromium: BrowserContext) -> AsyncIterator[Open]:
    """Opens the page and connects; whatever goes wrong in the page fails the test."""
    pages: list[Page] = []
    faults: list[str] = []

    async def open_page(site: Site, behave: str = "quick") -> Page:
        page = await chromium.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        pages.append(page)
        await page.goto(site.url)
        await page.wait_for_function("window.ready")
        await page.evaluate("(behave) => start(behave)", behave)
        await site.connected(len(site.sockets) or 1)
        return page

    yield open_page
    for page in pages:
        await page.close()
    assert faults == []


async def seen(page: Page, numbers: list[int]) -> None:
    """Wait until the application has been given exactly these events."""
    await page.wait_for_function("(count) => window.seen.length >= count", arg=len(numbers))
    assert await page.evaluate("window.seen") == numbers


async def test_events_are_given_to_the_page_in_order_and_acknowledged(visit: Open) -> None:
    async with serving() as site:
        page = await visit(site)
        receipts = [await site.emitter.emit_agent_thinking({"n": n}) for n in range(100)]
        outcomes = [await receipt.outcome() for receipt in receipts]
        assert {outcome.status for outcome in outcomes} == {DeliveryStatus.ACKED}
        await seen(page, list(range(100)))
        assert site.manager.get_connection_health("alice").ignored_acks == 0
        assert site.heard == []


async def test_that_a_page_acknowledges_is_noticed_without_being_told(visit: Open) -> None:
    async with serving(acks=False) as site:
        page = await visit(site)
        assert (await site.outcome(0)).status is DeliveryStatus.CONFIRMED  # its pong was quicker
        await seen(page, [0])
        await eventually(lambda: site.manager.connections[0].acknowledges)
        assert (await site.outcome(1)).status is DeliveryStatus.ACKED
        assert site.manager.get_connection_health("alice").ignored_acks == 0


async def test_an_event_is_acknowledged_only_when_the_application_is_done_with_it(visit: Open) -> None:
    async with serving() as site:
        page = await visit(site, "slow")
        await site.outcome(0)
        await seen(page, [0])
        outcome = await site.outcome(1)
        assert outcome.status is DeliveryStatus.ACKED
        assert outcome.latency_ms is not None
        assert outcome.latency_ms >= 290


async def test_a_repeat_is_dropped_and_acknowledged_again(visit: Open) -> None:
    async with serving() as site:
        page = await visit(site)
        # The page reads and acknowledges; its words never arrive, because this process does not read any more.
        site.sockets[0].transport.pause_reading()  # type: ignore[attr-defined]
        receipt = await site.emitter.emit_agent_thinking({"n": 0})
        await seen(page, [0])
        site.sockets[0].transport.abort()
        await site.connected(2)
        assert (await receipt.outcome()).delivered
        await seen(page, [0])  # it has been sent twice, and shown once
        assert (await site.outcome(1)).delivered
        await seen(page, [0, 1])


async def test_after_a_broken_connection_it_resumes_with_what_was_missed(visit: Open) -> None:
    async with serving() as site:
        page = await visit(site)
        await site.outcome(0)
        site.sockets[0].transport.abort()
        await eventually(lambda: not site.manager.is_connection_active("alice"))
        receipts = [await site.emitter.emit_agent_thinking({"n": n}) for n in (1, 2, 3)]
        await site.connected(2)
        assert all([(await receipt.outcome()).delivered for receipt in receipts])
        await seen(page, [0, 1, 2, 3])
        assert [status for status, _ in await page.evaluate("window.statuses")] == [
            *("connecting", "open", "waiting", "connecting", "open"),
        ]


async def test_an_application_that_throws_reports_the_event_as_failed_and_goes_on(visit: Open) -> None:
    async with serving() as site:
        page = await visit(site, "broken")
        await site.outcome(0)
        await seen(page, [0])
        assert (await site.outcome(1)).status is DeliveryStatus.REJECTED
        assert (await site.outcome(2)).delivered
        await seen(page, [0, 2])
        assert await page.evaluate("window.errors") == ["cannot show this"]


@pytest.mark.parametrize("how", ["events.close()", "the tab"])
async def test_who_closes_has_left_and_does_not_come_back(visit: Open, how: str) -> None:
    async with serving(replay_window=0) as site:
        page = await visit(site)
        await site.outcome(0)
        site.sockets[0].transport.pause_reading()  # type: ignore[attr-defined]
        receipt = await site.emitter.emit_agent_thinking({"n": 1})
        await seen(page, [0, 1])
        if how == "the tab":
            await page.close()
        else:
            await page.evaluate("events.close()")
        site.sockets[0].transport.resume_reading()  # type: ignore[attr-defined]
        assert (await receipt.outcome()).delivered  # its acknowledgement came before its close frame
        await eventually(lambda: not site.manager.is_connection_active("alice"))
        later = await site.emitter.emit_agent_thinking({"n": 2})
        assert (await later.outcome()).outcome_class is OutcomeClass.ABANDONED
        await site.sockets[0].wait_closed()
        assert site.sockets[0].close_code in {1000, 1001}
        assert len(site.sockets) == 1


@pytest.mark.parametrize(
    ("code", "comes_back"), [(1012, True), (1013, True), (1011, True), (1008, False), (4000, False)]
)
async def test_the_close_code_says_whether_to_come_back(visit: Open, code: int, comes_back: bool) -> None:
    async with serving() as site:
        page = await visit(site)
        await site.sockets[0].close(code, "said the server")
        if comes_back:
            await site.connected(2)
            assert (await site.outcome(0)).delivered
            await seen(page, [0])
        else:
            await page.wait_for_function("statuses.at(-1)[0] === 'closed'")
            assert await page.evaluate("statuses.at(-1)") == ["closed", code]
            assert not await page.evaluate("events.open || events.send('x')")


async def test_a_page_that_went_online_again_does_not_wait_for_its_next_attempt(visit: Open) -> None:
    async with serving() as site:
        page = await visit(site)
        port = site.server.sockets[0].getsockname()[1]
    await page.wait_for_function("statuses.filter(([status]) => status === 'waiting').length >= 3")
    async with serving(port) as again:
        await page.evaluate("window.dispatchEvent(new Event('online'))")
        await again.connected()
        assert (await again.outcome(0)).delivered
        await seen(page, [0])


async def test_everything_else_that_the_server_says_reaches_the_application_as_it_is(visit: Open) -> None:
    async with serving() as site:
        page = await visit(site)
        for message in ("plain words", json.dumps({"type": "chat"}), json.dumps({"event_id": 7, "type": "x"}), "null"):
            await site.sockets[0].send(message)
        await page.wait_for_function("window.messages.length === 4")
        assert await page.evaluate("window.messages") == [
            "plain words",
            {"type": "chat"},
            {"event_id": 7, "type": "x"},
            None,
        ]
        assert await page.evaluate("events.send({ text: 'hello' }) && events.send('as it is')")
        await eventually(lambda: site.heard == ['{"text":"hello"}', "as it is"])
        assert await page.evaluate("window.seen") == []
