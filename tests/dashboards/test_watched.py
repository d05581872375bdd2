"""A real Prometheus scrapes two real controllers: every panel's and every rule's query returns what it claims."""

from __future__ import annotations

import importlib
import itertools
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from controller.storage.database import Database
from tests.dashboards.claims import CLAIMS, Seen
from tests.dashboards.prometheus import RULES, Found, Prometheus, legend_of
from tests.dashboards.scene import Scene
from tests.flow.site import Site, until
from tests.house.tree import ROOT
from tests.notify.receivers import receiving
from tests.postgres import PostgresServer

FOLDER = ROOT / "dashboards"
NAME = "canary_watched"


@pytest.fixture(scope="module")
def played(
    postgres: PostgresServer, migrated_postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Scene, Prometheus]]:
    """The whole scene, with Prometheus looking on from its beginning."""
    folder = tmp_path_factory.mktemp("watched")
    postgres.execute(f"CREATE DATABASE {NAME} TEMPLATE {migrated_postgres}")
    database = Database(postgres.url(NAME))
    sites = [Site(postgres.url(NAME), folder, f"controller-{number}") for number in range(2)]
    with receiving() as receiver:
        try:
            for site in sites:
                site.start()
            targets = [site.url.removeprefix("http://") for site in sites]
            with Prometheus(folder, targets) as prometheus:
                scene = Scene(database, sites, receiver)
                play(scene, prometheus)
                yield scene, prometheus
        finally:
            for site in sites:
                site.close()
            database.close()
            postgres.execute(f"DROP DATABASE {NAME} WITH (FORCE)")


def play(scene: Scene, prometheus: Prometheus) -> None:
    """Everything that dashboards and rules speak of, and figures that have grown under the eyes of Prometheus."""
    scene.begin("stuck")
    scene.rings = ringing(prometheus)
    scene.convict_and_verify()
    scene.go_live()
    scene.traffic()
    scene.break_a_channel()
    scene.wait_too_long()
    scene.confuse_the_judge()
    scene.come_close()
    until(lambda: prometheus.ask('canary_decisions_total{rollout="stuck",action="rollback"} == 0'), "it was scraped")
    scene.roll_back_with_a_straggler()
    until(lambda: prometheus.ask('canary_rollback_unconfirmed_instances{rollout="stuck"} > 0'), "and again")
    scene.lose_details()

    def missing() -> list[str]:
        scene.traffic()
        return [expression for expression in GROWING if not prometheus.ask(expression)]

    try:
        until(lambda: not missing(), "everything was scraped often enough", patience_s=60)
    except AssertionError:
        pytest.fail(f"never seen: {missing()}")
    scene.hold_still()


def ringing(prometheus: Prometheus) -> set[str]:
    """The alerts whose query returns something once a live rollout was judged and scraped."""
    judged = "canary_rollout_evaluated_timestamp_seconds and on () canary_evaluation_last_timestamp_seconds > 0"
    until(lambda: prometheus.ask(judged), "a live rollout was judged, and that was scraped")
    return {rule["alert"] for rule in rules("alert") if prometheus.ask(rule["expr"])}


GROWING = (
    "increase(canary_breaker_trips_total[5m]) > 0",
    'rate(canary_outcomes_total{outcome="failed"}[1m]) > 0',
    "rate(canary_tick_duration_seconds_count[5m]) > 0",
    "rate(canary_tick_lateness_seconds_count[5m]) > 0",
    "increase(canary_judge_errors_total[5m]) > 0",
    'increase(canary_decisions_total{rollout="stuck",action="rollback"}[10m]) > 0',
    'canary_rollout_patience_ratio{rollout="waits"} >= 1',
    "canary_control_success_ratio",
    "canary_outbox_oldest_seconds > 120",
)


@pytest.fixture
def scene(played: tuple[Scene, Prometheus]) -> Scene:
    return played[0]


@pytest.fixture
def prometheus(played: tuple[Scene, Prometheus]) -> Prometheus:
    return played[1]


