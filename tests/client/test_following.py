"""Staying current: streams that drop, polls, garbage, older revisions, and the contact lease."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider import ProviderStatus

from controller.wire.snapshots import to_wire
from tests.client.conftest import QUICK
from tests.client.fake_controller import flag, rollout, snapshot, wait_until

ANNA = EvaluationContext("anna")
CANARY = flag(live=rollout(10_000))
STREAM, SNAPSHOT = "/sdk/v1/stream", "/sdk/v1/snapshot"


@pytest.fixture
def serving(controller, clock, provider_of):
    """A provider that serves the canary at revision 5, on a stream."""
    controller.publish(snapshot(5, CANARY))
    provider = provider_of()
    api.set_provider_and_wait(provider)
    wait_until(lambda: controller.streams)
    clock.now += 1
    controller.heartbeat()
    wait_until(lambda: provider._holder.contact == clock.now)  # it listens
    return provider


def answer():
    details = api.get_client().get_boolean_details("emitter", False, ANNA)
    return details.value, details.reason, details.flag_metadata.get("reason")


def passed(controller, provider):
    """Wait until the provider has read everything that was said before: a new flag is the sign."""
    revision = provider.snapshot.revision + 1
    controller.publish(snapshot(revision, flag(live=rollout(10_000)), flag(f"sign-{revision}")))
    wait_until(lambda: provider.snapshot.revision == revision)


@pytest.mark.usefixtures("serving")
def test_a_rollback_arrives_by_the_stream(controller):
    assert answer() == (True, "STATIC", None)
    controller.publish(snapshot(6, flag(live=rollout(0))))
    wait_until(lambda: answer() == (False, "STATIC", None))


def test_an_older_revision_changes_nothing(controller, serving):
    controller.publish(snapshot(4, flag(live=rollout(0))))
    controller.publish(snapshot(5, flag(live=rollout(0))))
    passed(controller, serving)
    assert answer() == (True, "STATIC", None)


@pytest.mark.parametrize(
    "garbage",
    [
        b"not json",
        b"[]",
        b"{}",
        to_wire(snapshot(9, CANARY))[:-20],
        to_wire(snapshot(9, flag(control="none"))),
        to_wire(snapshot(9, CANARY, environment="staging")),
        b'{"environment":"prod","revision":"9","flags":{}}',
        b"\xff\xfe" * 50,
        b"[" * 50_000,
    ],
)
def test_what_cannot_be_trusted_is_kept_out(controller, serving, garbage):
    controller.serve(garbage, "9")
    passed(controller, serving)
    assert serving.snapshot.environment == "prod"
    assert answer() == (True, "STATIC", None)


def test_a_snapshot_of_another_environment_is_refused_from_the_start(controller, provider_of):
    controller.publish(snapshot(5, CANARY, environment="staging"))
    provider = provider_of(environment="prod", init_timeout=0.1)
    provider.initialize(EvaluationContext())
    wait_until(lambda: provider._holder.refused >= 2)
    assert provider.snapshot is None


def test_heartbeats_after_a_refused_snapshot_do_not_keep_the_canary_alive(controller, clock, serving):
    """The refused one may have been the rollback."""
    controller.serve(b"garbage", "6")
    wait_until(lambda: serving._holder.refused)
    for _ in range(13):
        clock.now += 10
        controller.heartbeat("")
    wait_until(lambda: answer() == (False, "STALE", "lease"))
    controller.publish(snapshot(7, CANARY))
    wait_until(lambda: answer() == (True, "STATIC", None))


def test_a_heartbeat_of_another_revision_does_not_renew_the_lease(controller, clock, serving):
    before = serving._holder.contact
    clock.now += 10
    controller.heartbeat("4")
    controller.heartbeat("6")
    passed(controller, serving)
    assert before < serving._holder.contact == clock.now  # renewed by the snapshot alone
    clock.now += 10
    controller.heartbeat(str(serving.snapshot.revision))
    wait_until(lambda: serving._holder.contact == clock.now)


def test_a_lapsed_lease_serves_the_control_and_contact_brings_the_canary_back(controller, clock, serving):
    client = api.get_client()
    for _ in range(20):  # contact keeps the lease alive for any time
        clock.now += 20
        controller.heartbeat()
        wait_until(lambda: serving._holder.contact == clock.now)
    assert answer() == (True, "STATIC", None)
    controller.hang.clear()  # from now on nobody answers
    controller.drop_streams()
    clock.now += 120
    assert answer() == (True, "STATIC", None)
    clock.now += 1
    assert answer() == (False, "STALE", "lease")  # at once, with no thread involved
    controller.hang.set()
    wait_until(lambda: answer() == (True, "STATIC", None))
    wait_until(lambda: client.get_provider_status() is ProviderStatus.READY)


def test_flags_without_a_live_rollout_outlive_the_lease(controller, clock, provider_of):
    controller.publish(snapshot(1, flag(served="unified"), flag("ramp", live=rollout(10_000, lease_ms=1_000))))
    api.set_provider_and_wait(provider_of())
    clock.now += 500
    assert api.get_client().get_boolean_value("emitter", False) is True
    assert api.get_client().get_boolean_value("ramp", True) is False


@pytest.mark.usefixtures("serving")
def test_silence_is_stale_and_the_snapshot_is_served_on(controller, clock):
    client = api.get_client()
    wait_until(lambda: client.get_provider_status() is ProviderStatus.READY)
    controller.deny = 500
    clock.now += 26
    controller.drop_streams()
    wait_until(lambda: client.get_provider_status() is ProviderStatus.STALE)
    assert answer() == (True, "STATIC", None)
    controller.deny = 0
    wait_until(lambda: client.get_provider_status() is ProviderStatus.READY)


@pytest.mark.usefixtures("serving")
def test_what_was_buffered_while_the_process_slept_renews_nothing(controller, clock):
    """A thawed process reads heartbeats that were said long ago."""
    asked = len(controller.asked(STREAM))
    clock.now += 300
    controller.stream_status = 500
    controller.deny = 500
    controller.heartbeat()
    wait_until(lambda: len(controller.asked(STREAM)) > asked)  # it hung up instead of believing
    assert answer() == (False, "STALE", "lease")


def test_a_dropped_stream_is_taken_up_where_it_ended(controller, serving):
    controller.publish(snapshot(6, CANARY))
    wait_until(lambda: serving.snapshot.revision == 6)
    controller.drop_streams()
    wait_until(lambda: len(controller.asked(STREAM)) > 1)
    assert controller.asked(STREAM)[-1].headers["Last-Event-ID"] == "6"
    wait_until(lambda: controller.streams)
    controller.publish(snapshot(7, flag(live=rollout(0))))
    wait_until(lambda: answer() == (False, "STATIC", None))


def test_without_a_stream_polling_keeps_up_and_a_304_is_contact(controller, clock, provider_of):
    controller.stream_status = 502
    controller.publish(snapshot(1, CANARY))
    provider = provider_of()
    api.set_provider_and_wait(provider)
    wait_until(lambda: any("If-None-Match" in r.headers for r in controller.asked(SNAPSHOT)))
    clock.now += 60
    wait_until(lambda: provider._holder.contact == clock.now)
    controller.publish(snapshot(2, flag(live=rollout(0))))
    wait_until(lambda: answer() == (False, "STATIC", None))
    controller.stream_status = 200
    wait_until(lambda: controller.streams)  # and the stream is tried again


def test_a_full_server_may_refuse_the_stream_and_is_polled_meanwhile(controller, provider_of):
    controller.stream_status, controller.stream_headers = 503, {"Retry-After": "60"}
    controller.publish(snapshot(1, CANARY))
    api.set_provider_and_wait(provider_of())
    wait_until(lambda: controller.asked(STREAM))
    controller.publish(snapshot(2, flag(live=rollout(0))))
    wait_until(lambda: answer() == (False, "STATIC", None))
    assert len(controller.asked(STREAM)) == 1


def test_too_many_requests_hold_both_back(controller, provider_of):
    controller.stream_status, controller.stream_headers = 429, {"Retry-After": "60"}
    controller.publish(snapshot(1, CANARY))
    provider = provider_of(poll_interval=0.02)
    api.set_provider_and_wait(provider)
    wait_until(lambda: provider.client._follower._not_before)
    assert not provider.client._follower._poll_is_due()
    assert provider.client._follower._pause() > 50


def test_a_stream_that_never_speaks_is_replaced_by_polls(controller, provider_of):
    pace = replace(QUICK, silence=0.2)
    controller.publish(snapshot(1, CANARY))
    provider = provider_of(pace=pace)
    api.set_provider_and_wait(provider)
    wait_until(lambda: controller.streams)
    controller.publish(snapshot(2, flag(live=rollout(0))), quietly=True)
    wait_until(lambda: answer() == (False, "STATIC", None))


@pytest.mark.usefixtures("serving")
def test_a_revoked_token_keeps_the_last_snapshot_until_the_lease_ends(controller, clock, caplog):
    controller.deny = 401
    controller.drop_streams()
    wait_until(lambda: "refused the token" in caplog.text)
    assert answer() == (True, "STATIC", None)
    clock.now += 121
    assert answer() == (False, "STALE", "lease")
    assert api.get_client().get_provider_status() is not ProviderStatus.FATAL


def test_a_server_that_comes_back_with_an_older_database_cannot_bring_the_canary_back(controller, serving):
    controller.publish(snapshot(6, flag(live=rollout(0))))
    wait_until(lambda: serving.snapshot.revision == 6)
    controller.serve(to_wire(snapshot(5, CANARY)), "5", quietly=True)
    controller.drop_streams()
    wait_until(lambda: serving._holder.refused)
    assert answer() == (False, "STATIC", None)


@pytest.mark.usefixtures("serving")
def test_an_event_without_end_is_cut_off(controller):
    asked = len(controller.asked(STREAM))
    chunk = b"data: " + b"x" * 1024 * 1024 + b"\n"
    for _ in range(9):
        controller.say(chunk)
    wait_until(lambda: len(controller.asked(STREAM)) > asked)
    assert answer() == (True, "STATIC", None)


def test_unknown_events_and_odd_heartbeats_are_no_harm(controller, serving):
    for data in ("", "nonsense", "{}", '{"revision": "x"}', json.dumps({"revision": None}), "[1]"):
        controller.say(f"event: heartbeat\ndata: {data}\n\n".encode())
    controller.say(b"event: news\ndata: 1\n\n: comment\n\n")
    passed(controller, serving)


def test_it_knows_how_many_clients_there_are_from_polls_and_heartbeats(controller, provider_of):
    controller.headers["Canary-Instances"] = "12"
    controller.publish(snapshot(5, CANARY))
    provider = provider_of()
    api.set_provider_and_wait(provider)
    wait_until(lambda: controller.streams)
    assert provider._holder.instances == 12
    for data in ('{"revision": "5"}', '{"revision": "5", "instances": -3}', '{"revision": "5", "instances": 0}'):
        controller.say(f"event: heartbeat\ndata: {data}\n\n".encode())
    controller.say(b'event: heartbeat\ndata: {"revision": "5", "instances": 31}\n\n')
    wait_until(lambda: provider._holder.instances == 31)


@pytest.mark.parametrize("said", ["", "x", "-1", "9" * 40, "\u0664"])
def test_an_odd_number_of_clients_is_no_number(controller, provider_of, said):
    controller.headers["Canary-Instances"] = said.encode().decode("latin-1")
    controller.publish(snapshot(5, CANARY))
    provider = provider_of()
    api.set_provider_and_wait(provider)
    assert provider._holder.instances == 0
