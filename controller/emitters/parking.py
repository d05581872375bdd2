"""What users missed while they were away: events that nothing proved, kept for the connection that comes back."""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from dataclasses import dataclass
from itertools import count

from controller.emitters.delivery import Delivery
from controller.emitters.endings import Ending
from controller.emitters.limits import Limits
from controller.emitters.outcomes import OUTCOME_CLASS, DeliveryStatus, OutcomeClass

__all__ = ["Parking"]

_AWAY = Ending(DeliveryStatus.NO_CONNECTION, "the user had no connection and did not come back in time")


@dataclass(slots=True, eq=False)
class _Parked:
    """One event in one place."""

    delivery: Delivery
    ending: Ending
    #: Whether the event still waits for what becomes of it here.
    holds: bool = True

    def release(self, ending: Ending | None = None) -> None:
        """Nobody came in time: the event is lost here. It stays parked for the user's sake."""
        if self.holds:
            self.holds = False
            self.delivery.lost(*(ending or self.ending))

    def hand_over(self) -> None:
        """Somebody came and has taken it."""
        if self.holds:
            self.holds = False
            self.delivery.handed_over()


class _Place:
    """What one lost connection held, and what was emitted since. An event is kept under one id once."""

    __slots__ = ("events", "key", "named", "until", "user_id")

    def __init__(self, user_id: str, key: str, until: float, *, named: bool) -> None:
        self.user_id = user_id
        self.key = key
        self.named = named
        #: Monotonic seconds after which nobody is expected any more.
        self.until = until
        self.events: OrderedDict[str, _Parked] = OrderedDict()


class Parking:
    """Unproved events of lost connections, for `replay_window` seconds, by user and connection.

    An event waits for its user for `reconnect_grace`, but never until its deadline; then it is settled by the way it
    was lost. It stays parked beyond that, and is still replayed to whoever comes back, because the user wants it; its
    outcome does not change any more.
    Replayed events keep their ids, so that clients can drop repeats. No event is replayed later than `replay_window`
    after it was emitted: one that breaks its reader must not do so for ever.

    A user keeps no more places than connections, and no more events than one connection can hold.

    A connection that comes back under the id of a lost one takes over what that one held. Any other one takes over
    what was lost by connections without a name of their own, and a copy of the rest.
    """

    def __init__(self, limits: Limits) -> None:
        self._window = limits.replay_window
        self._grace = limits.reconnect_grace
        self._margin = limits.margin
        self._most = limits.max_parked
        self._most_per_user = limits.max_held
        self._most_places = limits.max_connections_per_user
        self._users: dict[str, dict[str, _Place]] = {}
        #: All places by their age, and all events by their deadline, gone ones included until it is their turn.
        self._places: deque[_Place] = deque()
        self._deadlines: list[tuple[float, int, _Parked]] = []
        self._numbers = count()
        self._parked = 0
        #: Events that had to give way to newer ones before anybody came.
        self.dropped = 0

    def __len__(self) -> int:
        return self._parked

    def __bool__(self) -> bool:
        return bool(self._users)

    def awaits(self, user_id: str) -> bool:
        """Whether the user has left a moment ago and may come back."""
        return user_id in self._users

    def park(
        self, user_id: str, connection_id: str, ending: Ending, held: list[Delivery], now: float, *, named: bool
    ) -> None:
        """Keep what a lost connection held; from now on the user is awaited."""
        if not self._window:
            for delivery in held:
                delivery.lost(*ending)
            return
        place = _Place(user_id, connection_id, now + self._window, named=named)
        self._drop(user_id, connection_id)
        places = self._users.setdefault(user_id, {})
        places[connection_id] = place
        if len(places) > self._most_places:  # whoever comes and goes under ever new names
            self._drop(user_id, next(iter(places)))
        self._places.append(place)
        for delivery in held:
            if delivery.emitted_at + self._window > now:
                self._put(place, delivery, ending, now)
            else:
                delivery.lost(*ending)

    def add(self, user_id: str, delivery: Delivery, now: float, *, connected: bool) -> None:
        """Keep an event emitted while connections are away; of a user who is connected besides, for named ones only."""
        for place in self._users.get(user_id, {}).values():
            if place.named or not connected:
                delivery.taken()
                self._put(place, delivery, _AWAY, now)

    def take(self, user_id: str, connection_id: str, now: float, give_up_at: float) -> list[Delivery]:
        """What a new connection is to be sent first, oldest first.

        Call `handed_over` once the connection has taken it. Events whose deadline has passed get a new one,
        `give_up_at`, since they are sent for the user's sake only.
        """
        places = self._users.get(user_id)
        if places is None:
            return []
        chosen = [places[connection_id]] if connection_id in places else list(places.values())
        found: dict[str, Delivery] = {}
        for place in chosen:
            for event_id, parked in place.events.items():
                found[event_id] = parked.delivery
                if not parked.holds or parked.delivery.deadline - self._margin <= now:
                    parked.release()
                    parked.delivery.deadline = give_up_at
        return sorted(found.values(), key=lambda delivery: delivery.emitted_at)

    def handed_over(self, user_id: str, connection_id: str) -> None:
        """The connection has taken what `take` gave it: its own place, or those without a name, are free."""
        places = self._users.get(user_id, {})
        free = [places[connection_id]] if connection_id in places else [p for p in places.values() if not p.named]
        for place in free:
            for parked in place.events.values():
                parked.hand_over()
            self._drop(user_id, place.key)

    def sweep(self, now: float) -> None:
        """Settle what is past its deadline, and forget what nobody came for."""
        while self._deadlines and self._deadlines[0][0] <= now:
            heapq.heappop(self._deadlines)[2].release()
        while self._places and self._places[0].until <= now:
            place = self._places.popleft()
            if self._users.get(place.user_id, {}).get(place.key) is place:
                self._drop(place.user_id, place.key)

    def settle_all(self, interrupted: Ending) -> None:
        """The process ends, so nobody can come back: users who had left have left, the rest is interrupted."""
        for user_id, places in list(self._users.items()):
            for key, place in list(places.items()):
                for parked in place.events.values():
                    left = OUTCOME_CLASS[parked.ending.status] is OutcomeClass.ABANDONED
                    parked.release(parked.ending if left else interrupted)
                self._drop(user_id, key)
        self._places.clear()
        self._deadlines.clear()

    def _put(self, place: _Place, delivery: Delivery, ending: Ending, now: float) -> None:
        own = self._users[place.user_id].values()
        if sum(len(each.events) for each in own) >= self._most_per_user:
            self._give_way(next(each for each in own if each.events))
        elif self._parked >= self._most:
            self._give_way(next(oldest for oldest in self._places if oldest.events))
        parked = place.events[delivery.event_id] = _Parked(delivery, ending)
        self._parked += 1
        settle_at = min(delivery.deadline - self._margin, now + self._grace)
        if settle_at > now:
            heapq.heappush(self._deadlines, (settle_at, next(self._numbers), parked))
        else:
            parked.release()

    def _give_way(self, place: _Place) -> None:
        _, parked = place.events.popitem(last=False)
        self._parked -= 1
        self.dropped += 1
        parked.release()

    def _drop(self, user_id: str, key: str) -> None:
        """Forget a place; what still waits in it is lost."""
        places = self._users.get(user_id, {})
        place = places.pop(key, None)
        if place is None:
            return
        self._parked -= len(place.events)
        for parked in place.events.values():
            parked.release()
        place.events.clear()
        if not places:
            del self._users[user_id]
