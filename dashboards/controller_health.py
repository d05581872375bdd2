# ruff: noqa: INP001 - beside the scripts that use it, no package
"""Whether the controller itself is well."""

from __future__ import annotations

from parts import AMBER, GREEN, RED, Board, Panel
from queries import quantile, stat

CONTROLLER = Board(
    "canary-controller",
    "Canary: controller health",
    "Whether the controller itself is well.",
    [
        (
            "Now",
            5,
            [
                stat(
                    "Leaders",
                    "Replicas that hold the leader lease: exactly one.",
                    {"leaders": "sum(canary_leader)"},
                    steps=((None, RED), (1, GREEN), (2, AMBER)),
                ),
                stat(
                    "Replicas without their database",
                    "They answer 503; clients go on by themselves.",
                    {"replicas": "count(canary_database_up == 0) or vector(0)"},
                ),
                stat(
                    "Leader lease left",
                    "10 s when it was just renewed; at 0 another replica takes it.",
                    {"left": "max(canary_lease_remaining_seconds)"},
                    "s",
                    ((None, RED), (1, GREEN)),
                ),
                stat(
                    "Oldest notice that waits",
                    "Notices that should have been told by now.",
                    {"age": "max(canary_outbox_oldest_seconds)"},
                    "s",
                    ((None, GREEN), (30, AMBER), (120, RED)),
                ),
                stat(
                    "Dead letters",
                    "`canary notify deliveries --dead` shows them.",
                    {"dead": 'sum(max by (channel) (canary_deliveries{state="dead"})) or vector(0)'},
                ),
            ],
        ),
        (
            "Judge",
            8,
            [
                Panel(
                    "Tick",
                    "One tick evaluates every live rollout; there is one each ten seconds.",
                    {
                        "median": quantile(0.5, "canary_tick_duration_seconds"),
                        "p99": quantile(0.99, "canary_tick_duration_seconds"),
                    },
                    unit="s",
                ),
                Panel(
                    "Tick lateness, p99",
                    "How much later than ten seconds after the one before a tick begins.",
                    {"p99": quantile(0.99, "canary_tick_lateness_seconds")},
                    unit="s",
                ),
                Panel(
                    "Evaluation of one group, p99",
                    "Up to a hundred rollouts are judged in one transaction.",
                    {"p99": quantile(0.99, "canary_evaluation_duration_seconds")},
                    unit="s",
                ),
                Panel(
                    "Judge errors in 5 min",
                    "Rollouts that could not be judged; after three in a row one pauses.",
                    {"errors": "sum(increase(canary_judge_errors_total[5m]))"},
                ),
                Panel(
                    "Term of the lease",
                    "Grows each time that the lease is taken over.",
                    {"term": "max(canary_lease_term)"},
                ),
            ],
        ),
        (
            "Ingest",
            8,
            [
                Panel(
                    "Reports per second",
                    "By result; whatever is neither accepted nor a duplicate is missing evidence.",
                    {"{{result}}": "sum by (result) (rate(canary_ingest_batches_total[1m]))"},
                    unit="ops",
                ),
                Panel(
                    "Rows per second",
                    "Of the reports that were written.",
                    {"rows": "sum(rate(canary_ingest_rows_total[1m]))"},
                    unit="ops",
                ),
                Panel(
                    "Acknowledgement",
                    "From a checked report to its commit.",
                    {
                        "median": quantile(0.5, "canary_ingest_duration_seconds"),
                        "p99": quantile(0.99, "canary_ingest_duration_seconds"),
                    },
                    unit="s",
                    line=0.25,
                ),
                Panel(
                    "Reports that wait",
                    "256 is the most; then reports are turned away.",
                    {"{{instance}}": "canary_ingest_waiting"},
                ),
                Panel(
                    "Evidence dropped, 5 min",
                    "Of rollouts that take none: over, or never heard of.",
                    {"rows": "sum(increase(canary_ingest_strays_total[5m]))"},
                ),
            ],
        ),
        (
            "Clients",
            8,
            [
                Panel("Instances", "By state.", {"{{state}}": "max by (state) (canary_instances)"}),
                Panel(
                    "Instances behind",
                    "Behind the newest revision, and behind what was published a minute ago.",
                    {"now": "max(canary_instances_behind)", "for a minute": "max(canary_instances_lagging)"},
                ),
                Panel(
                    "Leases that ran out",
                    "Share of the instances of the last minutes.",
                    {"expired": "max(canary_recent_instances_expired) / max(canary_recent_instances)"},
                    unit="percentunit",
                    line=0.01,
                    least=0,
                ),
                Panel(
                    "Attempts lost with an instance",
                    "Share of what the instances of the last minutes say they have attempted.",
                    {"unknown": "max(canary_recent_attempts_unknown) / max(canary_recent_attempts)"},
                    unit="percentunit",
                    least=0,
                ),
                Panel(
                    "Left out by clients, 5 min",
                    "Details dropped, units that did not fit, attempts without a user.",
                    {
                        "{{kind}}": "max by (kind) (increase(canary_client_losses_total[5m]))",
                        "breaker trips": "max(increase(canary_breaker_trips_total[5m]))",
                    },
                ),
            ],
        ),
        (
            "Streams and notices",
            8,
            [
                Panel(
                    "Open streams",
                    "By topic, over all replicas.",
                    {"{{topic}}": "sum by (topic) (canary_stream_clients)"},
                ),
                Panel(
                    "Stream messages per second",
                    "And streams that were dropped or refused.",
                    {
                        "messages": "sum(rate(canary_stream_messages_total[1m]))",
                        "{{why}}": "sum by (why) (rate(canary_stream_losses_total[1m]))",
                    },
                    unit="ops",
                ),
                Panel(
                    "Snapshot revision",
                    "A replica that lags behind shows another revision.",
                    {"{{instance}}": "canary_published_revision"},
                ),
                Panel(
                    "Deliveries of notices, 5 min",
                    "Attempts by channel and how they ended.",
                    {"{{channel}} {{result}}": "sum by (channel, result) (increase(canary_notifications_total[5m]))"},
                ),
                Panel(
                    "Notices that wait",
                    "By channel.",
                    {"{{channel}}": 'max by (channel) (canary_deliveries{state=~"waiting|sending"})'},
                ),
            ],
        ),
        (
            "Process",
            7,
            [
                Panel("CPU", "Cores in use.", {"{{instance}}": "rate(process_cpu_seconds_total[1m])"}),
                Panel("Memory", "Resident.", {"{{instance}}": "process_resident_memory_bytes"}, unit="bytes"),
                Panel("Open files", "Each stream takes one.", {"{{instance}}": "process_open_fds"}),
            ],
        ),
    ],
)
