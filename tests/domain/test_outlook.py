"""What would settle a rollout: so many more failed or successful units."""

import pytest

from controller.domain.judge.findings import Effect, Verdict
from controller.domain.metrics import UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.outlook import outlook
from tests.domain.builders import STARTED, Judged, constants, row, rows_for


@pytest.mark.parametrize("good", [0, 20, 300, 5_000])
@pytest.mark.parametrize("floor", [960, 975])
def test_so_many_more_failures_convict_and_one_fewer_does_not(good: int, floor: int):
    judged = Judged(constants(floor))
    judged.after(row(0, good))
    found = outlook(judged.constants, judged.state, {})
    assert found.failing_stream.startswith("delivery/")
    stream = found.failing_stream.removeprefix("delivery/")
    fewer = Judged(judged.constants)
    fewer.state = judged.state.copy()
    held = fewer.after(row(found.failures - 1, found.failures - 1, stream), closed_ms=10_001)
    assert held.effect is not Effect.ROLLBACK
    assert judged.after(row(found.failures, found.failures, stream), closed_ms=10_001).effect is Effect.ROLLBACK


@pytest.mark.parametrize("kind", [UnitKind.USER_10M, UnitKind.RUN])
def test_so_many_more_units_without_a_failure_prove_the_stage(kind: UnitKind):
    judged = Judged(constants(960, kind))
    judged.after(*rows_for(CRITICAL_EVENTS, 0, 100))
    found = outlook(judged.constants, judged.state, {})
    assert found.waits_for == "comparison"
    assert found.successes is not None
    each = -(-found.successes // len(CRITICAL_EVENTS))
    assert judged.after(*rows_for(CRITICAL_EVENTS, 0, each - 1)).verdict is Verdict.INCONCLUSIVE
    assert judged.after(*rows_for(CRITICAL_EVENTS, 0, 1)).verdict is Verdict.PASS


def test_a_silent_event_type_is_what_is_waited_for():
    judged = Judged()
    judged.after(*rows_for(CRITICAL_EVENTS[1:], 0, 5_000))
    found = outlook(judged.constants, judged.state, {STARTED: 2.0})
    assert (found.waits_for, found.successes, found.minutes) == (STARTED, 123, 61.5)


def test_a_proven_stage_waits_for_nothing():
    judged = Judged()
    judged.after(*rows_for(CRITICAL_EVENTS, 0, 5_000))
    found = outlook(judged.constants, judged.state, {})
    assert (found.successes, found.minutes) == (0, 0.0)


def test_without_traffic_there_is_no_telling_when():
    assert outlook(constants(), Judged().state, {}).minutes is None
