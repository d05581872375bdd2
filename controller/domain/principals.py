"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """viewer reads; sdk fetches snapshots and reports; operator acts on flags and rollouts; admin does all."""

    VIEWER = "viewer"
    SDK = "sdk"
    OPERATOR = "operator"
    ADMIN = "admin"


class Need(StrEnum):
    """What a route asks for."""

    READ = "read"
    REPORT = "report"
    OPERATE = "operate"
    ADMINISTER = "administer"


_ALLOWED: dict[Role, frozenset[Need]] = {
    Role.VIEWER: frozenset({Need.READ}),
    Role.SDK: frozenset({Need.REPORT}),
    Role.OPERATOR: frozenset({Need.READ, Need.OPERATE}),
    Role.ADMIN: frozenset(Need),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """A token's owner."""

    name: str
    role: Role

    def may(self, need: Need) -> bool:
        """Whether this principal may do what a route asks for."""
        return need in _ALLOWED[self.role]
