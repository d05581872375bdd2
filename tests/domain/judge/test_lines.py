"""What the operator can be told: rolls back at k failed of at most n units, and at any rate below 95 % beyond."""

from pathlib import Path

import pytest

from controller.domain.judge.findings import Rule, Verdict
from controller.domain.ledger import LedgerRow
from controller.domain.metrics import POOLED, UnitKind
from controller.domain.tallies import UNIT
from tests.domain.builders import Judged, constants

FRESH_96 = "3/3 4/7 5/13 6/18 8/37 10/57 15/116 20/188 30/331 50/695 100/1626 200/3795"
HEALTHY_96 = "6/6 8/11 10/21 15/50 20/99 30/198 50/484 100/1306"
FRESH_975 = "3/5 4/11 5/19 6/31 8/55 10/90 15/183 20/297 30/562 50/999"
HEALTHY_975 = "5/5 6/7 8/17 10/29 15/83 20/151 30/323 50/766"
#: By user, the default, for one event type.
FRESH_96_USERS = "3/3 4/6 5/11 6/16 8/31 10/51 15/103 20/174 30/318 50/663 100/1594"
FRESH_975_USERS = "3/3 4/9 5/15 6/26 8/49 10/79 15/165 20/275 30/522 50/999"


PAGE = Path(__file__).resolve().parents[3] / "docs" / "judge.md"


def judged(floor: int, stream: str, failed: int, total: int, *, healthy: int = 0) -> Judged:
    """A judge after so many failed of so many units, all in one slot, on a fresh stream or after a healthy stretch."""
    made = Judged(constants(floor, UnitKind.EVENT if stream == POOLED else UnitKind.USER_10M))
    if healthy:
        made.after(LedgerRow(1, "canary", stream, 0, UNIT * healthy))
    made.last = made.after(LedgerRow(1, "canary", stream, UNIT * failed, UNIT * total))
    return made


def sequential(judged_one: Judged) -> bool:
    return any(finding.rule is Rule.SEQUENTIAL for finding in judged_one.last.findings)


def block_of(floor: int, kind: UnitKind, stream: str) -> int:
    return next(lines.block for lines in constants(floor, kind).tests[0].streams if lines.stream == stream)


def cases() -> list[tuple[int, str, int, int, int]]:
    tables = [
        (960, POOLED, 0, FRESH_96),
        (960, POOLED, 4_000, HEALTHY_96),
        (975, POOLED, 0, FRESH_975),
        (975, POOLED, 1_000, HEALTHY_975),
        (960, "agent_started", 0, FRESH_96_USERS),
        (975, "agent_started", 0, FRESH_975_USERS),
    ]
    return [
        (floor, stream, healthy, *map(int, cell.split("/")))
        for floor, stream, healthy, row in tables
        for cell in row.split()
    ]


@pytest.mark.parametrize(("floor", "stream", "healthy", "failed", "most"), cases())
def test_it_rolls_back_at_so_many_failed_of_at_most_so_many(
    floor: int, stream: str, healthy: int, failed: int, most: int
):
    assert sequential(judged(floor, stream, failed, most, healthy=healthy))
    assert not sequential(judged(floor, stream, failed, most + 1, healthy=healthy))


@pytest.mark.parametrize(
    ("floor", "stream", "healthy", "beyond"),
    [
        (960, POOLED, 0, 5_740),
        (960, POOLED, 4_000, 14_160),
        (975, POOLED, 0, 680),
        (975, POOLED, 1_000, 1_700),
        (960, "agent_started", 0, 6_600),
        (975, "agent_started", 0, 780),
    ],
)
def test_from_so_many_units_on_any_rate_below_95_percent_rolls_back(floor: int, stream: str, healthy: int, beyond: int):
    for total in (beyond, beyond + 1, beyond + 19, beyond + 20, 2 * beyond + 7, 5 * beyond + 3):
        assert judged(floor, stream, total // 20 + 1, total, healthy=healthy).last.verdict is Verdict.FAIL
    assert judged(floor, stream, beyond // 20, beyond - 1, healthy=healthy).last.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("failed", "total"), [(1, 3), (2, 2), (2, 3), (1, 1), (2, 10)])
@pytest.mark.parametrize("floor", [960, 975])
def test_one_or_two_failures_never_roll_back(floor: int, failed: int, total: int):
    for stream in (POOLED, "agent_started"):
        assert judged(floor, stream, failed, total).last.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("floor", [960, 975])
def test_three_users_who_get_nothing_at_all_are_enough(floor: int):
    assert sequential(judged(floor, "agent_started", 3, 3))


@pytest.mark.parametrize("row", [FRESH_96, HEALTHY_96, FRESH_975, HEALTHY_975, FRESH_96_USERS, FRESH_975_USERS])
def test_the_page_on_the_judge_says_so(row: str):
    assert f"| {row} |" in PAGE.read_text(encoding="utf-8")


def test_the_page_on_the_judge_gives_the_blocks():
    rows = [
        ("by user or run, each type", UnitKind.RUN, "agent_started"),
        ("by event, `pooled`", UnitKind.EVENT, POOLED),
        ("by event, each type", UnitKind.EVENT, "agent_started"),
    ]
    page = PAGE.read_text(encoding="utf-8")
    for name, kind, stream in rows:
        blocks = [block_of(floor, kind, stream) // UNIT for floor in (960, 965, 970, 975)]
        assert f"| {name} | {' | '.join(f'{block:,}' for block in blocks)} |" in page
