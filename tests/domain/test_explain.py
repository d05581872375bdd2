"""The verdict in words."""

from typing import Any

import pytest

from controller.domain.decisions import Agreement, Choice, Circumstances
from controller.domain.explain import arithmetic, explain, failures_to_convict, hours_between, sentence, standing_text
from controller.domain.guards import Guard, GuardAction
from controller.domain.judge.findings import Analysis, Effect, Evidence, Finding, Lack, Rule, Verdict
from controller.domain.judge.judge import judge
from controller.domain.judge.state import fresh_state
from controller.domain.meaning import what_it_means
from controller.domain.metrics import Metric, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.rollouts import Action, Phase
from controller.domain.tallies import Counts
from tests.domain.builders import STARTED, constants, frozen, row, slot

LINE = constants(975).tests[0].streams[0].lines[1]


def finding(**fields: Any) -> Finding:
    given = {"failed": 23_000, "total": 180_000, "score": LINE, "line": LINE, "effect": Effect.ROLLBACK}
    return Finding(**{"guard": "delivery", "rule": Rule.SEQUENTIAL, "stream": STARTED, **given, **fields})


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


WORSE = {"rule": Rule.MARGIN}
GUARDS = frozen(
    Guard("delivery"),
    Guard("speed", Metric.WITHIN, 990_000, deadline_ms=100),
    Guard("runs", Metric.COMPLETENESS, deadline_ms=300_000),
)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"guard": "speed", "stream": "within_100ms/a"}, "(87.2 % delivered in time, 100ms)"),
        ({"guard": "runs", "stream": "completed_5m/run"}, "(87.2 % complete, 5m)"),
        ({"rule": Rule.RECENT, "score": 0}, "the last 180 are below 95.0 %, as min_samples asks"),
        ({"rule": Rule.BLOCK, "guard": "speed"}, "a full block below 99.0 %"),
        ({"instance": "pod-7"}, "all failures come from the instance pod-7, while others deliver: it pauses"),
        (
            {"shared": True, "effect": Effect.HOLD, "other_failed": 20_000, "other_total": 100_000},
            "the control is over its line too (80.0 %), held for up to 5 minutes",
        ),
        (
            {"shared": True, "other_failed": 20_000, "other_total": 100_000},
            "the control is over its line too (80.0 %), for 5 minutes by now",
        ),
        (
            {
                "rule": Rule.MARGIN,
                "guard": "no-worse",
                "stream": "canary",
                "other_failed": 1_000,
                "other_total": 200_000,
            },
            "no-worse: 12.8 % of the canary's units fail against 0.5 % of the control's, more than the margin apart",
        ),
        (
            {**WORSE, "guard": "abandoned", "stream": "control", "other_total": 1_000},
            "abandoned: 12.8 % of the control's units abandoned against 0.0 % of the canary's",
        ),
        ({"rule": Rule.NOT_REPORTING}, "23 of 180 canary units that were due have not spoken"),
        ({"rule": Rule.BLIND}, "no outcome of any has come for five minutes"),
        ({"rule": Rule.NO_CANARY_TRAFFIC}, "the control's traffic calls for about 180 units by now"),
        ({"rule": Rule.SAMPLE_RATIO}, "23 of 180 sampled users are on the canary (12.8 %)"),
    ],
)
def test_every_kind_of_finding_has_its_own_words(fields: dict[str, Any], words: str):
    assert words in sentence(GUARDS, finding(**fields))


def test_at_the_line_it_is_once_in_a_hundred_days():
    assert hours_between(constants(975), finding()) == pytest.approx(24 / 0.01)
    assert hours_between(frozen(alpha_ppm=1_000), finding()) == pytest.approx(24 / 0.001)


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
        "guard": "delivery",
        "rule": "sequential",
        "effect": "rollback",
        "stream": STARTED,
        "failed_milli_units": 23_000,
        "total_milli_units": 180_000,
        "open_units": 4,
        "score_micronats": LINE,
        "line_micronats": LINE,
        "instance": "",
        "shared": False,
        "other_failed_milli_units": 0,
        "other_total_milli_units": 0,
        "floor_ppm": 975_000,
        "allowed_ppm": 50_000,
        "constants": constants(975).digest(),
    }


def test_the_standing_names_the_stream_that_is_nearest_to_its_line():
    evidence = tuple(Evidence("g", name, score, 10, 1_000, 9_000) for name, score in {"a": 1, "b": 5, "c": -9}.items())
    assert standing_text(Analysis(1, Verdict.INCONCLUSIVE, evidence=evidence)) == "nearest: b at 50 % of its line"
    assert standing_text(Analysis(1, Verdict.INCONCLUSIVE)) == "no evidence yet"


