"""The client: follows the controller, answers from memory, and falls back to the control by itself.

`CanaryProvider` puts it behind OpenFeature. Where an evaluation has to cost less than the OpenFeature client itself
does, ask it directly.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from controller.client.breaker import LocalBreaker
from controller.client.compiled import Answer, CompiledFlag, Kind
from controller.client.disk import DiskSnapshot
from controller.client.follower import SnapshotFollower
from controller.client.forks import after_fork
from controller.client.holder import HolderObserver, SnapshotHolder
from controller.client.pace import Clock, Pace, seconds, steady
from controller.client.privacy import clean
from controller.client.reporter import DeliveryReporter
from controller.client.tracking import Tracker
from controller.client.transport import SDK, Endpoint, checked_instance, forked_name, process_name
from controller.clock import system_clock
from controller.domain.evaluation import NO_ATTRIBUTES
from controller.domain.snapshots import Snapshot

logger = logging.getLogger(__name__)

T = TypeVar("T")


class _KindOfType(dict[type, int]):
    """The bits of the types that a default of this type may be answered by; subclasses count as what they extend."""

    def __missing__(self, kind: type) -> int:
        return next((bits for known, bits in self.items() if issubclass(kind, known)), 0)


_KIND_OF = _KindOfType(
    {
        bool: Kind.BOOLEAN.value,
        str: Kind.STRING.value,
        int: Kind.INTEGER.value,
        float: Kind.FLOAT.value,
        dict: Kind.OBJECT.value,
        list: Kind.OBJECT.value,
    }
)


class TokenRefused(Exception):
    """The controller refused the token; it needs one of the role sdk. `status` is 401 or 403."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the controller refused the token ({status}): it needs one of the role sdk")
        self.status = status


@dataclass(frozen=True, slots=True)
class Assignment:
    """One answer with what is needed to report its outcome.

    Attributes:
        variant: None where the default was used.
        reason: OpenFeature's, or ERROR.
        rollout, epoch: of the answer's evidence; None where no rollout governs it.
    """

    value: Any
    variant: str | None
    reason: str
    rollout: str | None = None
    epoch: int = 0
    revision: int = 0


class ClientObserver:
    """What a client tells, on its own threads; override what is of interest, and return soon."""

    def changed(self, revision: int, flags: list[str]) -> None:
        """These flags may answer differently now."""

    def ticked(self) -> None:
        """Called several times a minute and after everything that may have changed the standing."""

    def denied(self, status: int) -> None:
        """The controller refused the token."""


