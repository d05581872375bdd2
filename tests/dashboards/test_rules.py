"""Rules say what happened, how urgent it is and what to do; promtool proves each of them."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.house.tree import ROOT

FOLDER = ROOT / "dashboards/prometheus"
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
]


@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "rules.yml"), ("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")],
    ids=" ".join,
)
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_happened_how_urgent_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket", "heartbeat"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"].get("action") or rule["labels"]["severity"] == "heartbeat"


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_names_its_section_of_the_runbook(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
    assert f"\n### {rule['alert']}\n" in (ROOT / "docs/runbook.md").read_text(encoding="utf-8")


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    tests = yaml.safe_load((FOLDER / "rules_test.yml").read_text(encoding="utf-8"))["tests"]
    fired = {
        check["alertname"] for test in tests for check in test.get("alert_rule_test", []) if check.get("exp_alerts")
    }
    assert {rule["alert"] for rule in ALERTS} == fired


def test_in_a_healthy_installation_every_figure_is_there_and_no_alert_fires_but_the_heartbeat() -> None:
    tests = yaml.safe_load((FOLDER / "rules_test.yml").read_text(encoding="utf-8"))["tests"]
    (healthy,) = (test for test in tests if test["name"].startswith("a healthy installation"))
    fires = {check["alertname"]: bool(check["exp_alerts"]) for check in healthy["alert_rule_test"]}
    assert fires == {rule["alert"]: rule["alert"] == "CanaryHeartbeat" for rule in ALERTS}
    # Silence proves nothing where a figure is missing; an alert of the judge is a series only while it is open.
    known = {re.split(r"[{]", one["series"])[0] for one in healthy["input_series"]} | {"canary_alerts_open"}
    asked = {name for rule in ALERTS for name in re.findall(r"\bcanary_[a-z0-9_]+", rule["expr"])}
    assert asked <= known


def test_names_are_given_once() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names))
