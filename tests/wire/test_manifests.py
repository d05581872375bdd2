"""The manifest: every refusal names its field, and a plan survives being written and read."""

from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.errors import Invalid
from controller.domain.guards import Guard, GuardAction
from controller.domain.metrics import RESERVED, Metric, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.plans import Approval, Breaker, Mode, Otherwise, Plan, Stage
from controller.wire.manifests import manifest_from_plan, manifest_of, plan_of
from tests.domain.builders import steady
from tests.wire.documents import DROPPED, plan, stage

WHOLE = stage()
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def test_a_short_manifest_stands_for_the_rule_of_the_house():
    made = plan()
    assert made.stages == (Stage(100, 600_000), Stage(10_000, 1_800_000))
    assert made.guards == (Guard("delivery", Metric.DELIVERY, 950_000, None, action=GuardAction.ROLLBACK),)
    assert (made.unit, made.events, made.lease_ms) == (UnitKind.USER_10M, CRITICAL_EVENTS, 120_000)
    assert (made.mode, made.measure_ms, made.holdback, made.min_users, made.min_samples) == (Mode.ENFORCE, 0, 0, 0, 0)
    assert (made.alpha_ppm, made.patience_ms, made.cool_down_ms) == (10_000, 3 * DAY_MS, 600_000)


def test_everything_can_be_said():
    made = plan(
        guards=[{"name": "d", "at_least": "95%", "floor": "97.5%", "action": "pause"}],
        stages=[
            stage("5%"),
            stage("10%", approval="none"),
            stage("25%", approval="required"),
            stage("100%", approval={"within": "2h", "otherwise": "rollback"}),
        ],
        mode="observe",
        breaker="trip",
        measure="1h",
        unit="run",
        events=["a", "b"],
        alpha="0.5%",
        min_users=500,
        min_samples=200,
        patience="6h",
        holdback="5%",
        cool_down="1h",
        lease="90s",
        promotion_margin="0.5%",
        allow_overlap=True,
        owner="chat",
        channel="#rollouts",
        note="try two",
    )
    asked = [each.approval for each in made.stages]
    assert asked == [None, None, Approval(DAY_MS, Otherwise.PAUSE), Approval(2 * HOUR_MS, Otherwise.ROLLBACK)]
    assert made == Plan(
        stages=made.stages,
        guards=(Guard("d", Metric.DELIVERY, 950_000, 975_000, action=GuardAction.PAUSE),),
        unit=UnitKind.RUN,
        events=("a", "b"),
        mode=Mode.OBSERVE,
        breaker=Breaker.TRIP,
        alpha_ppm=5_000,
        lease_ms=90_000,
        promotion_margin_ppm=5_000,
        min_users=500,
        min_samples=200,
        patience_ms=6 * HOUR_MS,
        holdback=500,
        measure_ms=HOUR_MS,
        cool_down_ms=HOUR_MS,
        allow_overlap=True,
        owner="chat",
        channel="#rollouts",
        note="try two",
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        # a key that is missing or not known
        ({"rollout": DROPPED}, "rollout"),
        ({"flag": DROPPED}, "flag"),
        ({"control": DROPPED}, "control"),
        ({"canary": DROPPED}, "canary"),
        ({"stages": DROPPED}, "stages"),
        ({"shares": []}, "shares"),
        ({"stages": [stage(baked="1m")]}, "stages[0].baked"),
        ({"stages": [{"share": "100%"}]}, "stages[0].bake"),
        ({"stages": [{"bake": "1m"}]}, "stages[0].share"),
        ({"guards": [{"threshold": "95%"}]}, "guards[0].threshold"),
        # keys and variants
        ({"rollout": ""}, "rollout"),
        ({"rollout": "a b"}, "rollout"),
        ({"rollout": 7}, "rollout"),
        ({"flag": "a/b"}, "flag"),
        ({"control": ""}, "control"),
        ({"canary": True}, "canary"),
        ({"canary": "legacy"}, "canary"),
        # shares
        ({"stages": []}, "stages"),
        ({"stages": "100%"}, "stages"),
        ({"stages": [WHOLE] * 51}, "stages"),
        ({"stages": [stage(100)]}, "stages[0].share"),
        ({"stages": [stage("100")]}, "stages[0].share"),
        ({"stages": [stage("0%"), WHOLE]}, "stages[0].share"),
        ({"stages": [stage("-1%"), WHOLE]}, "stages[0].share"),
        ({"stages": [stage("0.001%"), WHOLE]}, "stages[0].share"),
        ({"stages": [stage("10%"), stage("10%"), WHOLE]}, "stages[1].share"),
        ({"stages": [stage("10%"), stage("5%"), WHOLE]}, "stages[1].share"),
        ({"stages": [stage("10%"), stage("101%")]}, "stages[1].share"),
        ({"stages": [stage("10%"), stage("50%")]}, "stages[1].share"),
        # durations
        ({"stages": [stage(bake="10")]}, "stages[0].bake"),
        ({"stages": [stage(bake=600)]}, "stages[0].bake"),
        ({"stages": [stage(bake="10min")]}, "stages[0].bake"),
        ({"stages": [stage("5%"), stage(bake="1w")]}, "stages[1].bake"),
        ({"stages": [stage(bake="0s")]}, "stages[0].bake"),
        ({"stages": [stage(bake="31d")]}, "stages[0].bake"),
        ({"lease": "120"}, "lease"),
        ({"lease": "29s"}, "lease"),
        ({"lease": "2h"}, "lease"),
        ({"breaker": "always"}, "breaker"),
        # approvals
        ({"stages": [stage("5%", approval="required"), WHOLE]}, "stages[0].approval"),
        ({"stages": [stage("5%"), stage(approval="asked")]}, "stages[1].approval"),
        ({"stages": [stage("5%"), stage(approval={"within": "30s"})]}, "stages[1].approval.within"),
        ({"stages": [stage("5%"), stage(approval={"within": "soon"})]}, "stages[1].approval.within"),
        ({"stages": [stage("5%"), stage(approval={"otherwise": "wait"})]}, "stages[1].approval.otherwise"),
        ({"stages": [stage("5%"), stage(approval={"by": "ann"})]}, "stages[1].approval.by"),
        # the rest
        ({"unit": "user"}, "unit"),
        ({"events": []}, "events"),
        ({"events": ["a", ""]}, "events[1]"),
        ({"events": ["a", "a"]}, "events[1]"),
        ({"events": ["x" * 101]}, "events[0]"),
        *(({"events": ["a", name]}, "events[1]") for name in sorted(RESERVED)),
        ({"events": [f"e{n}" for n in range(101)]}, "events"),
        ({"mode": "watch"}, "mode"),
        ({"measure": "1"}, "measure"),
        ({"measure": "8d"}, "measure"),
        ({"alpha": "0.001%"}, "alpha"),
        ({"alpha": "6%"}, "alpha"),
        ({"min_users": -1}, "min_users"),
        ({"min_users": 1_000_001}, "min_users"),
        ({"min_samples": 19}, "min_samples"),
        ({"min_samples": 1_000_001}, "min_samples"),
        ({"patience": "30s"}, "patience"),
        ({"patience": "31d"}, "patience"),
        ({"holdback": "51%"}, "holdback"),
        ({"holdback": "some"}, "holdback"),
        ({"cool_down": "8d"}, "cool_down"),
        ({"promotion_margin": "0%"}, "promotion_margin"),
        ({"promotion_margin": "6%"}, "promotion_margin"),
        ({"promotion_margin": "0.05%"}, "promotion_margin"),
        ({"allow_overlap": "yes"}, "allow_overlap"),
        ({"owner": "x" * 201}, "owner"),
        ({"channel": "x" * 201}, "channel"),
        ({"note": None}, "note"),
    ],
)
def test_a_refusal_names_the_field(changes: dict[str, Any], field: str):
    with pytest.raises(Invalid) as refused:
        plan(**changes)
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")


