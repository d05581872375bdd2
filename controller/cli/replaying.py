"""`canary replay`: recomputes every analysis and decision of a rollout on this machine, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from controller.cli.failures import FAILED
from controller.cli.ledgers import Page, fetched, keeping, saved
from controller.cli.options import Json
from controller.cli.output import emit
from controller.cli.remote import remote
from controller.domain.rollouts import Action
from controller.usecases.replay import Replayed, replay
from controller.wire.api.judging import DecisionView, RoundView, SlotView


class Report(msgspec.Struct):
    """What a replay came to.

    Attributes:
        analyses, decisions: how many were recomputed; a decision is an analysis that did more than hold.
        differing: how many of them did not come out as recorded.
        first_seq, first_difference: the first of these, in words.
        digest: of everything recomputed; the same on any machine, to be compared with what was noted elsewhere.
        purged_through: slots up to this one were deleted by retention, so they cannot be replayed any more.
    """

    rollout: str
    analyses: int = 0
    decisions: int = 0
    differing: int = 0
    first_seq: int | None = None
    first_difference: str = ""
    digest: str = ""
    purged_through: int = 0

    def count(self, found: Replayed) -> None:
        """Enter one replayed slot."""
        self.analyses += bool(found.verdict)
        self.digest = found.digest or self.digest
        self.decisions += found.action not in ("", Action.HOLD)
        if found.differs:
            self.differ(found.seq, "; ".join(found.differs))

    def differ(self, seq: int, words: str) -> None:
        """Enter a difference; the lowest slot's is told first."""
        self.differing += 1
        if self.first_seq is None or seq < self.first_seq:
            self.first_seq, self.first_difference = seq, words


class _Book:
    """Slots on their way into the replay, and what must be true of all of them together."""

    def __init__(self, pages: Iterable[Page]) -> None:
        self._pages = pages
        self.rollout = ""
        self.rounds: list[RoundView] = []
        self.decisions: list[DecisionView] | None = None
        self.last_seq = self.seen = self.purged = 0
        self.judged_seq, self.memory = 0, ""
        self.cut = False
        self.mixed = False

    def slots(self) -> Iterator[SlotView]:
        """All slots in order."""
        for page in self._pages:
            if not self.rounds:
                self.rollout, self.rounds = page.rollout, page.rounds
                self.seen = self.purged = page.purged_through
            known = [(one.first_seq, one.first_epoch, one.constants) for one in page.rounds]
            mine = [(one.first_seq, one.first_epoch, one.constants) for one in self.rounds]
            self.mixed = self.mixed or page.rollout != self.rollout or known[: len(mine)] != mine
            if page.decisions is not None:
                self.decisions = [*(self.decisions or []), *page.decisions]
            self.last_seq = max(self.last_seq, page.last_seq)
            if page.judged_seq and not self.judged_seq:  # later pages tell of a judge that has gone on
                self.judged_seq, self.memory = page.judged_seq, page.memory
            self.cut = page.next_seq is not None
            for slot in page.slots:
                self.seen = slot.seq
                yield slot


def replay_(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="ROLLOUT", help="The rollout's key.", show_default=False)] = "",
    file: Annotated[Path | None, typer.Option("--file", help="Replay a saved ledger, without a controller.")] = None,
    save: Annotated[Path | None, typer.Option("--save", help="Also keep the ledger in this new file.")] = None,
    as_json: Json = False,
) -> None:
    """Recompute every analysis and decision of a rollout from its stored numbers; exit code 1 if any differs."""
    if (not key) == (file is None):
        raise typer.BadParameter("give the key of a rollout, or --file, and not both")
    if file is not None:
        report = recomputed(keeping(saved(file), save) if save else saved(file))
    else:
        with remote(context) as api:
            report = recomputed(keeping(fetched(api, key), save) if save else fetched(api, key))
    if as_json:
        emit(report)
    else:
        typer.echo(_in_words(report))
    if report.differing:
        raise typer.Exit(FAILED)


def recomputed(pages: Iterable[Page]) -> Report:
    """Replay a ledger and compare everything that was recorded with it."""
    book = _Book(pages)
    slots = book.slots()
    first = next(slots, None)
    report = Report(book.rollout, purged_through=book.purged)
    if first is None:
        _check_whole(report, book)
        return report
    actions: dict[int, Replayed] = {}
    try:
        for found in replay(book.rounds, _chain(first, slots), book.purged + 1):
            report.count(found)
            if found.seq == book.judged_seq and found.digest != book.memory and not _begins_after(book):
                report.differ(found.seq, f"the judge's memory is not what the ledger leads to (digest {found.digest})")
            if found.action != Action.HOLD:
                actions[found.seq] = found
    except (KeyError, TypeError, ValueError) as error:  # what is no longer whole cannot be replayed at all
        report.differ(book.seen, f"cannot be replayed: {type(error).__name__}: {error}")
        return report
    if not report.differing:  # what follows from a difference would only hide it
        _check_whole(report, book)
        _check_decisions(report, book, actions)
    return report


def _begins_after(book: _Book) -> bool:
    """Whether a round has begun behind the newest slot: the judge's memory is fresh then."""
    return any(one.first_seq == book.judged_seq + 1 for one in book.rounds)


def _chain(first: SlotView, rest: Iterator[SlotView]) -> Iterator[SlotView]:
    yield first
    yield from rest


def _check_whole(report: Report, book: _Book) -> None:
    if book.mixed:
        report.differ(1, "the pages belong to different rollouts, or their constants differ")
    if book.cut or book.seen < max(book.last_seq, book.judged_seq):
        report.differ(book.seen + 1, f"slot {book.seen + 1} is missing: the ledger goes on, the export does not")


def _check_decisions(report: Report, book: _Book, actions: dict[int, Replayed]) -> None:
    """Each decision of the judge names its slot; people's acts rest on none."""
    if report.differing or book.decisions is None:
        return
    unrecorded = dict(actions)
    for decision in book.decisions:
        if decision.seq is None or decision.seq <= book.purged:
            continue
        unrecorded.pop(decision.seq, None)
        found = actions.get(decision.seq)
        held = Action.HOLD.value if decision.seq <= book.seen else "no such slot"
        recorded = (decision.action, decision.message, decision.arithmetic)
        replayed = (found.action, found.message, found.arithmetic) if found else (held, *recorded[1:])
        for what, said, now in zip(("action", "message", "arithmetic"), recorded, replayed, strict=True):
            if said != now:
                report.differ(decision.seq, f"decision {decision.id}: {what} recorded {said}, replayed {now}")
    for seq, again in unrecorded.items():
        if seq <= book.last_seq:  # later ones were made while the ledger was being read
            report.differ(seq, f"replayed {again.action}, but no decision was recorded")


def _in_words(report: Report) -> str:
    name = report.rollout or "the rollout"
    done = f"{name}: {report.analyses:,} analyses and {report.decisions:,} decisions recomputed"
    if report.differing:
        words = report.first_difference
        where = "" if words.startswith("slot ") else f"slot {report.first_seq}: "
        return f"{done}, {report.differing:,} differ; first difference: {where}{words}"
    gone = f"slots 1 to {report.purged_through:,} were deleted by retention" if report.purged_through else ""
    if not report.analyses:
        return f"{name}: nothing to replay, {gone or 'no slot is closed yet'}"
    done = f"{done}, all bit for bit as recorded; replay hash {report.digest}"
    return f"{done}; {gone}" if gone else done