def test_a_head_start_without_a_failure_is_not_shown_as_evidence():
    assert Evidence("g", "a", 9, 10, 0, 9_000).permille_of_line == 0
    assert Evidence("g", "a", 9, 10, 1, 9_000).permille_of_line == 900
    assert Evidence("g", "a", -9, 10, 1, 9_000).permille_of_line == 0


# --- the whole sentence of an analysis ---


def whole(analysis: Analysis, act: Action, would: Action | None = None, **fields: Any) -> str:
    seen = Circumstances(**{"phase": Phase.PROGRESSING, "baked": True, "last_stage": False, **fields})
    return explain(constants(975), analysis, seen, Choice(act, would or act))


def test_a_hold_says_what_it_waits_for_and_where_the_evidence_stands():
    analysis = Analysis(1, Verdict.INCONCLUSIVE, lacking=(Lack("low_sample", "too few"),), notes=("m: inactive",))
    assert whole(analysis, Action.HOLD) == "too few; no evidence yet; m: inactive"


def test_an_advance_says_what_is_proven():
    assert whole(Analysis(1, Verdict.PASS), Action.ADVANCE).startswith(
        "every guard is proven and the canary is not worse"
    )
    assert "the next stage needs an approval" in whole(Analysis(1, Verdict.PASS), Action.ASK)
    late = whole(Analysis(1, Verdict.PASS), Action.ROLLBACK, agreement=Agreement.LATE)
    assert "no approval came in time" in late


def test_a_new_version_is_named():
    words = whole(Analysis(1, Verdict.PASS), Action.OPEN_EPOCH, fresh_versions=("2.0", "2.1"))
    assert words == "application version 2.0, 2.1 seen for the first time: evidence for the canary begins anew"


def test_a_pause_out_of_patience_says_what_it_would_take():
    analysis = Analysis(1, Verdict.INCONCLUSIVE, lacking=(Lack("low_sample", "848 more units"),))
    words = whole(analysis, Action.PAUSE, out_of_patience=True)
    assert words == "inconclusive beyond the stage's patience, so a person decides; it lacks: 848 more units"


def test_observing_says_what_it_would_have_done():
    analysis = Analysis(1, Verdict.FAIL, (finding(),))
    words = whole(analysis, Action.HOLD, Action.ROLLBACK)
    assert words.startswith("observing: would rollback now. agent_started: 23 of the last 180 users failed")


def test_an_alert_is_told_with_what_is_waited_for():
    analysis = Analysis(1, Verdict.INCONCLUSIVE, (finding(rule=Rule.SAMPLE_RATIO, effect=Effect.HOLD),))
    assert whole(analysis, Action.HOLD).startswith("23 of 180 sampled users are on the canary")


# --- before it starts ---


@pytest.mark.parametrize("kind", list(UnitKind))
@pytest.mark.parametrize("types", [CRITICAL_EVENTS, CRITICAL_EVENTS[:1], tuple(f"event-{n}" for n in range(20))])
@pytest.mark.parametrize("floor", [955, 960, 975, 990])
def test_the_failures_that_convict_are_those_the_judge_asks_for(kind: UnitKind, types: tuple[str, ...], floor: int):
    made = constants(floor, kind, types)
    needed = failures_to_convict(made, made.tests[0])

    def verdict(failed: int) -> Verdict:
        return judge(made, fresh_state(made), slot(1, row(failed, failed, types[0])))[1].verdict

    assert verdict(needed) is Verdict.FAIL
    assert verdict(needed - 1) is not Verdict.FAIL


def test_the_guards_are_said_in_words_before_they_act():
    made = frozen(
        Guard("delivery", floor_ppm=975_000),
        Guard("no-worse", at_least_ppm=None, margin_ppm=10_000, action=GuardAction.PAUSE),
    )
    words = what_it_means(made, Counts(attempts=1_000, delivered=996, failed=4))
    assert words == (
        "control 99.6 % of 1,000 events over 24 h; delivery rolls back on evidence of less than a healthy 97.5 % once "
        "the observed rate of delivery is below 95 %, after 3 failed units (user/10m) where all fail; no-worse pauses "
        "when the canary's delivery is worse by more than 1 point than the control's"
    )
    assert what_it_means(made, Counts()).startswith("no control history; ")
