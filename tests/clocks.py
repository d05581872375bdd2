"""A clock that tests turn."""


class FakeClock:
    """Milliseconds since the epoch that pass only when told to."""

    def __init__(self, now_ms: int = 1_760_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, ms: int) -> int:
        """Let time pass; returns the new time."""
        self.now_ms += ms
        return self.now_ms
