from __future__ import annotations

import asyncio

import pytest

from controller.emitters import DeliveryAttempt, DeliveryOutcome, DeliveryRecorder, DeliveryStatus, OutcomeBatches


def settle(recorder: DeliveryRecorder, first: int, last: int) -> None:
    for number in range(first, last):
        recorder.attempt(DeliveryAttempt(f"e{number}", "agent_started", "alice", None, None, "unified"))
        recorder.settle(f"e{number}", DeliveryStatus.CONFIRMED)


async def read(batches: OutcomeBatches, into: list[list[DeliveryOutcome]]) -> None:
    async for outcomes in batches:
        into.append(outcomes)  # noqa: PERF401 - the test looks at it while it grows


async def test_a_batch_comes_when_it_is_full_or_when_its_time_has_come_and_nothing_is_lost() -> None:
    recorder = DeliveryRecorder()
    batches = OutcomeBatches(recorder, size=4, wait=0.05)
    got: list[list[DeliveryOutcome]] = []
    reading = asyncio.create_task(read(batches, got))
    settle(recorder, 0, 10)
    async with asyncio.timeout(5):
        while sum(map(len, got)) < 10:  # noqa: ASYNC110 - the reader does not announce itself
            await asyncio.sleep(0.005)
    assert [len(batch) for batch in got] == [4, 4, 2]
    settle(recorder, 10, 11)
    batches.close()
    await reading
    assert [outcome.event_id for batch in got for outcome in batch] == [f"e{number}" for number in range(11)]
    settle(recorder, 11, 12)
    assert batches.dropped == 0


async def test_who_reads_too_slowly_loses_the_oldest_and_is_told_how_many_and_the_counters_lose_nothing() -> None:
    recorder = DeliveryRecorder()
    batches = OutcomeBatches(recorder, size=2, capacity=3)
    settle(recorder, 0, 5)
    batches.close()
    got: list[list[DeliveryOutcome]] = []
    await read(batches, got)
    assert [outcome.event_id for batch in got for outcome in batch] == ["e2", "e3", "e4"]
    assert (batches.dropped, recorder.counters().delivered) == (2, 5)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 20_000}, {"wait": 0}])
def test_bounds_that_make_no_sense_are_refused_by_name(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        OutcomeBatches(DeliveryRecorder(), **wrong)  # type: ignore[arg-type]


def test_a_function_may_listen_to_outcomes() -> None:
    recorder, heard = DeliveryRecorder(), []
    recorder.add_listener(heard.append)
    settle(recorder, 0, 2)
    recorder.remove_listener(heard.append)
    settle(recorder, 2, 3)
    assert [outcome.event_id for outcome in heard] == ["e0", "e1"]
