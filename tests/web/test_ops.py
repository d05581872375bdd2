"""The dashboard's live pages: what they show, without a script, and that nothing on them can become one."""

import pytest
from flask import Flask
from sqlalchemy import event

from controller.storage.database import Database
from controller.web.ops.words import percent, span, units
from tests.web.callers import EVENT, FLAG, MANIFEST, Caller, Door, counts, evidence, report
from tests.web.pages import HOSTILE, page_of, read

SCRIPT = "/static/dist/app.js"
HERE = "/rollouts/unified-emitter"


def test_an_empty_controller_says_how_to_start(viewer: Caller) -> None:
    text = page_of(viewer).text
    assert "No rollout yet" in text
    assert "canary rollout apply -f rollout.yaml" in text
    assert "Nobody evaluates" in text


def test_a_rollout_in_progress_is_told_in_words_and_figures(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started(owner="chat team", note="the first stage")
    rows = [counts("legacy", 996, 4), counts("unified", 90, 10)]
    sdk.post("/sdk/v1/reports", report(counts=rows, evidence=[evidence("canary", 2, 60)]))
    door.judge()
    page = page_of(operator, HERE)
    for words in ("10 % of the users", "progressing", "Stage 1 of 2", "chat team", "the first stage"):
        assert words in page.text
    assert f"{EVENT} below 95 % 90.00 % 99.60 % 10 of 100" in page.text
    assert "inconclusive" in page.text
    assert "not yet proven above 95 %" in page.text
    assert "2 of 60" in page.text
    assert "start by operator of the tests" in page.text
    charts = [str(found["data-series-url"]) for _, found in page.elements if "data-series-url" in found]
    assert charts[0] == f"{HERE}/charts/success?event={EVENT}"
    assert charts[-2:] == [f"{HERE}/charts/evidence", f"{HERE}/charts/latency"]
    assert all(operator.get(url).status_code == 200 for url in charts)


def test_the_first_page_says_of_each_rollout_how_it_is_and_what_comes_next(
    operator: Caller, sdk: Caller, door: Door
) -> None:
    operator.started(owner="chat team")
    rows = [counts("legacy", 996, 4), counts("unified", 97, 3)]
    sdk.post("/sdk/v1/reports", report(counts=rows, evidence=[evidence("canary", 1, 60)]))
    door.judge()
    text = page_of(operator).text
    assert "Nothing needs attention" in text
    assert f"progressing emitter · chat team Share 10 % next 100 % Delivered 97.0 % {EVENT} (control 99.6 %)" in text
    assert "of its line Next advance to 100 % in the time until" in text
    assert "Evaluated by judge-1 (term" in text


def test_what_needs_a_person_comes_first_and_offers_the_way_out(operator: Caller) -> None:
    operator.started()
    operator.post("/api/v1/rollouts/unified-emitter/pause", {"reason": "odd latencies"})
    page = page_of(operator)
    assert page.text.index("Needs attention") < page.text.index("unified-emitter")
    assert {f"{HERE}/act/resume", f"{HERE}/act/rollback"} <= page.links
    assert "resume, or roll back" in page.text


def test_a_rollback_shows_its_verdict_its_times_and_who_is_missing(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started()
    sdk.post("/sdk/v1/reports", report(revision=1, evidence=[evidence("canary", 30, 30)]))
    door.clock.advance(1_000)
    door.judge()
    door.verify()
    page = page_of(operator, HERE)
    assert "rolling back" in page.text
    assert "not verified yet" in page.text
    assert f"{EVENT}: 30 of the last 30 users failed" in page.text
    assert "1 instance to confirm 0 canary runs left" in page.text
    assert "chat-1 : still on revision 1" in page.text
    for name in (
        "Detected",
        "Decided",
        "Applied by the first client",
        "Applied by the last client",
        "Last canary exposure",
    ):
        assert name in page.text
    assert "Waiting for 1" in page.text


def test_a_verified_rollback_has_counted_down_to_nothing(operator: Caller, door: Door) -> None:
    operator.started()
    operator.post("/api/v1/rollouts/unified-emitter/rollback", {"reason": "users complain"})
    door.clock.advance(1_500)
    door.verify()
    text = page_of(operator, HERE).text
    assert "Rollback verified 0 instances to confirm 0 canary runs left +1.50 s from decision to verified" in text
    assert "Zero exposures to the canary, on every live instance" in text
    assert "Was this rollback right?" in text


def test_the_failed_examples_are_named_with_their_reason(operator: Caller, sdk: Caller) -> None:
    operator.started()
    outcome = {"flag": "emitter", "variant": "unified", "event_type": EVENT, "outcome": "failed", "age_ms": 100}
    sdk.post("/sdk/v1/reports", report(outcomes=[{**outcome, "reason": "no ack within 5 s"}]))
    text = page_of(operator, HERE).text
    assert "no ack within 5 s" in text
    assert "chat-1" in text


def test_the_instances_say_whether_they_have_applied_the_share(operator: Caller, sdk: Caller) -> None:
    operator.started()
    arms = [{"flag": "emitter", "variant": "unified", "open_runs": 1}]
    sdk.post("/sdk/v1/reports", report(revision=1, arms=arms))
    assert "0 of 1 instance has applied the present share" in page_of(operator, HERE).text


def test_ended_rollouts_come_last(operator: Caller, door: Door) -> None:
    operator.post("/api/v1/flags", FLAG)
    for key in ("old", "older"):
        operator.post("/api/v1/rollouts", {**MANIFEST, "rollout": key})
        operator.post(f"/api/v1/rollouts/{key}/abort")
        door.clock.advance(1_000)
    operator.post("/api/v1/rollouts", MANIFEST)
    operator.post("/api/v1/rollouts/unified-emitter/start")
    articles = [found["id"] for found in page_of(operator).all("article")]
    assert articles == ["rollout-unified-emitter", "rollout-older", "rollout-old"]


def test_a_rollout_is_found_by_key_flag_owner_or_phase(operator: Caller) -> None:
    operator.started(owner="chat team")
    for words in ("unified", "EMITTER", "chat", "progressing unified"):
        assert page_of(operator, f"/?q={words}").all("article"), words
    nothing = page_of(operator, "/?q=payments")
    assert not nothing.all("article")
    assert "No rollout fits payments" in nothing.text


def test_many_rollouts_take_no_more_queries_than_one(operator: Caller, door: Door, database: Database) -> None:
    def queries() -> int:
        found: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            found.append(statement)

        event.listen(database.engine, "before_cursor_execute", note)
        page_of(operator)
        event.remove(database.engine, "before_cursor_execute", note)
        return len(found)

    operator.started(allow_overlap=True)
    door.judge()
    page_of(operator)
    one = queries()
    for number in range(5):
        operator.post("/api/v1/flags", {**FLAG, "key": f"flag-{number}"})
        operator.post(
            "/api/v1/rollouts",
            {**MANIFEST, "rollout": f"more-{number}", "flag": f"flag-{number}", "allow_overlap": True},
        )
        assert operator.post(f"/api/v1/rollouts/more-{number}/start").status_code == 200
        door.judge(f"more-{number}")
    assert len(page_of(operator).all("article")) == 6
    assert queries() == one


def test_text_from_outside_is_only_ever_text(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.post("/api/v1/flags", {**FLAG, "description": HOSTILE})
    manifest = {**MANIFEST, "owner": HOSTILE, "note": HOSTILE, "events": [HOSTILE[:100]]}
    assert operator.post("/api/v1/rollouts", manifest).status_code == 201
    operator.post("/api/v1/rollouts/unified-emitter/start", {"reason": HOSTILE})
    row = evidence("canary", 30, 30, HOSTILE[:100])
    sdk.post("/sdk/v1/reports", report(instance=HOSTILE[:128], revision=1, evidence=[row]))
    door.judge()
    door.verify()
    for path in ("/", HERE, "/fragments/overview", "/fragments/rollouts/unified-emitter", "/flags", "/flags/emitter"):
        page = page_of(operator, path)
        assert HOSTILE in page.text
        assert {str(found.get("src")).partition("?")[0] for found in page.all("script")} <= {SCRIPT}
        assert not [tag for tag, _ in page.elements if tag in {"img", "iframe", "object"}]
        assert not [found for _, found in page.elements if any(name.startswith("on") for name in found)]


PLACES = (
    "/",
    HERE,
    "/flags",
    "/flags/emitter",
    "/flags/new",
    "/segments",
    "/segments/new",
    "/rollouts/new",
    "/instances",
    "/audit",
    "/freezes",
    "/schedules",
    "/handover",
    "/access",
    "/rollback",
    f"{HERE}/act/rollback",
    "/flags/emitter/act/kill",
)


@pytest.mark.parametrize("path", PLACES)
def test_a_page_needs_no_exception_from_its_content_policy(admin: Caller, path: str) -> None:
    admin.started()
    page = page_of(admin, path)
    assert not [found for _, found in page.elements if "style" in found]
    assert not page.all("style")
    assert [str(found["src"]).partition("?")[0] for found in page.all("script")] == [SCRIPT]


@pytest.mark.parametrize("path", PLACES)
def test_the_way_back_is_on_every_page(admin: Caller, path: str) -> None:
    admin.started()
    page = page_of(admin, path)
    linked = page.links & {"/rollback", f"{HERE}/act/rollback"}
    assert linked or page.all("form", action=f"{HERE}/act/rollback")


def test_a_fragment_that_shows_nothing_new_is_not_sent(operator: Caller) -> None:
    operator.started()
    live = next(found for _, found in page_of(operator).elements if "data-live" in found)
    assert (live["hx-trigger"], live["hx-swap"]) == ("live", "outerHTML")
    assert operator.get(str(live["hx-get"])).status_code == 204
    operator.post("/api/v1/rollouts/unified-emitter/pause")
    again = operator.get(str(live["hx-get"]))
    assert (again.status_code, again.text.startswith('<div id="live"')) == (200, True)


def test_a_part_is_drawn_once_for_all_who_were_told_of_the_same_change(operator: Caller, viewer: Caller) -> None:
    operator.started()
    first = operator.get("/fragments/overview?seen=&change=a-1").text
    operator.post("/api/v1/rollouts/unified-emitter/pause")
    assert operator.get("/fragments/overview?seen=&change=a-1").text == first
    assert "paused" in operator.get("/fragments/overview?seen=&change=a-2").text
    assert "paused" in operator.get("/fragments/overview?seen=").text
    assert "Roll back now" in operator.get("/fragments/overview?seen=&change=a-2").text
    assert "Roll back now" not in viewer.get("/fragments/overview?seen=&change=a-2").text


def test_charts_survive_a_refresh(operator: Caller) -> None:
    operator.started()
    pages = (page_of(operator, HERE), page_of(operator, "/fragments/rollouts/unified-emitter"))
    ids = [[found["id"] for _, found in page.elements if "data-kept" in found] for page in pages]
    assert len(ids[0]) == 6
    assert ids[0] == ids[1]


def test_a_rollout_has_a_page_of_its_own_with_the_arithmetic(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started()
    sdk.post("/sdk/v1/reports", report(evidence=[evidence("canary", 30, 30)]))
    door.judge()
    text = page_of(operator, HERE).text
    assert '"failed_milli_units": 30000' in text
    assert "10 % for 1 min" in text


def test_an_unknown_rollout_is_a_page_too(viewer: Caller) -> None:
    assert "No rollout has this key" in read(viewer.get("/rollouts/nothing"), 404).text


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/none.js"]
)
def test_only_static_files_are_served(nobody: Caller, path: str) -> None:
    assert nobody.get(path).status_code == 404


def test_static_files_answer_a_second_visit_shortly(nobody: Caller) -> None:
    first = nobody.get("/static/icon.svg")
    assert first.mimetype == "image/svg+xml"
    assert nobody.get("/static/icon.svg", {"If-None-Match": first.headers["ETag"]}).status_code == 304


def test_the_bundles_are_kept_by_browsers_under_their_version_alone(viewer: Caller) -> None:
    source = str(page_of(viewer).all("script")[0]["src"])
    assert "immutable" in viewer.get(source).headers["Cache-Control"]
    assert "immutable" not in viewer.get("/static/dist/app.js?v=other").headers["Cache-Control"]


def test_templates_fail_loudly_on_a_missing_name(app: Flask) -> None:
    with pytest.raises(Exception, match="undefined"):
        app.jinja_env.from_string("{{ nothing.at_all }}").render()


def test_figures_are_written_for_people() -> None:
    assert [percent(value, 2) for value in (None, 100.0, 99.999, 94.999, 99.6, 0.01)] == [
        "-", "100.00 %", "99.99 %", "94.99 %", "99.60 %", "0.01 %",
    ]  # fmt: skip
    assert [span(ms) for ms in (None, 0, 1, 60_000, 250_000, 3_600_000, 90_000_000)] == [
        "-", "0 s", "1 s", "1 min", "4 min 10 s", "1 h", "1 d 1 h",
    ]  # fmt: skip
    assert [units(milli) for milli in (0, 500, 1_000, 12_345_000)] == ["0", "0.5", "1", "12,345"]
