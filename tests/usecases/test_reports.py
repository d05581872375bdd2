"""From a report as it was sent to a batch as it is written."""

from dataclasses import replace
from typing import Any

import pytest

from controller.domain.errors import Invalid
from controller.domain.instances import InstanceArm
from controller.domain.metrics import Family, Metric, UnitKind
from controller.domain.samples import SampleKey
from controller.domain.snapshots import PublishedRollout
from controller.domain.tallies import UNIT, Counts, EvidenceKey, Proof, Tally
from controller.domain.windows import WindowKey
from controller.storage.batches import Batch
from controller.usecases.reports import prepare
from controller.wire.codec import convert
from controller.wire.reports import Report

NOW_MS = 1_760_000_000_000
FLAGS = {"chat": frozenset({"legacy", "unified", "third"}), "other": frozenset({"on", "off"})}


def a_rollout(unit: UnitKind = UnitKind.EVENT) -> PublishedRollout:
    return PublishedRollout("r", "legacy", "unified", 1000, "salt", 7, unit, ("started", "completed"), 120_000)


def a_report(**fields: Any) -> Report:
    return convert({"batch": "batch-01", "instance": "one", **fields}, Report)


def prepared(rollout: PublishedRollout | None = None, **fields: Any) -> Batch:
    rollouts = {"chat": rollout} if rollout is not None else {}
    return prepare(a_report(**fields), NOW_MS, FLAGS, rollouts)


def an_outcome(outcome: str = "delivered", **fields: Any) -> dict[str, Any]:
    return {"flag": "chat", "variant": "unified", "event_type": "started", "outcome": outcome, **fields}


def a_count(**fields: Any) -> dict[str, Any]:
    return {"flag": "chat", "variant": "unified", "event_type": "started", **fields}


def refusal(**fields: Any) -> Invalid:
    with pytest.raises(Invalid) as found:
        prepared(**fields)
    return found.value


@pytest.mark.parametrize("part", ["counts", "arms", "outcomes"])
def test_an_unknown_flag_or_variant_is_refused_by_name_and_place(part: str) -> None:
    good = {"outcomes": an_outcome(), "counts": a_count(), "arms": {"flag": "chat", "variant": "unified"}}[part]
    flag = refusal(counted_by="client", **{part: [good, good, good, good | {"flag": "gone"}]})
    assert flag.field == f"{part}[3].flag"
    assert "'gone'" in str(flag)
    variant = refusal(counted_by="client", **{part: [good, good | {"variant": "blue"}]})
    assert variant.field == f"{part}[1].variant"
    assert "'blue' is not one of chat's variants legacy, third, unified" in str(variant)


def test_more_failures_than_units_are_refused() -> None:
    row = {"rollout": "r", "epoch": 1, "arm": "canary", "stream": "started", "failed": 2, "total": 1}
    assert refusal(counted_by="client", evidence=[row]).field == "evidence[0].failed"


@pytest.mark.parametrize("stream", ["pooled", "within_100ms/pooled"])
def test_a_pooled_stream_is_not_the_clients_to_report(stream: str) -> None:
    row = {"rollout": "r", "epoch": 1, "arm": "canary", "stream": stream, "failed": 0, "total": 1}
    assert refusal(counted_by="client", evidence=[row]).field == "evidence[0].stream"


@pytest.mark.parametrize("part", ["counts", "evidence"])
def test_a_client_that_lets_the_server_count_cannot_count_too(part: str) -> None:
    evidence = {"rollout": "r", "epoch": 1, "arm": "canary", "stream": "started", "failed": 0, "total": 1}
    found = refusal(**{part: [a_count() if part == "counts" else evidence]})
    assert found.field == part
    assert "counted_by: client" in str(found)


