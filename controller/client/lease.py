"""The contact lease: how long a canary share may be served without hearing from the controller, and how it comes back.

Source: the lease runs from the last word of the controller. It is used to 80 to 100 % of its length, by chance and for
the life of this process, so that a fleet does not move at once when its controller is lost; never longer. A rollout
whose lease has run out is withheld until contact has held for 60 s and a random time up to 60 s more, so that a fleet
does not come back at once either, and a controller that comes and goes moves nobody back and forth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable

from controller.client.pace import Pace


class ContactLease:
    """When the controller was last heard, and the rollouts that are withheld since it was not heard for too long.

    Expiry is nobody's fault and never evidence. The first contact of a process withholds nothing: it has served
    nobody the canary before.

    Attributes:
        share: the part of each lease that this process uses.
        contact: when the controller was last heard (seconds of the steady clock).
        lapses: how often a lease has run out, as noticed by the contact that followed.
    """

    def __init__(self, pace: Pace, chance: Callable[[], float]) -> None:
        self.share = 1.0 - pace.lease_jitter * chance()
        self.contact = -math.inf
        self.lapses = 0
        self._pace = pace
        self._chance = chance
        self._unbroken_since = -math.inf
        #: By rollout: seconds of unbroken contact after which it is served again.
        self._withheld: dict[str, float] = {}

    @property
    def withheld(self) -> Collection[str]:
        """The rollouts that are not served yet."""
        return self._withheld.keys()

    def settle(self, at: float, leases: Iterable[tuple[str, float]]) -> bool:
        """Decide what contact at this moment means for the held rollouts; True when what is withheld has changed.

        `leases` are their lengths in seconds. To be called before the contact is believed (`renew`).
        """
        gap = at - self.contact
        if self.contact != -math.inf and gap > self._pace.silence:
            self._unbroken_since = at
        elif self.contact == -math.inf:
            self._unbroken_since = at
            return False
        lapsed = [key for key, lease in leases if gap > lease and key not in self._withheld]
        if lapsed:
            self.lapses += 1
            after = self._pace.return_after + self._pace.return_spread * self._chance()
            self._withheld |= dict.fromkeys(lapsed, after)
        returned = [key for key, after in self._withheld.items() if at - self._unbroken_since >= after]
        for key in returned:
            del self._withheld[key]
        return bool(lapsed or returned)

    def renew(self, at: float) -> None:
        """Believe a contact; an older one than the last changes nothing."""
        self.contact = max(self.contact, at)

    def forget(self, live: Collection[str]) -> None:
        """Only these rollouts are live by now."""
        self._withheld = {key: after for key, after in self._withheld.items() if key in live}