def boards() -> dict[str, dict[str, Any]]:
    """The dashboards as they are shipped."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (FOLDER / "grafana/dashboards").iterdir()
    }


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every panel with a query, and the dashboard that it is on."""
    for name, board in sorted(boards().items()):
        yield from ((name, panel) for panel in board["panels"] if panel["type"] != "row")


def asked(expression: str) -> str:
    """A query with everything chosen, as Grafana sends it."""
    return expression.replace("$rollout", ".*").replace("$flag", ".*")


def shown(prometheus: Prometheus, panel: dict[str, Any]) -> Seen:
    """What a panel shows at this moment."""
    return {
        legend_of(target["legendFormat"], labels): value
        for target in panel["targets"]
        for labels, value in prometheus.ask(asked(target["expr"]))
    }


#: What a rule's query returns in the scene, as label sets without the alert's own; what is not here returns nothing.
FIRING: dict[str, list[dict[str, str]]] = {
    "CanaryRollbackUnverified": [{"rollout": "stuck"}],
    "CanaryExposedAfterRollback": [{"rollout": "stuck"}],
    "CanaryInstancesLagging": [{}],
    "CanaryJudgeErrors": [{}],
    "CanaryHeartbeat": [{}],
    "CanaryUnknownOutcomes": [{"rollout": "live", "arm": "control"}],
    "CanaryUsersLeaveMore": [{"rollout": "stuck", "alert": "margin/abandoned"}],
    "CanaryLeasesExpire": [{}],
    "CanaryBreakerTrips": [],  # a rollback explains them
    "CanaryStageOutOfPatience": [{"rollout": "waits"}],
    "CanaryNoticesLate": [{}],
    "CanaryDeadLetters": [{"channel": "ops"}],
    "CanaryControlBelowFloor": [{"rollout": "live"}, {"rollout": "stuck"}],
    "CanaryReportsRefused": [{}],
}


