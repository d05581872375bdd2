"""Dashboards and rules ask only for figures that the controller has, and the JSON is what the code writes."""

import importlib.util
import json
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.house.tree import ROOT

DASHBOARDS = ROOT / "dashboards"
RULES = yaml.safe_load((DASHBOARDS / "prometheus/rules.yml").read_text(encoding="utf-8"))
METRIC = re.compile(r"\bcanary[_:][a-z0-9_:]+")
SUFFIXES = ("_bucket", "_count", "_sum")


def rules() -> Iterator[dict[str, Any]]:
    """Every recording and alerting rule."""
    for group in RULES["groups"]:
        yield from group["rules"]


def queries() -> Iterator[str]:
    """Every expression of the rules and of the dashboard."""
    board = json.loads((DASHBOARDS / "grafana/dashboards/rollouts.json").read_text(encoding="utf-8"))
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in board["panels"] for target in panel["targets"])
    yield from (mark["expr"] for mark in board["annotations"]["list"])
    yield from (variable["definition"] for variable in board["templating"]["list"])


def asked_for() -> set[str]:
    """The names of the metrics in all expressions, without what Prometheus adds to a histogram's name."""
    names = {name for query in queries() for name in METRIC.findall(query)}
    return {next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name) for name in names}


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """dashboards/build.py, which is a script and no part of the package."""
    spec = importlib.util.spec_from_file_location("dashboards_build", DASHBOARDS / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_dashboard_is_what_the_code_writes(build: ModuleType) -> None:
    written = (DASHBOARDS / "grafana/dashboards/rollouts.json").read_text(encoding="utf-8")
    assert written == build.text(), "run: python dashboards/build.py"


def test_panels_do_not_overlap(build: ModuleType) -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in build.dashboard()["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))


def test_every_figure_asked_for_is_one_the_controller_gives() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "controller").rglob("*.py"))
    given = set(re.findall(r"""["'](canary_[a-z0-9_]+)["']""", code))
    # prometheus-client adds _total to a counter's name by itself, so the code may leave it out.
    given |= {f"{name}_total" for name in given}
    assert asked_for() - recorded - given == set()


def test_every_alert_says_what_happened_and_how_urgent_it_is() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert alerts
    for rule in alerts:
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]


def test_every_alert_has_a_test_of_its_own() -> None:
    tests = yaml.safe_load((DASHBOARDS / "prometheus/rules_test.yml").read_text(encoding="utf-8"))["tests"]
    fired = {
        check["alertname"] for test in tests for check in test.get("alert_rule_test", []) if check.get("exp_alerts")
    }
    assert {rule["alert"] for rule in rules() if "alert" in rule} == fired