def test_counts_fall_into_windows_by_their_age_and_the_reports() -> None:
    ages = [0, 9_999, 10_000, 300_000, 600_000, 900_000]
    batch = prepared(counted_by="client", age_ms=1_000, counts=[a_count(age_ms=age, attempts=1) for age in ages])
    starts = {(NOW_MS - key.starts_ms) / 1000: counts.attempts for key, counts in batch.windows.items()}
    # 1 s old: the window before the present one; 11 s: one more; 301 s; 601 s and more are taken for 600 s.
    assert starts == {10.0: 1, 20.0: 2, 310.0: 1, 600.0: 2}


def test_counts_of_one_window_are_merged() -> None:
    row = a_count(attempts=3, delivered=2, failed=1, latency_ms=30)
    batch = prepared(counted_by="client", counts=[row, row | {"abandoned": 4, "interrupted": 5}])
    assert list(batch.windows.values()) == [Counts(6, 4, 2, 4, 5, 60)]


def test_what_a_client_counted_is_not_counted_again_from_its_outcomes() -> None:
    batch = prepared(a_rollout(), counted_by="client", outcomes=[an_outcome("failed")])
    assert batch.windows == batch.evidence == {}
    assert len(batch.outcomes) == 1


def test_the_server_counts_for_a_client_that_cannot() -> None:
    outcomes = [an_outcome(latency_ms=40), an_outcome(latency_ms=2), an_outcome("failed", latency_ms=5000)]
    outcomes += [an_outcome("abandoned"), an_outcome("interrupted"), an_outcome(age_ms=15_000)]
    batch = prepared(outcomes=outcomes)
    assert batch.windows == {
        WindowKey("chat", "unified", "started", NOW_MS): Counts(5, 2, 1, 1, 1, 42),
        WindowKey("chat", "unified", "started", NOW_MS - 20_000): Counts(1, 1),
    }
    assert batch.evidence == {}


def proved(batch: Batch) -> dict[tuple[int, str, str], Tally]:
    """The evidence by epoch, arm and stream."""
    return {key[1:]: proof.tally for key, proof in batch.evidence.items()}


def whole(failed: int, total: int) -> Tally:
    return Tally(UNIT * failed, UNIT * total)


def test_the_server_proves_by_event_under_the_epoch_of_the_row_or_the_present_one() -> None:
    outcomes = [an_outcome("failed"), an_outcome(), an_outcome(epoch=5), an_outcome(variant="legacy")]
    found = proved(prepared(a_rollout(), outcomes=outcomes))
    assert {key: tally for key, tally in found.items() if key[2] == "started"} == {
        (7, "canary", "started"): whole(1, 2),
        (5, "canary", "started"): whole(0, 1),
        (7, "control", "started"): whole(0, 1),
    }


def test_the_server_counts_who_left_and_that_each_outcome_has_spoken() -> None:
    outcomes = [an_outcome("failed"), an_outcome(), an_outcome("abandoned"), an_outcome("interrupted")]
    assert proved(prepared(a_rollout(), outcomes=outcomes)) == {
        (7, "canary", "started"): whole(1, 2),
        (7, "canary", "abandoned"): whole(1, 4),
        (7, "canary", "interrupted"): whole(1, 4),
        (7, "canary", "reporting"): whole(0, 4),
    }


def test_the_server_proves_delivery_in_time_by_what_was_measured() -> None:
    timed = replace(a_rollout(), metrics=(Family(Metric.WITHIN, 100),))
    outcomes = [an_outcome(latency_ms=100), an_outcome(latency_ms=101), an_outcome("failed"), an_outcome()]
    found = proved(prepared(timed, outcomes=outcomes))
    assert found[7, "canary", "within_100ms/started"] == whole(2, 4)


def test_a_failed_outcome_names_its_user_by_a_short_hash_and_nobody_else() -> None:
    outcomes = [an_outcome("failed", user="0123456789abcdef"), an_outcome(user="ffffffffffffffff")]
    outcomes += [an_outcome("failed", user="alice@example.org"), an_outcome("failed")]
    batch = prepared(a_rollout(), outcomes=outcomes)
    assert batch.evidence[EvidenceKey("r", 7, "canary", "started")] == Proof(whole(3, 4), ("01234567",))
    assert {user for proof in batch.evidence.values() for user in proof.users} == {"01234567"}


