"""`canary rollout watch`: follows to the end, outlives a restart of the controller."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from controller.cli import watching
from controller.cli.failures import Failed, Unreachable
from controller.cli.views import card
from controller.cli.watching import on_screen, watch
from controller.wire.api.rollouts import RolloutView, StreamView
from controller.wire.problems import Problem
from tests.cli import forms
from tests.cli.conftest import Run
from tests.cli.forms import rollout
from tests.cli.stub import StubController

HERE = "/api/v1/rollouts/unified-emitter"
AWAY = Unreachable("The controller cannot be reached", "nothing answers")


class Days:
    """A clock that moves on by each pause, and looks that are told in advance."""

    def __init__(self, *looks: RolloutView | Failed) -> None:
        self.now_ms = forms.NOW
        self.looks = list(looks)
        self.shown: list[tuple[str, str]] = []

    def read(self) -> RolloutView:
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Failed):
            raise look
        return look

    def shows(self, view: RolloutView, now_ms: int, trouble: str) -> None:
        assert now_ms == self.now_ms
        self.shown.append((view.phase, trouble))

    def pause(self, seconds: float) -> None:
        self.now_ms += round(1000 * seconds)

    def watch(self, **options: Any) -> RolloutView:
        return watch(self.read, self.shows, clock=lambda: self.now_ms, pause=self.pause, **options)


def test_it_looks_once_a_second_until_the_end() -> None:
    days = Days(rollout(), rollout(), rollout("rolling_back"), rollout("rolled_back"))
    assert days.watch().phase == "rolled_back"
    assert days.now_ms == forms.NOW + 3000
    assert [phase for phase, _ in days.shown] == ["progressing", "progressing", "rolling_back", "rolled_back"]


def test_a_controller_that_comes_back_is_waited_for() -> None:
    restarting = Failed("Unavailable", status=503)
    days = Days(rollout(), AWAY, restarting, rollout("promoted"))
    assert days.watch().phase == "promoted"
    assert [trouble for _, trouble in days.shown] == ["", str(AWAY), "Unavailable", ""]


def test_a_controller_that_stays_away_is_given_up_after_a_minute() -> None:
    days = Days(rollout(), AWAY)
    with pytest.raises(Unreachable):
        days.watch()
    assert days.now_ms == forms.NOW + watching.PATIENCE_MS


def test_a_refusal_ends_it_at_once() -> None:
    days = Days(rollout(), Failed("There is no such thing", status=404))
    with pytest.raises(Failed, match="no such thing"):
        days.watch()
    assert days.now_ms == forms.NOW + 1000


def test_it_gives_up_after_the_time_it_was_given() -> None:
    days = Days(rollout())
    with pytest.raises(Failed, match="'unified-emitter' is still progressing"):
        days.watch(most_ms=5000)
    assert days.now_ms == forms.NOW + 5000


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other at once."""
    monkeypatch.setattr(watching, "POLL_S", 0.0)


@pytest.mark.usefixtures("no_waiting")
def test_in_a_pipe_there_is_a_line_for_each_change(run: Run, stub: StubController) -> None:
    waiting, done = forms.verification("chat-a"), forms.verification(confirmed=3)
    stub.on(
        "GET",
        HERE,
        rollout(analysis=forms.analysis()),
        rollout(analysis=forms.analysis()),
        Problem("The database cannot be reached", 503, "unavailable"),
        rollout("rolling_back", analysis=forms.analysis("fail"), verification=waiting),
        rollout("rolled_back", analysis=forms.analysis("fail"), verification=done),
    )
    ended = run("rollout", "watch", "unified-emitter")
    assert ended.exit_code == 1
    assert [line.partition(" ")[2] for line in ended.stdout.splitlines()] == [
        "progressing stage 2/3 at 10 %: not yet proven above 95 %: agent_started",
        "progressing stage 2/3 at 10 %: The database cannot be reached",
        "rolling_back stage 2/3 at 10 %: rollback waiting for 1 (2 confirmed)",
        "rolled_back stage 2/3 at 10 %: rollback verified (3 confirmed)",
    ]


@pytest.mark.usefixtures("no_waiting")
def test_programs_get_a_document_a_line(run: Run, stub: StubController) -> None:
    stub.on("GET", HERE, rollout(), rollout("promoted"))
    done = run("rollout", "watch", "unified-emitter", "--json")
    assert done.exit_code == 0
    assert [json.loads(line)["phase"] for line in done.stdout.splitlines()] == ["progressing", "promoted"]


def test_an_aborted_draft_ends_it_with_one(run: Run, stub: StubController) -> None:
    stub.on("GET", HERE, rollout("aborted"))
    assert run("rollout", "watch", "unified-emitter").exit_code == 1


def test_watching_what_is_not_there_fails(run: Run) -> None:
    done = run("rollout", "watch", "unified-emitter", "--timeout", "1m")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: There is no such thing")


def test_on_a_terminal_the_view_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    screen = Console(file=written, force_terminal=True, width=110, markup=False, highlight=False)
    monkeypatch.setattr(watching, "console", lambda: screen)
    with on_screen() as shows:
        shows(rollout(analysis=forms.analysis()), forms.NOW, "")
        shows(rollout(analysis=forms.analysis()), forms.NOW, "no answer")
    assert "unified-emitter" in written.getvalue()
    assert "no answer (still trying)" in written.getvalue()


@pytest.mark.parametrize(
    ("after_ms", "words"),
    [
        (4_200, "4.2 s since the decision; an alarm in 55.8 s"),
        (61_000, "1 min 01 s since the decision: look at these instances"),
        (-2_000, "0.0 s since the decision; an alarm in 1 min 00 s"),
    ],
)
def test_the_verification_counts_down_to_the_alarm(after_ms: int, words: str) -> None:
    view = rollout("rolling_back", verification=forms.verification("chat-a"), decided_ms=forms.NOW)
    out = Console(file=io.StringIO(), width=110)
    with out.capture() as captured:
        out.print(card(view, forms.NOW + after_ms))
    assert words in captured.get()


def test_evidence_is_named_by_its_guard_where_its_event_is_not_enough() -> None:
    analysis = forms.analysis()
    quiet, left = (
        StreamView("abandoned", arm, 10, 20, 0, total, 50.0) for arm, total in (("control", 0), ("canary", 9))
    )
    analysis.evidence += [quiet, left]
    out = Console(file=io.StringIO(), width=110)
    with out.capture() as captured:
        out.print(card(rollout(analysis=analysis), forms.NOW))
    text = captured.get()
    assert "abandoned: canary" in text
    assert "abandoned: control" not in text
    assert "delivery: agent_started" not in text
    analysis.evidence.append(StreamView("speed", "agent_started", 10, 20, 0, 9, 50.0))
    with out.capture() as captured:
        out.print(card(rollout(analysis=analysis), forms.NOW))
    assert "speed: agent_started" in captured.get()
