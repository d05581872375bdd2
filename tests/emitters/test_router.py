from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from openfeature.event import EventDetails, ProviderEventDetails
from openfeature.flag_evaluation import Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from openfeature.provider.no_op_provider import NoOpProvider

from controller.emitters import Assignment, EmitterRouter, UserExecutionContext
from tests.emitters.flags import FLAG, ClientFor, FlagProvider
from tests.emitters.sockets import Backend, Client, eventually

Build = Callable[..., tuple[EmitterRouter, FlagProvider]]


def context(run_id: str = "run-1", user_id: str = "alice") -> UserExecutionContext:
    return UserExecutionContext(user_id, "thread-1", run_id=run_id)


@pytest.fixture
async def build(backend: Backend, client_for: ClientFor) -> AsyncIterator[Build]:
    routers: list[EmitterRouter] = []

    def make(*, canary: bool, **settings: object) -> tuple[EmitterRouter, FlagProvider]:
        provider = FlagProvider(canary=canary)
        router = EmitterRouter(client_for(provider, f"router-{len(routers)}"), backend.manager, **settings)  # type: ignore[arg-type]
        routers.append(router)
        return router, provider

    yield make
    for router in routers:
        router.close()


async def voided(router: EmitterRouter, by: Callable[[], object]) -> None:
    """Do something and wait until the router has heard of it; OpenFeature calls handlers from a thread."""
    before = router._generation
    by()
    await eventually(lambda: router._generation is not before)


def form(event: dict[str, object]) -> str:
    return "legacy" if "payload" in event else "unified"


async def test_a_run_asks_the_flag_once_and_keeps_its_answer(build: Build) -> None:
    router, provider = build(canary=True)
    first = router.emitter_for(context())
    provider.canary = False
    again = router.emitter_for(context())
    await again.emit_agent_started({})
    await first.emit_agent_thinking({})
    assert (first.variant, again.variant, len(provider.asked)) == ("unified", "unified", 1)
    assert router.emitter_for(context("run-2")).variant == "legacy"


async def test_the_question_names_the_user_and_the_thread_and_the_answer_is_kept_whole(build: Build) -> None:
    router, provider = build(canary=True)
    emitter = router.emitter_for(context())
    assert provider.asked[0] is not None
    assert (provider.asked[0].targeting_key, dict(provider.asked[0].attributes)) == ("alice", {"thread_id": "thread-1"})
    assert emitter.assignment == Assignment(FLAG, "unified", "unified-emitter", 3, 41, "SPLIT")


async def test_each_arm_speaks_its_own_envelope_over_the_same_manager(backend: Backend, build: Build) -> None:
    alice = await backend.connect("alice")
    for canary in (True, False):
        router, _ = build(canary=canary)
        receipt = await router.emitter_for(context(f"run-{canary}")).emit_agent_started({"agent_name": "planner"})
        assert (await receipt.outcome()).variant == ("unified" if canary else "legacy")
    await alice.event(1)
    assert [form(event) for event in alice.received] == ["unified", "legacy"]


@pytest.mark.parametrize(
    ("variant", "value", "expected"),
    [("unified", False, "unified"), ("legacy", True, "legacy"), ("other", True, "unified"), (None, False, "legacy")],
)
async def test_the_answers_variant_counts_when_it_is_one_of_the_two(
    build: Build, variant: str | None, value: bool, expected: str
) -> None:
    router, provider = build(canary=value)
    provider.variant = variant
    assert router.emitter_for(context()).variant == expected


async def test_any_error_means_control_outside_every_rollout(build: Build) -> None:
    router, provider = build(canary=True)
    provider.error = RuntimeError("broken")
    assignment = router.emitter_for(context()).assignment
    assert (assignment.variant, assignment.rollout, assignment.epoch) == ("legacy", None, 0)
    assert assignment.reason.startswith("ERROR")
    unknown, _ = build(canary=True, flag_key="no-such-flag")
    assert unknown.emitter_for(context()).assignment.reason == "ERROR: FLAG_NOT_FOUND"


async def test_metadata_of_the_wrong_type_is_not_believed(build: Build) -> None:
    router, provider = build(canary=True)
    provider.metadata = {"rollout": 7, "epoch": "3", "revision": True}
    assignment = router.emitter_for(context()).assignment
    assert (assignment.rollout, assignment.epoch, assignment.revision) == (None, 0, 0)


