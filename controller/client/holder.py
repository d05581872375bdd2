"""The last good snapshot and the contact lease: what is believed, and how long it may be."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from controller.client.compiled import CompiledSnapshot, changed_flags, compile_snapshot
from controller.client.pace import Clock
from controller.domain.errors import Invalid, Refusal
from controller.domain.snapshots import Snapshot
from controller.wire.snapshots import from_wire

logger = logging.getLogger(__name__)

#: Called with a newly applied snapshot and the keys of the flags that it changed.
Applied = Callable[[Snapshot, list[str]], None]


class SnapshotHolder:
    """Holds one snapshot that readers take by a single reference, and never goes back.

    Contact renews the lease only while the controller's last word is the one that is held. After a snapshot that had
    to be refused (garbage, another environment, an older revision) heartbeats prove nothing any more: the refused one
    may have been a rollback. Then the lease runs out and the control is served.

    One thread writes; any thread reads `compiled` and `contact` without a lock.
    """

    def __init__(self, environment: str | None, clock: Clock, silence: float, applied: Applied) -> None:
        self.environment = environment
        self.compiled: CompiledSnapshot | None = None
        self.contact = -math.inf
        self.refused = 0
        self._vouched = False
        self._clock = clock
        self._silence = silence
        self._applied = applied

    @property
    def revision(self) -> int | None:
        """The revision that is held; None before the first snapshot."""
        return self.compiled.revision if self.compiled else None

    def stale(self) -> bool:
        """Whether there is no snapshot, or none that was confirmed within the silence or the shortest lease."""
        compiled = self.compiled
        return compiled is None or self._clock() - self.contact > min(self._silence, compiled.shortest_lease)

    def receive(self, body: bytes, asked_at: float) -> bool:
        """Take a snapshot as it came; True when it is the one that is held now.

        `asked_at` is the moment that the answer is at least as new as.
        """
        try:
            compiled = compile_snapshot(from_wire(body))
            self._check(compiled)
        except Refusal as error:
            self._refuse(error)
            return False
        before = self.compiled
        self._vouched = True
        if before is None or compiled.revision > before.revision:
            self.environment = compiled.snapshot.environment
            # The snapshot goes before the lease: renewed first, the old canary share would be served once more.
            self.compiled = compiled
            self.contact = max(self.contact, asked_at)
            self._applied(compiled.snapshot, changed_flags(before, compiled))
        self.contact = max(self.contact, asked_at)
        return True

    def confirmed(self, at: float) -> None:
        """The controller said that the held snapshot is its present one."""
        self._vouched = True
        self.contact = max(self.contact, at)

    def heard(self, at: float, revision: int | None) -> None:
        """A heartbeat; `revision` is what the controller has, where it says so."""
        if self._vouched and revision in (None, self.revision):
            self.contact = max(self.contact, at)

    def _check(self, compiled: CompiledSnapshot) -> None:
        environment = compiled.snapshot.environment
        if self.environment is not None and environment != self.environment:
            raise Invalid(
                f"this is {environment[:80]!r}, this client serves {self.environment!r}: check url and environment",
                field="environment",
            )
        if self.compiled is not None and compiled.revision < self.compiled.revision:
            raise Invalid(f"{compiled.revision} is older than the held {self.compiled.revision}", field="revision")

    def _refuse(self, error: Refusal) -> None:
        self._vouched = False
        self.refused += 1
        log = logger.warning if self.refused == 1 else logger.debug  # one line is enough; `refused` counts
        log("a snapshot was refused, the last good one is kept until its contact lease lapses: %s", error)
