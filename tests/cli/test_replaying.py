"""`canary replay`: the ledger of a controller or of a file, recomputed here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from controller.cli.ledgers import Page
from controller.cli.replaying import recomputed
from controller.usecases.replay import replay
from controller.wire.api.judging import DecisionView, LedgerView, SlotView
from controller.wire.problems import Problem
from tests.cli import forms
from tests.cli.conftest import Run
from tests.cli.forms import decision, listed
from tests.cli.stub import Asked, StubController
from tests.usecases.true_ledgers import other_constants, true_ledger

HERE = "/api/v1/rollouts/unified-emitter"


@pytest.fixture(scope="module")
def written() -> LedgerView:
    """A canary that fails from slot 45 on, as the judge wrote it."""
    return true_ledger(failing_from=45)


@pytest.fixture
def ledger(written: LedgerView) -> LedgerView:
    """A copy to spoil."""
    return msgspec.json.decode(msgspec.json.encode(written), type=LedgerView)


def page_of(ledger: LedgerView, size: int) -> Callable[[Asked], LedgerView]:
    """The ledger route: pages of at most `size` slots."""

    def answer(asked: Asked) -> LedgerView:
        rest = [slot for slot in ledger.slots if slot.seq > int(asked.query["after"])]
        following = rest[size - 1].seq if len(rest) > size else None
        return LedgerView(ledger.rollout, ledger.rounds, rest[:size], following)

    return answer


def judged(ledger: LedgerView) -> list[Any]:
    """The decisions that the judge recorded, and a person's start."""
    acts = [slot for slot in ledger.slots if slot.action != "hold"]
    return [decision(1), *(recorded(2 + at, ledger, slot) for at, slot in enumerate(acts))]


def recorded(number: int, ledger: LedgerView, slot: SlotView, **changed: Any) -> DecisionView:
    """The decision that rests on a slot."""
    numbers = {found.seq: found.arithmetic for found in replay(ledger.rounds, ledger.slots)}.get(slot.seq, {})
    return decision(number, slot.action, slot.seq, **{"message": slot.message, "arithmetic": numbers, **changed})


def publish(stub: StubController, ledger: LedgerView, size: int = 20) -> None:
    """Let the stub tell a whole rollout."""
    last = forms.analysis()
    last.seq = ledger.slots[-1].seq if ledger.slots else 0
    stub.on("GET", HERE, forms.rollout("rolled_back", analysis=last))
    stub.on("GET", f"{HERE}/decisions", listed(*judged(ledger)))
    stub.on("GET", f"{HERE}/ledger", page_of(ledger, size))


def test_every_analysis_and_decision_is_recomputed(run: Run, stub: StubController, ledger: LedgerView) -> None:
    publish(stub, ledger)
    done = run("replay", "unified-emitter")
    assert done.exit_code == 0
    count = len(ledger.slots)
    words = f"unified-emitter: {count} analyses and 2 decisions recomputed, all bit for bit as recorded"
    assert done.stdout == f"{words}; replay hash {ledger.slots[-1].state_digest}\n"
    asked = [one.query["after"] for one in stub.asked if one.path.endswith("/ledger")]
    assert asked == ["0", "20", "40"]


def test_programs_get_the_same_figures(run: Run, stub: StubController, ledger: LedgerView) -> None:
    publish(stub, ledger)
    assert json.loads(run("replay", "unified-emitter", "--json").stdout) == {
        "rollout": "unified-emitter",
        "analyses": len(ledger.slots),
        "decisions": 2,
        "differing": 0,
        "first_seq": None,
        "first_difference": "",
        "digest": ledger.slots[-1].state_digest,
        "purged_through": 0,
    }


def test_the_first_difference_is_told(run: Run, stub: StubController, ledger: LedgerView) -> None:
    ledger.slots[11].rows.pop()
    publish(stub, ledger)
    done = run("replay", "unified-emitter")
    assert done.exit_code == 1
    assert " differ; first difference: slot 12: its ledger rows or gauges are not those that were judged" in done.stdout


def test_a_slot_missing_on_a_later_page_is_named(run: Run, stub: StubController, ledger: LedgerView) -> None:
    del ledger.slots[30]
    publish(stub, ledger)
    found = json.loads(run("replay", "unified-emitter", "--json").stdout)
    assert (found["first_seq"], found["first_difference"]) == (32, "slot 31 is missing")
    assert (found["analyses"], found["differing"]) == (30, 1)


