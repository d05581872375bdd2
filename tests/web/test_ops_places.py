"""The quieter pages: audit and instances."""

from tests.web.callers import Caller, report
from tests.web.pages import page_of


def test_the_audit_trail_says_who_what_why_and_what_it_was_before(operator: Caller) -> None:
    operator.started()
    operator.post("/api/v1/rollouts/unified-emitter/pause", {"reason": "odd latencies"})
    page = page_of(operator, "/audit")
    assert "rollout.pause unified-emitter by operator of the tests" in page.text
    assert "odd latencies" in page.text
    assert "phase progressing paused" in page.text
    assert {"/rollouts/unified-emitter", "/flags/emitter"} <= page.links


def test_older_entries_are_a_page_away(operator: Caller) -> None:
    operator.started()
    for _ in range(30):
        operator.post("/api/v1/rollouts/unified-emitter/pause")
        operator.post("/api/v1/rollouts/unified-emitter/resume")
    older = next(link for link in page_of(operator, "/audit").links if "before=" in link)
    assert "flag.created" in page_of(operator, older).text


def test_the_instances_are_told_as_they_last_reported(operator: Caller, sdk: Caller) -> None:
    operator.started()
    assert "No client has been heard of" in page_of(operator, "/instances").text
    arms = [{"flag": "emitter", "variant": "unified", "open_runs": 3}]
    sdk.post("/sdk/v1/reports", report(app_version="2.0.0", arms=arms))
    text = page_of(operator, "/instances").text
    assert "chat-1 live 0 2.0.0" in text
    assert "emitter/unified: 3" in text