def rules(kind: str) -> list[dict[str, Any]]:
    """The project's rules of one kind: alert or record."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def labels_of(found: Found) -> list[dict[str, str]]:
    return sorted((labels for labels, _ in found), key=str)


def test_the_dashboards_are_what_the_code_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    build = importlib.import_module("build")
    try:
        written = {name: build.text_of(board) for name, board in build.BOARDS.items()}
    finally:
        for name in ("build", "parts", "queries", "fleet", "rollout", "controller_health"):
            sys.modules.pop(name, None)
    assert {f"{name}.json" for name in boards()} == set(written)
    for name, text in written.items():
        assert (FOLDER / "grafana/dashboards" / name).read_text(encoding="utf-8") == text, "python dashboards/build.py"


def test_panels_do_not_overlap_and_have_numbers_of_their_own() -> None:
    for board in boards().values():
        places = [panel["gridPos"] for panel in board["panels"]]
        cells = [
            cell
            for at in places
            for cell in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
        ]
        assert len(cells) == len(set(cells))
        assert all(x < 24 for x, _ in cells)
        numbers = [panel["id"] for panel in board["panels"]]
        assert len(numbers) == len(set(numbers))


def test_every_panel_has_a_claim_that_is_tested() -> None:
    claimed = {(board, title) for board, claims in CLAIMS.items() for title in claims}
    assert {(board, panel["title"]) for board, panel in panels()} == claimed


def test_prometheus_reads_both_controllers(prometheus: Prometheus) -> None:
    targets = prometheus.targets()
    assert [(target["health"], target["lastError"]) for target in targets] == [("up", "")] * 2


def test_a_healthy_installation_rings_nothing_but_its_heartbeat(scene: Scene) -> None:
    assert scene.rings == {"CanaryHeartbeat"}


def test_every_rule_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    assert {rule["name"]: rule.get("lastError", "") for rule in prometheus.rules() if rule["health"] != "ok"} == {}
    assert len(prometheus.rules()) == len(rules("alert")) + len(rules("record"))


@pytest.mark.parametrize(
    ("board", "panel"), [pytest.param(board, panel, id=f"{board}: {panel['title']}") for board, panel in panels()]
)
def test_a_panel_shows_what_it_claims(scene: Scene, prometheus: Prometheus, board: str, panel: dict[str, Any]) -> None:
    claim, last = CLAIMS[board][panel["title"]], {}

    def holds() -> bool:
        nonlocal last
        last = shown(prometheus, panel)
        if claim(last):
            return True
        scene.traffic()  # a rate of the last minute may have ended with it on a machine that is slow
        return False

    try:
        until(holds, "the panel shows it")
    except AssertionError:
        pytest.fail(f"{panel['title']} shows {last}")
    assert not any("{{" in legend for legend in last)


@pytest.mark.parametrize(
    "rule",
    [pytest.param(rule, id=rule["alert"]) for rule in rules("alert") if rule["alert"] != "CanaryEvaluationStalled"],
)
def test_a_rules_query_returns_what_it_claims(prometheus: Prometheus, rule: dict[str, Any]) -> None:
    expected = FIRING.get(rule["alert"], [])
    if rule["alert"] in UNSTEADY:
        expected = UNSTEADY[rule["alert"]]
        found = prometheus.ask(rule["expr"])
        assert all(labels in labels_of(found) for labels in expected)
        return
    try:
        until(lambda: labels_of(prometheus.ask(rule["expr"])) == expected, "the rule says so")
    except AssertionError:
        pytest.fail(f"{rule['alert']} returns {prometheus.ask(rule['expr'])}")


#: Rules that the judge's own acts may make true of more than what the scene is after.
UNSTEADY: dict[str, list[dict[str, str]]] = {
    "CanaryAlertOpen": [{"rollout": "stuck", "alert": "sample_ratio"}],
    "CanaryRolledBack": [{"rollout": "stuck"}],
    "CanaryEvidenceNearLine": [{"rollout": "close", "stream": "pooled"}],
}


def test_only_what_cannot_be_judged_is_called_stalled(prometheus: Prometheus) -> None:
    by_name = {rule["alert"]: rule["expr"] for rule in rules("alert")}
    until(
        lambda: {labels["rollout"] for labels, _ in prometheus.ask(by_name["CanaryEvaluationStalled"])} <= {"broken"},
        "the others are judged",
    )


def test_breakers_that_trip_would_ring_if_no_rollback_explained_it(prometheus: Prometheus) -> None:
    by_name = {rule["alert"]: rule["expr"] for rule in rules("alert")}
    tripped, _, explained = by_name["CanaryBreakerTrips"].partition("unless on () ")
    assert labels_of(prometheus.ask(tripped)) == [{}]
    assert labels_of(prometheus.ask(explained)) == [{}]


def test_every_figure_that_a_rule_asks_for_is_there(prometheus: Prometheus) -> None:
    known = prometheus.series("canary")
    for rule in (*rules("alert"), *rules("record")):
        assert set(re.findall(r"\bcanary[_:][a-z0-9_:]+", rule["expr"])) <= known, rule


@pytest.mark.parametrize("board", sorted(boards()))
def test_what_can_be_chosen_and_what_is_marked_is_there(prometheus: Prometheus, board: str) -> None:
    document = boards()[board]
    for variable in document["templating"].get("list", []):
        metric, label = variable["query"]["query"].removeprefix("label_values(").rstrip(")").split(", ")
        assert prometheus.ask(f"count by ({label}) ({metric})"), variable["name"]
    for marks in document["annotations"].get("list", []):
        assert prometheus.ask(asked(marks["expr"]).replace("[15s]", "[10m]"))


def test_no_label_is_without_bounds(prometheus: Prometheus) -> None:
    """Every family of ours, with the most series that it has here: nothing grows by user, instance or message."""
    for labels, _ in prometheus.ask('{__name__=~"canary_.*"}'):
        assert set(labels) <= BOUNDED, labels


#: docs/metrics.md says what bounds each of them; `instance` and `job` are Prometheus's own.
BOUNDED = {
    *("__name__", "instance", "job", "le", "rollout", "flag", "variant", "event_type", "outcome", "phase", "action"),
    *("guard", "stream", "alert", "arm", "state", "label", "kind", "result", "topic", "why", "channel"),
}


#: Nobody has a stream in the scene.
UNSEEN = {"canary_stream_clients"}


def test_every_documented_metric_is_there_with_a_help_text_and_a_base_unit(prometheus: Prometheus) -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    names = set(re.findall(r"^\| `(canary_\w+)` \|", page, re.MULTILINE))
    shown = prometheus.series("canary_")
    assert {name for name in names if not {name, f"{name}_bucket"} & shown} == UNSEEN
    helped = prometheus.helped("canary_")
    assert {name for name in names if not helped.get(name) and not helped.get(name.removesuffix("_total"))} == set()
    assert [
        name for name in names if re.search("_(ms|millis|minutes|hours|percent|permille|ppm|kb|mb)(_|$)", name)
    ] == []


def test_every_metric_is_documented(prometheus: Prometheus) -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    ends = ("_bucket", "_count", "_sum", "_created")
    names = {next((n.removesuffix(end) for end in ends if n.endswith(end)), n) for n in prometheus.series("canary_")}
    assert {name for name in names if f"`{name}" not in page} == set()


#: What grows with time may be so far apart: the two are asked at different moments. And what is a replica's own.
APART = {"_seconds": 15, "_days": 0.1}
OWN = {"canary_database_up"}


def test_what_is_read_of_the_database_is_the_same_from_both_replicas(prometheus: Prometheus) -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    parts = [part for part in page.split("\n## ") if "(read)" in part.partition("\n")[0]]
    names = {name for part in parts for name in re.findall(r"^\| `(canary_\w+)` ", part, re.MULTILINE)} - OWN
    shown = prometheus.series("canary_")
    assert len(names) > 25

    def differ() -> dict[str, Found]:
        found = {}
        for name in names & shown:
            most = next((most for end, most in APART.items() if name.endswith(end)), 0.01)
            apart = f"max without (instance) ({name}) - min without (instance) ({name}) > {most}"
            found[name] = prometheus.ask(f"{apart} or count without (instance) ({name}) != 2")
        return {name: rows for name, rows in found.items() if rows}

    try:
        until(lambda: not differ(), "both say the same", patience_s=20)
    except AssertionError:
        pytest.fail(f"they differ: {differ()}")


def test_without_their_database_and_then_without_controllers_the_right_people_are_woken(
    scene: Scene, prometheus: Prometheus, postgres: PostgresServer
) -> None:
    by_name = {rule["alert"]: rule["expr"] for rule in rules("alert")}
    live = {"live", "close", "waits", "broken"}

    def stalled() -> set[str]:
        return {labels["rollout"] for labels, _ in prometheus.ask(by_name["CanaryEvaluationStalled"], ahead_s=45)}

    assert prometheus.ask(by_name["CanaryHeartbeat"])
    assert prometheus.ask(by_name["CanaryHeartbeat"], ahead_s=100) == []
    scene.take_the_database_away(NAME, postgres)
    until(lambda: prometheus.ask(by_name["CanaryDatabaseAway"]), "the database's absence was seen")
    until(lambda: prometheus.ask(by_name["CanaryNobodyLeads"]), "nobody leads")
    assert stalled() == live
    first, second = scene.sites
    second.kill()
    gone = [{"job": "canary-controller", "instance": second.url.removeprefix("http://"), "__name__": "up"}]
    until(lambda: labels_of(prometheus.ask(by_name["CanaryReplicaDown"])) == gone, "one is gone")
    assert prometheus.ask(by_name["CanaryControllerDown"]) == []
    first.kill()
    until(lambda: prometheus.ask(by_name["CanaryControllerDown"]), "the controllers' absence was seen")
    assert stalled() == live
