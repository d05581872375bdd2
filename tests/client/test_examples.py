"""The examples of the documentation run, and tracing hooks see what they should."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from openfeature import api
from openfeature.contrib.hook.opentelemetry import TracingHook
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails
from openfeature.hook import Hook, HookContext
from openfeature.telemetry import create_evaluation_event
from openfeature.transaction_context import NoOpTransactionContextPropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from controller.client.testing import MemoryProvider
from tests.client.fake_controller import flag, rollout, snapshot

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def flags() -> Iterator[MemoryProvider]:
    provider = MemoryProvider()
    targeting = {"allow": {"on": ["uma"]}}
    provider.put("new-search", {"off": False, "on": True}, control="off", targeting=targeting)
    api.set_provider_and_wait(provider)
    yield provider
    api.clear_providers()
    api.set_transaction_context_propagator(NoOpTransactionContextPropagator())


def test_flask_tells_the_user_once_a_request(flags: MemoryProvider) -> None:
    client = example("flask_app").create_app().test_client()
    assert client.get("/search", headers={"X-User": "uma"}).json == {"user": "uma", "new": True}
    assert client.get("/search", headers={"X-User": "anna", "X-Country": "DE"}).json["new"] is False
    assert [call.targeting_key for call in flags.tracked] == ["uma", "anna"]


async def test_asgi_keeps_the_users_of_simultaneous_requests_apart(flags: MemoryProvider) -> None:
    app = example("asgi_app").create_app()

    async def ask(user: str) -> str:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            await asyncio.sleep(0)
            sent.append(message)

        scope = {"type": "http", "headers": [(b"x-user", user.encode())]}
        await app(scope, lambda: asyncio.sleep(0), send)
        return str(sent[-1]["body"])

    users = ["uma", "anna"] * 50
    found = await asyncio.gather(*(asyncio.create_task(ask(user)) for user in users))
    assert [("true" in body) for body in found] == [user == "uma" for user in users]
    assert flags.exposures[("new-search", "on")] == 50


@pytest.mark.parametrize("where", ["provider", "api"])
def test_a_tracing_hook_writes_each_evaluation_into_the_span(controller, provider_of, where: str) -> None:
    exporter = InMemorySpanExporter()
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    controller.publish(snapshot(1, flag(live=rollout(5_000))))
    provider = provider_of(hooks=[TracingHook()] if where == "provider" else [])
    api.set_provider_and_wait(provider)
    if where == "api":
        api.add_hooks([TracingHook()])
    try:
        with tracing.get_tracer("test").start_as_current_span("request"):
            details = api.get_client().get_boolean_details("emitter", False, EvaluationContext("anna"))
    finally:
        api.clear_hooks()
    (span,) = exporter.get_finished_spans()
    (event,) = span.events
    assert event.name == "feature_flag.evaluation"
    assert event.attributes is not None
    assert event.attributes["feature_flag.key"] == "emitter"
    assert event.attributes["feature_flag.result.variant"] == details.variant
    assert event.attributes["feature_flag.result.reason"] == "split"
    assert event.attributes["feature_flag.provider.name"] == "canary"


def test_without_hooks_none_are_run() -> None:
    assert MemoryProvider().get_provider_hooks() == []


def test_the_sdks_own_telemetry_finds_flag_set_and_version(controller, provider_of) -> None:
    made = []

    class Telemetry(Hook):
        def finally_after(
            self,
            hook_context: HookContext,
            details: FlagEvaluationDetails[Any],
            hints: Any,  # noqa: ARG002 - the SDK's interface
        ) -> None:
            made.append(create_evaluation_event(hook_context, details))

    controller.publish(snapshot(1, flag(live=rollout(5_000))))
    api.set_provider_and_wait(provider_of(hooks=[Telemetry()]))
    api.get_client().get_boolean_value("emitter", False, EvaluationContext("anna"))
    (event,) = made
    said = {str(name): value for name, value in event.attributes.items()}
    assert (said["feature_flag.set.id"], said["feature_flag.version"]) == ("prod", 7)
