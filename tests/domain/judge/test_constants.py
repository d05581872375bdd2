"""The constants: their golden values, and that a changed one is noticed."""

import json
from dataclasses import replace
from typing import Any

import pytest

from controller.domain.judge.constants import alpha_shares, auto_floor_permille, delivery_constants, from_canonical
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.units import LATER, POOLED, UnitKind
from tests.domain.builders import STARTED, constants

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
    (960, UnitKind.EVENT): "45fb61cba3d2aae7d1e9805e5d62b944",
    (975, UnitKind.EVENT): "240cbcd52f785b23096b7844046b376b",
    (960, UnitKind.USER_10M): "4916dcc56c4dffacead4dc7e7354f05c",
    (975, UnitKind.USER_10M): "92585a5e431ca7b5c991efb0f1c09f51",
}


@pytest.mark.parametrize(("floor", "scores"), [(960, SCORES_96), (975, SCORES_975)])
def test_the_points_of_a_failed_and_of_a_delivered_unit(floor: int, scores: tuple[tuple[int, int], ...]):
    assert constants(floor).scores == scores


def test_every_stream_starts_with_three_quarters_of_alpha_already_earned():
    assert EVENT_96.start == constants(975).start == 10_162_770


@pytest.mark.parametrize(("kind", "stream"), LINES, ids=str)
def test_the_line_follows_from_the_streams_share_of_alpha(kind: UnitKind, stream: str):
    first, others = LINES[kind, stream]
    assert constants(960, kind).lines[stream] == (first, *[others] * 5)


@pytest.mark.parametrize(
    ("floor", "pooled", "each_type"),
    [(960, 14_176, 15_508), (965, 5_809, 6_354), (970, 2_982, 3_262), (975, 1_717, 1_879)],
)
def test_the_blocks_of_the_plain_rule_shrink_as_the_floor_rises(floor: int, pooled: int, each_type: int):
    blocks = constants(floor, UnitKind.EVENT).blocks
    assert blocks == {POOLED: 1_000 * pooled, **dict.fromkeys(CRITICAL_EVENTS, 1_000 * each_type)}


@pytest.mark.parametrize(("floor", "block"), [(960, 15_022), (975, 1_820)])
def test_by_user_the_types_have_more_of_alpha_and_so_shorter_blocks(floor: int, block: int):
    assert constants(floor).blocks[STARTED] == 1_000 * block


@pytest.mark.parametrize("kind", UnitKind)
@pytest.mark.parametrize("types", [("a",), CRITICAL_EVENTS, tuple(f"e{n}" for n in range(20))], ids=len)
def test_the_shares_of_alpha_add_up_to_the_whole(kind: UnitKind, types: tuple[str, ...]):
    assert sum(alpha_shares(kind, types).values()) == pytest.approx(1.0)


def test_promotion_needs_this_much():
    rule = EVENT_96.promotion
    assert rule.type_scores == ((-2_995_733, 48_790), (-1_609_438, 41_242), (-510_826, 20_834), (-223_144, 10_471))
    assert (rule.type_line, rule.level_line, rule.margin_permille) == (5_991_465, 6_396_930, 10)
    assert [level.permille for level in rule.canary_levels] == [10, 15, 20, 25, 30, 35, 40, 45, 50]
    assert [level.permille for level in rule.control_levels] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert rule.canary_levels[0].scores == ((-1_386_295, 7_547), (-510_826, 4_032), (-162_519, 1_514))
    assert rule.control_levels[0].scores == ((182_321, -1_006), (405_465, -2_516), (916_290, -7_567))


@pytest.mark.parametrize(("floor", "kind"), DIGESTS, ids=str)
def test_the_shipped_constants_have_not_changed_unnoticed(floor: int, kind: UnitKind):
    assert constants(floor, kind).digest() == DIGESTS[floor, kind]


@pytest.mark.parametrize("kind", UnitKind)
def test_stored_constants_are_read_back_exactly(kind: UnitKind):
    frozen = constants(975, kind)
    assert from_canonical(frozen.canonical()) == frozen
    assert from_canonical(json.dumps(json.loads(frozen.canonical()), indent=3)).digest() == frozen.digest()


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
    paths = numbers_in(json.loads(text))
    for path in paths:
        document = json.loads(text)
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] += 1
        digests.add(from_canonical(json.dumps(document)).digest())
    assert len(paths) > 150
    assert len(digests) == len(paths) + 1


def test_another_margin_unit_or_event_list_is_another_set_of_constants():
    others = [
        delivery_constants(960, UnitKind.USER_10M, CRITICAL_EVENTS, 20),
        delivery_constants(960, UnitKind.RUN, CRITICAL_EVENTS),
        delivery_constants(960, UnitKind.USER_10M, CRITICAL_EVENTS[::-1]),
        delivery_constants(965, UnitKind.USER_10M, CRITICAL_EVENTS),
        replace(constants(), least_failed=1_999),
    ]
    assert len({frozen.digest() for frozen in [constants(), *others]}) == 6


@pytest.mark.parametrize("floor", range(955, 991, 5))
@pytest.mark.parametrize("kind", UnitKind)
def test_every_floor_that_a_plan_allows_has_sound_constants(floor: int, kind: UnitKind):
    frozen = constants(floor, kind)
    assert all(failed > 0 > delivered for failed, delivered in frozen.scores)
    assert all(block > 0 and block % 1_000 == 0 for block in frozen.blocks.values())
    assert all(line > frozen.start for lines in frozen.lines.values() for line in lines)


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
    ],
)
def test_the_automatic_floor_is_two_points_below_the_control_within_its_limits(delivered: int, total: int, floor: int):
    assert auto_floor_permille(delivered, total) == floor
