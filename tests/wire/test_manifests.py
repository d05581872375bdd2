"""The manifest: every refusal names its field, and a plan survives being written and read."""

from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.errors import Invalid
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.plans import Guard, GuardAction, Plan, Stage
from controller.domain.units import UnitKind
from controller.wire.manifests import manifest_from_plan, manifest_of, plan_of
from tests.domain.builders import steady

DROPPED = object()


def document(**changes: Any) -> dict[str, Any]:
    """A manifest that is fine, with these keys changed (or dropped)."""
    given = {
        "rollout": "unified-emitter",
        "flag": "unified-websocket-emitter",
        "control": "legacy",
        "canary": "unified",
        "stages": [{"share": "1%", "bake": "10m"}, {"share": "100%", "bake": "30m"}],
        **changes,
    }
    return {key: value for key, value in given.items() if value is not DROPPED}


def plan(**changes: Any) -> Plan:
    return plan_of(manifest_of(document(**changes)))


def stage(share: Any = "100%", bake: Any = "10m", **more: Any) -> dict[str, Any]:
    return {"share": share, "bake": bake, **more}


WHOLE = stage()


def test_a_short_manifest_stands_for_the_rule_of_the_house():
    made = plan()
    assert made.stages == (Stage(100, 600_000), Stage(10_000, 1_800_000))
    assert made.guards == (Guard("delivery", "delivery_success", 950, None, GuardAction.ROLLBACK),)
    assert (made.unit, made.events, made.lease_ms) == (UnitKind.USER_10M, CRITICAL_EVENTS, 120_000)


def test_everything_can_be_said():
    made = plan(
        guards=[{"name": "d", "at_least": "95%", "floor": "97.5%", "action": "pause"}],
        unit="run",
        events=["a", "b"],
        lease="90s",
        promotion_margin="0.5%",
        allow_overlap=True,
        owner="chat",
        note="try two",
    )
    assert made.guard == Guard("d", "delivery_success", 950, 975, GuardAction.PAUSE)
    assert (made.unit, made.events, made.lease_ms, made.promotion_margin_permille) == (
        UnitKind.RUN,
        ("a", "b"),
        90_000,
        5,
    )
    assert (made.allow_overlap, made.owner, made.note) == (True, "chat", "try two")


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
        # the guard
        ({"guards": []}, "guards"),
        ({"guards": [{}, {}]}, "guards"),
        ({"guards": [{"metric": "latency"}]}, "guards[0].metric"),
        ({"guards": [{"at_least": "99%"}]}, "guards[0].at_least"),
        ({"guards": [{"at_least": 95}]}, "guards[0].at_least"),
        ({"guards": [{"floor": "95%"}]}, "guards[0].floor"),
        ({"guards": [{"floor": "99.5%"}]}, "guards[0].floor"),
        ({"guards": [{"floor": "97.55%"}]}, "guards[0].floor"),
        ({"guards": [{"floor": "high"}]}, "guards[0].floor"),
        ({"guards": [{"action": "ignore"}]}, "guards[0].action"),
        ({"guards": [{"name": ""}]}, "guards[0].name"),
        # the rest
        ({"unit": "user"}, "unit"),
        ({"events": []}, "events"),
        ({"events": ["a", ""]}, "events[1]"),
        ({"events": ["a", "a"]}, "events[1]"),
        ({"events": ["later"]}, "events[0]"),
        ({"events": [f"e{n}" for n in range(21)]}, "events"),
        ({"promotion_margin": "0%"}, "promotion_margin"),
        ({"promotion_margin": "6%"}, "promotion_margin"),
        ({"promotion_margin": "0.05%"}, "promotion_margin"),
        ({"allow_overlap": "yes"}, "allow_overlap"),
        ({"owner": "x" * 201}, "owner"),
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


names = st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True).filter(lambda name: name not in ("later", "pooled"))
stages = st.lists(st.integers(1, 9_999), max_size=5, unique=True).flatmap(
    lambda weights: st.tuples(
        *[st.builds(Stage, st.just(weight), st.integers(1, 30 * 86_400_000)) for weight in [*sorted(weights), 10_000]]
    )
)
guards = st.builds(
    Guard,
    names,
    st.just("delivery_success"),
    st.just(950),
    st.none() | st.integers(955, 990),
    st.sampled_from(GuardAction),
)
plans = st.builds(
    Plan,
    stages=stages,
    guards=st.tuples(guards),
    unit=st.sampled_from(UnitKind),
    events=st.lists(names, min_size=1, max_size=6, unique=True).map(tuple),
    lease_ms=st.integers(30_000, 3_600_000),
    promotion_margin_permille=st.integers(1, 50),
    allow_overlap=st.booleans(),
    owner=st.text(max_size=20),
    note=st.text(max_size=20),
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
