"""The OpenFeature provider: `CanaryClient` in OpenFeature's terms, with its events, errors and tracking."""

# ruff: noqa: ARG002 - OpenFeature's interface passes defaults and contexts that not every method needs

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
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
from openfeature.hook import Hook
from openfeature.provider import AbstractProvider, Metadata
from openfeature.track import TrackingEventDetails

from controller.client.canary import CanaryClient, ClientObserver, TokenRefused
from controller.client.compiled import Kind
from controller.client.forks import after_fork
from controller.client.pace import Clock, Pace, seconds, steady
from controller.client.reporter import DeliveryReporter
from controller.client.sdk import renew_event_threads
from controller.domain.evaluation import NO_ATTRIBUTES, Reason
from controller.domain.snapshots import Snapshot

_BOOLEAN, _STRING, _INTEGER, _FLOAT, _OBJECT = (kind.value for kind in Kind if kind)
_METADATA = Metadata(name="canary")
#: The SDK announces READY right after `initialize` returns; what is known to be otherwise is said after it.
_AFTER_READY_S = 0.1


def _resolver(kind: int) -> Any:
    """The method that answers flags of one type; made, not called on, since a call costs as much as half the hash."""

    def resolve(
        self: CanaryProvider,
        flag_key: str,
        default_value: Any,  # noqa: ARG001 - OpenFeature's interface
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Any]:
        holder = self._holder
        now = self._clock()
        silent = now - holder.contact  # before the flags: a renewal between the two would vouch for the old ones
        flag = holder.flags.get(flag_key)
        if flag is None or not flag.kinds & kind:
            return self._unanswered(flag_key, kind)
        if evaluation_context is None:
            key, attributes = None, NO_ATTRIBUTES
        else:
            key, attributes = evaluation_context.targeting_key, evaluation_context.attributes
            if key.__class__ is not str and key is not None and not isinstance(key, str):
                raise InvalidContextError(f"the targeting key is text, not {type(key).__name__}")
        answer = flag.choose(key, attributes) if silent <= flag.lease else flag.lapsed()
        if answer is None:
            raise TargetingKeyMissingError(f"{flag_key!r} is split between users: pass a targeting_key")
        answer.count += 1
        answer.at = now
        return FlagResolutionDetails(answer.value, None, None, answer.reason, answer.variant, answer.metadata)

    return resolve


