"""Application versions in quarantine: their processes serve the control, and say why."""

import pytest

from controller.client.holder import HolderObserver, SnapshotHolder
from controller.client.pace import Pace
from controller.domain.targeting import Targeting
from controller.wire.snapshots import to_wire
from tests.client.fake_controller import Clock, flag, rollout, snapshot


class Process:
    """A process of one application version."""

    def __init__(self, app_version: str) -> None:
        self.clock = Clock()
        self.holder = SnapshotHolder(None, self.clock, Pace(), HolderObserver(), lambda: 0.0, app_version)

    def take(self, revision: int, *quarantined: str, **but: object) -> None:
        live = rollout(10_000, quarantined=quarantined)
        body = to_wire(snapshot(revision, flag(live=live, **but), flag("other", rollout(10_000, key="other"))))
        assert self.holder.receive(body, self.clock.now)

    def served(self, key: str = "emitter") -> tuple[object, str, object]:
        answer = self.holder.flags[key].choose("anna", {})
        assert answer is not None
        return answer.value, answer.reason, answer.metadata.get("reason")

    def evidence(self, key: str = "emitter") -> object:
        answer = self.holder.flags[key].choose("anna", {})
        assert answer is not None
        return answer.metadata.get("rollout")


def test_a_version_that_failed_serves_the_control_and_says_why() -> None:
    bad = Process("2.0.0")
    bad.take(1, "2.0.0")
    assert bad.served() == (False, "DISABLED", "quarantine")


def test_what_it_serves_is_no_evidence() -> None:
    bad = Process("2.0.0")
    bad.take(1, "2.0.0")
    assert bad.evidence() is None


@pytest.mark.parametrize("version", ["2.0.1", "2.0", ""])
def test_other_versions_go_on(version: str) -> None:
    process = Process(version)
    process.take(1, "2.0.0", "")
    assert process.served() == (True, "STATIC", None)
    assert process.evidence() == "ramp"


def test_other_flags_go_on() -> None:
    bad = Process("2.0.0")
    bad.take(1, "2.0.0")
    assert bad.served("other") == (True, "STATIC", None)


def test_a_list_or_rule_does_not_get_around_it() -> None:
    bad = Process("2.0.0")
    bad.take(1, "2.0.0", targeting=Targeting(allow={"unified": frozenset({"anna"})}))
    assert bad.served() == (False, "DISABLED", "quarantine")


def test_it_ends_with_the_next_snapshot_that_does_not_name_it() -> None:
    process = Process("2.0.0")
    process.take(1, "2.0.0")
    process.take(2)
    assert process.served() == (True, "STATIC", None)


def test_it_outweighs_a_breaker() -> None:
    process = Process("2.0.0")
    process.take(1, "2.0.0")
    process.holder.trip("ramp", "breaker")
    assert process.served() == (False, "DISABLED", "quarantine")
