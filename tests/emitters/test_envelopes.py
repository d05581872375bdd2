from __future__ import annotations

from typing import Any

import pytest

from controller.emitters import Event, UnsendableEventError, unified_envelope
from controller.emitters.envelopes import encode, iso_time


def event(event_type: str = "agent_started", **data: Any) -> Event:
    return Event("e1", event_type, "alice", "run-1", "thread-1", data, "2025-01-01T00:00:00.000+00:00")


def test_the_unified_envelope_has_the_fields_that_clients_know_and_an_event_id() -> None:
    assert unified_envelope(event(agent_name="planner")) == {
        "type": "agent_started",
        "event_id": "e1",
        "data": {"agent_name": "planner"},
        "timestamp": "2025-01-01T00:00:00.000+00:00",
        "critical": True,
        "attempt": None,
    }
    assert unified_envelope(event("progress_update"))["critical"] is False
    assert unified_envelope(event("auth_started"))["critical"] is True


@pytest.mark.parametrize("value", [object(), {1, object()}, "\ud800"])
def test_data_without_a_json_form_is_refused_and_says_so(value: object) -> None:
    with pytest.raises(UnsendableEventError, match="data has no JSON form"):
        encode({"data": value}, 1_000)


def test_data_that_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(UnsendableEventError):
        encode(endless, 1_000)


def test_a_frame_longer_than_clients_read_is_refused_with_both_figures() -> None:
    with pytest.raises(UnsendableEventError, match="more than 100"):
        encode({"data": "x" * 200}, 100)


def test_timestamps_say_that_they_are_utc() -> None:
    assert iso_time(1_735_689_600_007) == "2025-01-01T00:00:00.007+00:00"
