"""Forecasts of plans and backtests of policies."""

from __future__ import annotations

import msgspec


class DetectionView(msgspec.Struct):
    """How a canary of one success rate would fare in a stage: until it is acted against, in simulated repetitions."""

    success_percent: float
    share_percent: float
    repetitions: int
    found: int
    seconds_median: float | None
    seconds_p95: float | None
    failed_events_median: float | None


class StageForecastView(msgspec.Struct):
    """How long a healthy canary would stay in a stage; `judgeable` where most repetitions pass within its patience."""

    share_percent: float
    bake_s: float
    repetitions: int
    passed: int
    seconds_median: float | None
    seconds_p90: float | None
    judgeable: bool


class ForecastView(msgspec.Struct):
    """What a plan would do at some traffic.

    Attributes:
        false_days, false_rollbacks: simulated days of a canary as good as its control, and how many were rolled back.
        alpha_percent: what the judge promises at most, per 24 hours.
    """

    rollout: str
    meaning: str
    events_per_minute: float
    events_per_unit: float
    control_success_percent: float
    floor_percent: float
    alpha_percent: float
    false_days: int
    false_rollbacks: int
    detections: list[DetectionView]
    stages: list[StageForecastView]
    warnings: list[str]


class BacktestView(msgspec.Struct):
    """Another policy over the stored evidence of one round.

    Attributes:
        acted_ms, would_ms: when the rollout was taken back, and when the other policy would have; None: not at all.
        would_action: rollback or pause.
        failed_events: what failed on the canary between the two, where both are known; saved if the policy is earlier.
        passed_ms: when each stage would have been proven; None: never while it lasted.
        times, recorded, backtested: evidence over time, the highest of all streams in per cent of its line.
    """

    rollout: str
    round: int
    started_ms: int
    ended_ms: int | None
    ended_as: str
    acted_ms: int | None
    would_ms: int | None
    would_action: str
    sentence: str
    verdict: str
    failed_events: int | None
    passed_ms: list[int | None]
    times: list[int]
    recorded: list[float]
    backtested: list[float]
