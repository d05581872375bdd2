"""The provider: what is served, and what never replaces the last good snapshot."""

from __future__ import annotations

import json

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.exception import (
    FlagNotFoundError,
    OpenFeatureError,
    ProviderFatalError,
    TargetingKeyMissingError,
    TypeMismatchError,
)

from controller.wire.snapshots import to_wire
from tests.client.fake_controller import flag, rollout, snapshot, wait_until

USER = EvaluationContext("user-1")


@pytest.fixture
def provider(controller, provider_of):
    controller.publish(snapshot(5))
    made = provider_of()
    made.initialize(EvaluationContext())
    return made


def served(provider, key="emitter", user=USER):
    return provider.resolve_boolean_details(key, False, user)


def test_the_first_snapshot_is_there_when_initialize_returns(provider):
    details = served(provider)
    assert (details.value, details.variant, details.reason) == (True, "unified", "STATIC")
    metadata = {name: details.flag_metadata[name] for name in ("revision", "rollout", "epoch", "version")}
    assert metadata == {"revision": 5, "rollout": "ramp", "epoch": 3, "version": 7}


def test_a_change_arrives_by_the_stream(controller, provider):
    controller.publish(snapshot(6, flag(live=rollout(0))))
    wait_until(lambda: served(provider).value is False)


@pytest.mark.parametrize(
    "document",
    [
        to_wire(snapshot(4, flag(live=rollout(0)))),
        to_wire(snapshot(9, flag(live=rollout(0)), environment="staging")),
        to_wire(snapshot(9, flag(live=rollout(0))))[:-20],
        b"not a snapshot",
        b'{"environment":"prod","revision":9,"flags":{"emitter":{"variants":{},"control":"x","served":"y"}}}',
    ],
    ids=["older", "of another environment", "truncated", "garbage", "inconsistent"],
)
def test_what_cannot_be_trusted_never_replaces_the_last_good_snapshot(controller, provider, document):
    controller.serve(document, "9")
    controller.publish(snapshot(10, flag(live=rollout()), flag("marker")))
    wait_until(lambda: provider.snapshot.revision == 10)
    assert served(provider).value is True


def test_an_older_revision_is_not_applied_even_when_nothing_newer_follows(controller, provider):
    wait_until(lambda: controller.streams == 1)
    controller.publish(snapshot(4, flag(live=rollout(0))))
    controller.heartbeat("4")
    asked = len(controller.requests)
    controller.drop_streams()
    wait_until(lambda: len(controller.requests) > asked)
    assert (provider.snapshot.revision, served(provider).value) == (5, True)


def test_fields_of_a_later_release_are_ignored(controller, provider):
    document = json.loads(to_wire(snapshot(6)))
    document["flags"]["emitter"]["rollout"]["tomorrow"] = {"any": ["thing"]}
    document["more"] = 1
    controller.serve(json.dumps(document).encode(), "6")
    wait_until(lambda: provider.snapshot.revision == 6)
    assert served(provider).value is True


def test_a_lapsed_contact_lease_serves_the_control_and_contact_brings_the_canary_back(controller, provider, clock):
    clock.now += 119
    assert served(provider).value is True
    clock.now += 2
    details = served(provider)
    assert (details.value, details.reason) == (False, "STALE")
    wait_until(lambda: controller.streams == 1)
    controller.heartbeat()
    wait_until(lambda: served(provider).value is True)


def test_flags_without_a_live_rollout_keep_their_state_for_ever(controller, provider_of, clock):
    controller.publish(snapshot(1, flag(served="unified")))
    provider = provider_of()
    provider.initialize(EvaluationContext())
    clock.now += 1_000_000
    assert (served(provider).value, served(provider).reason) == (True, "STATIC")


def test_a_killed_flag_serves_its_control(controller, provider):
    controller.publish(snapshot(6, flag(live=rollout(), enabled=False)))
    wait_until(lambda: served(provider).reason == "DISABLED")
    assert served(provider).variant == "legacy"


def test_a_dropped_stream_is_taken_up_again_where_it_ended(controller, provider):
    wait_until(lambda: controller.streams == 1)
    before = len(controller.asked("/sdk/v1/stream"))
    controller.drop_streams()
    wait_until(lambda: len(controller.asked("/sdk/v1/stream")) > before)
    assert controller.asked("/sdk/v1/stream")[-1].headers["Last-Event-ID"] == "5"
    assert served(provider).value is True


def test_without_streams_it_polls(controller, provider_of):
    controller.stream_status = 503
    controller.publish(snapshot(1))
    provider = provider_of()
    provider.initialize(EvaluationContext())
    controller.publish(snapshot(2, flag(live=rollout(0))))
    wait_until(lambda: served(provider).value is False)
    assert controller.asked("/sdk/v1/snapshot")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_fatal(controller, provider_of, status):
    controller.deny = status
    with pytest.raises(ProviderFatalError):
        provider_of().initialize(EvaluationContext())


def test_an_absent_controller_leaves_callers_their_defaults_until_it_comes(controller, provider_of):
    port = controller.port
    controller.stop()
    provider = provider_of(init_timeout=0.1)
    provider.initialize(EvaluationContext())
    with pytest.raises(OpenFeatureError):
        served(provider)
    controller.port = port
    controller.start()
    controller.publish(snapshot(1))
    wait_until(lambda: provider.snapshot is not None)
    assert served(provider).value is True


def test_a_wrong_type_is_refused_before_the_client_could_pass_it_on(controller, provider):
    words = flag("words", variants={"legacy": "a", "unified": "b"})
    controller.publish(snapshot(6, flag(live=rollout()), words))
    wait_until(lambda: provider.snapshot.revision == 6)
    with pytest.raises(TypeMismatchError):
        provider.resolve_boolean_details("words", False, USER)
    with pytest.raises(TypeMismatchError):
        provider.resolve_integer_details("emitter", 0, USER)
    assert provider.resolve_string_details("words", "", USER).value == "a"


async def test_the_asynchronous_twin_is_as_strict(controller, provider):
    controller.publish(snapshot(6, flag("words", variants={"legacy": "a", "unified": "b"})))
    wait_until(lambda: provider.snapshot.revision == 6)
    with pytest.raises(TypeMismatchError):
        await provider.resolve_boolean_details_async("words", False, USER)


def test_an_unknown_flag_and_a_split_without_a_key_are_errors(controller, provider):
    with pytest.raises(FlagNotFoundError):
        served(provider, "nothing")
    controller.publish(snapshot(6, flag(live=rollout(5_000))))
    wait_until(lambda: served(provider).reason == "SPLIT")
    with pytest.raises(TargetingKeyMissingError):
        served(provider, user=EvaluationContext())


@pytest.mark.parametrize("user", ["\0", "\ud800", "x" * 10_000, "ü" * 200, " "])
def test_hostile_ids_get_a_defined_answer(controller, provider, user):
    controller.publish(snapshot(6, flag(live=rollout(5_000))))
    wait_until(lambda: served(provider).reason == "SPLIT")
    assert served(provider, user=EvaluationContext(user)).variant in ("legacy", "unified")


def test_a_change_names_exactly_the_flags_that_changed(controller, provider_of):
    controller.publish(snapshot(1, flag("a"), flag("b")))
    provider = provider_of()
    api.set_provider_and_wait(provider)
    told = []
    api.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, lambda details: told.append(details.flags_changed))
    controller.publish(snapshot(2, flag("a"), flag("b", served="unified")))
    wait_until(lambda: ["b"] in told)
    assert ["a"] not in told
