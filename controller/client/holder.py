"""The last good snapshot: what is believed, and what of it may be served."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence

from controller.client.compiled import (
    LEASE,
    QUARANTINE,
    Answer,
    CompiledFlag,
    CompiledSnapshot,
    changed_flags,
    compile_snapshot,
)
from controller.client.lease import ContactLease
from controller.client.pace import Clock, Pace
from controller.domain.errors import Invalid, Refusal
from controller.domain.snapshots import Snapshot
from controller.wire.snapshots import from_wire

logger = logging.getLogger(__name__)

#: Before any contact that a lease could bridge.
_LONG_AGO = -1e15


class HolderObserver:
    """What a holder tells; on whatever thread brought the news, which must not be kept waiting."""

    def applied(self, snapshot: Snapshot, changed: list[str], answers: Sequence[Answer]) -> None:
        """A newer snapshot is evaluated; these flags changed."""

    def replaced(self, snapshot: Snapshot, changed: list[str]) -> None:
        """The same snapshot, but of these flags something is withheld now, or not any more."""

    def confirmed(self, body: bytes | bytearray | None, revision: int, at: float) -> None:
        """The controller vouches for this revision; `body` is the snapshot where it is a new one."""


class SnapshotHolder:
    """Holds one snapshot that readers take by a single reference, and never goes back.

    Contact renews the lease only while the controller's last word is the one that is held. After a snapshot that had
    to be refused (garbage, another environment, an older revision) heartbeats prove nothing any more: the refused one
    may have been a rollback. Then the lease runs out and the control is served.

    A process whose application version is in quarantine serves the control, whatever the share.

    Writers take turns; any thread reads `contact`, then `compiled`, without a lock. In this order, since a renewal
    between the two would vouch for what it has just replaced.
    """

    def __init__(
        self,
        environment: str | None,
        clock: Clock,
        pace: Pace,
        observer: HolderObserver,
        chance: Callable[[], float] = random.random,
        app_version: str = "",
    ) -> None:
        self.environment = environment
        self._app_version = app_version
        self.compiled: CompiledSnapshot | None = None
        #: Of `compiled`, for whoever asks often; empty before the first snapshot.
        self.flags: Mapping[str, CompiledFlag] = {}
        self.lease = ContactLease(pace, chance)
        self.contact = self.lease.contact
        self.refused = 0
        #: How many clients there are, as the controller last said; 0 where it never has.
        self.instances = 0
        self._whole: CompiledSnapshot | None = None
        self._tripped: dict[str, str] = {}
        self._vouched = False
        self._missed = False
        self._clock = clock
        self._silence = pace.silence
        self._observer = observer
        self._writing = threading.RLock()

    @property
    def revision(self) -> int | None:
        """The revision that is held; None before the first snapshot."""
        return self.compiled.revision if self.compiled else None

    @property
    def answers(self) -> Sequence[Answer]:
        """Everything that can be answered at present; it grows."""
        return self.compiled.answers if self.compiled else []

    def stale(self) -> bool:
        """Whether there is no snapshot, or none that was confirmed within the silence or the shortest lease."""
        compiled = self.compiled
        return compiled is None or self._clock() - self.contact > min(self._silence, compiled.shortest_lease)

    @property
    def out_of_reach(self) -> bool:
        """Whether nothing was heard since the last try, or for longer than a controller is silent."""
        return self._missed or self.stale()

    def receive(self, body: bytes | bytearray, asked_at: float) -> bool:
        """Take a snapshot as it came; True when it is the one that is held now.

        `asked_at` is the moment that the answer is at least as new as.
        """
        with self._writing:
            try:
                compiled = compile_snapshot(from_wire(body), self.lease.share)
                self._check(compiled)
            except Refusal as error:
                self._refuse(error)
                return False
            self._vouched = True
            newer = self._whole is None or compiled.revision > self._whole.revision
            if newer:
                self._apply(compiled, asked_at)
            else:
                self._renew(asked_at)
            self._observer.confirmed(body if newer else None, compiled.revision, self.contact)
        return True

    def restore(self, body: bytes, contact: float | None, instances: int = 0) -> bool:
        """Begin with a snapshot of an earlier process, whose last contact was then (None: nobody knows).

        Nothing vouches for it before the controller does; a live rollout is served while its lease lasts.
        """
        with self._writing:
            try:
                compiled = compile_snapshot(from_wire(body), self.lease.share)
                self._check(compiled)
            except Refusal as error:
                self._refuse(error)
                return False
            self.counted(instances)
            self.lease.contact = min(_LONG_AGO if contact is None else contact, self._clock())
            self._swap(compiled)
            self.contact = self.lease.contact
        return True

    def confirmed(self, at: float) -> None:
        """The controller said that the held snapshot is its present one."""
        with self._writing:
            self._vouched = True
            self._renew(at)
            if self._whole is not None:
                self._observer.confirmed(None, self._whole.revision, self.contact)

    def counted(self, instances: int) -> None:
        """The controller said how many clients there are."""
        if instances > 0:
            self.instances = instances

    def missed(self) -> None:
        """The controller was tried, and could not be reached or did not answer as it should."""
        self._missed = True

    def heard(self, at: float, revision: int | None, instances: int = 0) -> None:
        """A heartbeat; `revision` is what the controller has, where it says so."""
        self.counted(instances)
        with self._writing:
            if self._vouched and revision in (None, self.revision):
                self._renew(at)
                if self._whole is not None:
                    self._observer.confirmed(None, self._whole.revision, self.contact)

    def restart_in_child(self) -> None:
        """Another thread of the parent may have held the lock."""
        self._writing = threading.RLock()

    def trip(self, rollout: str, reason: str | None) -> None:
        """Withhold a rollout for this reason; None serves it again."""
        with self._writing:
            if reason is None:
                self._tripped.pop(rollout, None)
            else:
                self._tripped[rollout] = reason
            self._rearrange()

    def _apply(self, compiled: CompiledSnapshot, at: float) -> None:
        before = self._whole
        self.environment = compiled.snapshot.environment
        self.lease.settle(at, before.leases() if before else ())
        # The snapshot goes before the lease: renewed first, the old canary share would be served once more.
        self._swap(compiled)
        self._believe(at)

    def _swap(self, compiled: CompiledSnapshot) -> None:
        changed = changed_flags(self._whole, compiled)
        live = {key for key, _ in compiled.leases()}
        self.lease.forget(live)
        self._tripped = {key: reason for key, reason in self._tripped.items() if key in live}
        self._whole = compiled
        self._serve(compiled.withholding(self._reasons()))
        self._observer.applied(compiled.snapshot, changed, self.answers)

    def _renew(self, at: float) -> None:
        if self._whole is not None and self.lease.settle(at, self._whole.leases()):
            self._rearrange()
        self._believe(at)

    def _believe(self, at: float) -> None:
        self._missed = False
        self.lease.renew(at)
        self.contact = self.lease.contact

    def _serve(self, compiled: CompiledSnapshot) -> None:
        self.flags = compiled.flags
        self.compiled = compiled

    def _rearrange(self) -> None:
        before, whole = self.compiled, self._whole
        if before is None or whole is None:
            return
        self._serve(after := whole.withholding(self._reasons()))
        changed = sorted(key for key, flag in after.flags.items() if before.flags[key] is not flag)
        if changed:
            self._observer.replaced(whole.snapshot, changed)

    def _reasons(self) -> dict[str, str]:
        held = self._whole.quarantining(self._app_version) if self._whole else ()
        return {**dict.fromkeys(self.lease.withheld, LEASE), **self._tripped, **dict.fromkeys(held, QUARANTINE)}

    def _check(self, compiled: CompiledSnapshot) -> None:
        environment = compiled.snapshot.environment
        if self.environment is not None and environment != self.environment:
            raise Invalid(
                f"this is {environment[:80]!r}, this client serves {self.environment!r}: check url and environment",
                field="environment",
            )
        if self._whole is not None and compiled.revision < self._whole.revision:
            raise Invalid(f"{compiled.revision} is older than the held {self._whole.revision}", field="revision")

    def _refuse(self, error: Refusal) -> None:
        self._vouched = False
        self.refused += 1
        log = logger.warning if self.refused == 1 else logger.debug  # one line is enough; `refused` counts
        log("a snapshot was refused, the last good one is kept until its contact lease lapses: %s", error)
