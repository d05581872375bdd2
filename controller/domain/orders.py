"""A person's act: who, why and when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """What every command of a person brings along.

    Attributes:
        actor: a token's name.
        version: that the thing was read at; None: whatever it is now.
        force: go against a guard's veto; needs a reason.
    """

    actor: str
    now_ms: int
    reason: str = ""
    version: int | None = None
    request_id: str = ""
    force: bool = False
