"""What clients rely on: the snapshot, and reports that count once."""

import gzip
from typing import Any

import pytest

from controller.domain.errors import TooFast, Unavailable
from controller.storage import instances
from controller.storage.writer import IngestWriter
from controller.wire.reports import MOST_BYTES
from tests.web.callers import EVENT, FLAG, Caller, Door, counts, evidence, packed, report

GZIP = {"Content-Encoding": "gzip"}
SNAPSHOT, REPORTS = "/sdk/v1/snapshot", "/sdk/v1/reports"


def delivered(operator: Caller) -> int:
    """What has been counted as delivered on the canary since the start."""
    health = operator.get("/api/v1/rollouts/unified-emitter").json["health"]
    return sum(row["delivered"] for row in health if row["arm"] == "canary")


def test_the_snapshot_comes_with_its_revision_and_etag(operator: Caller, sdk: Caller) -> None:
    operator.started()
    answer = sdk.get(SNAPSHOT)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.headers["Canary-Revision"] == str(answer.json["revision"])
    assert answer.json["flags"]["emitter"]["rollout"]["key"] == "unified-emitter"


def test_a_client_that_holds_the_snapshot_is_told_so_without_a_body(operator: Caller, sdk: Caller) -> None:
    etag = sdk.get(SNAPSHOT).headers["ETag"]
    for held in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = sdk.get(SNAPSHOT, {"If-None-Match": held})
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == etag
    operator.post("/api/v1/flags", FLAG)
    changed = sdk.get(SNAPSHOT, {"If-None-Match": etag})
    assert (changed.status_code, changed.headers["ETag"] != etag) == (200, True)


@pytest.mark.parametrize("reports", ["0", "1"])
def test_a_client_that_fetches_is_remembered_and_has_confirmed_nothing(sdk: Caller, door: Door, reports: str) -> None:
    sdk.get(SNAPSHOT, {"Canary-Instance": "edge-7", "Canary-Reports": reports})
    with door.database.read() as connection:
        (found,) = instances.every(connection)
    assert (found.id, found.reports, found.applied_ms) == ("edge-7", reports == "1", None)
    assert found.last_contact_ms == door.clock()


def test_a_client_without_a_name_is_served_and_forgotten(sdk: Caller, door: Door) -> None:
    assert sdk.get(SNAPSHOT, {"Canary-Reports": "0"}).status_code == 200
    assert sdk.get(SNAPSHOT, {"Canary-Instance": "x" * 129, "Canary-Reports": "0"}).status_code == 422
    with door.database.read() as connection:
        assert instances.every(connection) == []


def test_a_report_is_acknowledged_with_the_newest_revision_and_a_repeat_counts_once(
    operator: Caller, sdk: Caller
) -> None:
    started = operator.started()
    batch = report(revision=1, counts=[counts("unified", 7)], evidence=[evidence("canary", 0, 7)])
    first, again = (sdk.post(REPORTS, packed(batch), GZIP) for _ in range(2))
    assert first.json == {"batch": "batch-0001", "duplicate": False, "revision": started["revision"]}
    assert again.json == {"batch": "batch-0001", "duplicate": True, "revision": started["revision"]}
    assert delivered(operator) == 7


def test_a_client_that_cannot_count_sends_outcomes_alone(operator: Caller, sdk: Caller) -> None:
    operator.started()
    row = {"flag": "emitter", "variant": "unified", "event_type": EVENT, "outcome": "delivered", "latency_ms": 12}
    body = {"batch": "batch-0001", "instance": "curl", "outcomes": [row, row]}
    assert sdk.post(REPORTS, body).status_code == 200
    assert delivered(operator) == 2


def test_an_unknown_flag_in_a_batch_is_refused_by_name_and_nothing_is_counted(operator: Caller, sdk: Caller) -> None:
    operator.started()
    rows = [counts("unified", 7), {**counts("unified", 1), "flag": "emiter"}]
    answer = sdk.post(REPORTS, report(counts=rows))
    assert (answer.status_code, answer.json["field"]) == (422, "counts[1].flag")
    assert "'emiter'" in answer.json["detail"]
    assert delivered(operator) == 0


def row_of(**changes: Any) -> dict[str, Any]:
    return {**counts("unified", 1), **changes}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "batch"),
        (report("short"), "batch"),
        (report("with spaces in it"), "batch"),
        (report(colour="red"), "colour"),
        (report(counts=[row_of(colour="red")]), "counts[0].colour"),
        (report(counts=[row_of(failed=-1)]), "counts[0].failed"),
        (report(counts=[row_of(delivered=1.5)]), "counts[0].delivered"),
        (report(counts=[row_of(delivered=2**60)]), "counts[0].delivered"),
        (report(counts=[row_of(variant="green")]), "counts[0].variant"),
        (report(counts=[row_of(event_type="x" * 129)]), "counts[0].event_type"),
        (report(evidence=[evidence("canary", 2, 1)]), "evidence[0].failed"),
        (report(evidence=[{**evidence("canary", 0, 1), "arm": "stable"}]), "evidence[0].arm"),
        (report(seq="first"), "seq"),
        (report(counted_by="server", counts=[row_of()]), "counts"),
        (report(counts=[row_of()] * 5001), "counts"),
        (report(region="x" * 201), "region"),
    ],
)
def test_a_malformed_report_is_refused_by_field(operator: Caller, sdk: Caller, body: object, field: str) -> None:
    operator.post("/api/v1/flags", FLAG)
    answer = sdk.post(REPORTS, body)
    assert (answer.status_code, answer.json["field"]) == (422, field), answer.text
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b'{"batch"', b"null", b'{"batch": "a\\u0000aaaaaaaa", "instance": "x"}']
)
def test_what_is_no_report_at_all_is_refused(sdk: Caller, body: bytes) -> None:
    assert sdk.call("POST", REPORTS, body).status_code == 422


def test_a_gzip_bomb_is_refused_without_unpacking_it(sdk: Caller) -> None:
    bomb = gzip.compress(bytes(100 * 1024 * 1024))
    assert len(bomb) < MOST_BYTES
    answer = sdk.post(REPORTS, bomb, GZIP)
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")


def test_a_report_that_is_too_large_is_refused(sdk: Caller) -> None:
    assert sdk.post(REPORTS, b" " * (MOST_BYTES + 1)).status_code == 413


@pytest.mark.parametrize(("refusal", "status"), [(TooFast("wait"), 429), (Unavailable("away"), 503)])
def test_a_crowded_or_broken_writer_asks_for_the_report_again(
    sdk: Caller, writer: IngestWriter, monkeypatch: pytest.MonkeyPatch, refusal: Exception, status: int
) -> None:
    def refuse(_batch: object) -> None:
        raise refusal

    monkeypatch.setattr(writer, "submit", refuse)
    answer = sdk.post(REPORTS, report())
    assert answer.status_code == status
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_stopped_writer_answers_503_and_nothing_is_lost_silently(sdk: Caller, writer: IngestWriter) -> None:
    writer.stop()
    answer = sdk.post(REPORTS, report())
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert "Retry-After" in answer.headers
