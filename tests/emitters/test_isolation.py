"""Nobody ever sees somebody else's event: under load, while connections come and go, with payloads that try."""

from __future__ import annotations

import asyncio
import random

from controller.emitters import (
    EmitterRouter,
    LegacyFactoryEmitter,
    RolloutEmitterFactory,
    UserExecutionContext,
)
from tests.emitters.flags import FLAG, ClientFor, FlagProvider
from tests.emitters.sockets import Backend, Client, running_backend

USERS = 100
RUNS = 6


class HalfAndHalf(FlagProvider):
    """Half of the users are on the canary."""

    def resolve_boolean_details(self, flag_key, default_value, evaluation_context=None):  # type: ignore[no-untyped-def]
        assert evaluation_context is not None
        self.canary = int(str(evaluation_context.targeting_key).split("-")[1]) % 2 == 0
        return super().resolve_boolean_details(flag_key, default_value, evaluation_context)


async def runs_of(backend: Backend, factory: RolloutEmitterFactory, number: int, chance: random.Random) -> list[Client]:
    """One user's runs, in which connections break and are replaced; every payload names a victim."""
    user_id, victim = f"user-{number}", f"user-{(number + 1) % USERS}"
    peers = [await backend.connect(user_id, f"{user_id}-desktop"), await backend.connect(user_id)]
    for run in range(RUNS):
        context = UserExecutionContext(user_id, f"t-{number}", run_id=f"run-{number}-{run}")
        emitter = await factory.create_user_emitter(context)
        hostile = {"user_id": victim, "thread_id": f"t-{number + 1}", "target_user_id": victim, "owner": user_id}
        await emitter.emit_agent_started(hostile)
        if chance.random() < 0.5:
            peers[0].reset()
            peers.append(await backend.connect(user_id, f"{user_id}-desktop"))
            peers[0], peers[-1] = peers[-1], peers[0]
        await emitter.emit_agent_thinking(hostile)
        await asyncio.sleep(0)
        await emitter.emit_agent_completed(hostile)
    return peers


async def test_a_crowd_with_hostile_payloads_and_breaking_connections_sees_only_its_own(client_for: ClientFor) -> None:
    async with running_backend(delivery_timeout=3.0) as backend:
        provider = HalfAndHalf(canary=False)
        router = EmitterRouter(
            client_for(provider, "crowd"), backend.manager, flag_key=FLAG, make_control=LegacyFactoryEmitter
        )
        factory = RolloutEmitterFactory(router)
        chance = random.Random(7)
        crowd = await asyncio.gather(*(runs_of(backend, factory, number, chance) for number in range(USERS)))
        await backend.manager.recorder.all_settled()
        for number, peers in enumerate(crowd):
            seen = [event for peer in peers for event in peer.received]
            assert {event["data"]["owner"] for event in seen} == {f"user-{number}"}
            assert {"event_type" in event for event in seen} == {number % 2 == 1}  # and only in its own arm's form
            # Every event reached the user on some connection, whatever broke in between.
            assert len({event["event_id"] for event in seen}) == 3 * RUNS
        counters = backend.manager.recorder.counters()
        assert counters.attempted == counters.total == USERS * RUNS * 3
        assert counters.of_variant("unified").attempted == counters.of_variant("legacy").attempted
        assert counters.failed == 0
        router.close()
