"""The verdict in words."""

from typing import Any

import pytest

from controller.domain.explain import arithmetic, failures_to_convict, hours_between, sentence, standing_text
from controller.domain.judge.constants import delivery_constants
from controller.domain.judge.findings import Analysis, Evidence, Finding, Rule, Verdict
from controller.domain.judge.judge import judge
from controller.domain.judge.state import fresh_state
from controller.domain.ledger import LedgerRow, Slot
from controller.domain.outcomes import CRITICAL_EVENTS, Arm
from controller.domain.units import UnitKind
from tests.domain.builders import STARTED, constants

LINE = constants(975).lines[STARTED][1]


def finding(**fields: Any) -> Finding:
    given = {"failed": 23_000, "total": 180_000, "score": LINE, "line": LINE}
    return Finding(**{"guard": "delivery_success", "rule": Rule.SEQUENTIAL, "stream": STARTED, **given, **fields})


def test_the_sentence_gives_the_figures_and_how_rare_they_are_on_a_healthy_path():
    assert sentence(constants(975), finding()) == (
        "agent_started: 23 of the last 180 users failed (87.2 % delivered); "
        "a healthy path (>= 97.5 %) would produce this about once in 2,400 hours"
    )


@pytest.mark.parametrize(
    ("kind", "noun"), [(UnitKind.USER_10M, "users"), (UnitKind.RUN, "runs"), (UnitKind.EVENT, "events")]
)
def test_it_counts_in_the_rollouts_unit(kind: UnitKind, noun: str):
    assert f"of the last 180 {noun} failed" in sentence(constants(975, kind), finding())


def test_parts_of_units_are_shown_as_parts():
    assert "2.5 of the last 10.25 users" in sentence(constants(), finding(failed=2_500, total=10_250))


def test_a_block_speaks_of_the_plain_rule():
    words = sentence(constants(), finding(rule=Rule.BLOCK, failed=800_000, total=15_022_000, score=0, line=0))
    assert words.endswith("a full block below 95.0 % rolls back whatever the test says")


def test_at_the_line_of_a_rare_alternative_it_is_once_in_a_hundred_days():
    assert hours_between(constants(975), finding()) == pytest.approx(24 / 0.01, rel=1e-5)


def test_each_factor_of_ten_in_evidence_is_a_factor_of_ten_in_hours():
    more = hours_between(constants(975), finding(score=LINE + 2_302_585))
    assert more == pytest.approx(10 * hours_between(constants(975), finding()), rel=1e-4)


@pytest.mark.parametrize(
    ("above", "words"),
    [
        (-9_000_000, "once in 0.3 hours"),
        (0, "once in 2,400 hours"),
        (8_000_000, "once in 7 million hours"),
        (30_000_000, "once in more than a million million hours"),
        (2_000_000_000, "once in more than a million million hours"),
        (10**13, "once in more than a million million hours"),
    ],
)
def test_a_burst_of_failures_of_any_size_can_be_put_in_words(above: int, words: str):
    assert sentence(constants(975), finding(score=LINE + above)).endswith(words)


def test_the_arithmetic_is_whole_numbers_with_the_digest_of_the_constants():
    assert arithmetic(constants(975), finding(open_units=4)) == {
        "rule": "sequential",
        "stream": STARTED,
        "failed_milli_units": 23_000,
        "total_milli_units": 180_000,
        "open_units": 4,
        "score_micronats": LINE,
        "line_micronats": LINE,
        "floor_permille": 975,
        "constants": constants(975).digest(),
    }


def test_the_standing_names_the_stream_that_is_nearest_to_its_line():
    scores = {"a": 1, "b": 5, "c": -9}
    evidence = {name: Evidence(score, 10, 1_000, 9_000) for name, score in scores.items()}
    assert standing_text(Analysis(1, Verdict.INCONCLUSIVE, evidence=evidence)) == "nearest: b at 50 % of its line"
    assert standing_text(Analysis(1, Verdict.INCONCLUSIVE)) == "no evidence yet"


def test_a_head_start_without_a_failure_is_not_shown_as_evidence():
    assert Evidence(9, 10, 0, 9_000).permille_of_line == 0
    assert Evidence(9, 10, 1, 9_000).permille_of_line == 900
    assert Evidence(-9, 10, 1, 9_000).permille_of_line == 0


@pytest.mark.parametrize("kind", list(UnitKind))
@pytest.mark.parametrize("types", [CRITICAL_EVENTS, CRITICAL_EVENTS[:1], tuple(f"event-{n}" for n in range(20))])
@pytest.mark.parametrize("floor", [955, 960, 975, 990])
def test_the_failures_that_convict_are_those_the_judge_asks_for(kind, types, floor):
    constants = delivery_constants(floor, kind, types)
    needed = failures_to_convict(constants)

    def verdict(failed: int) -> Verdict:
        row = LedgerRow(1, Arm.CANARY, types[0], 1000 * failed, 1000 * failed)
        return judge(constants, fresh_state(constants), Slot(1, 0, 1, (row,)))[1].verdict

    assert verdict(needed) is Verdict.FAIL
    assert verdict(needed - 1) is not Verdict.FAIL