async def test_it_works_with_the_sdks_own_provider_and_without_any(backend: Backend, client_for: ClientFor) -> None:
    in_memory = InMemoryProvider({FLAG: InMemoryFlag("unified", {"unified": True, "legacy": False})})
    for provider, variant, reason in (
        (in_memory, "unified", Reason.STATIC),
        (NoOpProvider(), "legacy", Reason.DEFAULT),
    ):
        router = EmitterRouter(client_for(provider, variant), backend.manager)
        assignment = router.emitter_for(context()).assignment
        assert (assignment.variant, assignment.reason) == (variant, reason.value)
        router.close()


async def test_an_open_canary_run_moves_to_the_control_at_its_next_event_after_a_rollback(
    backend: Backend, build: Build
) -> None:
    alice = await backend.connect("alice")
    router, provider = build(canary=True)
    emitter = router.emitter_for(context())
    await emitter.emit_agent_started({})
    assert router.open_runs() == {"legacy": 0, "unified": 1}
    provider.metadata = {"rollout": "unified-emitter", "epoch": 4, "revision": 42}
    await voided(router, lambda: provider.change(canary=False))
    assert router.open_runs() == {"legacy": 0, "unified": 1}
    receipt = await emitter.emit_agent_thinking({})
    assert router.open_runs() == {"legacy": 1, "unified": 0}
    assert (emitter.assignment.variant, emitter.assignment.epoch) == ("legacy", 4)
    assert (await receipt.outcome()).variant == "legacy"
    await alice.event(1)
    assert [form(event) for event in alice.received] == ["unified", "legacy"]
    assert (router.moved_runs, router.exposures) == (1, {"legacy": 0, "unified": 1})


async def test_a_moved_run_never_comes_back_and_a_control_run_is_never_moved_up(build: Build) -> None:
    router, provider = build(canary=True)
    moved = router.emitter_for(context("moved"))
    await moved.emit_agent_started({})
    await voided(router, lambda: provider.change(canary=False))
    await moved.emit_agent_thinking({})
    control = router.emitter_for(context("control"))
    await control.emit_agent_started({})
    await voided(router, lambda: provider.change(canary=True))
    await moved.emit_tool_executing({})
    await control.emit_tool_executing({})
    assert (moved.variant, control.variant) == ("legacy", "legacy")
    assert router.emitter_for(context("new")).variant == "unified"


async def test_a_canary_run_that_is_still_canary_takes_the_new_assignment(build: Build) -> None:
    router, provider = build(canary=True)
    emitter = router.emitter_for(context())
    await emitter.emit_agent_started({})
    provider.metadata = {"rollout": "unified-emitter", "epoch": 4, "revision": 42}
    await voided(router, lambda: provider.change(canary=True))
    await emitter.emit_agent_thinking({})
    assert (emitter.variant, emitter.assignment.epoch) == ("unified", 4)
    assert (len(provider.asked), router.exposures["unified"], router.moved_runs) == (2, 1, 0)


async def test_a_change_of_other_flags_voids_nothing(build: Build) -> None:
    router, _ = build(canary=True)
    before = router._generation
    router._provider_changed(EventDetails(flags_changed=["another-flag"]))
    assert router._generation is before
    router._provider_changed(EventDetails(flags_changed=["another-flag", FLAG]))
    assert router._generation is not before


async def test_another_provider_that_takes_over_is_asked_again(backend: Backend, client_for: ClientFor) -> None:
    router = EmitterRouter(client_for(FlagProvider(canary=True), "replaced"), backend.manager)
    emitter = router.emitter_for(context())
    await emitter.emit_agent_started({})
    await voided(router, lambda: client_for(FlagProvider(canary=False), "replaced"))
    await emitter.emit_agent_thinking({})
    assert emitter.variant == "legacy"
    router.close()


@pytest.mark.parametrize("event", ["emit_provider_stale", "emit_provider_error"])
async def test_a_provider_that_fails_voids_the_canary(build: Build, event: str) -> None:
    router, provider = build(canary=True)
    emitter = router.emitter_for(context())
    await emitter.emit_agent_started({})
    provider.error = RuntimeError("lost the controller")
    await voided(router, lambda: getattr(provider, event)(ProviderEventDetails()))
    await emitter.emit_agent_thinking({})
    assert emitter.variant == "legacy"