def test_what_the_rollout_does_not_judge_is_no_evidence() -> None:
    outcomes = [an_outcome(variant="third"), an_outcome("abandoned", event_type="typing")]
    outcomes += [an_outcome(event_type="typing"), an_outcome(flag="other", variant="on")]
    assert prepared(a_rollout(), outcomes=outcomes).evidence == {}


def test_a_client_says_who_failed_and_whom_it_has_seen() -> None:
    row = {"rollout": "r", "epoch": 7, "arm": "canary", "stream": "started", "failed": 1000, "total": 2000}
    seen_users = {"rollout": "r", "epoch": 7, "arm": "canary"}
    batch = prepared(
        counted_by="client",
        evidence=[{**row, "users": ["0000000a"]}, {**row, "users": ["0000000b", "0000000a"]}],
        users=[{**seen_users, "tags": ["00000000000a"]}, {**seen_users, "tags": ["00000000000a", "00000000000b"]}],
    )
    key = EvidenceKey("r", 7, "canary", "started")
    assert batch.evidence == {key: Proof(whole(2, 4), ("0000000a", "0000000b"))}
    assert batch.users == {SampleKey("r", 7, "canary"): {"00000000000a", "00000000000b"}}


@pytest.mark.parametrize("unit", [UnitKind.USER_10M, UnitKind.RUN])
def test_units_of_users_and_runs_need_the_clients_own_book(unit: UnitKind) -> None:
    batch = prepared(a_rollout(unit), outcomes=[an_outcome("failed", user="u", run="x")])
    assert batch.evidence == {}
    assert batch.windows


def test_an_instance_speaks_in_ages_and_is_kept_in_times() -> None:
    batch = prepared(
        counted_by="client",
        age_ms=500,
        seq=4,
        revision=9,
        applied_age_ms=3_600_000,
        app_version="1.2",
        region="eu",
        sdk="python",
        dropped=1,
        unadmitted=2,
        unproved=3,
        attempted=20,
        delivered=10,
        failed=4,
        abandoned=3,
        interrupted=1,
        pending=2,
        arms=[{"flag": "chat", "variant": "unified", "open_runs": 2, "exposures": 5, "exposure_age_ms": 1_500}],
    )
    found = batch.instance
    assert (found.id, found.seq, found.revision, found.last_contact_ms) == ("one", 4, 9, NOW_MS)
    assert found.applied_ms == NOW_MS - 3_600_500
    assert (found.app_version, found.region, found.sdk) == ("1.2", "eu", "python")
    assert (found.dropped, found.unadmitted, found.unproved) == (1, 2, 3)
    assert (found.attempted, found.delivered, found.failed) == (20, 10, 4)
    assert (found.abandoned, found.interrupted, found.pending, found.unreconciled) == (3, 1, 2, 0)
    assert found.closed_ms is None
    assert batch.arms == (InstanceArm("one", "chat", "unified", 2, 5, 0, NOW_MS - 2_000),)


def test_a_goodbye_closes_the_instance() -> None:
    assert prepared(closing=True).instance.closed_ms == NOW_MS


def test_a_variant_never_exposed_and_a_snapshot_never_applied_have_no_time() -> None:
    batch = prepared(counted_by="client", arms=[{"flag": "chat", "variant": "unified"}])
    assert batch.instance.applied_ms is None
    assert batch.arms[0].last_exposure_ms is None


def test_details_keep_what_was_said() -> None:
    said = {"event_id": "e", "latency_ms": 12, "status": "acked", "reason": "x", "user": "u", "run": "v", "epoch": 3}
    [found] = prepared(counted_by="client", age_ms=100, outcomes=[an_outcome(age_ms=900, **said)]).outcomes
    assert found.at_ms == NOW_MS - 1000
    assert (found.user_hash, found.run_hash, found.instance, found.epoch) == ("u", "v", "one", 3)
    assert (found.event_id, found.latency_ms, found.status, found.reason) == ("e", 12, "acked", "x")
