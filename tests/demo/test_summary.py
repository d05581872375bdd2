"""What the demo claims at its end rests on what the back ends say."""

from __future__ import annotations

import pytest
from rich.console import Console

from controller.demo.options import CANARY, FLAG, Fault, Options
from controller.demo.summary import exposed_after, replayed, summary
from controller.demo.timeline import Timeline
from controller.wire.api.judging import DecisionView, LedgerView
from controller.wire.api.people import InstanceView
from controller.wire.api.rollouts import RolloutView, VerificationView
from controller.wire.manifests import manifest_of, plan_of
from tests.usecases.true_ledgers import true_ledger


def an_instance(**since_applied: int) -> InstanceView:
    arms = {f"{FLAG}/{variant}": count for variant, count in since_applied.items()}
    return InstanceView("chat-a", "live", True, 3, 0, "2.0.0", "", "", 0, {}, arms)


def a_view(**verification: object) -> RolloutView:
    times = {"first_applied_ms": 5_200, "last_applied_ms": 5_300, "last_exposure_ms": 5_100}
    said = {"complete": True, "sentence": "verified", "confirmed": 2, "expired": 0, "unverifiable": 0, "missing": []}
    found = VerificationView(**{**said, "open_runs": 0, **times, **verification})
    shape = dict.fromkeys(RolloutView.__struct_fields__)
    return RolloutView(**{**shape, "health": [], "phase": "rolled_back", "verification": found})


def a_decision(at_ms: int, action: str, message: str) -> DecisionView:
    return DecisionView(at_ms, "r", at_ms, "judge", action, "", "", 10.0, None, "", message, {})


def test_exposures_after_a_rollback_are_those_that_the_back_ends_count():
    assert exposed_after([an_instance(legacy=700), an_instance()]) == 0
    assert exposed_after([an_instance(unified=2, legacy=9), an_instance(unified=1)]) == 3


def test_an_exposure_after_the_rollback_shows_in_the_summary():
    def said(exposed: int) -> str:
        console = Console(record=True, width=120)
        console.print(summary(a_view(), {}, Timeline(lambda: 0, lambda _: None), "7 identical", exposed))
        return console.export_text()

    assert "to nobody" in said(0)
    assert "3 times" in said(3)


def test_a_tampered_slot_is_counted_as_differing():
    ledger = true_ledger(failing_from=5)
    assert replayed(ledger)[1] == 0
    ledger.slots[-1].message = "all is well"
    assert replayed(LedgerView("r", ledger.rounds, ledger.slots, None))[1] == 1


def test_the_timeline_tells_what_it_learns_once_and_in_the_order_it_happened():
    told: list[str] = []
    timeline = Timeline(lambda: 0, told.append)
    decisions = [a_decision(5_000, "rollback", "why"), a_decision(6_000, "verify", "verified")]
    timeline.learn(a_view(), decisions)
    timeline.learn(a_view(), decisions)
    assert [line.split("s  ")[0].strip() for line in told] == ["5.0", "5.1", "5.2", "5.3", "6.0"]


@pytest.mark.parametrize("fault", list(Fault))
def test_every_fault_has_an_end_and_the_manifest_is_a_valid_one(fault):
    options = Options(fault=fault)
    assert (options.fault.end == "rolled_back") is (fault in (Fault.DROP, Fault.ERROR, Fault.ONE_TYPE))
    plan = plan_of(manifest_of(options.manifest()))
    assert [stage.weight for stage in plan.stages] == [1_000, 5_000, 10_000]
    assert CANARY == "unified"
