"""The constants: their golden values, other thresholds, and that a changed one is noticed."""

import json
from fractions import Fraction
from typing import Any

import pytest

from controller.domain.guards import Guard, GuardAction, floor_range
from controller.domain.judge.constants import UnknownConstants, from_canonical
from controller.domain.judge.freeze import alpha_shares, auto_floor_ppm, freeze
from controller.domain.judge.points import micro_ln, scaled
from controller.domain.metrics import DELIVERY, LATER, POOLED, Family, Metric, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.tallies import Tally
from tests.domain.builders import STARTED, constants, frozen, plan

EVENT_96 = constants(960, UnitKind.EVENT)
#: Micro-nats for a failed and for a delivered unit against each alternative, worked out apart from the code.
SCORES_96 = (
    (223_143, -10_472),
    (559_615, -31_749),
    (1_011_600, -75_712),
    (1_609_437, -182_322),
    (2_420_368, -557_016),
    (3_113_515, -2_261_764),
)
SCORES_975 = (
    (693_147, -25_976),
    (1_029_619, -47_253),
    (1_481_604, -91_217),
    (2_079_441, -197_826),
    (2_890_371, -572_520),
    (3_583_518, -2_277_268),
)
#: -ln(alpha x share x weight x restart share): the line of the first alternative and of the five others.
LINES = {
    (UnitKind.EVENT, POOLED): (17_135_064, 17_645_890),
    (UnitKind.EVENT, STARTED): (18_744_502, 19_255_328),
    (UnitKind.USER_10M, STARTED): (18_156_716, 18_667_541),
    (UnitKind.USER_10M, LATER): (18_744_502, 19_255_328),
}
DIGESTS = {
    (960, UnitKind.EVENT): "588d33cdc6cf3d050c37782628ca4aae",
    (975, UnitKind.EVENT): "561fa7728e6a0619b3c3edf17fde68db",
    (960, UnitKind.USER_10M): "05b416458947b5306b6a87027b3d436a",
    (975, UnitKind.USER_10M): "b7b8317b9d28862dc4f506cfd042e70b",
}


def lines_of(floor: int, kind: UnitKind, stream: str):
    return next(lines for lines in constants(floor, kind).tests[0].streams if lines.stream == stream)


@pytest.mark.parametrize(("floor", "scores"), [(960, SCORES_96), (975, SCORES_975)])
def test_the_points_of_a_failed_and_of_a_delivered_unit(floor: int, scores: tuple[tuple[int, int], ...]):
    assert constants(floor).tests[0].scores == scores


def test_every_stream_starts_with_three_quarters_of_alpha_already_earned():
    assert EVENT_96.start == constants(975).start == 10_162_770


@pytest.mark.parametrize(("kind", "stream"), LINES, ids=str)
def test_the_line_follows_from_the_streams_share_of_alpha(kind: UnitKind, stream: str):
    first, others = LINES[kind, stream]
    assert lines_of(960, kind, stream).lines == (first, *[others] * 5)


@pytest.mark.parametrize(
    ("floor", "pooled", "each_type"),
    [(960, 14_176, 15_508), (965, 5_809, 6_354), (970, 2_982, 3_262), (975, 1_717, 1_879)],
)
def test_the_blocks_of_the_plain_rule_shrink_as_the_floor_rises(floor: int, pooled: int, each_type: int):
    blocks = {lines.stream: lines.block for lines in constants(floor, UnitKind.EVENT).tests[0].streams}
    assert blocks == {POOLED: 1_000 * pooled, **dict.fromkeys(CRITICAL_EVENTS, 1_000 * each_type)}


@pytest.mark.parametrize(("floor", "block"), [(960, 15_022), (975, 1_820)])
def test_by_user_the_types_have_more_of_alpha_and_so_shorter_blocks(floor: int, block: int):
    assert lines_of(floor, UnitKind.USER_10M, STARTED).block == 1_000 * block


