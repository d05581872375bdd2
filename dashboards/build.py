# ruff: noqa: INP001 - a script beside what it writes, no package
"""Writes grafana/dashboards/rollouts.json: `python dashboards/build.py`. A test keeps the two in step."""

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "grafana" / "dashboards" / "rollouts.json"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24
GREEN, AMBER, RED, GREY = "green", "orange", "red", "text"
CHOSEN = '{rollout=~"$rollout"}'

Panel = dict[str, Any]


def panel(kind: str, title: str, why: str, queries: dict[str, str], **field: Any) -> Panel:
    """A panel whose `queries` are expressions by legend; `field` goes to the field defaults."""
    targets = [
        {"refId": chr(65 + index), "datasource": SOURCE, "expr": expression, "legendFormat": legend, "range": True}
        for index, (legend, expression) in enumerate(queries.items())
    ]
    return {
        "type": kind,
        "title": title,
        "description": why,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": field, "overrides": []},
        "options": {},
    }


def steps(*limits: tuple[float | None, str]) -> dict[str, Any]:
    """Colours from a value upwards; the first has no lower limit."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in limits]}


def stat(title: str, why: str, queries: dict[str, str], **field: Any) -> Panel:
    """Newest figures, large."""
    made = panel("stat", title, why, queries, **field)
    made["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background",
        "graphMode": "none",
        "textMode": "auto",
    }
    return made


def graph(title: str, why: str, queries: dict[str, str], *, line: float | None = None, **field: Any) -> Panel:
    """Figures over time, with a dashed line where something happens."""
    custom: dict[str, Any] = {"lineWidth": 2, "fillOpacity": 0, "showPoints": "never"}
    if line is not None:
        field["thresholds"] = steps((None, RED), (line, RED))
        custom["thresholdsStyle"] = {"mode": "dashed"}
    made = panel("timeseries", title, why, queries, custom=custom, **field)
    made["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return made


def state_row() -> list[Panel]:
    """What somebody who was woken up looks at first."""
    return [
        stat(
            "Phase",
            "The current phase of each rollout.",
            {"{{rollout}}: {{phase}}": f"max by (rollout, phase) (canary_rollout_phase{CHOSEN}) == 1"},
            thresholds=steps((None, "blue")),
        ),
        stat(
            "Canary share",
            "The share of the users that the canary is given.",
            {"{{rollout}}": f"max by (rollout) (canary_rollout_share_ratio{CHOSEN})"},
            unit="percentunit",
            thresholds=steps((None, GREY), (0.0001, "blue")),
        ),
        stat(
            "Rollback unverified",
            "1 while a live instance has not confirmed a rollback.",
            {"{{rollout}}": f"max by (rollout) (canary_rollback_unverified{CHOSEN})"},
            thresholds=steps((None, GREEN), (1, RED)),
        ),
        stat(
            "Leaders",
            "Controllers that hold the leader lease: exactly one.",
            {"leaders": "sum(canary_leader)"},
            thresholds=steps((None, RED), (1, GREEN), (2, AMBER)),
        ),
    ]


def evidence_row() -> list[Panel]:
    """Why the judge does what it does."""
    return [
        graph(
            "Delivery success, 5 min",
            "Delivered of delivered and failed, by variant and event type. The judge reads its ledger instead.",
            {"{{flag}} {{variant}} {{event_type}}": "canary:delivery_success:ratio_rate5m"},
            line=0.95,
            unit="percentunit",
            max=1,
        ),
        graph(
            "Evidence against the canary",
            "How far the sequential test has come towards its line, by stream; at 1 the canary is rolled back.",
            {"{{rollout}} {{stream}}": f"max by (rollout, stream) (canary_evidence_ratio{CHOSEN})"},
            line=1,
            unit="percentunit",
            min=0,
        ),
    ]


def traffic_row() -> list[Panel]:
    """What arrives and what was decided."""
    return [
        graph(
            "Outcomes per second",
            "By variant and outcome; abandoned and interrupted are outside the success rate.",
            {"{{variant}} {{outcome}}": "sum by (variant, outcome) (rate(canary_outcomes_total[1m]))"},
            unit="ops",
        ),
        graph(
            "Decisions in 5 min",
            "Holds are left out: there is one every few seconds.",
            {
                "{{rollout}} {{action}}": "max by (rollout, action) "
                '(increase(canary_decisions_total{rollout=~"$rollout", action!="hold"}[5m]))'
            },
        ),
    ]


def house_rows() -> list[Panel]:
    """Whether the controller itself is well."""
    return [
        graph(
            "Evaluation time",
            "How long the judge takes to look once.",
            {
                "median": "histogram_quantile(0.5, sum by (le) (rate(canary_evaluation_duration_seconds_bucket[5m])))",
                "p99": "histogram_quantile(0.99, sum by (le) (rate(canary_evaluation_duration_seconds_bucket[5m])))",
            },
            unit="s",
        ),
        graph(
            "Since the last evaluation",
            "Rises only when nobody judges.",
            {"age": "time() - max(canary_evaluation_last_timestamp_seconds)"},
            line=60,
            unit="s",
        ),
        graph(
            "Report batches per second",
            "By result; refused batches are missing evidence.",
            {"{{result}}": "sum by (result) (rate(canary_ingest_batches_total[1m]))"},
            unit="ops",
        ),
        graph(
            "Instances",
            "Client instances by the state of their contact lease.",
            {"{{state}}": "max by (state) (canary_instances)"},
        ),
        graph("Open streams", "Clients that hold a change stream.", {"{{instance}}": "canary_stream_clients"}),
        graph(
            "Snapshot revision",
            "Controllers that lag behind the others show another revision.",
            {"{{instance}}": "canary_snapshot_revision"},
        ),
    ]


def laid_out(*rows: tuple[int, list[Panel]]) -> list[Panel]:
    """Give every panel its number and its place; each row is (height, panels)."""
    placed: list[Panel] = []
    top = 0
    for height, panels in rows:
        width = WIDTH // len(panels)
        for index, one in enumerate(panels):
            place = {"x": index * width, "y": top, "w": width, "h": height}
            placed.append({"id": len(placed) + 1, "gridPos": place, **one})
        top += height
    return placed


def variable() -> dict[str, Any]:
    """The list of rollouts to choose from."""
    query = "label_values(canary_rollout_phase, rollout)"
    return {
        "name": "rollout",
        "label": "Rollout",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": "rollouts"},
        "definition": query,
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def decisions() -> dict[str, Any]:
    """Marks on every graph where a rollout changed."""
    changed = 'max by (rollout, action) (changes(canary_decisions_total{rollout=~"$rollout", action!="hold"}[15s])) > 0'
    return {
        "name": "Decisions",
        "datasource": SOURCE,
        "enable": True,
        "expr": changed,
        "step": "15s",
        "titleFormat": "{{rollout}}: {{action}}",
        "iconColor": AMBER,
    }


def dashboard() -> dict[str, Any]:
    """The whole dashboard."""
    house = house_rows()
    return {
        "uid": "canary-rollouts",
        "title": "Canary rollouts",
        "tags": ["canary"],
        "schemaVersion": 41,
        "timezone": "browser",
        "refresh": "5s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [variable()]},
        "annotations": {"list": [decisions()]},
        "panels": laid_out((5, state_row()), (9, evidence_row()), (8, traffic_row()), (7, house[:3]), (7, house[3:])),
    }


def text() -> str:
    """The file's content."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
