"""`canary rollout report`: the page after an incident."""

from pathlib import Path

import pytest

from controller.usecases.replay import replay
from controller.wire.api.judging import ExplainView, ImpactEvent, ImpactView, SeriesView
from controller.wire.api.rollouts import AlertView
from tests.cli import forms
from tests.cli.conftest import Run
from tests.cli.forms import decision, listed
from tests.cli.stub import StubController
from tests.usecases.true_ledgers import true_ledger

HERE = "/api/v1/rollouts/unified-emitter"
SENTENCE = "rolled back at slot 45: 31 of 60 units failed | <b>agent_started</b>"


@pytest.fixture
def told(stub: StubController) -> None:
    """A rollout that was taken back, verified and labelled."""
    ledger = true_ledger(failing_from=45)
    [begun] = ledger.rounds
    last = ledger.slots[-1]
    begun.ended_ms, begun.ended_as, begun.ended_by = last.closed_ms + 5_000, "rolled_back", "judge"
    begun.detected_ms = begun.decided_ms = last.closed_ms
    begun.verified_ms, begun.label, begun.labelled_by = last.closed_ms + 2_400, False, "kim"
    analysis = forms.analysis("fail", SENTENCE)
    analysis.seq = last.seq
    times = {slot.seq: slot.closed_ms for slot in ledger.slots}
    decisions = [
        decision(2 + at, one.action, one.seq, at_ms=times[one.seq], message=one.message, arithmetic=one.arithmetic)
        for at, one in enumerate(found for found in replay(ledger.rounds, ledger.slots) if found.action != "hold")
    ]
    shown = forms.verification()
    shown.first_applied_ms, shown.last_applied_ms = last.closed_ms + 900, last.closed_ms + 1_800
    shown.last_exposure_ms = last.closed_ms - 300
    explained = ExplainView("unified-emitter", 1, "fail", "rollback", SENTENCE, {}, [], [], [], [], None, [], [])
    impact = ImpactView(begun.started_ms, last.closed_ms, 9_000, 1_234, 40, [ImpactEvent("a|b", 9_000, 1_234, 5, 6)])
    stub.on("GET", HERE, forms.rollout("rolled_back", analysis=analysis, verification=shown))
    stub.on("GET", f"{HERE}/rounds", listed(begun))
    stub.on("GET", f"{HERE}/decisions", listed(*decisions))
    stub.on("GET", f"{HERE}/ledger", ledger)
    stub.on("GET", f"{HERE}/explain", explained)
    stub.on("GET", f"{HERE}/impact", impact)
    stub.on(
        "GET", f"{HERE}/alerts", listed(AlertView("unified-emitter", "interrupted", "more |than", begun.started_ms))
    )
    stub.on("GET", f"{HERE}/series", SeriesView([1, 2], [{"arm": "canary", "values": [99.0, None]}], 95.0))


def page(tmp_path: Path) -> str:
    return (tmp_path / "unified-emitter-report" / "report.md").read_text()


@pytest.mark.usefixtures("told")
def test_the_page_tells_times_harm_timeline_and_the_replay_hash(run: Run, tmp_path: Path) -> None:
    done = run("rollout", "report", "unified-emitter")
    assert done.exit_code == 0, done.stderr
    text = page(tmp_path)
    assert "| applied by the last client instance |" in text
    assert "| +1.8 s |" in text
    assert "| last canary exposure |" in text
    assert "| -0.3 s |" in text
    assert "1,234 canary events failed, of 40 users" in text
    assert "Labelled false by kim" in text
    replayed = run("replay", "unified-emitter")
    assert replayed.exit_code == 0, replayed.stdout
    digest = replayed.stdout.split()[-1]
    assert digest in text
    assert digest in done.stdout


@pytest.mark.usefixtures("told")
def test_what_people_wrote_does_not_break_out_of_the_page(run: Run, tmp_path: Path) -> None:
    run("rollout", "report", "unified-emitter")
    text = page(tmp_path)
    assert "<b>" not in text
    assert "a\\|b" in text
    assert "more \\|than" in text


@pytest.mark.usefixtures("told")
def test_its_plots_are_there(run: Run, tmp_path: Path) -> None:
    run("rollout", "report", "unified-emitter", "--out", "incident")
    for name in ("evidence.svg", "success.svg"):
        assert (tmp_path / "incident" / name).read_text().startswith("<?xml")
        assert f"]({name})" in (tmp_path / "incident" / "report.md").read_text()


@pytest.mark.usefixtures("told")
def test_a_folder_that_holds_something_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine.txt").write_text("mine")
    done = run("rollout", "report", "unified-emitter", "--out", "kept")
    assert (done.exit_code, done.stderr) == (1, "error: kept is not empty: name another folder with --out\n")
    assert [one.name for one in (tmp_path / "kept").iterdir()] == ["mine.txt"]


def test_what_was_never_started_has_no_report(run: Run, stub: StubController) -> None:
    stub.on("GET", f"{HERE}/rounds", listed())
    done = run("rollout", "report", "unified-emitter")
    assert (done.exit_code, done.stderr) == (
        1,
        "error: unified-emitter was never started: there is nothing to report\n",
    )
