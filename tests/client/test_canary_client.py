"""The client without OpenFeature: the same answers, no exceptions, exact counts."""

from __future__ import annotations

import enum
import threading

import pytest

from controller.client import CanaryClient, TokenRefused
from controller.domain.conditions import Comparison, Operator
from controller.domain.evaluation import evaluate
from controller.domain.targeting import Rule, Targeting
from tests.client.conftest import QUICK
from tests.client.fake_controller import TOKEN, flag, rollout, snapshot, wait_until

SPLIT = flag(live=rollout(5_000))
GERMAN = Comparison("country", Operator.EQUALS, ("DE",))


@pytest.fixture
def client_of(controller, clock):
    made = []

    def make(*flags, **but):
        if flags:
            controller.publish(snapshot(1, *flags))
        said = {"reporter": None, "clock": clock, "pace": QUICK, "poll_interval": 0.05}
        made.append(CanaryClient(controller.url, but.pop("token", TOKEN), **(said | but)))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(client_of):
    made = client_of(
        SPLIT,
        flag("text", variants={"a": "A", "b": "B"}, control="a", served="b"),
        flag("whole", variants={"a": 1, "b": 2}, control="a", served="b"),
        flag("look", variants={"a": {"c": ["red"]}, "b": {}}, control="a", served="a"),
        flag("ruled", targeting=Targeting(rules=(Rule("unified", GERMAN),))),
    )
    assert made.start()
    return made


def test_it_answers_as_the_domain_does(client):
    for user in map(str, range(200)):
        expected = evaluate(SPLIT, user)
        assert client.value("emitter", user, False) is expected.value
        found = client.details("emitter", user, False)
        assert (found.variant, found.rollout, found.epoch) == (expected.variant, "ramp", 3)


def test_every_type_is_asked_for_by_its_default(client):
    class Letter(enum.StrEnum):
        A = "A"

    assert client.value("text", None, "") == "B"
    assert client.value("text", None, Letter.A) == "B"
    assert client.value("whole", None, 0) == 2
    value = client.value("whole", None, 0.5)
    assert (value, type(value)) == (2.0, float)
    assert client.value("look", None, {}) == {"c": ["red"]}


def test_attributes_decide_rules(client):
    assert client.value("ruled", "anna", False, {"country": "DE"}) is True
    assert client.value("ruled", "anna", False, {"country": "FR"}) is False
    assert client.details("ruled", None, False, {"country": "DE"}).reason == "TARGETING_MATCH"


@pytest.mark.parametrize(
    ("key", "default"),
    [("text", False), ("emitter", "x"), ("whole", True), ("absent", True), ("text", 7), ("emitter", None), (None, 1),
     ([], 2), ("look", object)],
)  # fmt: skip
def test_what_cannot_be_answered_is_the_default(client, key, default):
    assert client.value(key, "anna", default) is default
    found = client.details(key, "anna", default)
    assert (found.value, found.variant, found.reason) == (default, None, "ERROR")


@pytest.mark.parametrize("key", [7, b"anna", [1], object(), 1.5])
def test_a_key_of_the_wrong_type_is_answered_with_the_default(client, key):
    assert client.value("emitter", key, True) is True
    assert client.details("emitter", key, True).reason == "ERROR"


@pytest.mark.parametrize("key", ["\x00", "\ud800", "x" * 10_000, "🎉" * 300, " "])
def test_hostile_ids_are_ids(client, key):
    assert client.value("emitter", key, False) in (True, False)
    assert client.details("emitter", key, False).reason == "SPLIT"


@pytest.mark.parametrize("attributes", [None, 7, "x", [], {"country": object()}, {"country": {"a": {}}}])
def test_odd_attributes_do_not_break_a_call(client, attributes):
    assert client.value("ruled", "anna", False, attributes) is False
    client.details("ruled", "anna", False, attributes)


@pytest.mark.parametrize("key", [None, ""])
def test_a_split_without_a_key_serves_the_control_not_the_default(client, key):
    assert client.value("emitter", key, True) is False


def test_before_the_first_snapshot_the_controls_are_served(client_of):
    client = client_of(controls={"emitter": False})
    assert client.value("emitter", "anna", True) is False
    assert client.value("other", "anna", True) is True
    assert client.details("emitter", "anna", True).value is False


def test_a_refused_token_is_said_at_the_start(client_of):
    with pytest.raises(TokenRefused, match="401"):
        client_of(SPLIT, token="wrong").start()


def test_a_controller_that_is_away_keeps_nobody_waiting(controller, client_of):
    controller.stop()
    assert client_of().start(timeout=0.05) is False


def test_objects_of_details_are_the_callers_own(client):
    client.details("look", None, {}).value["c"].append("blue")
    assert client.value("look", None, {}) == {"c": ["red"]}


def test_every_evaluation_of_every_thread_is_an_exposure(controller, client_of, reporter_of):
    client = client_of(SPLIT, reporter=reporter_of())
    client.start()

    def ask() -> None:
        for user in map(str, range(2_000)):
            client.value("emitter", user, False)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.reporter.flush()
    rows = {row.variant: row for report in controller.reports for row in report.arms}
    assert rows["legacy"].exposures + rows["unified"].exposures == 8_000
    assert rows["unified"].exposures == 4 * sum(evaluate(SPLIT, str(u)).value for u in range(2_000))


def test_exposures_since_a_revision_count_those_of_that_revision_alone(controller, client_of, reporter_of):
    client = client_of(flag(live=rollout(10_000)), reporter=reporter_of())
    client.start()
    old = client.holder.flags["emitter"]
    for _ in range(5):
        client.value("emitter", "anna", False)
    controller.publish(snapshot(2, flag(live=rollout(0))))
    wait_until(lambda: client.snapshot.revision == 2)
    client.answer(old, "anna", {})  # a call that was under way when the snapshot was replaced
    client.value("emitter", "anna", False)
    client.reporter.flush()
    rows = {row.variant: row for report in controller.reports for row in report.arms}
    assert (rows["unified"].exposures, rows["unified"].since_applied) == (6, 0)
    assert (rows["legacy"].exposures, rows["legacy"].since_applied) == (1, 1)


def test_it_can_be_closed_and_started_again(client):
    client.close()
    client.close()
    assert client.start()
