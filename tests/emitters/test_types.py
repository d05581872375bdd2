from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from controller.emitters import CRITICAL_EVENTS, InvalidContextError, UserExecutionContext


def test_there_are_five_critical_events() -> None:
    assert set(CRITICAL_EVENTS) == {
        "agent_started",
        "agent_thinking",
        "tool_executing",
        "tool_completed",
        "agent_completed",
    }


def test_a_context_makes_its_own_run_and_request_ids() -> None:
    first, second = UserExecutionContext("alice", "thread-1"), UserExecutionContext("alice", "thread-1")
    assert first.run_id
    assert first.request_id
    assert len({first.run_id, first.request_id, second.run_id, second.request_id}) == 4


def test_older_names_of_the_connection_id_can_be_read() -> None:
    context = UserExecutionContext("alice", "thread-1", connection_id="socket-7")
    assert context.websocket_client_id == context.websocket_connection_id == "socket-7"


def test_a_context_cannot_be_changed_even_through_its_dictionaries() -> None:
    given = {"tier": "free"}
    context = UserExecutionContext("alice", "thread-1", agent_context=given)
    given["tier"] = "enterprise"
    assert context.agent_context["tier"] == "free"
    with pytest.raises(TypeError):
        context.agent_context["tier"] = "enterprise"  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        context.user_id = "mallory"  # type: ignore[misc]


@pytest.mark.parametrize("user_id", ["", "   ", "none", "Registry", "placeholder", "u" * 257, None, 7])
def test_an_id_that_names_nobody_is_refused_by_its_name(user_id: object) -> None:
    with pytest.raises(InvalidContextError, match="user_id"):
        UserExecutionContext(user_id, "thread-1")  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["thread_id", "run_id", "request_id", "connection_id"])
def test_every_id_of_a_context_is_checked(field: str) -> None:
    ids = {"user_id": "alice", "thread_id": "thread-1", field: " "}
    with pytest.raises(InvalidContextError, match=field):
        UserExecutionContext(**ids)


FORKING = """
import os
from controller.emitters.types import new_id
child = os.fork()
if child:
    os.waitpid(child, 0)
print("\\n".join(new_id() for _ in range(100)), flush=True)
"""


def test_ids_are_unique_in_a_forked_child_too() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=60, check=True)
    made = done.stdout.split()
    assert (len(made), len(set(made))) == (200, 200)
    assert {len(made_id) for made_id in made} == {32}