class CanaryClient(HolderObserver):
    """Answers flags from memory. No call waits for the network or raises; all are thread-safe.

    Args:
        url, token: of the controller; the token's role is `sdk`.
        environment: refuse snapshots of any other; None adopts the first one seen.
        instance: a name for this process, unique in the environment; made when not given.
        reporter: "auto" makes one that lives and ends with this client (see `reporter`); one of your own is started
            if need be and yours to close; None reports nothing, and the controller lists this process as unverifiable.
        app_version: of the application: one that has failed in a rollout is served the control.
        region: shown with the instance.
        controls: values by flag that are served before the first snapshot, whatever the caller's default.
        snapshot_path: keep the last snapshot in this file, and begin with it while the controller is away.
        poll_interval: between polls while the stream does not work.
        clock: seconds since the machine was started.

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
        controls: Mapping[str, Any] | None = None,
        snapshot_path: str | Path | None = None,
        poll_interval: timedelta | float = 10.0,
        clock: Clock = steady,
        pace: Pace | None = None,
        observer: ClientObserver | None = None,
    ) -> None:
        self._endpoint = Endpoint(url, token)
        self._pace = pace or Pace()
        self._clock = clock
        self._poll_interval = seconds(poll_interval, "poll_interval")
        self._owns_reporter = reporter == "auto"
        self.reporter = (
            DeliveryReporter(
                url, token, instance=instance, app_version=app_version, region=region, clock=clock, pace=self._pace
            )
            if reporter == "auto"
            else reporter
        )
        self._instance = _instance_of(instance, self.reporter)
        self.controls = dict(controls or {})
        self.observer = observer or ClientObserver()
        version = clean(app_version) or (self.reporter.app_version if self.reporter else "")
        self.holder = SnapshotHolder(environment, clock, self._pace, self, app_version=version)
        self._disk = DiskSnapshot(snapshot_path, token, clock) if snapshot_path is not None else None
        self._tracker = Tracker(self.holder, self.reporter, clock)
        self._breaker = LocalBreaker(self.holder, self.reporter, self._pace, clock) if self.reporter else None
        self._follower: SnapshotFollower | None = None
        self._lifecycle = threading.Lock()
        self._first = threading.Event()
        self._denied: int | None = None
        after_fork(self._restart_in_child)

    @property
    def instance(self) -> str:
        """The name of this process at the controller."""
        return self.reporter.instance if self.reporter else self._instance

    @property
    def snapshot(self) -> Snapshot | None:
        """What is being evaluated."""
        compiled = self.holder.compiled
        return compiled.snapshot if compiled else None

    @property
    def stale(self) -> bool:
        """Whether the controller has not been heard lately."""
        return self.holder.stale()

    # --- life cycle -------------------------------------------------------------------------------------------------

    def start(self, timeout: timedelta | float = 5.0) -> bool:
        """Begin to follow, and wait for the first snapshot; False if it did not come in time, and comes later.

        A controller that is away keeps no application from starting: the snapshot on disk is used if there is one,
        else callers get `controls` or their defaults until the first snapshot.

        Raises:
            TokenRefused: the controller refused the token, and there is no snapshot to serve.
        """
        with self._lifecycle:
            self._first.clear()
            self._denied = None
            if self.reporter:
                self.reporter.start()
            if self.holder.compiled is None and self._disk is not None and (found := self._disk.load()):
                self.holder.restore(*found)
            if self._follower is None:
                self._follow()
        self._first.wait(seconds(timeout, "timeout"))
        if self._denied is not None and self.holder.compiled is None:
            status = self._denied
            self.close()
            raise TokenRefused(status)
        return self.holder.compiled is not None

    def close(self) -> None:
        """Stop following; with a reporter of its own, also flush and deregister. Any number of times."""
        with self._lifecycle:
            follower, self._follower = self._follower, None
            if follower is not None:
                follower.stop(timeout=self._pace.connect + 2.0)
            if self._breaker:
                self._breaker.stop()
            if self.reporter and self._owns_reporter:
                self.reporter.close()

    # --- evaluation -------------------------------------------------------------------------------------------------

    def value(
        self, flag: str, targeting_key: str | None, default: T, attributes: Mapping[str, Any] = NO_ATTRIBUTES
    ) -> T:
        """The flag's value for this targeting key; the default where there is no such flag of the default's type.

        A value that is an object is shared: do not change it.
        """
        holder = self.holder
        now = self._clock()
        silent = now - holder.contact  # before the flags: a renewal between the two would vouch for the old ones
        try:
            found = holder.flags[flag]
            if found.kinds & _KIND_OF[default.__class__]:
                answer = found.choose(targeting_key, attributes) if silent <= found.lease else found.lapsed()
                if answer is None:
                    answer = found.keyless()
                answer.count += 1
                answer.at = now
                return float(answer.value) if default.__class__ is float else answer.value  # type: ignore[return-value]
        except (AttributeError, KeyError, TypeError):  # no such flag; or the key is no text, the attributes no mapping
            pass
        return self.controls.get(flag, default) if holder.compiled is None and isinstance(flag, str) else default

    def details(
        self, flag: str, targeting_key: str | None, default: T, attributes: Mapping[str, Any] = NO_ATTRIBUTES
    ) -> Assignment:
        """The same with variant, reason and what its outcome is to be reported under; an object is the caller's own."""
        found = self._known(flag)
        if found is None or not found.kinds & _KIND_OF[type(default)]:
            value = self.controls.get(flag, default) if self.holder.compiled is None else default
            return Assignment(value, None, "ERROR")
        try:
            answer = self.answer(found, targeting_key, attributes)
        except (AttributeError, TypeError):  # the key is no text, or the attributes are no mapping
            return Assignment(default, None, "ERROR")
        value = float(answer.value) if type(default) is float else copy.deepcopy(answer.value)
        return _assignment(value, answer)

    def answer(self, flag: CompiledFlag, targeting_key: str | None, attributes: Mapping[str, Any]) -> Answer:
        """The counted answer of a flag that the held snapshot has; for the provider, which tells errors apart."""
        now = self._clock()
        lapsed = flag.lapsed() if now - self.holder.contact > flag.lease else None
        answer = lapsed or flag.choose(targeting_key, attributes) or flag.keyless()
        answer.count += 1
        answer.at = now
        return answer

    def track(
        self, event: str, targeting_key: str | None, attributes: Mapping[str, Any] = NO_ATTRIBUTES, **said: Any
    ) -> int:
        """Report the outcome of an event of this user, for every live rollout that judges it; how many there were.

        `said`: `outcome` (delivered, failed, abandoned, interrupted), `latency_ms`, `flag` for one flag alone, `run`.
        """
        return self._tracker.track(event, targeting_key, attributes, said)

    def _known(self, flag: str) -> CompiledFlag | None:
        compiled = self.holder.compiled
        return compiled.flags.get(flag) if compiled is not None and isinstance(flag, str) else None

    # --- what holder and follower tell ------------------------------------------------------------------------------

    def applied(self, snapshot: Snapshot, changed: list[str], answers: Sequence[Answer]) -> None:
        """The holder evaluates a newer snapshot."""
        if self.reporter:
            self.reporter.applied(snapshot, answers)
        if self._breaker:
            self._breaker.applied(snapshot)
        self.observer.changed(snapshot.revision, changed)

    def replaced(self, snapshot: Snapshot, changed: list[str]) -> None:
        """The holder withholds something, or not any more."""
        self.observer.changed(snapshot.revision, changed)

    def confirmed(self, body: bytes | bytearray | None, revision: int, at: float) -> None:  # noqa: ARG002 - the observer's interface
        """The controller vouches for the held snapshot."""
        if self._disk is not None:
            self._disk.save(body, at, self.holder.instances)

    def _ticked(self) -> None:
        if self.holder.compiled is not None:
            self._first.set()
        self.observer.ticked()

    def _on_denied(self, status: int) -> None:
        if self._denied is None:
            logger.warning("the controller refused the token (%d); the last snapshot is served on", status)
        self._denied = status
        self._first.set()
        self.observer.denied(status)

    def _follow(self) -> None:
        if self._breaker and (snapshot := self.snapshot):
            self._breaker.applied(snapshot)
        self._follower = SnapshotFollower(
            self._endpoint,
            self.holder,
            headers=self._headers,
            ticked=self._ticked,
            denied=self._on_denied,
            poll_interval=self._poll_interval,
            pace=self._pace,
            clock=self._clock,
        )
        self._follower.start()

    def _headers(self) -> dict[str, str]:
        return {
            "Canary-Instance": self.instance,
            "Canary-Reports": "1" if self.reporter else "0",
            "Canary-SDK": SDK,
            "Canary-Clock": str(system_clock()),
        }

    def _restart_in_child(self) -> None:
        self._lifecycle = threading.Lock()
        self._instance = forked_name(self._instance)
        self.holder.restart_in_child()
        for answer in self.holder.answers:  # what the parent counted is its own to report
            answer.told = answer.count
        if self.reporter and (snapshot := self.snapshot):
            self.reporter.watch(snapshot.revision, self.holder.answers)
        if self._breaker:
            self._breaker.restart_in_child()
        if self._follower is not None:
            self._follow()


def _assignment(value: object, answer: Answer) -> Assignment:
    said: Mapping[str, Any] = answer.metadata
    rollout, epoch = said.get("rollout"), said.get("epoch", 0)
    return Assignment(value, answer.variant, answer.reason, rollout, epoch, said["revision"])


def _instance_of(instance: str | None, reporter: DeliveryReporter | None) -> str:
    if reporter is None:
        return checked_instance(instance) if instance is not None else process_name()
    if instance is not None and instance != reporter.instance:
        raise ValueError(f"instance {instance!r} differs from the reporter's {reporter.instance!r}: name it once")
    return reporter.instance
