"""The OpenFeature provider: answers from memory, and falls back to the control when the controller is out of reach."""

# ruff: noqa: ARG002 - OpenFeature's interface passes defaults and contexts that not every method needs

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import (
    FlagNotFoundError,
    InvalidContextError,
    ProviderFatalError,
    ProviderNotReadyError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.provider import AbstractProvider, Metadata

from controller.client.compiled import CompiledFlag, Kind
from controller.client.follower import SnapshotFollower
from controller.client.forks import after_fork
from controller.client.holder import SnapshotHolder
from controller.client.pace import Clock, Pace, seconds, steady
from controller.client.reporter import DeliveryReporter
from controller.client.transport import Endpoint, checked_instance, forked_name, process_name
from controller.domain.snapshots import Evaluation, Snapshot

logger = logging.getLogger(__name__)

_BOOLEAN, _STRING, _INTEGER, _FLOAT, _OBJECT = (kind.value for kind in Kind if kind)
_METADATA = Metadata(name="canary")
#: The SDK announces READY right after `initialize` returns; what is known to be otherwise is said after it.
_AFTER_READY_S = 0.1


class CanaryProvider(AbstractProvider):
    """Evaluates flags locally on the controller's latest snapshot, which a thread of its own keeps current.

    While the controller cannot be reached the last snapshot is served on; the canary share of a live rollout only
    until its contact lease has run out, then the control (reason STALE, metadata `lease: expired`). Before the first
    snapshot every evaluation answers PROVIDER_NOT_READY, so that callers get their default.

    Args:
        url, token: of the controller; the token's role is `sdk`.
        environment: refuse snapshots of any other; None adopts the first one seen.
        instance: a name for this process, unique in the environment; made when not given.
        reporter: "auto" makes one that lives and ends with this provider (see `reporter`); one of your own is started
            if need be and yours to close; None reports nothing, and the controller lists this process as unverifiable.
        app_version, region: shown with the instance.
        poll_interval: between polls while the stream does not work.
        init_timeout: how long `initialize` waits for the first snapshot. After it the application starts without one.
        clock: monotonic seconds.

    Raises:
        ValueError: an argument does not fit; the message names it.
    """

    def __init__(  # noqa: PLR0913 - a constructor's options, all keyword-only
        self,
        url: str,
        token: str,
        *,
        environment: str | None = None,
        instance: str | None = None,
        reporter: Literal["auto"] | DeliveryReporter | None = "auto",
        app_version: str = "",
        region: str = "",
        poll_interval: timedelta | float = 10.0,
        init_timeout: timedelta | float = 5.0,
        clock: Clock = steady,
        pace: Pace | None = None,
    ) -> None:
        super().__init__()
        self._endpoint = Endpoint(url, token)
        self._pace = pace or Pace()
        self._clock = clock
        self._poll_interval = seconds(poll_interval, "poll_interval")
        self._init_timeout = seconds(init_timeout, "init_timeout")
        self._owns_reporter = reporter == "auto"
        self.reporter = (
            DeliveryReporter(
                url, token, instance=instance, app_version=app_version, region=region, clock=clock, pace=self._pace
            )
            if reporter == "auto"
            else reporter
        )
        self._instance = _instance_of(instance, self.reporter)
        self._holder = SnapshotHolder(environment, clock, self._pace.silence, self._on_applied)
        self._follower: SnapshotFollower | None = None
        self._lifecycle = threading.Lock()
        self._telling = threading.Lock()
        self._first = threading.Event()
        self._denied: int | None = None
        self._told_stale: bool | None = None
        self._tell_from = 0.0
        after_fork(self._restart_in_child)

    @property
    def instance(self) -> str:
        """The name of this process at the controller."""
        return self.reporter.instance if self.reporter else self._instance

    @property
    def snapshot(self) -> Snapshot | None:
        """What is being evaluated."""
        compiled = self._holder.compiled
        return compiled.snapshot if compiled else None

    # --- life cycle -------------------------------------------------------------------------------------------------

    def get_metadata(self) -> Metadata:
        """`canary`."""
        return _METADATA

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Start following and wait for the first snapshot, at most `init_timeout`.

        A controller that is away does not keep the application from starting: the provider then turns STALE at once
        and READY with the first snapshot.

        Raises:
            ProviderFatalError: the controller refused the token (401, 403).
        """
        with self._lifecycle:
            self._first.clear()
            self._denied = None
            self._told_stale = None
            if self.reporter:
                self.reporter.start()
            if self._follower is None:
                self._follow()
        self._first.wait(self._init_timeout)
        if self._denied is not None and self._holder.compiled is None:
            status = self._denied
            self.shutdown()
            raise ProviderFatalError(f"the controller refused the token ({status}): it needs one of the role sdk")
        self._tell_from = time.monotonic() + _AFTER_READY_S
        self._told_stale = False
        if self._holder.compiled is None:  # the follower may be waiting for an answer for long
            later = threading.Timer(_AFTER_READY_S, self._tell_standing)
            later.daemon = True
            later.start()

    def shutdown(self) -> None:
        """Stop following; with a reporter of its own, also flush and deregister. Any number of times."""
        with self._lifecycle:
            follower, self._follower = self._follower, None
            self._told_stale = None
            if follower is not None:
                follower.stop(timeout=self._pace.connect + 2.0)
            if self.reporter and self._owns_reporter:
                self.reporter.close()

    def _follow(self) -> None:
        self._follower = SnapshotFollower(
            self._endpoint,
            self._holder,
            headers=self._headers,
            ticked=self._tell_standing,
            denied=self._on_denied,
            poll_interval=self._poll_interval,
            pace=self._pace,
            clock=self._clock,
        )
        self._follower.start()

    def _headers(self) -> dict[str, str]:
        return {"Canary-Instance": self.instance, "Canary-Reports": "1" if self.reporter else "0"}

    def _restart_in_child(self) -> None:
        self._lifecycle, self._telling = threading.Lock(), threading.Lock()
        self._instance = forked_name(self._instance)
        if self._follower is not None:
            self._follow()

    # --- what the follower tells ------------------------------------------------------------------------------------

    def _on_applied(self, snapshot: Snapshot, changed: list[str]) -> None:
        if self.reporter:
            self.reporter.applied(snapshot)
        details = ProviderEventDetails(flags_changed=changed, metadata={"revision": snapshot.revision})
        with suppress(RuntimeError):  # the SDK's event threads are gone when the interpreter ends
            self.emit_provider_configuration_changed(details)

    def _on_denied(self, status: int) -> None:
        if self._denied is None:
            logger.warning("the controller refused the token (%d); the last snapshot is served on", status)
        self._denied = status
        self._first.set()

    def _tell_standing(self) -> None:
        """Announce STALE and READY when the standing has changed since it was told last."""
        with self._telling:
            self._tell_change()

    def _tell_change(self) -> None:
        if self._holder.compiled is not None:
            self._first.set()
        if self._told_stale is None or time.monotonic() < self._tell_from:
            return
        stale = self._holder.stale()
        if stale == self._told_stale:
            return
        self._told_stale = stale
        with suppress(RuntimeError):
            if stale:
                self.emit_provider_stale(ProviderEventDetails(message="no contact with the controller"))
            else:
                self._denied = None
                self.emit_provider_ready(ProviderEventDetails(message="in contact with the controller"))

    # --- evaluation -------------------------------------------------------------------------------------------------

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """The flag's answer for this targeting key; errors are raised in OpenFeature's classes."""
        return self._resolve(flag_key, _BOOLEAN, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """See `resolve_boolean_details`."""
        return self._resolve(flag_key, _STRING, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """See `resolve_boolean_details`; a boolean is no integer."""
        return self._resolve(flag_key, _INTEGER, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """See `resolve_boolean_details`; a whole number is answered as float."""
        details = self._resolve(flag_key, _FLOAT, evaluation_context)
        details.value = float(details.value)
        return details

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """See `resolve_boolean_details`; the answer is the caller's own copy."""
        details = self._resolve(flag_key, _OBJECT, evaluation_context)
        details.value = copy.deepcopy(details.value)
        return details

    def _resolve(self, flag_key: str, kind: int, context: EvaluationContext | None) -> FlagResolutionDetails[Any]:
        holder = self._holder
        # The lease is read before the snapshot: else a renewal between the two would vouch for the old one.
        now = self._clock()
        silent = now - holder.contact
        compiled = holder.compiled
        if compiled is None:
            raise ProviderNotReadyError("no snapshot yet: the controller has not been reached")
        flag = compiled.flags.get(flag_key)
        if flag is None:
            raise FlagNotFoundError(f"the environment {compiled.snapshot.environment!r} has no flag {flag_key[:140]!r}")
        if not flag.kinds & kind:
            raise TypeMismatchError(f"the flag {flag_key!r} is not of the type {Kind(kind).name}")
        lapsed = flag.lease is not None and silent > flag.lease
        answer = flag.lapsed if lapsed else flag.answer or _split(flag, context)
        if self.reporter:
            self.reporter.answered(flag.arms[answer.variant], compiled.revision, now)
        return FlagResolutionDetails(
            value=answer.value,
            reason=answer.reason,
            variant=answer.variant,
            flag_metadata=flag.metadata(answer.reason),
        )


def _split(flag: CompiledFlag, context: EvaluationContext | None) -> Evaluation:
    key = context.targeting_key if context is not None else None
    if not key:
        raise TargetingKeyMissingError(f"{flag.published.key!r} is split between users: pass a targeting_key")
    if not isinstance(key, str):
        raise InvalidContextError(f"the targeting key is text, not {type(key).__name__}")
    return flag.split.answer(key) if flag.split else flag.lapsed


def _instance_of(instance: str | None, reporter: DeliveryReporter | None) -> str:
    if reporter is None:
        return checked_instance(instance) if instance is not None else process_name()
    if instance is not None and instance != reporter.instance:
        raise ValueError(f"instance {instance!r} differs from the reporter's {reporter.instance!r}: name it once")
    return reporter.instance
