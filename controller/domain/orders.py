"""A person's act: who, why and when."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.scopes import EVERYWHERE, Scope


@dataclass(frozen=True, slots=True)
class Order:
    """What every command of a person brings along.

    Attributes:
        actor: a token's or a person's name.
        version: that the thing was read at; None: whatever it is now.
        force: go against a guard's veto or a freeze; needs a reason.
        scope: the flags that the actor may change.
    """

    actor: str
    now_ms: int
    reason: str = ""
    version: int | None = None
    request_id: str = ""
    force: bool = False
    scope: Scope = EVERYWHERE