def test_slots_missing_at_the_end_are_noticed(run: Run, stub: StubController, ledger: LedgerView) -> None:
    publish(stub, ledger)
    del ledger.slots[-1]
    done = run("replay", "unified-emitter")
    assert done.exit_code == 1
    assert f"slot {len(ledger.slots) + 1} is missing" in done.stdout


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (decision(9, "promote", 5), "decision 9: action recorded promote, replayed hold"),
        (decision(9, "advance", 46), "decision 9: action recorded advance, replayed "),
        (decision(9, "rollback", 9_999), "decision 9: action recorded rollback, replayed no such slot"),
    ],
)
def test_a_decision_that_the_ledger_does_not_bear_out_is_found(
    run: Run, stub: StubController, ledger: LedgerView, extra: Any, words: str
) -> None:
    publish(stub, ledger)
    stub.on("GET", f"{HERE}/decisions", listed(*judged(ledger), extra))
    done = run("replay", "unified-emitter")
    assert done.exit_code == 1
    assert words in done.stdout


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"message": "all was well"}, "message recorded all was well, replayed "),
        ({"arithmetic": {}}, "arithmetic recorded {}, replayed {'guard': 'delivery', "),
    ],
)
def test_a_decision_with_other_words_or_numbers_is_found(
    run: Run, stub: StubController, ledger: LedgerView, changed: dict[str, Any], words: str
) -> None:
    publish(stub, ledger)
    last = recorded(3, ledger, ledger.slots[-1], **changed)
    stub.on("GET", f"{HERE}/decisions", listed(*judged(ledger)[:-1], last))
    done = run("replay", "unified-emitter")
    assert done.exit_code == 1
    assert f"slot {last.seq}: decision 3: {words}" in done.stdout


def test_a_decision_that_was_never_recorded_is_found(run: Run, stub: StubController, ledger: LedgerView) -> None:
    publish(stub, ledger)
    stub.on("GET", f"{HERE}/decisions", listed(*judged(ledger)[:-1]))
    done = run("replay", "unified-emitter")
    assert done.exit_code == 1
    assert f"slot {ledger.slots[-1].seq}: replayed rollback, but no decision was recorded" in done.stdout


def test_a_saved_ledger_replays_without_a_controller(
    run: Run, stub: StubController, ledger: LedgerView, tmp_path: Path
) -> None:
    publish(stub, ledger)
    assert run("replay", "unified-emitter", "--save", "ledger.jsonl").exit_code == 0
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 3
    stub.answers.clear()
    done = run("replay", "--file", "ledger.jsonl")
    assert done.exit_code == 0
    assert "2 decisions recomputed, all bit for bit" in done.stdout


def test_a_saved_ledger_that_was_cut_off_is_noticed(
    run: Run, stub: StubController, ledger: LedgerView, tmp_path: Path
) -> None:
    publish(stub, ledger)
    run("replay", "unified-emitter", "--save", "whole.jsonl")
    lines = (tmp_path / "whole.jsonl").read_text().splitlines()
    (tmp_path / "cut.jsonl").write_text("\n".join(lines[:2]))
    done = run("replay", "--file", "cut.jsonl")
    assert done.exit_code == 1
    assert "slot 41 is missing: the ledger goes on, the export does not" in done.stdout


def test_one_answer_of_the_api_is_an_export_too(run: Run, ledger: LedgerView, tmp_path: Path) -> None:
    (tmp_path / "page.json").write_bytes(msgspec.json.format(msgspec.json.encode(ledger), indent=2))
    assert run("replay", "--file", "page.json").exit_code == 0