@pytest.mark.parametrize("what", [None, [], "rollout: x", 7])
def test_what_is_no_mapping_is_told_what_a_manifest_looks_like(what: object):
    with pytest.raises(Invalid, match="a mapping with the keys rollout, flag, control, canary and stages"):
        manifest_of(what)


names = st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True).filter(lambda name: name not in RESERVED)
#: YAML takes these for ends of lines; its writer does not say so.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85\u2028\u2029"), max_size=20)
durations = st.integers(60_000, 7 * DAY_MS)
approvals = st.none() | st.builds(Approval, durations, st.sampled_from(Otherwise))


def stages_of(weights: list[int]) -> st.SearchStrategy[tuple[Stage, ...]]:
    """Stages that grow to everybody; starting is the first one's approval."""
    asked = [st.none(), *[approvals] * len(weights)]
    shares = [*sorted(weights), 10_000]
    return st.tuples(
        *[st.builds(Stage, st.just(w), st.integers(1, 30 * DAY_MS), a) for w, a in zip(shares, asked, strict=True)]
    )


actions = st.sampled_from(GuardAction)
guards = st.one_of(
    st.builds(Guard, names, st.just(Metric.DELIVERY), st.just(950_000), st.none() | st.integers(955_000, 990_000)),
    st.builds(Guard, names, st.just(Metric.WITHIN), st.integers(500_000, 999_000), deadline_ms=st.integers(1, HOUR_MS)),
    st.builds(Guard, names, at_least_ppm=st.none(), margin_ppm=st.integers(1_000, 500_000), action=actions),
)
plans = st.builds(
    Plan,
    stages=st.lists(st.integers(1, 9_999), max_size=5, unique=True).flatmap(stages_of),
    guards=st.lists(guards, max_size=4, unique_by=lambda guard: guard.name).map(
        lambda found: (Guard("Delivery"), *found)  # no generated name begins with a capital
    ),
    unit=st.sampled_from(UnitKind),
    events=st.lists(names, min_size=1, max_size=6, unique=True).map(tuple),
    mode=st.sampled_from(Mode),
    breaker=st.sampled_from(Breaker),
    alpha_ppm=st.integers(100, 50_000),
    lease_ms=st.integers(30_000, 3_600_000),
    promotion_margin_ppm=st.integers(1_000, 50_000),
    min_users=st.integers(0, 1_000_000),
    min_samples=st.just(0) | st.integers(20, 1_000_000),
    patience_ms=durations,
    holdback=st.integers(0, 5_000),
    measure_ms=st.just(0) | durations,
    cool_down_ms=st.just(0) | durations,
    allow_overlap=st.booleans(),
    owner=texts,
    channel=texts,
    note=texts,
)


@steady
@given(made=plans)
def test_a_plan_survives_being_written_as_a_manifest_in_json_and_in_yaml(made: Plan):
    manifest = manifest_from_plan("r", "f", "legacy", "unified", made)
    plain = msgspec.to_builtins(manifest)
    assert plan_of(manifest) == made
    assert plan_of(manifest_of(msgspec.json.decode(msgspec.json.encode(manifest)))) == made
    assert plan_of(manifest_of(yaml.safe_load(yaml.safe_dump(plain, allow_unicode=True)))) == made


@steady
@given(made=plans)
def test_writing_a_plan_again_gives_the_same_document(made: Plan):
    manifest = manifest_from_plan("r", "f", "legacy", "unified", made)
    assert manifest_from_plan("r", "f", "legacy", "unified", plan_of(manifest)) == manifest
