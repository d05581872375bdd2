"""The dashboard's page: what it shows, without a script, and that nothing on it can become one."""

from html.parser import HTMLParser

import pytest
from flask import Flask

from controller.web.ops.words import percent, span, units
from tests.web.callers import EVENT, FLAG, MANIFEST, Caller, Door, counts, evidence, report

HOSTILE = "</td><script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
SCRIPT = "/static/dist/app.js"


class Page(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Take text."""
        self.words.append(data)

    @property
    def text(self) -> str:
        """What a reader sees, with single spaces."""
        return " ".join(" ".join(self.words).split())


def page_of(caller: Caller, path: str = "/") -> Page:
    answer = caller.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    return Page(answer.text)


def test_an_empty_controller_says_how_to_start(viewer: Caller) -> None:
    text = page_of(viewer).text
    assert "No rollout yet" in text
    assert "canary rollout apply -f rollout.yaml" in text
    assert "nobody evaluates" in text


def test_a_rollout_in_progress_is_told_in_words_and_figures(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started(owner="chat team", note="the first stage")
    rows = [counts("legacy", 996, 4), counts("unified", 90, 10)]
    sdk.post("/sdk/v1/reports", report(counts=rows, evidence=[evidence("canary", 2, 60)]))
    door.judge()
    page = page_of(operator)
    for words in ("10 % of the users", "progressing", "Stage 1 of 2", "1 min of its bake time left", "chat team"):
        assert words in page.text
    assert f"{EVENT} below 95 % 90.00 % 99.60 % 10 of 100" in page.text
    assert "inconclusive" in page.text
    assert "not yet proven above 95 %" in page.text
    assert "2 of 60" in page.text
    assert "Evaluated by judge-1 (term" in page.text
    assert "start by operator of the tests" in page.text
    charts = [found["data-series-url"] for tag, found in page.elements if "data-series-url" in found]
    assert len(charts) == 5
    assert charts[0] == f"/api/v1/rollouts/unified-emitter/series?event={EVENT}"
    assert all(operator.get(str(url)).status_code == 200 for url in charts)


def test_a_rollback_shows_its_verdict_its_times_and_who_is_missing(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started()
    sdk.post("/sdk/v1/reports", report(revision=1, evidence=[evidence("canary", 30, 30)]))
    door.clock.advance(1_000)
    door.judge()
    door.verify()
    page = page_of(operator)
    assert "rolling back" in page.text
    assert "not verified yet" in page.text
    assert f"{EVENT}: 30 of the last 30 users failed" in page.text
    assert "waiting for 1" in page.text
    assert "chat-1 : still on revision 1" in page.text
    for name in (
        "Detected",
        "Decided",
        "Applied by the first client",
        "Applied by the last client",
        "Last canary exposure",
    ):
        assert name in page.text
    assert "0 canary runs left" in page.text


def test_the_first_page_has_what_is_under_way_and_a_row_for_the_rest(operator: Caller, door: Door) -> None:
    operator.post("/api/v1/flags", FLAG)
    for key in ("old", "older"):
        operator.post("/api/v1/rollouts", {**MANIFEST, "rollout": key})
        operator.post(f"/api/v1/rollouts/{key}/abort")
        door.clock.advance(1_000)
    operator.post("/api/v1/rollouts", MANIFEST)
    operator.post("/api/v1/rollouts/unified-emitter/start")
    page = page_of(operator)
    assert [found["id"] for tag, found in page.elements if tag == "article"] == ["rollout-unified-emitter"]
    assert "Other rollouts" in page.text
    assert {"/rollouts/old", "/rollouts/older"} <= {found.get("href") for tag, found in page.elements if tag == "a"}


def test_text_from_outside_is_only_ever_text(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.post("/api/v1/flags", {**FLAG, "description": HOSTILE})
    manifest = {**MANIFEST, "owner": HOSTILE, "note": HOSTILE, "events": [HOSTILE[:100]]}
    assert operator.post("/api/v1/rollouts", manifest).status_code == 201
    operator.post("/api/v1/rollouts/unified-emitter/start", {"reason": HOSTILE})
    row = evidence("canary", 30, 30, HOSTILE[:100])
    sdk.post("/sdk/v1/reports", report(instance=HOSTILE[:128], revision=1, evidence=[row]))
    door.judge()
    door.verify()
    for path in ("/", "/rollouts/unified-emitter", "/fragments/overview", "/fragments/rollouts/unified-emitter"):
        page = page_of(operator, path)
        assert HOSTILE in page.text
        assert {str(found.get("src")).partition("?")[0] for tag, found in page.elements if tag == "script"} <= {SCRIPT}
        assert not [tag for tag, _ in page.elements if tag in {"img", "iframe", "object"}]
        assert not [found for _, found in page.elements if any(name.startswith("on") for name in found)]


def test_a_page_needs_no_exception_from_its_content_policy(operator: Caller) -> None:
    operator.started()
    for path in ("/", "/rollouts/unified-emitter"):
        page = page_of(operator, path)
        assert not [found for _, found in page.elements if "style" in found]
        assert not [tag for tag, _ in page.elements if tag == "style"]
        sources = [found["src"] for tag, found in page.elements if tag == "script"]
        assert [str(source).partition("?")[0] for source in sources] == [SCRIPT]


def test_a_fragment_that_shows_nothing_new_is_not_sent(operator: Caller, door: Door) -> None:
    operator.started()
    live = next(found for _, found in page_of(operator).elements if "data-live" in found)
    assert (live["hx-trigger"], live["hx-swap"]) == ("live", "outerHTML")
    assert operator.get(str(live["hx-get"])).status_code == 204
    door.clock.advance(10_000)
    again = operator.get(str(live["hx-get"]))
    assert (again.status_code, again.text.startswith('<div id="live"')) == (200, True)


def test_charts_survive_a_refresh(operator: Caller) -> None:
    operator.started()
    fragments = (page_of(operator), page_of(operator, "/fragments/overview"))
    ids = [[found["id"] for _, found in page.elements if "hx-preserve" in found] for page in fragments]
    assert len(ids[0]) == 5
    assert ids[0] == ids[1]


def test_a_rollout_has_a_page_of_its_own_with_the_arithmetic(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started()
    sdk.post("/sdk/v1/reports", report(evidence=[evidence("canary", 30, 30)]))
    door.judge()
    text = page_of(operator, "/rollouts/unified-emitter").text
    assert '"failed_milli_units": 30000' in text
    assert "10 % for at least 1 min" in text


def test_an_unknown_rollout_is_a_page_too(viewer: Caller) -> None:
    answer = viewer.get("/rollouts/nothing")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "No rollout has this key" in answer.text


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/none.js"]
)
def test_only_static_files_are_served(nobody: Caller, path: str) -> None:
    assert nobody.get(path).status_code == 404


def test_static_files_answer_a_second_visit_shortly(nobody: Caller) -> None:
    first = nobody.get("/static/icon.svg")
    assert first.mimetype == "image/svg+xml"
    assert nobody.get("/static/icon.svg", {"If-None-Match": first.headers["ETag"]}).status_code == 304


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
