"""What an application sees through OpenFeature."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.exception import ErrorCode, ProviderFatalError
from openfeature.provider import ProviderStatus

from controller.client import CanaryProvider
from controller.client.compiled import compile_snapshot
from controller.domain.errors import Invalid
from controller.domain.evaluation import evaluate
from controller.wire.snapshots import to_wire
from tests.client.fake_controller import TOKEN, flag, rollout, snapshot, wait_until

ANNA = EvaluationContext("anna")


def connected(controller, provider, *flags, revision=1) -> Any:
    controller.publish(snapshot(revision, *flags))
    api.set_provider_and_wait(provider)
    return api.get_client()


def test_a_split_answers_as_the_domain_does_and_names_its_assignment(controller, provider_of):
    split = flag(live=rollout(5_000))
    client = connected(controller, provider_of(), split)
    for user in map(str, range(50)):
        details = client.get_boolean_details("emitter", False, EvaluationContext(user))
        expected = evaluate(split, user)
        assert (details.value, details.variant, details.reason) == (expected.value, expected.variant, "SPLIT")
    assert dict(details.flag_metadata) == {
        "revision": 1, "rollout": "ramp", "epoch": 3, "version": 7, "flagSetId": "prod",
    }  # fmt: skip


@given(
    weight=st.integers(0, 10_000),
    enabled=st.booleans(),
    live=st.booleans(),
    lapsed=st.booleans(),
    key=st.text(min_size=1),
)
def test_compiled_answers_equal_the_domains(weight, enabled, live, lapsed, key):
    published = flag(live=rollout(weight) if live else None, enabled=enabled, served="unified")
    compiled = compile_snapshot(snapshot(1, published)).flags["emitter"]
    answer = compiled.lapsed() if lapsed and compiled.rollout else compiled.choose(key, {})
    expected = evaluate(published, key, lapsed=lapsed)
    assert (answer.value, answer.variant, answer.reason) == (expected.value, expected.variant, expected.reason)


@pytest.mark.parametrize(
    ("published", "reason", "value", "governed"),
    [
        (flag(served="unified"), "STATIC", True, False),
        (flag(live=rollout(10_000)), "STATIC", True, True),
        (flag(live=rollout(0)), "STATIC", False, True),
        (flag(live=rollout(10_000), enabled=False), "DISABLED", False, False),
    ],
)
def test_only_an_answer_that_the_rollout_governs_names_it(controller, provider_of, published, reason, value, governed):
    details = connected(controller, provider_of(), published).get_boolean_details("emitter", not value)
    assert (details.value, details.reason, "rollout" in details.flag_metadata) == (value, reason, governed)


async def test_errors_give_the_callers_default_also_in_the_async_form(controller, provider_of):
    text = flag("text", variants={"a": "text", "b": "b"}, control="a", served="a")
    number = flag("number", variants={"a": 1, "b": 2}, control="a", served="a")
    split = flag("split", live=rollout(5_000))
    client = connected(controller, provider_of(), text, number, split, flag("yes", served="unified"))
    cases = [
        ("boolean", "text", False, ErrorCode.TYPE_MISMATCH),
        ("boolean", "number", False, ErrorCode.TYPE_MISMATCH),
        ("integer", "yes", 7, ErrorCode.TYPE_MISMATCH),
        ("float", "yes", 7.0, ErrorCode.TYPE_MISMATCH),
        ("object", "text", {}, ErrorCode.TYPE_MISMATCH),
        ("boolean", "absent", True, ErrorCode.FLAG_NOT_FOUND),
        ("boolean", "split", True, ErrorCode.TARGETING_KEY_MISSING),
    ]
    for kind, key, default, error in cases:
        for details in (
            getattr(client, f"get_{kind}_details")(key, default),
            await getattr(client, f"get_{kind}_details_async")(key, default),
        ):
            assert (details.value, details.error_code) == (default, error)
    wrong = client.get_boolean_details("split", True, EvaluationContext(7))  # type: ignore[arg-type]
    assert (wrong.value, wrong.error_code) == (True, ErrorCode.INVALID_CONTEXT)


async def test_every_type_is_served_and_objects_are_the_callers_own(controller, provider_of):
    shown = {"color": ["red"]}
    client = connected(
        controller,
        provider_of(),
        flag("text", variants={"a": "A", "b": "B"}, control="a", served="b"),
        flag("whole", variants={"a": 1, "b": 2}, control="a", served="b"),
        flag("part", variants={"a": 1, "b": 2.5}, control="a", served="a"),
        flag("look", variants={"a": shown, "b": {}}, control="a", served="a"),
    )
    assert client.get_string_value("text", "") == "B"
    assert client.get_integer_value("whole", 0) == 2
    assert await client.get_float_value_async("whole", 0.5) == 2.0
    assert client.get_float_value("part", 0.5) == 1.0
    assert client.get_integer_details("part", 0).error_code is ErrorCode.TYPE_MISMATCH  # the same for every user
    mine = client.get_object_value("look", {})
    mine["color"].append("blue")
    assert await client.get_object_value_async("look", {}) == shown


def test_hostile_targeting_keys_are_answered(controller, provider_of):
    client = connected(controller, provider_of(), flag(live=rollout(5_000)))
    for key in ("\x00", "\ud800", "x" * 10_000, "🎉" * 300, "'; --"):
        assert client.get_boolean_details("emitter", False, EvaluationContext(key)).error_code is None


def test_a_refused_token_is_fatal(controller, provider_of):
    provider = provider_of(token="wrong")
    with pytest.raises(ProviderFatalError, match="401"):
        api.set_provider_and_wait(provider)
    assert api.get_client().get_provider_status() is ProviderStatus.FATAL
    controller.deny = 403
    with pytest.raises(ProviderFatalError, match="403"):
        provider_of().initialize(EvaluationContext())


def test_without_a_controller_the_application_starts_on_its_defaults_and_recovers(controller, provider_of):
    provider = provider_of(init_timeout=0.1)
    seen = []
    api.add_handler(ProviderEvent.PROVIDER_STALE, lambda _: seen.append("stale"))
    api.set_provider_and_wait(provider)
    client = api.get_client()
    details = client.get_boolean_details("emitter", True, ANNA)
    assert (details.value, details.error_code) == (True, ErrorCode.PROVIDER_NOT_READY)
    wait_until(lambda: client.get_provider_status() is ProviderStatus.STALE)
    controller.publish(snapshot(4, flag(served="unified")))
    wait_until(lambda: client.get_provider_status() is ProviderStatus.READY)
    assert client.get_boolean_value("emitter", False, ANNA) is True


def test_each_applied_snapshot_names_exactly_the_changed_flags(controller, provider_of):
    heard: list[tuple[int, list[str]]] = []
    told = threading.Event()

    def on_change(details):
        heard.append((details.metadata["revision"], details.flags_changed))
        told.set()

    api.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, on_change)
    try:
        connected(controller, provider_of(), flag("a"), flag("b"), flag("c"))
        wait_until(lambda: controller.streams)
        controller.publish(snapshot(2, flag("a"), flag("b", served="unified"), flag("d")))
        wait_until(lambda: len(heard) == 2)
    finally:
        api.remove_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, on_change)
    assert heard == [(1, ["a", "b", "c"]), (2, ["b", "c", "d"])]


def test_a_provider_ends_and_begins_again(controller, provider_of):
    provider = provider_of()
    connected(controller, provider)
    wait_until(lambda: controller.streams == 1)
    provider.shutdown()
    provider.shutdown()
    wait_until(lambda: controller.streams == 0 or controller.heartbeat())
    assert not [t for t in threading.enumerate() if t.name == "canary-snapshots"]
    provider.initialize(EvaluationContext())
    wait_until(lambda: controller.streams == 1)
    assert {provider: "hashable"}[provider] == "hashable"
    assert provider.get_metadata().name == "canary"


def test_shutdown_does_not_wait_for_a_server_that_hangs(controller, provider_of):
    controller.hang.clear()
    provider = provider_of(init_timeout=0.05)
    provider.initialize(EvaluationContext())
    wait_until(lambda: controller.requests)
    provider.shutdown()
    assert not [t for t in threading.enumerate() if t.name == "canary-snapshots"]


def test_a_provider_with_a_reporter_confirms_the_revision_and_counts_exposures(controller, provider_of):
    provider = provider_of(reporter="auto", app_version="1.2", region="eu")
    client = connected(controller, provider, flag(live=rollout(10_000)))
    for _ in range(3):
        client.get_boolean_value("emitter", False, ANNA)
    assert provider.reporter.flush()
    wait_until(lambda: controller.streams)
    controller.publish(snapshot(2, flag(live=rollout(0))))
    wait_until(lambda: provider.snapshot.revision == 2)
    client.get_boolean_value("emitter", False, ANNA)
    assert provider.reporter.flush()
    arms = {row.variant: row for report in controller.reports for row in report.arms}
    assert (arms["unified"].exposures, arms["unified"].since_applied) == (3, 0)
    assert (arms["legacy"].exposures, arms["legacy"].since_applied) == (1, 1)
    last = controller.reports[-1]
    assert (last.revision, last.app_version, last.region, last.counted_by) == (2, "1.2", "eu", "client")
    names = {r.headers["Canary-Instance"] for r in controller.requests} | {r.instance for r in controller.reports}
    assert names == {provider.instance}
    assert {r.headers["Canary-Reports"] for r in controller.requests} == {"1"}
    provider.shutdown()
    assert controller.reports[-1].closing


def test_without_a_reporter_the_controller_is_told_so(controller, provider_of):
    connected(controller, provider_of(instance="web-1"))
    assert {r.headers["Canary-Reports"] for r in controller.requests} == {"0"}
    assert {r.headers["Canary-Instance"] for r in controller.requests} == {"web-1"}


def test_a_reporter_of_ones_own_gives_the_name_and_stays_open(controller, provider_of, reporter_of):
    reporter = reporter_of(instance="web-2", started=False)
    provider = provider_of(reporter=reporter)
    connected(controller, provider)
    provider.shutdown()
    assert reporter.flush()
    assert provider.instance == "web-2"
    assert not any(report.closing for report in controller.reports)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"token": "a\nb"}, "token"),
        ({"token": ""}, "token"),
        ({"instance": "é"}, "instance"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"init_timeout": -1}, "init_timeout"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        CanaryProvider(**({"url": "http://127.0.0.1:1", "token": TOKEN} | arguments))


def test_an_instance_is_named_once(reporter_of):
    with pytest.raises(ValueError, match="name it once"):
        CanaryProvider("http://127.0.0.1:1", TOKEN, instance="b", reporter=reporter_of(instance="a", started=False))


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({"control": "none"}, "flags.emitter.control"),
        ({"served": "none"}, "flags.emitter.served"),
        ({"live": rollout(10_001)}, "flags.emitter.rollout.weight"),
        ({"live": rollout(canary="none")}, "flags.emitter.rollout.canary"),
        ({"live": rollout(lease_ms=0)}, "flags.emitter.rollout.lease_ms"),
    ],
)
def test_a_snapshot_that_cannot_be_evaluated_names_the_field(broken, field):
    with pytest.raises(Invalid) as refused:
        compile_snapshot(snapshot(1, flag(**copy.copy(broken))))
    assert refused.value.field == field


def test_flags_of_mixed_types_are_a_mismatch_for_everybody(controller, provider_of):
    mixed = flag(variants={"a": 1, "b": "one"}, control="a", served="a")
    client = connected(controller, provider_of(), mixed)
    assert client.get_integer_details("emitter", 5).error_code is ErrorCode.TYPE_MISMATCH
    assert to_wire(snapshot(1, mixed))
