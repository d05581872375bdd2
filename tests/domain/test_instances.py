"""Who is live, and whether a rollback has reached everybody."""

from typing import Any

import pytest

from controller.domain.instances import Instance, InstanceArm, InstanceState, Verification, behind, verify
from tests.domain.builders import NOW

LEASE = 120_000
AGES_AGO = NOW - LEASE - 5_001


def instance(name: str = "i", **fields: Any) -> Instance:
    """A live instance that has applied revision 7."""
    return Instance(**{"id": name, "last_contact_ms": NOW, "revision": 7, "applied_ms": NOW - 50, **fields})


def arm(name: str = "i", **fields: Any) -> InstanceArm:
    return InstanceArm(**{"instance": name, "flag_key": "f", "variant": "unified", **fields})


def verified(*instances: Instance, arms: tuple[InstanceArm, ...] = ()) -> Verification:
    return verify(7, instances, arms, NOW, LEASE)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, InstanceState.LIVE),
        ({"last_contact_ms": NOW - LEASE - 5_000}, InstanceState.LIVE),
        ({"last_contact_ms": AGES_AGO}, InstanceState.EXPIRED),
        ({"closed_ms": NOW}, InstanceState.GONE),
        ({"closed_ms": NOW, "last_contact_ms": AGES_AGO}, InstanceState.GONE),
    ],
)
def test_an_instance_is_presumed_gone_after_its_lease_and_five_seconds(fields: dict[str, Any], state: InstanceState):
    assert instance(**fields).state(NOW, LEASE) is state


@pytest.mark.parametrize(
    ("fields", "arms", "why"),
    [
        ({"revision": 6}, (), "still on revision 6"),
        ({"revision": 6}, (arm(open_runs=2),), "still on revision 6"),
        ({}, (arm(open_runs=2),), "2 canary run(s) open"),
        ({"revision": 9}, (arm(open_runs=1),), "1 canary run(s) open"),
        ({}, (arm(since_applied=3),), "3 canary exposure(s) after the rollback"),
    ],
)
def test_a_live_instance_that_has_not_confirmed_is_missing_and_says_why(
    fields: dict[str, Any], arms: tuple[InstanceArm, ...], why: str
):
    found = verified(instance(**fields), instance("other"), arms=arms)
    assert [(missing.instance, missing.why) for missing in found.missing] == [("i", why)]
    assert not found.complete
    assert found.sentence == "waiting for 1 (1 confirmed)"


@pytest.mark.parametrize("arms", [(), (arm(),), (arm(exposures=9, last_exposure_ms=NOW - 900),)])
def test_an_instance_confirms_with_the_revision_and_nothing_left_of_the_canary(arms: tuple[InstanceArm, ...]):
    found = verified(instance(), arms=arms)
    assert found.complete
    assert found.sentence == "verified (1 confirmed)"


def test_the_expired_and_those_who_said_goodbye_are_not_waited_for():
    found = verified(
        instance(),
        instance("silent", revision=6, last_contact_ms=AGES_AGO),
        instance("gone", revision=6, closed_ms=NOW - 9),
        arms=(arm("silent", open_runs=5),),
    )
    assert found.complete
    assert (found.confirmed, found.expired, found.open_runs) == (1, 1, 0)
    assert found.sentence == "verified (1 confirmed, 1 expired)"


def test_an_evaluator_that_does_not_report_is_listed_and_never_counted_as_confirmed():
    found = verified(instance(), instance("ofrep", reports=False), instance("old", reports=False, revision=1))
    assert found.complete
    assert (found.confirmed, found.unverifiable) == (1, 2)
    assert found.sentence == "verified (1 confirmed, 2 unverifiable)"


def test_without_any_instance_there_is_nobody_to_wait_for():
    assert verified().sentence == "verified (0 confirmed)"


def test_the_times_are_of_the_first_and_the_last_to_confirm_and_of_the_last_exposure_anywhere():
    found = verified(
        instance("a", applied_ms=NOW - 300),
        instance("b", applied_ms=NOW - 100),
        instance("c", applied_ms=NOW - 900, revision=6),
        arms=(arm("a", last_exposure_ms=NOW - 400), arm("c", last_exposure_ms=NOW - 20, open_runs=4)),
    )
    assert (found.first_applied_ms, found.last_applied_ms) == (NOW - 300, NOW - 100)
    assert (found.last_exposure_ms, found.open_runs) == (NOW - 20, 4)


def test_only_live_reporting_instances_can_be_behind():
    some = [
        instance("current"),
        instance("newer", revision=8),
        instance("older", revision=6),
        instance("silent", revision=6, last_contact_ms=AGES_AGO),
        instance("gone", revision=6, closed_ms=NOW),
        instance("plain", revision=6, reports=False),
    ]
    assert behind(some, 7, NOW, LEASE) == 1
