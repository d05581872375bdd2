from __future__ import annotations

from controller.emitters import DeliveryStatus, EmitReceipt
from controller.emitters.delivery import Delivery
from controller.emitters.outbox import Outbox
from tests.emitters.sockets import Backend, running_backend

SETTLED: dict[str, DeliveryStatus] = {}


def delivery(name: str, progress_of: str | None = None, deadline: float = 10.0) -> Delivery:
    def settle(event_id: str, status: DeliveryStatus, _error: str, _at: float | None) -> bool:
        SETTLED[event_id] = status
        return True

    SETTLED.pop(name, None)
    return Delivery(name, b"{}", 0.0, deadline, settle, ("progress_update", progress_of) if progress_of else None)


def names(batch: list[Delivery]) -> list[str]:
    return [event.event_id for event in batch]


def test_progress_gives_way_to_newer_progress_of_its_run_and_keeps_nobody_else_waiting() -> None:
    outbox = Outbox(10)
    for event in (delivery("p1", "run-1"), delivery("x"), delivery("p2", "run-2"), delivery("p3", "run-1")):
        assert outbox.offer(event)
    assert (len(outbox), SETTLED.get("p1")) == (3, DeliveryStatus.COALESCED)
    assert names(outbox.next(10)) == ["x", "p2", "p3"]
    assert len(outbox) == 0


def test_newer_progress_finds_room_in_a_full_queue_and_nothing_else_does() -> None:
    outbox = Outbox(2)
    assert outbox.offer(delivery("p1", "run-1"))
    assert outbox.offer(delivery("x"))
    assert not outbox.offer(delivery("y"))
    assert not outbox.offer(delivery("p2", "run-2"))
    assert outbox.offer(delivery("p3", "run-1"))
    assert names(outbox.next(10)) == ["x", "p3"]


def test_progress_that_has_been_written_does_not_give_way() -> None:
    outbox = Outbox(10)
    outbox.offer(delivery("p1", "run-1"))
    outbox.next(1)
    outbox.offer(delivery("p2", "run-1"))
    assert ("p1" in SETTLED, names(outbox.clear())) == (False, ["p2"])


def test_what_is_overdue_comes_out_and_what_gave_way_is_not_among_it() -> None:
    outbox = Outbox(10)
    for event in (delivery("p1", "run-1", 1.0), delivery("a", deadline=1.0), delivery("p2", "run-1", 5.0)):
        outbox.offer(event)
    assert names(outbox.expired(2.0)) == ["a"]
    assert names(outbox.expired(9.0)) == ["p2"]
    assert len(outbox) == 0


async def test_a_slow_reader_gets_only_the_newest_progress_and_every_other_event() -> None:
    async def emit(backend: Backend, event_type: str, number: int) -> EmitReceipt:
        return await backend.manager.emit_critical_event("alice", event_type, {"n": number}, run_id="run-1")

    async with running_backend(max_inflight=1, max_queue=5) as backend:
        alice = await backend.connect("alice")
        alice.never_pong()
        await emit(backend, "agent_started", 0)
        await backend.written("alice")
        progress = [await emit(backend, "progress_update", number) for number in range(20)]
        thinking = await emit(backend, "agent_thinking", 20)
        assert all(progress)
        assert thinking
        alice.acknowledge()
        assert (await thinking.outcome()).delivered
        assert (await progress[-1].outcome()).delivered
        superseded = [await receipt.outcome() for receipt in progress[:-1]]
        assert {(outcome.status, outcome.outcome_class.in_rate) for outcome in superseded} == {
            (DeliveryStatus.COALESCED, False)
        }
        assert [event["data"]["n"] for event in alice.received] == [0, 19, 20]