async def test_a_local_rollback_needs_no_provider_and_holds_until_it_is_reset(build: Build) -> None:
    router, provider = build(canary=True)
    emitter = router.emitter_for(context())
    await emitter.emit_agent_started({})
    await router.rollback("success below 95 %")
    await emitter.emit_agent_thinking({})
    assert emitter.assignment.reason == "ROLLED_BACK: success below 95 %"
    assert router.emitter_for(context("run-2")).variant == "legacy"
    assert (router.latched, len(provider.asked)) == ("success below 95 %", 1)
    router.reset()
    assert router.emitter_for(context("run-3")).variant == "unified"
    assert emitter.variant == "legacy"


async def test_a_run_ends_with_agent_completed(build: Build) -> None:
    ended: list[tuple[str, str, str]] = []
    router, provider = build(
        canary=True, on_run_end=lambda assignment, user, run: ended.append((assignment.variant, user, run))
    )
    emitter = router.emitter_for(context())
    await emitter.emit_agent_started({})
    await emitter.emit_agent_completed({})
    assert router.open_runs() == {"legacy": 0, "unified": 0}
    assert ended == [("unified", "alice", "run-1")]
    router.emitter_for(context())
    assert len(provider.asked) == 2


async def test_a_run_can_be_released_by_hand_and_only_once(build: Build) -> None:
    ended: list[str] = []
    router, _ = build(canary=True, on_run_end=lambda _assignment, _user, run: ended.append(run))
    await router.emitter_for(context()).emit_agent_started({})
    router.release(context())
    router.release(context())
    assert (ended, router.open_runs()["unified"]) == (["run-1"], 0)


async def test_a_run_without_events_is_neither_open_nor_exposed(build: Build) -> None:
    router, _ = build(canary=True)
    router.emitter_for(context())
    assert (router.open_runs()["unified"], router.exposures["unified"]) == (0, 0)


async def test_an_idle_run_no_longer_counts_and_its_emitter_still_works(build: Build) -> None:
    counts: list[tuple[str, int]] = []
    router, _ = build(canary=True, idle_timeout=0.05, on_open_runs=lambda variant, n: counts.append((variant, n)))
    emitter = router.emitter_for(context())
    await emitter.emit_agent_started({})
    await eventually(lambda: counts == [("unified", 1), ("unified", 0)])  # told without anybody asking
    await emitter.emit_agent_thinking({})
    assert counts == [("unified", 1), ("unified", 0), ("unified", 1)]
    assert router.exposures["unified"] == 1


async def test_the_memory_of_runs_is_bounded_and_a_forgotten_run_keeps_its_variant(build: Build) -> None:
    router, provider = build(canary=True, max_pins=2)
    emitters = [router.emitter_for(context(f"run-{number}")) for number in range(3)]
    for emitter in emitters:
        await emitter.emit_agent_started({})
    assert router.open_runs()["unified"] == 2
    await emitters[0].emit_agent_thinking({})
    assert (router.open_runs()["unified"], len(provider.asked)) == (2, 3)


async def test_a_callback_that_raises_is_counted_and_emission_goes_on(build: Build) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    router, _ = build(canary=True, on_exposure=broken, on_run_end=broken)
    emitter = router.emitter_for(context())
    await emitter.emit_agent_started({})
    await emitter.emit_agent_completed({})
    assert router.observer_errors == 2


async def test_two_variants_of_one_name_are_refused(backend: Backend, client_for: ClientFor) -> None:
    with pytest.raises(ValueError, match="control and canary"):
        EmitterRouter(client_for(FlagProvider(canary=True), "same"), backend.manager, control="same", canary="same")


async def test_the_notifications_reach_the_arm_that_carries_the_run(backend: Backend, build: Build) -> None:
    alice: Client = await backend.connect("alice")
    router, _ = build(canary=False)
    emitter = router.emitter_for(context())
    await emitter.notify_agent_started("planner")
    await emitter.notify_tool_executing("search")
    await alice.event(1)
    assert [(event["agent_name"], form(event)) for event in alice.received] == [("planner", "legacy"), ("", "legacy")]
