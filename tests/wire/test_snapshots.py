"""The snapshot on the wire."""

import json
from dataclasses import replace
from typing import Any

import pytest

from controller.domain.errors import Invalid, Malformed
from controller.domain.evaluation import evaluate
from controller.domain.metrics import Family, Metric, UnitKind
from controller.domain.plans import Breaker
from controller.domain.snapshots import PublishedBreaker, PublishedFlag, PublishedRollout, Snapshot
from controller.wire.snapshots import from_wire, to_wire

ROLLOUT = PublishedRollout(
    key="r",
    control="legacy",
    canary="unified",
    weight=1_250,
    salt="0123456789abcdef",
    epoch=3,
    unit=UnitKind.RUN,
    events=("a", "b"),
    lease_ms=90_000,
    metrics=(Family(Metric.WITHIN, 100), Family(Metric.COMPLETENESS, 300_000, "a", "b")),
    quarantined=("1.2.3", "1.2.4"),
    breaker=PublishedBreaker(Breaker.TRIP, 2, '{"alpha_ppm":10000,"form":2}'),
)
SNAPSHOT = Snapshot(
    "production",
    41,
    {
        "f": PublishedFlag("f", {"legacy": False, "unified": True}, "legacy", "legacy", True, 5, ROLLOUT),
        "text": PublishedFlag("text", {"a": "x", "b": "y"}, "a", "b", False, 2),
        "tree": PublishedFlag("tree", {"a": {"n": [1, 2.5, None]}, "b": {}}, "a", "b", True, 1),
    },
)

#: Deeper than a decoder can follow.
DEEP = b'{"environment": "e", "revision": 1, "flags": {"f": {"variants": {"a": ' + b"[" * 100_000


def document(**flag_fields: Any) -> dict[str, Any]:
    """The JSON of SNAPSHOT with fields of flag `f` changed."""
    body = json.loads(to_wire(SNAPSHOT))
    body["flags"]["f"].update(flag_fields)
    return body


def read(body: dict[str, Any]) -> Snapshot:
    return from_wire(json.dumps(body, separators=(",", ":")).encode())


def test_a_snapshot_survives_the_wire():
    assert from_wire(to_wire(SNAPSHOT)) == SNAPSHOT


def test_the_same_flags_give_the_same_bytes_in_whatever_order_they_are_kept():
    turned = replace(SNAPSHOT, flags=dict(reversed(SNAPSHOT.flags.items())))
    assert to_wire(turned) == to_wire(SNAPSHOT)


def test_fields_of_a_newer_server_are_ignored_by_an_older_client():
    body = document(priority=9)
    body["etag"] = "x"
    body["flags"]["f"]["rollout"]["holdback"] = "5%"
    assert read(body) == SNAPSHOT


def test_a_unit_of_a_newer_server_is_counted_as_the_default_one():
    body = document()
    body["flags"]["f"]["rollout"]["unit"] = "tenant/1h"
    rollout = read(body).flags["f"].rollout
    assert rollout is not None
    assert rollout.unit is UnitKind.USER_10M


def test_a_metric_of_a_newer_server_is_not_counted_and_the_others_are():
    body = document()
    body["flags"]["f"]["rollout"]["metrics"].insert(0, {"metric": "first_token_within", "deadline_ms": 250})
    assert read(body) == SNAPSHOT


def test_a_snapshot_of_an_older_server_asks_for_delivery_alone_and_holds_no_version():
    body = document()
    del body["flags"]["f"]["rollout"]["metrics"], body["flags"]["f"]["rollout"]["quarantined"]
    rollout = read(body).flags["f"].rollout
    assert rollout is not None
    assert (rollout.metrics, rollout.quarantined) == ((), ())
    assert (rollout.rules().within, rollout.rules().runs) == ((), None)


def test_clients_count_as_the_server_asks():
    rollout = from_wire(to_wire(SNAPSHOT)).flags["f"].rollout
    assert rollout is not None
    rules = rollout.rules()
    assert (rules.rollout, rules.kind, rules.events) == ("r", UnitKind.RUN, {"a", "b"})
    assert (rules.within, rules.runs) == (ROLLOUT.metrics[:1], ROLLOUT.metrics[1])


def test_what_is_left_out_has_a_default():
    body = {
        "environment": "e",
        "revision": 1,
        "flags": {"f": {"variants": {"a": 1, "b": 2}, "control": "a", "served": "b"}},
    }
    assert read(body).flags["f"] == PublishedFlag("f", {"a": 1, "b": 2}, "a", "b", True, 1)


@pytest.mark.parametrize("key", ["alice", "bob", "", None])
def test_client_and_server_answer_alike(key: str | None):
    here, there = SNAPSHOT.flags["f"], from_wire(to_wire(SNAPSHOT)).flags["f"]
    assert evaluate(here, key) == evaluate(there, key)
    assert evaluate(here, key, lapsed=True) == evaluate(there, key, lapsed=True)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"environment": "e"', DEEP])
def test_a_broken_document_is_malformed(body: bytes):
    with pytest.raises(Malformed, match="not valid JSON"):
        from_wire(body)


@pytest.mark.parametrize(
    ("flag_fields", "field"),
    [
        ({"control": 7}, "flags.f.control"),
        ({"enabled": "no"}, "flags.f.enabled"),
        ({"variants": []}, "flags.f.variants"),
        ({"control": "green"}, "flags.f.control"),
        ({"served": "green"}, "flags.f.served"),
        ({"variants": {"legacy": False}, "rollout": None, "served": "unified"}, "flags.f.served"),
        ({"variants": {"legacy": False}}, "flags.f.rollout.canary"),
        ({"variants": {"unified": True}, "control": "unified", "served": "unified"}, "flags.f.rollout.control"),
    ],
)
def test_a_document_that_cannot_be_evaluated_is_refused_as_a_whole(flag_fields: dict[str, Any], field: str):
    with pytest.raises(Invalid) as refused:
        read(document(**flag_fields))
    assert refused.value.field == field


def test_a_document_without_a_revision_is_refused():
    with pytest.raises(Invalid) as refused:
        read({"environment": "e", "flags": {}})
    assert refused.value.field == "revision"


def test_constants_that_many_rollouts_judge_by_are_sent_and_held_once():
    flags = {key: replace(SNAPSHOT.flags["f"], key=key, rollout=replace(ROLLOUT, key=key)) for key in "abc"}
    body = to_wire(replace(SNAPSHOT, flags=flags))
    assert body.count(b"alpha_ppm") == 1
    found = [flag.rollout.breaker for flag in from_wire(body).flags.values() if flag.rollout and flag.rollout.breaker]
    assert len(found) == 3
    assert len({id(breaker.constants) for breaker in found}) == 1


@pytest.mark.parametrize("changed", [{"mode": "ask"}, {"judge": "elsewhere"}])
def test_a_breaker_that_a_client_does_not_understand_trips_nothing(changed: dict[str, str]):
    body = document()
    body["flags"]["f"]["rollout"]["breaker"].update(changed)
    rollout = read(body).flags["f"].rollout
    assert rollout == replace(ROLLOUT, breaker=None)
