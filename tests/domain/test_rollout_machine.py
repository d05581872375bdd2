"""Whatever is done to a rollout, in whatever order."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from controller.domain.errors import WrongPhase
from controller.domain.rollouts import TRANSITIONS, Action, Phase, Rollout, after, with_share
from tests.domain.builders import NOW, plan, rollout

weights = st.lists(st.integers(1, 9_999), max_size=4, unique=True).map(lambda some: [*sorted(some), 10_000])


class RolloutMachine(RuleBasedStateMachine):
    @initialize(weights=weights)
    def draft(self, weights: list[int]) -> None:
        self.rollout, self.now = rollout(plan=plan(*weights)), NOW
        self.by_hand = False

    @rule(seconds=st.integers(0, 2_000))
    def pass_time(self, seconds: int) -> None:
        self.now += 1_000 * seconds

    @rule(weight=st.integers(1, 10_000))
    def set_share(self, weight: int) -> None:
        before = self.rollout
        if (before.phase, Action.SET_SHARE) not in TRANSITIONS:
            with pytest.raises(WrongPhase):
                with_share(before, weight, self.now)
            return
        self.rollout = with_share(before, weight, self.now)
        assert (self.rollout.weight, self.rollout.epoch) == (weight, before.epoch + 1)
        self.by_hand = True

    @rule(action=st.sampled_from([action for action in Action if action is not Action.SET_SHARE]))
    def act(self, action: Action) -> None:
        before = self.rollout
        allowed = (before.phase, action) in TRANSITIONS and not (action is Action.ADVANCE and before.on_last_stage)
        if not allowed:
            with pytest.raises(WrongPhase):
                after(before, action, self.now)
            return
        self.rollout = after(before, action, self.now)
        self.by_hand = self.by_hand and action not in (Action.ADVANCE, Action.ROLLBACK)
        self.compare(before, self.rollout, action)

    def compare(self, before: Rollout, moved: Rollout, action: Action) -> None:
        assert not before.phase.final or action is Action.RE_ARM, "final phases stay final until a person re-arms"
        assert moved.version == before.version + 1
        opens = moved.weight != before.weight or action in (Action.OPEN_EPOCH, Action.MEASURE, Action.RAMP_DOWN)
        assert moved.epoch == before.epoch + opens
        shrinks = action is Action.RAMP_DOWN and moved.weight <= before.ramps_to
        stays = moved.weight in (0, before.weight)
        assert moved.weight > before.weight or stays or shrinks, "a share grows, stays, is gone, or a freeze shrinks it"
        assert moved.round == before.round + (action is Action.START)
        fixed = {"key", "flag_key", "control", "canary", "plan"}
        assert replace(moved, **{name: getattr(before, name) for name in fixed}) == moved

    @invariant()
    def the_share_is_that_of_the_stage_while_users_can_see_the_canary(self) -> None:
        now = self.rollout
        if now.phase.live:
            assert now.weight > 0
            assert self.by_hand or now.weight == now.present_stage.weight
        else:
            self.by_hand = False
        if now.phase in (Phase.DRAFT, Phase.MEASURING, Phase.ABORTED, Phase.ROLLING_BACK, Phase.ROLLED_BACK):
            assert now.weight == 0

    @invariant()
    def what_has_ended_says_when(self) -> None:
        assert (self.rollout.ended_ms is not None) == self.rollout.phase.final
        assert (self.rollout.paused_ms is not None) or self.rollout.phase is not Phase.PAUSED

    @invariant()
    def no_stage_is_baked_before_its_time(self) -> None:
        now = self.rollout
        if now.stage_started_ms is not None:
            assert not now.baked(now.stage_started_ms + now.present_stage.bake_ms - 1)


RolloutMachine.TestCase.settings = settings(
    max_examples=80, stateful_step_count=25, deadline=None, derandomize=True, database=None
)
TestRollout = RolloutMachine.TestCase
