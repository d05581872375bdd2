# ruff: noqa: INP001 - beside the scripts that use it, no package
"""One rollout: where it stands, what speaks against it, and what its users get."""

from __future__ import annotations

from parts import AMBER, BLUE, GREEN, RED, Board, Panel
from queries import ACTS, BOUNDED, ONE, decided, stat

EVIDENCE = f"max by (rollout, guard, stream) (canary_evidence_ratio{ONE})"

ROLLOUT = Board(
    "canary-rollout",
    "Canary: rollout",
    "One rollout: where it stands, what speaks against it, and what its users get.",
    [
        (
            "Now",
            5,
            [
                stat(
                    "Phase",
                    "The present phase.",
                    {"{{rollout}}: {{phase}}": f"max by (rollout, phase) (canary_rollout_phase{ONE}) == 1"},
                    steps=((None, BLUE),),
                ),
                stat(
                    "Canary share",
                    "The share of the users that the canary is given.",
                    {"{{rollout}}": f"max by (rollout) (canary_rollout_share_ratio{ONE})"},
                    "percentunit",
                    BOUNDED,
                ),
                stat(
                    "Rollback unverified for",
                    "0 where there is nothing to verify.",
                    {"{{rollout}}": f"max by (rollout) (canary_rollback_unverified_seconds{ONE})"},
                    "s",
                    ((None, GREEN), (1, AMBER), (60, RED)),
                ),
                stat(
                    "Instances that have not confirmed",
                    "Live ones; `canary rollout status` names them.",
                    {"{{rollout}}": f"max by (rollout) (canary_rollback_unconfirmed_instances{ONE})"},
                ),
                stat(
                    "Patience used up",
                    "Of a stage that has baked and is not proven; at 100 % it pauses.",
                    {"{{rollout}}": f"max by (rollout) (canary_rollout_patience_ratio{ONE})"},
                    "percentunit",
                    ((None, GREEN), (0.5, AMBER), (1, RED)),
                ),
            ],
        ),
        (
            "Why",
            9,
            [
                Panel(
                    "Evidence against the canary",
                    "How far the sequential test has come towards its line, by guard and stream.",
                    {"{{rollout}} {{guard}} {{stream}}": EVIDENCE},
                    unit="percentunit",
                    line=1,
                    least=0,
                ),
                Panel(
                    "Control against its floor",
                    "The control's success in the last hour, and what it should be at least.",
                    {
                        "{{rollout}} control": f"max by (rollout) (canary_control_success_ratio{ONE})",
                        "{{rollout}} floor": f"max by (rollout) (canary_control_floor_ratio{ONE})",
                    },
                    unit="percentunit",
                    most=1,
                ),
                Panel(
                    "Attempts without an outcome",
                    "Share of the last hour's attempts that nobody will ever know the outcome of.",
                    {"{{rollout}} {{arm}}": f"max by (rollout, arm) (canary_outcomes_unknown_ratio{ONE})"},
                    unit="percentunit",
                    line=0.01,
                    least=0,
                ),
            ],
        ),
        (
            "Events",
            9,
            [
                Panel(
                    "Delivery success, 5 min",
                    "Delivered of delivered and failed. A picture: the judge reads its ledger instead.",
                    {
                        "{{flag}} {{variant}} {{event_type}}": "sum by (flag, variant, event_type) "
                        '(rate(canary_outcomes_total{flag=~"$flag", outcome="delivered"}[5m])) / '
                        "sum by (flag, variant, event_type) "
                        '(rate(canary_outcomes_total{flag=~"$flag", outcome=~"delivered|failed"}[5m]))'
                    },
                    unit="percentunit",
                    line=0.95,
                    most=1,
                ),
                Panel(
                    "Outcomes per second",
                    "Abandoned and interrupted ones are outside the success rate.",
                    {
                        "{{variant}} {{outcome}}": "sum by (variant, outcome) "
                        '(rate(canary_outcomes_total{flag=~"$flag"}[1m]))'
                    },
                    unit="ops",
                ),
            ],
        ),
        (
            "Acts and alerts",
            7,
            [
                Panel(
                    "Acts in 5 min",
                    "By the judge and by people.",
                    {"{{rollout}} {{action}}": f"{ACTS.format(ONE)} > 0"},
                ),
                Panel(
                    "Open alerts",
                    "By name.",
                    {"{{rollout}} {{alert}}": f"max by (rollout, alert) (canary_alerts_open{ONE})"},
                ),
            ],
        ),
    ],
    variables=[
        ("rollout", "Rollout", "label_values(canary_rollout_phase, rollout)"),
        ("flag", "Flag", "label_values(canary_outcomes_total, flag)"),
    ],
    marks=decided(ONE),
)
