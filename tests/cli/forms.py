"""Canned wire forms: builders that hide what a test does not care for."""

from typing import Any

from controller.wire.api.flags import FlagView
from controller.wire.api.judging import DecisionView
from controller.wire.api.rollouts import (
    AnalysisView,
    EventHealth,
    GuardView,
    RolloutView,
    StageView,
    StreamView,
    VerificationView,
)

NOW = 1_772_000_000_000


def flag(**changed: Any) -> FlagView:
    """A flag."""
    facts: dict[str, Any] = {
        "key": "emitter",
        "variants": {"legacy": False, "unified": True},
        "control": "legacy",
        "served": "legacy",
        "enabled": True,
        "description": "",
        "version": 3,
        "updated_ms": NOW,
    }
    return FlagView(**{**facts, **changed})


def health(arm: str, failed: int = 0) -> EventHealth:
    """1,000 outcomes of one event."""
    variant = "unified" if arm == "canary" else "legacy"
    return EventHealth("agent_started", arm, variant, 1000, 1000 - failed, failed, 0, 0, (1000 - failed) / 10)


def analysis(verdict: str = "inconclusive", message: str = "not yet proven above 95 %: agent_started") -> AnalysisView:
    """The judge's word on slot 7."""
    evidence = [StreamView("delivery", "agent_started", 12_000_000, 16_000_000, 9000, 180_000, 75.0)]
    return AnalysisView(7, NOW, 1, verdict, "hold", message, [], [], evidence, [], "d1")


def verification(*missing: str, confirmed: int = 2) -> VerificationView:
    """How far a rollback has got; `missing` are instances."""
    head = f"waiting for {len(missing)}" if missing else "verified"
    return VerificationView(
        complete=not missing,
        sentence=f"{head} ({confirmed} confirmed)",
        confirmed=confirmed,
        expired=0,
        unverifiable=0,
        missing=[{"instance": name, "why": "3 canary run(s) open"} for name in missing],
        open_runs=3 * len(missing),
        first_applied_ms=NOW + 400,
        last_applied_ms=NOW + 900,
        last_exposure_ms=NOW + 300,
    )


def rollout(phase: str = "progressing", **changed: Any) -> RolloutView:
    """A rollout in its second of three stages."""
    ended = phase in ("promoted", "rolled_back", "aborted")
    facts: dict[str, Any] = {
        "key": "unified-emitter",
        "flag": "emitter",
        "control": "legacy",
        "canary": "unified",
        "phase": phase,
        "stage": 1,
        "stages": [StageView(1.0, 60_000), StageView(10.0, 600_000), StageView(100.0, 1_800_000)],
        "share_percent": 10.0,
        "epoch": 2,
        "version": 5,
        "unit": "user/10m",
        "events": ["agent_started"],
        "owner": "chat",
        "note": "",
        "channel": "",
        "mode": "enforce",
        "breaker": "when_blind",
        "round": 1,
        "guards": [GuardView("delivery", "delivery_success", "rollback", 95.0, None, None, 0)],
        "floor_percent": 97.5,
        "created_ms": NOW,
        "started_ms": NOW,
        "started_by": "kim",
        "stage_started_ms": NOW,
        "bake_left_ms": 200_000,
        "measure_left_ms": None,
        "next_share_percent": 100.0,
        "approval": "none",
        "approval_until_ms": None,
        "evaluated_ms": NOW,
        "cool_until_ms": None,
        "detected_ms": None,
        "decided_ms": None,
        "verified_ms": None,
        "ended_ms": NOW if ended else None,
        "revision": 9,
        "health": [health("control", 4), health("canary", 80)],
    }
    return RolloutView(**{**facts, **changed})


def draft(**changed: Any) -> RolloutView:
    """A rollout that has not been started."""
    times = dict.fromkeys(("started_ms", "stage_started_ms", "bake_left_ms", "evaluated_ms", "floor_percent"))
    nothing = {"stage": 0, "share_percent": 0.0, "round": 0, "started_by": "", "health": [], "version": 1}
    return rollout("draft", **{**times, **nothing, **changed})


def decision(number: int = 1, action: str = "start", seq: int | None = None, **changed: Any) -> DecisionView:
    """An act on the rollout."""
    facts: dict[str, Any] = {
        "id": number,
        "rollout": "unified-emitter",
        "at_ms": NOW,
        "actor": "judge" if seq else "kim",
        "action": action,
        "from_phase": "draft",
        "to_phase": "progressing",
        "share_percent": 1.0,
        "seq": seq,
        "reason": "",
        "message": "why it was done",
        "arithmetic": {},
    }
    return DecisionView(**{**facts, **changed})


def listed(*items: Any, following: int | None = None) -> dict[str, Any]:
    """A page of a list."""
    return {"items": list(items), "next": following}