def test_a_saved_file_is_never_overwritten(run: Run, stub: StubController, ledger: LedgerView, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    publish(stub, ledger)
    done = run("replay", "unified-emitter", "--save", "kept")
    assert (done.exit_code, done.stderr) == (1, "error: kept is there already: name another file\n")
    assert (tmp_path / "kept").read_text() == "kept"


@pytest.mark.parametrize("data", [b"no json", b'{"a": 1}', b"\xff", b'{"rollout": 1}\n{}'])
def test_a_file_that_is_no_export_is_refused(run: Run, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    done = run("replay", "--file", "x")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: x is no export of a ledger: document 1: ")


def test_an_empty_file_proves_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\n")
    done = run("replay", "--file", "x")
    assert (done.exit_code, done.stderr) == (1, "error: x is no export of a ledger: it is empty\n")


def test_a_file_that_is_not_there_is_refused(run: Run) -> None:
    done = run("replay", "--file", "nowhere")
    assert (done.exit_code, done.stderr) == (1, "error: nowhere cannot be read: No such file or directory\n")


def test_a_rollout_without_slots_has_nothing_to_replay(run: Run, stub: StubController, ledger: LedgerView) -> None:
    ledger.slots.clear()
    publish(stub, ledger)
    stub.on("GET", HERE, forms.rollout())
    done = run("replay", "unified-emitter")
    assert (done.exit_code, done.stdout) == (0, "unified-emitter: nothing to replay, no slot is closed yet\n")


def test_a_draft_is_refused_by_the_controller(run: Run, stub: StubController) -> None:
    stub.on("GET", HERE, forms.draft())
    stub.on("GET", f"{HERE}/decisions", listed())
    stub.on("GET", f"{HERE}/ledger", Problem("Conflict", 409, "conflict", "was never started", field="rollout"))
    done = run("replay", "unified-emitter", "--save", "x")
    assert (done.exit_code, done.stderr) == (1, "error: Conflict: was never started (rollout)\n")
    assert not Path("x").exists()


def test_a_controller_whose_pages_lead_nowhere_does_not_hold_us_up(
    run: Run, stub: StubController, ledger: LedgerView
) -> None:
    publish(stub, ledger)
    stub.on("GET", f"{HERE}/ledger", LedgerView(ledger.rollout, ledger.rounds, [], 5))
    done = run("replay", "unified-emitter")
    assert (done.exit_code, done.stderr) == (
        1,
        "error: The ledger cannot be read: the page after slot 0 leads nowhere\n",
    )


def whole(ledger: LedgerView, **changed: Any) -> Page:
    """The ledger as one page of an export."""
    return Page(**{**{name: getattr(ledger, name) for name in ledger.__struct_fields__}, **changed})


def test_pages_of_two_rollouts_do_not_make_one(ledger: LedgerView) -> None:
    first = whole(ledger, slots=ledger.slots[:10], next_seq=10)
    milder = structs.replace(ledger.rounds[0], constants=other_constants().canonical())
    second = whole(ledger, slots=ledger.slots[10:], rounds=[milder])
    assert "their constants differ" in recomputed([first, second]).first_difference


@pytest.mark.parametrize(
    "change",
    [
        lambda slot: slot.circumstances.clear(),
        lambda slot: slot.circumstances.update(phase="floating"),
        lambda slot: slot.circumstances.update(mode="shrug"),
        lambda slot: slot.circumstances.update(on_fail="pause"),
        lambda slot: slot.gauges.update(users=[1, 2, 3, 4]),
        lambda slot: slot.rows.append((1, "neither", "agent_started", 0, 1000)),
    ],
)
def test_a_slot_that_is_no_longer_whole_is_named(ledger: LedgerView, change: Callable[[SlotView], Any]) -> None:
    change(ledger.slots[11])
    found = recomputed([whole(ledger)])
    assert (found.first_seq, found.analyses) == (12, 11)
    assert found.first_difference.startswith("cannot be replayed: ")


@pytest.mark.parametrize("constants", ["", "{}", "[]", '{"promotion": 1}', '{"form": 2}', '{"form": 99}'])
def test_constants_that_are_no_longer_whole_are_named(ledger: LedgerView, constants: str) -> None:
    found = recomputed([whole(ledger, rounds=[structs.replace(ledger.rounds[0], constants=constants)])])
    assert found.differing == 1
    assert found.first_difference.startswith("cannot be replayed: ")


def test_slots_that_retention_has_deleted_are_named_and_the_rest_is_replayed(
    run: Run, stub: StubController, ledger: LedgerView
) -> None:
    [begun] = ledger.rounds
    gone = structs.replace(ledger, slots=[], purged_through=ledger.slots[-1].seq, purged_ms=1)
    report = recomputed([structs.replace(whole(gone), last_seq=ledger.slots[-1].seq)])
    assert (report.analyses, report.differing, report.purged_through) == (0, 0, ledger.slots[-1].seq)
    stub.on("GET", HERE, forms.rollout())
    stub.on("GET", f"{HERE}/decisions", listed(*judged(ledger)))
    stub.on("GET", f"{HERE}/ledger", gone)
    done = run("replay", "unified-emitter")
    assert (done.exit_code, begun.first_seq) == (0, 1)
    assert "were deleted by retention" in done.stdout
