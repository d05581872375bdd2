"""Which emitter carries which run: asked of OpenFeature once per run, taken back in a moment."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from typing import Final

from openfeature.client import OpenFeatureClient
from openfeature.event import EventDetails, ProviderEvent
from openfeature.provider import FeatureProvider

from controller.emitters.assignments import FlagQuestion
from controller.emitters.events import RunEmitter
from controller.emitters.legacy import LegacyBridgeEmitter
from controller.emitters.manager import UnifiedWebSocketManager
from controller.emitters.observers import Callbacks, ObserverList, RunObserver
from controller.emitters.outcomes import Assignment
from controller.emitters.routed import RoutedBridgeEmitter, RoutedEmitter, RoutedFactoryEmitter
from controller.emitters.runs import PinnedRuns, Run
from controller.emitters.tracker import RunEnd, RunTracker
from controller.emitters.types import UserExecutionContext, as_context
from controller.emitters.unified import UnifiedWebSocketEmitter

__all__ = ["EmitterFactory", "EmitterRouter"]

#: Makes the emitter of one run.
EmitterFactory = Callable[[UnifiedWebSocketManager, UserExecutionContext], RunEmitter]

#: After any of these an answer given before may no longer hold.
_VOIDING_EVENTS: Final = (
    ProviderEvent.PROVIDER_CONFIGURATION_CHANGED,
    ProviderEvent.PROVIDER_STALE,
    ProviderEvent.PROVIDER_ERROR,
)


class EmitterRouter:
    """Gives each run the emitter that the flag says and keeps it there, so that a run never straddles two envelopes.

    The one exception is the way back: when the flag's configuration changes or its provider fails, every canary
    assignment is void at once, and each open canary run asks again at its next event. If it is not canary any more it
    moves to the control from that event on. A control run is never moved up.

    Use it from the manager's event loop; `latch` and the provider's events may come from any thread. `close` ends the
    subscription to the provider's events.

    Args:
        client: an OpenFeature client whose provider answers from memory.
        manager: where both emitters send.
        flag_key: a boolean flag; true, or the variant named like `canary`, means canary.
        control: name of the control variant.
        canary: name of the canary variant.
        make_canary: makes a canary run's emitter; the unified emitter when not given.
        make_control: makes a control run's emitter; the legacy bridge's when not given.
        max_pins: runs remembered at once.
        idle_timeout: seconds without an event after which a run no longer counts as open. It stays pinned.
        pin_timeout: seconds without an event after which a run is forgotten. Its emitter stays usable.
        tracker: follows the runs of the manager's recorder, and releases each one that has ended.
        on_exposure: called with the assignment when a run sends its first event.
        on_open_runs: called with a variant and its number of open runs whenever that changes.
        on_run_end: called with the assignment, user id and run id when a run ends: by agent_completed or agent_error,
            by the tracker, or by `release`.
        on_rollback: called by `rollback` after this process has latched, with the reason; may be a coroutine function.
            The place to tell whoever else has to know, such as a flag service without a controller.
    """

    def __init__(  # noqa: PLR0913 -- keyword-only, each with its default
        self,
        client: OpenFeatureClient,
        manager: UnifiedWebSocketManager,
        *,
        flag_key: str = "unified-websocket-emitter",
        control: str = "legacy",
        canary: str = "unified",
        make_canary: EmitterFactory = UnifiedWebSocketEmitter.create_user_emitter,
        make_control: EmitterFactory = LegacyBridgeEmitter,
        max_pins: int = 100_000,
        idle_timeout: float = 60.0,
        pin_timeout: float = 300.0,
        tracker: RunTracker | None = None,
        on_exposure: Callable[[Assignment], None] | None = None,
        on_open_runs: Callable[[str, int], None] | None = None,
        on_run_end: Callable[[Assignment, str, str], None] | None = None,
        on_rollback: Callable[[str], object] | None = None,
    ) -> None:
        if control == canary:
            raise ValueError(f"control and canary are both {control!r}: name the two variants differently")
        self.manager = manager
        self.flag_key = flag_key
        self.canary = canary
        self._question = FlagQuestion(client, flag_key, control, canary)
        self._factories = {control: make_control, canary: make_canary}
        self._observers = ObserverList()
        self._observers.add(Callbacks(on_exposure, on_open_runs, on_run_end))
        self._runs = PinnedRuns(max_pins, idle_timeout, pin_timeout, self._observers)
        self._on_rollback = on_rollback
        self._exposures = {control: 0, canary: 0}
        self._moved = 0
        self._latched: str | None = None
        # A fresh object voids what was assigned under the old one: one store, safe from any thread, whatever is open.
        self._generation = object()
        self._client = client
        self._provider = client.provider
        self.tracker = tracker
        self._subscribe()

    def emitter_for(self, context: UserExecutionContext) -> RoutedEmitter:
        """The emitter of this run. The flag is asked at the first call for a run; later calls give the same answer."""
        return RoutedEmitter(self, self.run_for(context))

    def bridge_emitter_for(self, context: UserExecutionContext) -> RoutedBridgeEmitter:
        """The same for callers that speak as to the agent bridge: notify_agent_started(run_id, agent_name, ...)."""
        return RoutedBridgeEmitter(self, self.run_for(context))

    def factory_emitter_for(self, context: UserExecutionContext) -> RoutedFactoryEmitter:
        """The same for callers that speak as to the bridge factory's emitter: each call names its run."""
        return RoutedFactoryEmitter(self, as_context(context))

    def run_for(self, context: UserExecutionContext) -> Run:
        """The pinned run of this context; the flag is asked if there is none."""
        run = self._runs.get((context.user_id, context.run_id))
        if run is None:
            context, generation = as_context(context), self._generation
            run = self._runs.pin(Run(context, self._assign(context), generation, self._now()))
        return run

    def assignment_of_user(self, user_id: str) -> Assignment:
        """What the flag says for a user outside of any run: the arm to open a session for."""
        if self._latched is not None:
            return self._question.control_because(f"ROLLED_BACK: {self._latched}")
        return self._question.ask(user_id)

    def release(self, context: UserExecutionContext) -> None:
        """The run has ended. Happens by itself at agent_completed and agent_error; unknown runs are no error."""
        self._release(context.user_id, context.run_id)

    def open_runs(self) -> dict[str, int]:
        """Open runs by the variant that carried their last event."""
        self._runs.release_idle(self._now())
        return {**dict.fromkeys(self._exposures, 0), **self._runs.open_counts()}

    @property
    def exposures(self) -> dict[str, int]:
        """Runs that have sent their first event, by variant."""
        return dict(self._exposures)

    @property
    def provider(self) -> FeatureProvider:
        """The provider that answers now."""
        return self._client.provider

    @property
    def moved_runs(self) -> int:
        """Runs that were taken from the canary to the control while open."""
        return self._moved

    @property
    def observer_errors(self) -> int:
        """Times that an observer or callback raised."""
        return self._observers.errors

    @property
    def latched(self) -> str | None:
        """Why everything goes to the control regardless of the flag, or None."""
        return self._latched

    def add_observer(self, observer: RunObserver) -> None:
        """Tell this one of exposures, open runs and ended runs too."""
        self._observers.add(observer)

    def latch(self, reason: str) -> None:
        """Send everybody to the control from the next event on, whatever the flag says, until `reset`.

        Immediate and local to this process: needs neither the provider nor a loop.
        """
        self._latched = reason or "rolled back"
        self._generation = object()

    async def rollback(self, reason: str) -> None:
        """`latch`, then `on_rollback`. The form that monitors call."""
        self.latch(reason)
        if self._on_rollback is not None:
            told = self._on_rollback(reason)
            if isawaitable(told):
                await told

    def reset(self) -> None:
        """Let the flag decide for new runs again. Runs that were moved stay where they are."""
        self._latched = None

    def close(self) -> None:
        """Stop listening to the provider and to the manager. Emitters that were given out keep working."""
        for event in _VOIDING_EVENTS:
            self._client.remove_handler(event, self._provider_changed)
        self._client.remove_handler(ProviderEvent.PROVIDER_READY, self._provider_ready)
        self.manager.remove_sweep(self._sweep)
        if self.tracker is not None:
            self.manager.recorder.remove_listener(self.tracker)
            self.manager.remove_sweep(self.tracker.sweep)

    @property
    def generation(self) -> object:
        """Another object whenever what was assigned before may not hold any more. Read it from any thread."""
        return self._generation

    def before_event(self, run: Run) -> Run:
        """For the routed emitters: the run to send by, moved if its canary no longer holds."""
        run = self._runs.pin(run)
        if run.generation is not self._generation and run.assignment.variant == self.canary:
            self._ask_again(run)
        self._runs.carried_event(run, self.manager.recorder.clock())
        if not run.exposed:
            run.exposed = True
            self._exposures[run.assignment.variant] += 1
            self._observers.exposed(run.assignment)
        return run

    def make_emitter(self, run: Run) -> RunEmitter:
        """For the routed emitters: a new emitter of the run's variant."""
        return self._factories[run.assignment.variant](self.manager, run.context)

    def _assign(self, context: UserExecutionContext) -> Assignment:
        if self._latched is not None:
            return self._question.control_because(f"ROLLED_BACK: {self._latched}")
        return self._question.ask(context.user_id, {"thread_id": context.thread_id})

    def _ask_again(self, run: Run) -> None:
        run.generation = self._generation  # before asking: a change during the evaluation voids this answer too
        run.assignment = self._assign(run.context)
        if run.assignment.variant != self.canary:
            run.emitter = None
            self._moved += run.exposed

    def _subscribe(self) -> None:
        for event in _VOIDING_EVENTS:
            self._client.add_handler(event, self._provider_changed)
        self._client.add_handler(ProviderEvent.PROVIDER_READY, self._provider_ready)
        self.manager.add_sweep(self._sweep)
        if self.tracker is not None:
            self.tracker.attach(self.manager.recorder)
            self.tracker.on_end(self._run_is_over)
            self.manager.add_sweep(self.tracker.sweep)

    def _run_is_over(self, user_id: str, run_id: str, _end: RunEnd) -> None:
        self._release(user_id, run_id)

    def _release(self, user_id: str, run_id: str) -> None:
        run = self._runs.release((user_id, run_id))
        if run is not None:
            self._observers.run_ended(run.assignment, user_id, run_id)

    def _provider_changed(self, details: EventDetails) -> None:
        if details.flags_changed is None or self.flag_key in details.flags_changed:
            self._generation = object()

    def _provider_ready(self, _details: EventDetails) -> None:
        if self._client.provider is not self._provider:  # another provider has taken over, and may answer differently
            self._provider = self._client.provider
            self._generation = object()

    def _sweep(self, now: float) -> bool:
        self._runs.release_idle(now)
        return len(self._runs) > 0

    def _now(self) -> float:
        return self.manager.recorder.clock()
