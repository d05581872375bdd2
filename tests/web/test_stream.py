"""Streams on real sockets: what a subscriber sees, and what it cannot do to the others."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from flask import Flask
from httpx_sse import EventSource, ServerSentEvent

from controller.web.server import StreamRoute, make_asgi, serve_on
from controller.web.sockets import listen
from controller.web.stream import FAN_OUT, PARTS, Opening, StreamHub, StreamLimits

DEADLINE_S = 30
MIB = 1024 * 1024


@asynccontextmanager
async def running(hub: StreamHub, retry_ms: int = 2000, name: str = "") -> AsyncIterator[int]:
    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    routes = {
        "/stream": StreamRoute("t", lambda _request: None, opening=lambda _request: Opening(name, retry_ms=retry_ms))
    }
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_on(make_asgi(Flask("none"), hub, routes), sock, stop))
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield port
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def subscribed(port: int, last_id: str | None = None) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    async with (
        httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False, verify=False) as http,
        http.stream("GET", f"http://127.0.0.1:{port}/stream", headers=headers) as told,
    ):
        assert told.status_code == 200
        yield EventSource(told).aiter_sse()


async def true_in_time(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - the conditions belong to code that knows no events
            await asyncio.sleep(0.005)


def told(event: ServerSentEvent) -> tuple[str, str, str]:
    return event.event, event.id, event.data


async def test_a_new_client_gets_the_current_message_at_once() -> None:
    hub = StreamHub()
    async with running(hub) as port:
        hub.publish("t", "7", "snapshot", b'{"a":1}')
        async with subscribed(port) as events:
            assert told(await anext(events)) == ("snapshot", "7", '{"a":1}')


async def test_what_is_published_before_the_server_runs_is_kept() -> None:
    hub = StreamHub()
    hub.publish("t", "1", "snapshot", b"old")
    hub.publish("t", "2", "snapshot", b"new")
    async with running(hub) as port, subscribed(port) as events:
        assert told(await anext(events)) == ("snapshot", "2", "new")


async def test_a_client_that_comes_back_up_to_date_only_hears_where_the_topic_stands() -> None:
    hub = StreamHub()
    hub.publish("t", "7", "snapshot", b"seven")
    async with running(hub) as port, subscribed(port, last_id="7") as events:
        first = await anext(events)
        assert (first.event, json.loads(first.data)) == ("heartbeat", {"revision": "7"})
        hub.publish("t", "8", "snapshot", b"eight")
        assert told(await anext(events)) == ("snapshot", "8", "eight")


async def test_a_client_that_comes_back_late_gets_the_newest_message_only() -> None:
    hub = StreamHub()
    for number in range(3, 8):
        hub.publish("t", str(number), "snapshot", b"n%d" % number)
    async with running(hub) as port, subscribed(port, last_id="3") as events:
        assert told(await anext(events)) == ("snapshot", "7", "n7")


async def test_a_message_from_another_thread_reaches_every_client_over_several_turns_of_the_loop() -> None:
    hub = StreamHub()
    hub.publish("t", "1", "snapshot", b"one")
    async with running(hub) as port:
        streams = [subscribed(port) for _ in range(FAN_OUT + 20)]
        clients = await asyncio.gather(*(stream.__aenter__() for stream in streams))
        assert {(await anext(events)).id for events in clients} == {"1"}
        threading.Thread(target=hub.publish, args=("t", "2", "snapshot", b"two")).start()
        assert {(await anext(events)).id for events in clients} == {"2"}
        assert hub.stats().delivered == 2 * (FAN_OUT + 20)
        await asyncio.gather(*(stream.__aexit__(None, None, None) for stream in streams))


async def test_other_topics_are_not_heard() -> None:
    hub = StreamHub()
    async with running(hub) as port, subscribed(port) as events:
        assert (await anext(events)).event == "heartbeat"
        hub.publish("other", "1", "snapshot", b"not for us")
        hub.publish("t", "2", "snapshot", b"for us")
        assert (await anext(events)).data == "for us"


async def test_data_of_several_lines_arrives_whole() -> None:
    hub = StreamHub()
    hub.publish("t", "1", "note", "erste\r\nzweite\n\nvierte ü".encode())
    async with running(hub) as port, subscribed(port) as events:
        assert (await anext(events)).data == "erste\nzweite\n\nvierte ü"


async def test_silence_is_broken_by_heartbeats_that_leave_the_last_id_alone() -> None:
    hub = StreamHub(limits=StreamLimits(heartbeat_s=0.02))
    hub.publish("t", "7", "snapshot", b"seven")
    async with running(hub) as port, subscribed(port) as events:
        assert (await anext(events)).event == "snapshot"
        for _ in range(3):
            beat = await anext(events)
            assert told(beat) == ("heartbeat", "7", '{"revision": "7"}')


async def test_before_the_first_message_a_heartbeat_names_no_revision() -> None:
    async with running(StreamHub()) as port, subscribed(port) as events:
        assert json.loads((await anext(events)).data) == {"revision": None}


async def read_head(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n") + await reader.readuntil(b"\n\n")
    writer.close()
    return head


async def test_the_answer_is_neither_cached_nor_buffered_on_its_way() -> None:
    async with running(StreamHub()) as port:
        head = await read_head(port)
    for field in (b"content-type: text/event-stream", b"cache-control: no-store", b"x-accel-buffering: no"):
        assert field + b"\r\n" in head


@pytest.mark.parametrize(
    ("chance", "delay"), [(0.0, b"retry: 500\n"), (0.5, b"retry: 1000\n"), (0.99, b"retry: 1490\n")]
)
async def test_reconnects_are_spread_around_the_delay_of_the_route(chance: float, delay: bytes) -> None:
    async with running(StreamHub(chance=lambda: chance), retry_ms=1000) as port:
        assert delay in await read_head(port)


async def test_a_client_that_goes_leaves_nothing_behind() -> None:
    hub = StreamHub()
    async with running(hub) as port:
        async with subscribed(port) as events:
            await anext(events)
            assert hub.stats().clients == {"t": 1}
        await true_in_time(lambda: hub.stats().clients == {})
        assert hub.stats().dropped == 0


async def test_above_the_limit_a_stream_is_refused_until_a_place_is_free() -> None:
    hub = StreamHub(limits=StreamLimits(streams=1))
    async with running(hub) as port, httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False, verify=False) as http:
        async with subscribed(port) as events:
            await anext(events)
            refused = await http.get(f"http://127.0.0.1:{port}/stream")
            assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
            assert refused.headers["retry-after"] == "5"
            assert hub.stats().refused == 1
        await true_in_time(lambda: hub.stats().clients == {})
        async with subscribed(port) as events:
            assert (await anext(events)).event == "heartbeat"


async def test_a_reader_that_does_not_read_is_dropped_and_delays_nobody() -> None:
    hub = StreamHub(limits=StreamLimits(write_s=0.2))
    async with running(hub) as port:
        with socket.create_connection(("127.0.0.1", port)) as sleeper:
            sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sleeper.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            await true_in_time(lambda: hub.stats().clients == {"t": 1})
            async with subscribed(port) as events:
                await anext(events)
                number = 0
                while hub.stats().dropped == 0:
                    number += 1
                    hub.publish("t", str(number), "snapshot", b"x" * MIB)
                    assert (await anext(events)).id == str(number)
                    await asyncio.sleep(0.01)
                assert hub.stats().clients == {"t": 1}


async def test_a_stream_ends_after_its_time_so_that_its_client_is_authorized_again() -> None:
    hub = StreamHub(limits=StreamLimits(age_s=0.05, heartbeat_s=0.02))
    async with running(hub) as port, subscribed(port) as events:
        heard = [event async for event in events]
        assert {event.event for event in heard[:-1]} == {"heartbeat"}
        assert (heard[-1].data, heard[-1].retry) == ("", 100)  # it is taken up again at once


async def test_the_more_clients_there_are_the_longer_they_take_to_come_back() -> None:
    hub = StreamHub(chance=lambda: 0.5)
    hub._clients = {str(number) for number in range(4_999)}  # type: ignore[assignment] # so many that only their number matters
    async with running(hub, retry_ms=1000) as port, subscribed(port) as events:
        assert (await anext(events)).retry == 5_000
        hub._clients = {client for client in hub._clients if not isinstance(client, str)}


async def test_heartbeats_are_comments_while_nothing_can_be_vouched_for() -> None:
    vouched = [True]
    hub = StreamHub(limits=StreamLimits(heartbeat_s=0.01), vouched=lambda: vouched[0])
    hub.publish("t", "7", "snapshot", b"seven")
    async with running(hub) as port:
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.settimeout(DEADLINE_S)
            raw.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 7\r\n\r\n")
            await asyncio.to_thread(received, raw, b"event: heartbeat")
            vouched[0] = False
            await asyncio.to_thread(received, raw, b": still here")
            vouched[0] = True
            await asyncio.to_thread(received, raw, b"event: heartbeat")


def received(raw: socket.socket, wanted: bytes) -> None:
    """Read until this comes."""
    seen = b""
    while wanted not in seen:
        seen = seen[-100:] + raw.recv(4096)


async def test_the_hub_says_who_holds_what() -> None:
    hub = StreamHub()
    hub.publish("t", "7", "snapshot", b"seven")
    async with running(hub, name="edge-1") as port, subscribed(port) as events:
        await anext(events)
        assert [found for part in range(PARTS) for found in hub.holders("t", part)] == [("edge-1", 7)]
        assert hub.holders("nothing", 0) == []
    assert not any(hub.holders("t", part) for part in range(PARTS))


async def test_closing_ends_every_stream_cleanly_and_lets_no_new_one_in() -> None:
    hub = StreamHub()
    async with running(hub) as port, subscribed(port) as events:
        await anext(events)
        await hub.close_all()
        assert [event async for event in events] == []
        refused = await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{port}/stream", trust_env=False, verify=False)
        assert (refused.status_code, refused.json()["code"]) == (503, "shutting_down")


class Reader:
    """A subscriber in memory that takes a frame only when told to."""

    scope: dict[str, Any] = {"type": "http", "method": "GET", "headers": []}  # noqa: RUF012 - read only

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()

    async def receive(self) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets that event")

    async def send(self, message: Any) -> None:
        self.taken.append(message.get("body", b""))
        await self.open.wait()


async def test_a_slow_reader_skips_what_it_missed() -> None:
    hub, reader = StreamHub(), Reader()
    hub.bind(asyncio.get_running_loop())
    serving = asyncio.create_task(hub.serve("t", reader.scope, reader.receive, reader.send))
    hub.publish("t", "0", "snapshot", b"zero")
    await true_in_time(lambda: hub.stats().delivered == 1)
    reader.open.clear()
    for number in range(1, 100):
        hub.publish("t", str(number), "snapshot", b"n%d" % number)
        await asyncio.sleep(0)
    reader.open.set()
    await true_in_time(lambda: b"n99" in reader.taken[-1])
    assert len([frame for frame in reader.taken if b"event: snapshot" in frame]) <= 3
    await hub.close_all()
    await serving


async def test_the_same_id_means_the_same_state_and_is_not_sent_twice() -> None:
    hub, reader = StreamHub(), Reader()
    hub.bind(asyncio.get_running_loop())
    serving = asyncio.create_task(hub.serve("t", reader.scope, reader.receive, reader.send))
    for event_id in ("1", "1", "2"):
        hub.publish("t", event_id, "snapshot", b"data")
        await true_in_time(lambda wanted=event_id: b"id: %s\n" % wanted.encode() in b"".join(reader.taken[-1:]))  # type: ignore[misc]
    assert len([frame for frame in reader.taken if b"event: snapshot" in frame]) == 2
    await hub.close_all()
    await serving


@pytest.mark.parametrize(("event_id", "event"), [("1\n2", "e"), ("1", "e\rf"), ("", "e"), ("1", "a\0")])
def test_an_id_that_would_break_the_stream_is_refused(event_id: str, event: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        StreamHub().publish("t", event_id, event, b"")


def test_a_message_above_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="the limit is 3"):
        StreamHub(limits=StreamLimits(message_bytes=3)).publish("t", "1", "e", b"four")


def test_publishing_after_the_loop_has_ended_disturbs_nobody() -> None:
    hub, loop = StreamHub(), asyncio.new_event_loop()
    hub.bind(loop)
    loop.close()
    hub.publish("t", "1", "e", b"late")