class CanaryProvider(AbstractProvider, ClientObserver):
    """Evaluates flags locally on the controller's latest snapshot, which a thread of its own keeps current.

    While the controller cannot be reached the last snapshot is served on; the canary share of a live rollout only
    until its contact lease has run out, then the control (reason STALE, metadata `reason: lease`). Before the first
    snapshot an evaluation answers `controls`, else PROVIDER_NOT_READY, so that callers get their default.

    Args:
        url, token: of the controller; the token's role is `sdk`.
        environment: refuse snapshots of any other; None adopts the first one seen.
        instance: a name for this process, unique in the environment; made when not given.
        reporter: "auto" makes one that lives and ends with this provider (see `reporter`); one of your own is started
            if need be and yours to close; None reports nothing, and the controller lists this process as unverifiable.
        app_version: of the application: one that has failed in a rollout is served the control (DISABLED, metadata
            `reason: quarantine`), until somebody lifts its quarantine.
        region: shown with the instance.
        controls: values by flag that are served before the first snapshot, whatever the caller's default.
        snapshot_path: keep the last snapshot in this file, and begin with it while the controller is away.
        hooks: run with every evaluation through OpenFeature, and cost every one; none by default.
        poll_interval: between polls while the stream does not work.
        init_timeout: how long `initialize` waits for the first snapshot. After it the application starts without one.
        clock: seconds since the machine was started.

    Attributes:
        client: the same flags without OpenFeature, for hot paths.

    Raises:
        ValueError: an argument does not fit; the message names it.
    """

    #: What evaluates and follows.
    client_class: type[CanaryClient] = CanaryClient

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
        controls: Mapping[str, FlagValueType] | None = None,
        snapshot_path: str | Path | None = None,
        hooks: Sequence[Hook] = (),
        poll_interval: timedelta | float = 10.0,
        init_timeout: timedelta | float = 5.0,
        clock: Clock = steady,
        pace: Pace | None = None,
    ) -> None:
        super().__init__()
        self._init_timeout = seconds(init_timeout, "init_timeout")
        self.client = self.client_class(
            url,
            token,
            environment=environment,
            instance=instance,
            reporter=reporter,
            app_version=app_version,
            region=region,
            controls=controls,
            snapshot_path=snapshot_path,
            poll_interval=poll_interval,
            clock=clock,
            pace=pace,
            observer=self,
        )
        self._holder = self.client.holder
        self._clock = clock
        self._hooks = list(hooks)
        self._telling = threading.Lock()
        self._told_stale: bool | None = None
        self._tell_from = 0.0
        after_fork(self._restart_in_child)

    @property
    def reporter(self) -> DeliveryReporter | None:
        """Who reports deliveries."""
        return self.client.reporter

    @property
    def instance(self) -> str:
        """The name of this process at the controller."""
        return self.client.instance

    @property
    def snapshot(self) -> Snapshot | None:
        """What is being evaluated."""
        return self.client.snapshot

    # --- life cycle -------------------------------------------------------------------------------------------------

    def get_metadata(self) -> Metadata:
        """`canary`."""
        return _METADATA

    def get_provider_hooks(self) -> list[Hook]:
        """The hooks that were asked for."""
        return self._hooks

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Start following and wait for the first snapshot, at most `init_timeout`.

        A controller that is away does not keep the application from starting: the provider then turns STALE at once
        and READY with the first snapshot.

        Raises:
            ProviderFatalError: the controller refused the token (401, 403).
        """
        self._told_stale = None
        try:
            found = self.client.start(self._init_timeout)
        except TokenRefused as refusal:
            raise ProviderFatalError(str(refusal)) from None
        self._tell_from = time.monotonic() + _AFTER_READY_S
        self._told_stale = False
        if not found or self.client.stale:  # the follower may be waiting for an answer for long
            later = threading.Timer(_AFTER_READY_S, self.ticked)
            later.daemon = True
            later.start()

    def shutdown(self) -> None:
        """Stop following; with a reporter of its own, also flush and deregister. Any number of times."""
        self._told_stale = None
        self.client.close()

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """Report an event of the context's user as an outcome, for every live rollout that judges it.

        Attributes of the details: `outcome` (delivered by default; failed, abandoned, interrupted), `latency_ms`,
        `flag` for one flag alone, `run`.
        """
        said = tracking_event_details.attributes if tracking_event_details is not None else {}
        wanted = {name: said[name] for name in ("outcome", "latency_ms", "flag", "run") if name in said}
        key, attributes = _asker(evaluation_context)
        self.client.track(tracking_event_name, key, attributes, **wanted)

    def _restart_in_child(self) -> None:
        self._telling = threading.Lock()
        renew_event_threads()

    # --- what the client tells --------------------------------------------------------------------------------------

    def changed(self, revision: int, flags: list[str]) -> None:
        """Announce exactly the flags that changed."""
        details = ProviderEventDetails(flags_changed=flags, metadata={"revision": revision})
        with suppress(RuntimeError):  # the SDK's event threads are gone when the interpreter ends
            self.emit_provider_configuration_changed(details)

    def ticked(self) -> None:
        """Announce STALE and READY when the standing has changed since it was told last."""
        with self._telling:
            if self._told_stale is None or time.monotonic() < self._tell_from:
                return
            stale = self.client.stale
            if stale == self._told_stale:
                return
            self._told_stale = stale
            with suppress(RuntimeError):
                if stale:
                    self.emit_provider_stale(ProviderEventDetails(message="no contact with the controller"))
                else:
                    self.emit_provider_ready(ProviderEventDetails(message="in contact with the controller"))

    # --- evaluation -------------------------------------------------------------------------------------------------

    resolve_boolean_details = _resolver(_BOOLEAN)
    resolve_string_details = _resolver(_STRING)
    resolve_integer_details = _resolver(_INTEGER)
    _resolve_float = _resolver(_FLOAT)
    _resolve_object = _resolver(_OBJECT)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """A whole number is answered as float."""
        details: FlagResolutionDetails[float] = self._resolve_float(flag_key, default_value, evaluation_context)
        details.value = float(details.value)
        return details

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """The answer is the caller's own copy."""
        details: FlagResolutionDetails[Any] = self._resolve_object(flag_key, default_value, evaluation_context)
        details.value = copy.deepcopy(details.value)
        return details

    def _unanswered(self, flag_key: str, kind: int) -> FlagResolutionDetails[Any]:
        """What to answer where no flag of this type is held: errors are raised in OpenFeature's classes."""
        compiled = self._holder.compiled
        if compiled is None:
            return self._before_the_first(flag_key, kind)
        if flag_key not in compiled.flags:
            raise FlagNotFoundError(f"the environment {compiled.snapshot.environment!r} has no flag {flag_key[:140]!r}")
        raise TypeMismatchError(f"the flag {flag_key!r} is not of the type {Kind(kind).name}")

    def _before_the_first(self, flag_key: str, kind: int) -> FlagResolutionDetails[Any]:
        if flag_key not in self.client.controls:
            raise ProviderNotReadyError("no snapshot yet: the controller has not been reached")
        value = self.client.controls[flag_key]
        if not _kinds_of(value) & kind:
            raise TypeMismatchError(f"the control given for {flag_key!r} is not of the type {Kind(kind).name}")
        return FlagResolutionDetails(
            value=value, reason=Reason.STALE.value, flag_metadata={"reason": "no snapshot yet"}
        )


def _asker(context: EvaluationContext | None) -> tuple[str | None, Mapping[str, Any]]:
    if context is None:
        return None, NO_ATTRIBUTES
    key = context.targeting_key
    if key is not None and not isinstance(key, str):
        raise InvalidContextError(f"the targeting key is text, not {type(key).__name__}")
    return key, context.attributes


def _kinds_of(value: object) -> int:
    if isinstance(value, bool):
        return _BOOLEAN
    if isinstance(value, int):
        return _INTEGER | _FLOAT
    if isinstance(value, str):
        return _STRING
    return _FLOAT if isinstance(value, float) else _OBJECT