@pytest.mark.parametrize("kind", UnitKind)
@pytest.mark.parametrize("types", [("a",), CRITICAL_EVENTS, tuple(f"e{n}" for n in range(20))], ids=len)
@pytest.mark.parametrize("family", [DELIVERY, Family(Metric.WITHIN, 100), Family(Metric.COMPLETENESS, 300_000)])
def test_the_shares_of_alpha_add_up_to_the_whole(kind: UnitKind, types: tuple[str, ...], family: Family):
    assert sum(alpha_shares(kind, family, types).values()) == 1


def test_guards_of_one_rollout_share_one_alpha():
    """Two guards: each line is higher by ln 2, the price of the second look."""
    two = frozen(Guard("a", floor_ppm=960_000), Guard("b", at_least_ppm=980_000))
    alone = lines_of(960, UnitKind.USER_10M, STARTED).lines
    price = {both - one for both, one in zip(two.tests[0].streams[0].lines, alone, strict=True)}
    assert price <= {693_147, 693_148}


def test_promotion_needs_this_much():
    rule, test = EVENT_96.promotion, EVENT_96.tests[0]
    assert test.proof_scores == ((-2_995_733, 48_790), (-1_609_438, 41_242), (-510_826, 20_834), (-223_144, 10_471))
    assert (test.proof_line, rule.line, rule.margin_ppm) == (5_991_465, 6_396_930, 10_000)
    assert [level.ppm // 1_000 for level in rule.canary_levels] == [10, 15, 20, 25, 30, 35, 40, 45, 50]
    assert [level.ppm // 1_000 for level in rule.control_levels] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert rule.canary_levels[0].scores == ((-1_386_295, 7_547), (-510_826, 4_032), (-162_519, 1_514))
    assert rule.control_levels[0].scores == ((182_321, -1_006), (405_465, -2_516), (916_290, -7_567))


def test_canaries_that_do_not_speak_are_judged_by_these_numbers():
    silence = EVENT_96.silence
    assert silence.reporting == ((-693_148, 500_000), (-2_302_586, 900_000))
    assert silence.reporting_line == 16_665_061
    assert silence.ratio_line == 8_294_050


@pytest.mark.parametrize(("floor", "kind"), DIGESTS, ids=str)
def test_the_shipped_constants_have_not_changed_unnoticed(floor: int, kind: UnitKind):
    assert constants(floor, kind).digest() == DIGESTS[floor, kind]


@pytest.mark.parametrize("kind", UnitKind)
def test_stored_constants_are_read_back_exactly(kind: UnitKind):
    made = frozen(
        Guard("delivery"),
        Guard("no-worse", at_least_ppm=None, margin_ppm=10_000, action=GuardAction.PAUSE),
        Guard("speed", Metric.WITHIN, 990_000, deadline_ms=100, action=GuardAction.ALERT),
        Guard("complete", Metric.COMPLETENESS, deadline_ms=300_000),
        unit=kind,
    )
    assert from_canonical(made.canonical()) == made
    assert from_canonical(json.dumps(json.loads(made.canonical()), indent=3)).digest() == made.digest()


def test_constants_of_a_form_that_is_not_known_are_refused_rather_than_guessed_at():
    with pytest.raises(UnknownConstants, match="form 3"):
        from_canonical(EVENT_96.canonical().replace('"form":2', '"form":3'))
    with pytest.raises(UnknownConstants, match="form None"):
        from_canonical('{"floor_permille":960}')
    with pytest.raises(UnknownConstants, match=r"form 2 that this release cannot read: .*mood"):
        from_canonical(EVENT_96.canonical().replace('"form":2', '"form":2,"mood":1'))
    with pytest.raises(UnknownConstants, match="form 2 that this release cannot read: 'tests'"):
        from_canonical(EVENT_96.canonical().replace('"tests":', '"tryouts":'))


def numbers_in(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of each whole number of a JSON document."""
    if isinstance(document, int):
        return [path]
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [found for key, value in items for found in numbers_in(value, (*path, key))]


def test_no_number_can_be_changed_by_one_without_another_digest():
    text = EVENT_96.canonical()
    digests = {EVENT_96.digest()}
    paths = [path for path in numbers_in(json.loads(text)) if path != ("form",)]
    for path in paths:
        document = json.loads(text)
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] += 1
        digests.add(from_canonical(json.dumps(document)).digest())
    assert len(paths) > 400
    assert len(digests) == len(paths) + 1


def test_another_margin_unit_event_list_or_floor_is_another_set_of_constants():
    others = [
        frozen(promotion_margin_ppm=20_000),
        frozen(unit=UnitKind.RUN),
        frozen(events=CRITICAL_EVENTS[::-1]),
        frozen(Guard("delivery", floor_ppm=965_000)),
        frozen(alpha_ppm=5_000),
        frozen(min_samples=200),
        frozen(min_users=10),
    ]
    assert len({made.digest() for made in [frozen(), *others]}) == len(others) + 1


@pytest.mark.parametrize("threshold", [500_000, 800_000, 900_000, 950_000, 990_000, 995_000, 999_000])
@pytest.mark.parametrize("at", ["least", "most", "auto"])
def test_every_threshold_and_floor_that_a_plan_allows_has_sound_constants(threshold: int, at: str):
    least, most = floor_range(threshold)
    floor = {"least": least, "most": most, "auto": None}[at]
    made = frozen(Guard("a", at_least_ppm=threshold, floor_ppm=floor))
    test = made.tests[0]
    assert test.floor_ppm > threshold
    assert all(failed > 0 > delivered for failed, delivered in test.scores)
    assert all(failed < 0 < delivered for failed, delivered in test.proof_scores)
    assert all(lines.block > 0 and lines.block % 1_000 == 0 for lines in test.streams)
    assert all(line > made.start for lines in test.streams for line in lines.lines)
    assert [failed for failed, _ in test.scores] == sorted(failed for failed, _ in test.scores)


def test_another_threshold_keeps_the_odds_ratios_of_the_table():
    """At 99 % the table's 5 % stands for 1 %, and its 10 % for what has the same ratio of odds to it."""
    allowed = Fraction(1, 100)
    assert scaled(Fraction(1, 20), allowed) == allowed
    odds = scaled(Fraction(1, 10), allowed) / (1 - scaled(Fraction(1, 10), allowed))
    assert odds / Fraction(1, 99) == (Fraction(1, 9) / Fraction(1, 19))
    assert scaled(Fraction(1, 10), Fraction(1, 20)) == Fraction(1, 10)


@pytest.mark.parametrize(
    ("delivered", "total", "floor"),
    [
        (0, 0, 960),
        (9_999, 9_999, 960),
        (10_000, 10_000, 975),
        (99_500, 100_000, 975),
        (99_499, 100_000, 970),
        (99_000, 100_000, 970),
        (98_900, 100_000, 965),
        (98_499, 100_000, 960),
        (90_000, 100_000, 960),
        (0, 100_000, 960),
    ],
)
def test_the_automatic_floor_is_two_points_below_the_control_within_its_limits(delivered: int, total: int, floor: int):
    assert auto_floor_ppm(950_000, Tally(total - delivered, total)) == 1_000 * floor


def test_the_automatic_floor_of_another_threshold_is_the_tables_carried_over():
    """`at_least: 99%`: 96 % becomes 99.2 %, 97.5 % becomes 99.5 %; the best control gets the higher one."""
    assert auto_floor_ppm(990_000, Tally(0, 0)) == 992_067
    assert auto_floor_ppm(990_000, Tally(0, 20_000)) == 995_103
    assert auto_floor_ppm(990_000, Tally(200, 20_000)) == 992_067


def test_the_floor_of_each_guard_follows_its_own_metric():
    guards = (Guard("delivery"), Guard("speed", Metric.WITHIN, 950_000, deadline_ms=100))
    made = freeze(plan(guards=guards), {DELIVERY: Tally(0, 50_000), Family(Metric.WITHIN, 100): Tally(0, 50)})
    assert [test.floor_ppm for test in made.tests] == [975_000, 960_000]


def test_logarithms_are_exact_and_rounded_down():
    assert micro_ln(Fraction(1)) == 0
    assert micro_ln(Fraction(2)) == 693_147
    assert micro_ln(Fraction(1, 2)) == -693_148
