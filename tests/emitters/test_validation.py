from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from controller.emitters import (
    RolloutEmitterFactory,
    UnifiedWebSocketEmitter,
    contract_table,
    validate_websocket_interfaces,
)


class Legacy:
    """What a bridge factory looked like before."""

    async def create_user_emitter(self, user_id: str, thread_id: str, connection_id: str) -> object: ...


class NotAwaited:
    def create_user_emitter(
        self, user_context: Any = None, user_id: Any = None, thread_id: Any = None, connection_id: Any = None
    ) -> object: ...

    async def create_auth_emitter(self, user_id: str, context: Any = None) -> object: ...


class AwaitedClass:
    @classmethod
    async def create_user_emitter(cls, manager: Any, user_context: Any) -> object: ...

    @classmethod
    def create_auth_emitter(cls, manager: Any, user_id: str, context: Any = None) -> object: ...


class Fitting:
    async def create_user_emitter(self, *args: Any, **kwargs: Any) -> object: ...

    async def create_auth_emitter(self, user_id: str, context: Any = None) -> object: ...


def retrying(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapped


class Decorated(Fitting):
    create_user_emitter = retrying(Fitting.create_user_emitter)


def test_a_legacy_signature_is_told_which_call_it_would_break() -> None:
    report = validate_websocket_interfaces([Legacy()])["Legacy"]
    assert (report["has_create_user_emitter"], report["has_create_auth_emitter"]) == (True, False)
    assert (report["signature_compatible"], report["protocol_compliant"]) == (False, False)
    assert report["mismatches"][0] == "create_auth_emitter is missing"
    assert "create_user_emitter(user_context=...) does not fit" in "\n".join(report["mismatches"])
    # The old positional call is legal and fits: only what is broken is named.
    assert "create_user_emitter(user_id, thread_id, connection_id) does not" not in "\n".join(report["mismatches"])


def test_attribute_presence_alone_is_not_compliance() -> None:
    report = validate_websocket_interfaces([NotAwaited()])["NotAwaited"]
    assert (report["signature_compatible"], report["protocol_compliant"]) == (True, False)
    [mismatch] = report["mismatches"]
    assert mismatch.startswith("create_user_emitter is not a coroutine function")
    assert mismatch.endswith("make it `async def`")


def test_an_emitter_class_whose_factory_is_awaited_is_not_compliant() -> None:
    report = validate_websocket_interfaces([AwaitedClass])["AwaitedClass"]
    assert report["signature_compatible"]
    assert report["mismatches"] == [
        "create_user_emitter is a coroutine function: callers of an emitter class do not await it; make it `def`"
    ]


def test_a_factory_may_be_given_as_its_class_and_may_be_decorated() -> None:
    reports = validate_websocket_interfaces([Fitting, Fitting(), Decorated(), RolloutEmitterFactory])
    assert list(reports) == ["Fitting", "Fitting'", "Decorated", "RolloutEmitterFactory"]
    assert all(report["protocol_compliant"] for report in reports.values()), reports


def test_a_thing_that_is_no_factory_at_all_is_reported_and_not_raised() -> None:
    report = validate_websocket_interfaces([object()])["object"]
    assert report["mismatches"] == ["create_user_emitter is missing", "create_auth_emitter is missing"]
    assert not report["protocol_compliant"]


def test_the_table_shows_what_is_wrong() -> None:
    head, *rows = contract_table(validate_websocket_interfaces([UnifiedWebSocketEmitter, Legacy()])).splitlines()
    assert [name.strip() for name in head.strip("|").split("|")] == [
        "implementation",
        "has_create_user_emitter",
        "has_create_auth_emitter",
        "signature_compatible",
        "protocol_compliant",
    ]
    assert rows == [
        "|---|---|---|---|---|",
        "| UnifiedWebSocketEmitter | yes | yes | yes | yes |",
        "| Legacy | yes | **no** | **no** | **no** |",
    ]
