# ruff: noqa: INP001 - beside the scripts that use it, no package
"""All rollouts at once, and what the controller promises."""

from __future__ import annotations

from parts import AMBER, GREEN, RED, Board, Panel
from queries import ACTS, BOUNDED, decided, quantile, stat

PROMISES = [
    stat(
        "Detection to verified, p95",
        "From the evidence that convicts to the last live instance that has confirmed, over all rollbacks.",
        {"p95": "histogram_quantile(0.95, max by (le) (canary_rollback_verification_seconds_bucket))"},
        "s",
        ((None, GREEN), (60, AMBER), (180, RED)),
    ),
    stat(
        "False rollbacks per 100 rollout-days",
        "By the labels that people gave (`canary rollout label`); unlabelled ones are not counted.",
        {"per 100 days": '100 * max(canary_judge_rollbacks{label="false"}) / max(canary_judge_rollout_days)'},
        steps=((None, GREEN), (1, RED)),
    ),
    stat(
        "Evaluation gap",
        "How long ago the judge looked at the live rollout that has waited longest.",
        {"gap": "time() - min(max by (rollout) (canary_rollout_evaluated_timestamp_seconds))"},
        "s",
        ((None, GREEN), (20, AMBER), (30, RED)),
    ),
    stat(
        "Report lag, p95",
        "How old events are when they arrive.",
        {"p95": quantile(0.95, "canary_report_lag_seconds")},
        "s",
        ((None, GREEN), (10, AMBER), (60, RED)),
    ),
]

FLEET = Board(
    "canary-fleet",
    "Canary: fleet",
    "All rollouts at once, and what the controller promises.",
    [
        (
            "Now",
            5,
            [
                stat(
                    "Live rollouts",
                    "Rollouts whose canary users can see.",
                    {"live": "sum(max by (rollout) (canary_rollout_live))"},
                    steps=BOUNDED,
                ),
                stat(
                    "Open alerts",
                    "What the judge wants a person to look at.",
                    {"open": "count(max by (rollout, alert) (canary_alerts_open)) or vector(0)"},
                    steps=((None, GREEN), (1, AMBER)),
                ),
                stat(
                    "Instances that have not confirmed a rollback",
                    "Live instances that may still serve a canary that was rolled back.",
                    {"instances": "sum(max by (rollout) (canary_rollback_unconfirmed_instances))"},
                ),
                stat(
                    "Exposures after a rollback",
                    "By instances that have applied it: must be none.",
                    {"exposures": "sum(max by (rollout) (canary_rollback_late_exposures))"},
                ),
            ],
        ),
        ("Promises", 5, PROMISES),
        (
            "Rollouts",
            9,
            [
                Panel(
                    "Canary share",
                    "The share of the users that each canary is given.",
                    {"{{rollout}}": "max by (rollout) (canary_rollout_share_ratio)"},
                    unit="percentunit",
                    least=0,
                    most=1,
                ),
                Panel(
                    "Worst evidence",
                    "How far each canary has come towards its conviction; at 1 it is rolled back.",
                    {"{{rollout}}": "max by (rollout) (canary_evidence_ratio)"},
                    unit="percentunit",
                    line=1,
                    least=0,
                ),
            ],
        ),
        (
            "What was decided",
            8,
            [
                Panel(
                    "Acts in 5 min",
                    "By the judge and by people.",
                    {"{{rollout}} {{action}}": f"{ACTS.format('')} > 0"},
                ),
                Panel(
                    "Rollbacks by the judge",
                    "All there ever were, by what people said of them.",
                    {"{{label}}": "max by (label) (canary_judge_rollbacks)"},
                ),
                Panel(
                    "Alerts by name",
                    "Open ones.",
                    {"{{alert}}": "count by (alert) (max by (rollout, alert) (canary_alerts_open))"},
                ),
            ],
        ),
    ],
    marks=decided(),
)
