"""The report of a client: read strictly, bounded everywhere."""

import json
from typing import Any

import pytest

from controller.domain.errors import Invalid, Malformed
from controller.wire.codec import decode, encode
from controller.wire.reports import (
    MOST_ROWS,
    ArmRow,
    CountRow,
    EvidenceRow,
    OpenRow,
    OutcomeRow,
    Receipt,
    Report,
    UserRow,
)

COUNT = {"flag": "f", "variant": "unified", "event_type": "agent_started"}
EVIDENCE = {"rollout": "r", "epoch": 1, "arm": "canary", "stream": "agent_started", "failed": 0, "total": 1_000}
OPEN = {"rollout": "r", "arm": "canary", "stream": "agent_started", "open": 3}
USERS = {"rollout": "r", "epoch": 1, "arm": "canary", "tags": ["0123456789ab"]}
ARM = {"flag": "f", "variant": "unified"}
OUTCOME = {**COUNT, "outcome": "failed"}


def read(**fields: Any) -> Report:
    body = {"batch": "b-00000001", "instance": "i", **fields}
    return decode(json.dumps(body).encode(), Report)


def test_a_report_of_nothing_says_who_is_there():
    report = read()
    assert (report.batch, report.instance, report.seq, report.revision) == ("b-00000001", "i", 0, 0)
    assert (report.counts, report.evidence, report.open_units, report.arms, report.outcomes) == ([], [], [], [], [])
    assert (report.users, report.attempted, report.pending) == ([], 0, 0)
    assert not report.closing


def test_a_client_that_does_not_say_so_is_counted_by_the_server():
    assert read().counted_by == "server"
    assert read(counted_by="client").counted_by == "client"


def test_a_full_report_survives_the_wire():
    report = Report(
        batch="b-00000001",
        instance="host:1",
        seq=9,
        age_ms=40,
        counted_by="client",
        revision=7,
        applied_age_ms=1_200,
        app_version="1.2.3",
        region="eu",
        sdk="python",
        dropped=2,
        unadmitted=3,
        unproved=4,
        attempted=20,
        delivered=11,
        failed=4,
        abandoned=2,
        interrupted=1,
        pending=2,
        closing=True,
        counts=[CountRow("f", "unified", "agent_started", 5, 10, 8, 1, 1, 0, 420)],
        evidence=[EvidenceRow("r", 2, "canary", "later", 333, 1_000, ["89abcdef", "01234567"])],
        open_units=[OpenRow("r", "control", "agent_started", 4)],
        users=[UserRow("r", 2, "control", ["0123456789ab", "ba9876543210"])],
        arms=[ArmRow("f", "unified", 1, 20, 3, 50)],
        outcomes=[
            OutcomeRow("f", "unified", "agent_started", "failed", "e-1", 5, 42, "timeout", "no ack", "h", "run", 2)
        ],
    )
    assert decode(encode(report), Report) == report


def test_a_variant_that_was_never_exposed_here_has_no_age():
    assert read(arms=[ARM]).arms[0].exposure_age_ms is None
    assert read(arms=[{**ARM, "exposure_age_ms": 0}]).arms[0].exposure_age_ms == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"batch": "short"}, "batch"),
        ({"batch": "x" * 65}, "batch"),
        ({"batch": "with space"}, "batch"),
        ({"instance": ""}, "instance"),
        ({"instance": "x" * 129}, "instance"),
        ({"seq": -1}, "seq"),
        ({"age_ms": 1.5}, "age_ms"),
        ({"dropped": 2**53 + 1}, "dropped"),
        ({"counted_by": "nobody"}, "counted_by"),
        ({"revision": "7"}, "revision"),
        ({"closing": 1}, "closing"),
        ({"user_id": "alice"}, "user_id"),
        ({"sdk": "x" * 201}, "sdk"),
        ({"counts": [{**COUNT, "failed": -1}]}, "counts[0].failed"),
        ({"counts": [COUNT, {**COUNT, "error": 1}]}, "counts[1].error"),
        ({"counts": [{"flag": "f", "variant": "unified"}]}, "counts[0].event_type"),
        ({"evidence": [{**EVIDENCE, "arm": "treatment"}]}, "evidence[0].arm"),
        ({"evidence": [{**EVIDENCE, "total": None}]}, "evidence[0].total"),
        ({"evidence": [{**EVIDENCE, "stream": ""}]}, "evidence[0].stream"),
        ({"evidence": [{**EVIDENCE, "users": ["alice@example.org"]}]}, "evidence[0].users[0]"),
        ({"evidence": [{**EVIDENCE, "users": ["0123456789ab"]}]}, "evidence[0].users[0]"),
        ({"evidence": [{**EVIDENCE, "users": ["01234567"] * 4}]}, "evidence[0].users"),
        ({"users": [{**USERS, "tags": ["alice"]}]}, "users[0].tags[0]"),
        ({"users": [{**USERS, "tags": ["0123456789AB"]}]}, "users[0].tags[0]"),
        ({"users": [{**USERS, "tags": ["0123456789ab"] * (MOST_ROWS + 1)}]}, "users[0].tags"),
        ({"users": [{**USERS, "arm": "both"}]}, "users[0].arm"),
        ({"users": [USERS] * (MOST_ROWS + 1)}, "users"),
        ({"attempted": -1}, "attempted"),
        ({"pending": 2**53 + 1}, "pending"),
        ({"open_units": [{**OPEN, "open": -1}]}, "open_units[0].open"),
        ({"arms": [{**ARM, "open_runs": "2"}]}, "arms[0].open_runs"),
        ({"outcomes": [{**OUTCOME, "outcome": "lost"}]}, "outcomes[0].outcome"),
        ({"outcomes": [{**OUTCOME, "reason": "x" * 201}]}, "outcomes[0].reason"),
        ({"counts": [COUNT] * (MOST_ROWS + 1)}, "counts"),
        ({"outcomes": [OUTCOME] * (MOST_ROWS + 1)}, "outcomes"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(fields: dict[str, Any], field: str):
    with pytest.raises(Invalid) as refused:
        read(**fields)
    assert refused.value.field == field


@pytest.mark.parametrize("missing", ["batch", "instance"])
def test_who_and_which_batch_cannot_be_left_out(missing: str):
    body = {"batch": "b-00000001", "instance": "i"}
    del body[missing]
    with pytest.raises(Invalid) as refused:
        decode(json.dumps(body).encode(), Report)
    assert refused.value.field == missing


@pytest.mark.parametrize("body", [b"", b"not json", b'{"batch": "b-00000001",', b"\xff"])
def test_what_cannot_be_read_is_malformed(body: bytes):
    with pytest.raises(Malformed):
        decode(body, Report)


def test_a_receipt_says_whether_the_batch_was_known():
    assert json.loads(encode(Receipt("b-00000001", True, 7))) == {
        "batch": "b-00000001",
        "duplicate": True,
        "revision": 7,
    }
