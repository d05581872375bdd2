"""What a run holds: its events, each recorded before the emitter under test does anything."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any, Protocol, cast

from controller.emitters.attempts import CURRENT, AttemptClaim
from controller.emitters.calls import BridgeCalls, FactoryCalls, UnifiedCalls
from controller.emitters.events import EMIT_METHODS, CriticalEmits, RunEmitter
from controller.emitters.manager import UnifiedWebSocketManager
from controller.emitters.outcomes import Assignment, DeliveryAttempt, DeliveryStatus
from controller.emitters.receipts import EmitReceipt, OpenAttempt
from controller.emitters.runs import Run
from controller.emitters.types import RUN_ENDS, EventData, InvalidContextError, UserExecutionContext, new_id

__all__ = ["RoutedBridgeEmitter", "RoutedEmitter", "RoutedFactoryEmitter", "Routes"]

logger = logging.getLogger(__name__)


class Routes(Protocol):
    """The router, as its emitters see it."""

    @property
    def manager(self) -> UnifiedWebSocketManager:
        """Where the attempts are recorded and the events end."""

    def run_for(self, context: UserExecutionContext) -> Run:
        """The pinned run of this context."""

    def before_event(self, run: Run) -> Run:
        """Give the run to send by: still pinned, moved to the control if its canary is void."""

    def make_emitter(self, run: Run) -> RunEmitter:
        """The emitter of the run's variant."""

    def release(self, context: UserExecutionContext) -> None:
        """The run has ended."""


class _MeasuredRun(CriticalEmits):
    """The emitter of one run, whichever variant carries it. It never raises because of the emitter under test.

    An emitter that raises is charged at once, and the receipt is false. One that swallows the event is charged at the
    delivery deadline; until then the receipt repeats what it returned.
    """

    def __init__(self, router: Routes, run: Run) -> None:
        self._router = router
        self._run = run

    @property
    def context(self) -> UserExecutionContext:
        """The run."""
        return self._run.context

    @property
    def assignment(self) -> Assignment:
        """Why the run uses its variant. It changes at most once in kind: from canary to control."""
        return self._run.assignment

    @property
    def variant(self) -> str:
        """The arm that carried the last event."""
        return self._run.assignment.variant

    async def emit(self, event_type: str, data: EventData) -> EmitReceipt:
        """Record the attempt, then let the run's emitter send the event. An event that ends the run releases it."""
        run = self._run = self._router.before_event(self._run)
        opened = self._record(run, event_type)
        carried = AttemptClaim(opened)
        token = CURRENT.set(carried)
        try:
            result = await self._send(run, event_type, data)
        except asyncio.CancelledError:
            if not carried.claimed:
                self._settle(opened, DeliveryStatus.INTERRUPTED, "the emitting task was cancelled")
            raise
        except Exception as error:
            run.faults += 1
            if run.faults == 1:  # one trace per run is enough to find it; every fault is an outcome with its error
                logger.exception("the %s emitter raised on %s", run.assignment.variant, event_type)
            self._settle(opened, DeliveryStatus.ERROR, f"the emitter raised {error!r}")
            return EmitReceipt(opened, accepted=False)
        finally:
            CURRENT.reset(token)
            if event_type in RUN_ENDS:
                self._router.release(run.context)
        if not carried.claimed and self._router.manager.closing:
            self._settle(opened, DeliveryStatus.INTERRUPTED, "the manager is closing")
        return carried.receipt or EmitReceipt(opened, accepted=bool(result))

    def _record(self, run: Run, event_type: str) -> OpenAttempt:
        context, assignment = run.context, run.assignment
        manager = self._router.manager
        manager.ensure_sweeping()
        return manager.recorder.attempt(
            DeliveryAttempt(
                new_id(),
                event_type,
                context.user_id,
                context.run_id,
                context.thread_id,
                assignment.variant,
                assignment,
            )
        )

    async def _send(self, run: Run, event_type: str, data: EventData) -> object:
        emitter = run.emitter
        if emitter is None:  # made inside the measured part too: one whose constructor raises is charged for it
            emitter = run.emitter = self._router.make_emitter(run)
        method = EMIT_METHODS.get(event_type)
        if method is None:
            return await cast("Any", emitter).emit(event_type, data)  # only some emitters have it; the others raise
        return await getattr(emitter, method)(data)

    def _settle(self, opened: OpenAttempt, status: DeliveryStatus, error: str) -> None:
        self._router.manager.recorder.settle(opened.attempt.event_id, status, error)

    def _timestamp(self) -> str:
        return self._router.manager.timestamp()


class RoutedEmitter(_MeasuredRun, UnifiedCalls):
    """One run for callers that speak as to the unified emitter."""


class RoutedBridgeEmitter(_MeasuredRun, BridgeCalls):
    """One run for callers that speak as to the agent bridge."""

    def _refusal(self, event_type: str, run_id: str) -> EmitReceipt | None:
        own = self.context.run_id
        if run_id == own:
            return None
        run = self._run = self._router.before_event(self._run)
        opened = self._record(run, event_type)
        self._settle(opened, DeliveryStatus.REJECTED, f"run_id {run_id!r} is not this emitter's {own!r}")
        return EmitReceipt(opened, accepted=False)


class RoutedFactoryEmitter(FactoryCalls):
    """One user and thread for callers that speak as to the bridge factory's emitter: each call names its run.

    Each run is routed for itself, so that one emitter may carry runs of both arms.
    """

    def __init__(self, router: Routes, context: UserExecutionContext) -> None:
        self._router = router
        self.context = context

    async def emit(self, event_type: str, data: EventData) -> EmitReceipt:
        """Send an event of the run that the emitter was made for."""
        return await self.emit_for_run(None, event_type, data)

    async def emit_for_run(self, run_id: str | None, event_type: str, data: EventData) -> EmitReceipt:
        """Send an event of this run."""
        run = self._router.run_for(self._context_of(run_id))
        return await RoutedEmitter(self._router, run).emit(event_type, data)

    def _context_of(self, run_id: str | None) -> UserExecutionContext:
        if not run_id or run_id == self.context.run_id:
            return self.context
        try:
            return replace(self.context, run_id=run_id)
        except InvalidContextError:  # callers of the factory could pass anything, and events must not be lost by it
            return self.context

    def _timestamp(self) -> str:
        return self._router.manager.timestamp()
