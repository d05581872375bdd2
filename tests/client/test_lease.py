"""The contact lease on a clock of the test's own: when the control is served, when the canary comes back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.client.holder import HolderObserver, SnapshotHolder
from controller.client.pace import Pace
from controller.wire.snapshots import to_wire
from tests.client.fake_controller import Clock, flag, rollout, snapshot

LEASE = 120.0


class Fleet:
    """One client's holder, its clock, and what it serves; `chance` says how its draws fall (0 to 1)."""

    def __init__(self, chance: float = 0.0) -> None:
        self.clock = Clock()
        self.told: list[list[str]] = []
        fleet = self

        class Observer(HolderObserver):
            def replaced(self, _snapshot, changed):
                fleet.told.append(changed)

        self.holder = SnapshotHolder(None, self.clock, Pace(), Observer(), lambda: chance)

    def take(self, *flags, revision: int = 1) -> None:
        self.holder.receive(to_wire(snapshot(revision, *flags)), self.clock.now)

    def pass_silently(self, seconds: float) -> None:
        self.clock.now += seconds

    def pass_in_contact(self, seconds: float) -> None:
        for _ in range(int(seconds // 10)):
            self.clock.now += 10
            self.holder.heard(self.clock.now, self.holder.revision)

    def served(self, key: str = "emitter", user: str = "anna"):
        found = self.holder.flags[key]
        silent = self.clock.now - self.holder.contact
        answer = found.choose(user, {}) if silent <= found.lease else found.lapsed()
        return answer.value, answer.reason, answer.metadata.get("reason")


CANARY = (True, "STATIC", None)
CONTROL = (False, "STALE", "lease")


@pytest.fixture
def client() -> Fleet:
    fleet = Fleet()
    fleet.take(flag(live=rollout(10_000)))
    return fleet


def test_a_new_instance_serves_what_its_first_snapshot_says(client):
    assert client.served() == CANARY


def test_contact_renews_the_lease_for_any_time(client):
    client.pass_in_contact(3_600)
    assert client.served() == CANARY


def test_the_lease_runs_out_to_the_second_and_never_later(client):
    client.pass_silently(LEASE)
    assert client.served() == CANARY
    client.pass_silently(0.001)
    assert client.served() == CONTROL


@given(st.floats(0, 1, exclude_max=True))
def test_the_jitter_shortens_a_lease_by_a_fifth_at_most_and_never_lengthens_it(chance):
    fleet = Fleet(chance)
    fleet.take(flag(live=rollout(10_000)))
    fleet.pass_silently(0.8 * LEASE)
    assert fleet.served() == CANARY
    fleet.pass_silently(0.2 * LEASE + 0.001)
    assert fleet.served() == CONTROL


def test_a_fleet_does_not_move_at_once():
    fleet = [Fleet(number / 100) for number in range(100)]
    for client in fleet:
        client.take(flag(live=rollout(10_000)))
        client.pass_silently(0.9 * LEASE)
    assert 40 < sum(client.served() == CONTROL for client in fleet) < 60


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_the_canary_comes_back_after_a_minute_of_contact_and_its_part_of_the_next(chance):
    client = Fleet(chance)
    client.take(flag(live=rollout(10_000)))
    client.pass_silently(LEASE + 1)
    client.pass_in_contact(60)  # the first of them is the contact that is noticed
    assert client.served() == CONTROL
    waits = 60 + 60 * chance
    client.pass_in_contact(math.ceil(waits / 10) * 10 - 60)
    assert client.served() == CONTROL
    client.pass_in_contact(10)
    assert client.served() == CANARY
    assert client.told == [["emitter"], ["emitter"]]


def test_contact_that_breaks_again_starts_the_minute_again(client):
    client.pass_silently(LEASE + 1)
    client.pass_in_contact(50)
    client.pass_silently(40)
    client.pass_in_contact(60)
    assert client.served() == CONTROL
    client.pass_in_contact(10)
    assert client.served() == CANARY


def test_a_controller_that_comes_and_goes_moves_nobody_back_and_forth(client):
    client.pass_silently(LEASE + 1)
    for _ in range(20):
        client.pass_in_contact(30)
        client.pass_silently(60)
        assert client.served()[0] is False


def test_new_snapshots_do_not_bring_a_lapsed_rollout_back_early(client):
    client.pass_silently(LEASE + 1)
    client.take(flag(live=rollout(10_000)), flag("more", served="unified"), revision=2)
    assert client.served() == CONTROL
    assert client.served("more")[0] is True


def test_promoted_drops_the_lease_in_the_same_revision(client):
    client.pass_silently(LEASE + 1)
    client.take(flag(served="unified"), revision=2)
    assert client.served() == (True, "STATIC", None)
    client.pass_silently(1_000_000)
    assert client.served() == (True, "STATIC", None)


def test_a_rollout_that_begins_after_a_lapse_is_not_held_back_by_it(client):
    client.pass_silently(LEASE + 1)
    client.take(flag(live=rollout(10_000, key="next")), revision=2)
    assert client.served() == CANARY


def test_only_what_lapsed_is_withheld():
    client = Fleet()
    client.take(flag("short", live=rollout(key="s", lease_ms=30_000)), flag("long", live=rollout(key="l")))
    client.pass_silently(60)
    client.pass_in_contact(10)
    assert client.served("short") == CONTROL
    assert client.served("long") == CANARY


def test_flags_without_a_live_rollout_keep_their_last_state_for_ever():
    client = Fleet()
    client.take(flag(served="unified"), flag("killed", live=rollout(), enabled=False))
    client.pass_silently(10**9)
    assert client.served() == (True, "STATIC", None)
    assert client.served("killed") == (False, "DISABLED", None)


def test_a_lapsed_answer_names_no_rollout_and_so_is_no_evidence(client):
    client.pass_silently(LEASE + 1)
    found = client.holder.flags["emitter"].lapsed()
    assert "rollout" not in found.metadata
    assert "epoch" not in found.metadata


def test_nothing_is_withheld_twice_and_answers_do_not_pile_up(client):
    before = len(client.holder.answers)
    for _ in range(1_000):
        client.pass_silently(LEASE + 1)
        client.served()
        client.pass_in_contact(10)
        client.holder.flags["emitter"].keyless()
    assert len(client.holder.answers) < before + 10
