"""The guard on one stream: points, restarts, open units, blocks."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.judge import delivery
from controller.domain.judge.findings import Rule
from controller.domain.judge.state import StreamState, fresh_state
from controller.domain.tallies import UNIT, Tally
from tests.domain.builders import STARTED, constants, steady

FROZEN = constants()
BLOCK = FROZEN.blocks[STARTED]


def fresh() -> StreamState:
    return fresh_state(FROZEN, 0).streams[STARTED]


def take(stream: StreamState, failed: int, total: int, waiting: int = 0) -> list[delivery.Finding]:
    return delivery.take(FROZEN, STARTED, stream, Tally(failed, total), waiting)


tallies = st.integers(0, 60_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
histories = st.lists(tallies, max_size=8)


def after(history: list[tuple[int, int]]) -> StreamState:
    stream = fresh()
    for failed, total in history:
        delivery.restart(stream)
        take(stream, failed, total)
    return stream


@steady
@given(history=histories, batch=tallies, more=st.integers(0, 60_000))
def test_evidence_never_falls_when_more_of_the_same_batch_has_failed(
    history: list[tuple[int, int]], batch: tuple[int, int], more: int
):
    milder = after(history)
    worse = deepcopy(milder)
    failed, total = batch
    found = take(milder, failed, total), take(worse, min(total, failed + more), total)
    assert all(w >= m for w, m in zip(worse.evidence, milder.evidence, strict=True))
    assert bool(found[1]) >= bool(found[0])


@steady
@given(history=histories, total=st.integers(1, 60_000))
def test_a_batch_without_a_failure_only_ever_lowers_evidence(history: list[tuple[int, int]], total: int):
    stream = after(history)
    before = stream.evidence[:]
    take(stream, 0, total)
    assert all(now < then for now, then in zip(stream.evidence, before, strict=True))


@steady
@given(history=histories, waiting=st.integers(0, 500))
def test_open_units_count_as_delivered_until_they_speak(history: list[tuple[int, int]], waiting: int):
    stream = after(history)
    spoken = deepcopy(stream)
    take(spoken, 0, UNIT * waiting)
    if waiting:
        shown = delivery.standing(FROZEN, STARTED, stream, waiting).score
        assert shown in spoken.evidence
    assert delivery.standing(FROZEN, STARTED, stream, 0).score in stream.evidence


def test_those_that_fail_fast_do_not_convict_while_many_others_are_still_open():
    assert take(fresh(), 3_000, 3_000, waiting=0)
    assert not take(fresh(), 3_000, 3_000, waiting=50)
    finding = take(fresh(), 30_000, 30_000, waiting=5)[0]
    assert (finding.open_units, finding.failed, finding.total) == (5, 30_000, 30_000)
    assert finding.score >= finding.line


@steady
@given(history=histories)
def test_a_restart_forgets_exactly_the_alternatives_whose_evidence_is_used_up(history: list[tuple[int, int]]):
    stream = after(history)
    before = deepcopy(stream)
    delivery.restart(stream)
    for j, evidence in enumerate(before.evidence):
        kept = evidence > 0
        assert stream.evidence[j] == (evidence if kept else 0)
        assert stream.failed[j] == (before.failed[j] if kept else 0)
        assert stream.total[j] == (before.total[j] if kept else 0)
    assert (stream.block_failed, stream.block_total) == (before.block_failed, before.block_total)


@steady
@given(history=histories, batch=tallies)
def test_slots_without_events_change_nothing(history: list[tuple[int, int]], batch: tuple[int, int]):
    busy = after(history)
    quiet = deepcopy(busy)
    for _ in range(3):
        delivery.restart(quiet)
        take(quiet, 0, 0)
    for stream in (busy, quiet):
        delivery.restart(stream)
    assert take(quiet, *batch) == take(busy, *batch)
    assert quiet == busy


def test_evidence_of_exactly_nothing_is_forgotten_too():
    stream = StreamState([0, 1, -1, 0, 1, -1], [5_000] * 6, [90_000] * 6)
    delivery.restart(stream)
    assert stream == StreamState([0, 1, 0, 0, 1, 0], [0, 5_000, 0, 0, 5_000, 0], [0, 90_000, 0, 0, 90_000, 0])


@pytest.mark.parametrize(("failed", "convicts"), [(2_000, False), (2_001, True)])
def test_more_than_two_whole_units_must_have_failed(failed: int, convicts: bool):
    stream = StreamState([10**9] * 6, [0] * 6, [0] * 6)
    assert bool(take(stream, failed, 3_000)) is convicts


@pytest.mark.parametrize(("failed", "convicts"), [(5_000, False), (5_001, True)])
def test_more_than_five_percent_must_have_failed(failed: int, convicts: bool):
    stream = StreamState([10**9] * 6, [0] * 6, [0] * 6)
    assert bool(take(stream, failed, 100_000)) is convicts


def test_evidence_on_the_line_convicts_and_a_micronat_below_it_does_not():
    line = FROZEN.lines[STARTED][0]
    points = (3_000 * FROZEN.scores[0][0]) // 1_000
    for start, convicts in ((line - points, True), (line - points - 1, False)):
        stream = StreamState([start] + [-(10**9)] * 5, [0] * 6, [0] * 6)
        assert bool(take(stream, 3_000, 3_000)) is convicts


@pytest.mark.parametrize(("failed", "convicts"), [(BLOCK // 20, False), (BLOCK // 20 + 1, True)])
def test_a_full_block_below_95_percent_convicts_whatever_the_test_says(failed: int, convicts: bool):
    stream = StreamState([-(10**12)] * 6, [0] * 6, [0] * 6)
    found = take(stream, failed, BLOCK)
    assert [finding.rule for finding in found] == [Rule.BLOCK] * convicts
    assert (stream.block_failed, stream.block_total) == (0, 0)


def test_a_block_that_is_not_full_convicts_nobody():
    stream = StreamState([-(10**12)] * 6, [0] * 6, [0] * 6)
    assert not take(stream, BLOCK // 2, BLOCK - 1)
    assert take(stream, 0, 1)


def test_restarts_do_not_empty_the_block():
    stream = fresh()
    for _ in range(BLOCK // UNIT - 1):
        delivery.restart(stream)
        take(stream, 0, UNIT)
    assert stream.block_total == BLOCK - UNIT
