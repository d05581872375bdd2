"""What connections may hold, and how long they wait: every bound of the emitters in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Bounds of one manager's connections.

    Raises:
        ValueError: a bound makes no sense; the message names it.
    """

    #: Seconds that an event's receipt may take to be proved.
    delivery_timeout: float = 5.0
    #: Events waiting to be written, per connection. One more is an overflow.
    max_queue: int = 256
    #: Events written and not yet proved, per connection. Nothing is written while there are this many.
    max_inflight: int = 1_024
    #: Unproved events in a row after which a connection is closed with 1013.
    max_timeouts: int = 10
    #: Acknowledgements of nothing in a row after which a connection is closed with 1008.
    max_ignored_acks: int = 1_000
    #: Connections that one user may hold open.
    max_connections_per_user: int = 16
    #: Longest frame; the default is what `websockets` clients read at most.
    max_event_bytes: int = 1_048_576
    #: Seconds for a closing handshake; then the transport is cut.
    close_timeout: float = 2.0
    #: Seconds that an unproved event of a lost connection waits for its user before the loss is its outcome.
    reconnect_grace: float = 2.0
    #: Seconds after its emission in which an unproved event is sent again to a connection that comes. 0 keeps nothing.
    replay_window: float = 30.0
    #: Events kept for replay, over all users. The oldest give way.
    max_parked: int = 50_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "replay_window":
                if value < 0:
                    raise ValueError(f"replay_window must be 0 or more seconds, not {value}")
            elif isinstance(field.default, int):
                if value < 1:
                    raise ValueError(f"{field.name} must be at least 1, not {value}")
            elif value <= 0:
                raise ValueError(f"{field.name} must be more than 0 seconds, not {value}")

    @property
    def sweep_interval(self) -> float:
        """Seconds between looks at the deadlines."""
        return max(0.01, min(0.25, self.delivery_timeout / 8))

    @property
    def margin(self) -> float:
        """Seconds before its deadline at which an event that can wait no longer is settled.

        Whoever listens may have the same deadline, and would take a later word for silence: users who left would be
        charged as failures.
        """
        return 2 * self.sweep_interval

    @property
    def max_held(self) -> int:
        """Events that one connection can hold at most."""
        return self.max_queue + self.max_inflight
