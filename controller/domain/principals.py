"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.domain.scopes import EVERYWHERE, Scope


class Role(StrEnum):
    """What a token is for.

    viewer reads; evaluator asks for answers alone, so that its token may stand in a web page; sdk fetches snapshots and
    reports; operator acts on flags and rollouts; admin does all.
    """

    VIEWER = "viewer"
    EVALUATOR = "evaluator"
    SDK = "sdk"
    OPERATOR = "operator"
    ADMIN = "admin"


class Need(StrEnum):
    """What a route asks for."""

    READ = "read"
    EVALUATE = "evaluate"
    EXPORT = "export"
    REPORT = "report"
    OPERATE = "operate"
    ADMINISTER = "administer"


_ALLOWED: dict[Role, frozenset[Need]] = {
    Role.VIEWER: frozenset({Need.READ, Need.EXPORT}),
    Role.EVALUATOR: frozenset({Need.EVALUATE}),
    Role.SDK: frozenset({Need.REPORT, Need.EVALUATE, Need.EXPORT}),
    Role.OPERATOR: frozenset({Need.READ, Need.OPERATE, Need.EXPORT}),
    Role.ADMIN: frozenset(Need),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever asks: a token or a person.

    Attributes:
        name: what the audit trail shows.
        scope: the flags that an operator may change.
    """

    name: str
    role: Role
    scope: Scope = EVERYWHERE

    def may(self, need: Need) -> bool:
        """Whether this principal may do what a route asks for."""
        return may(self.role, need)


def may(role: Role, need: Need) -> bool:
    """Whether a role may do what a route asks for."""
    return need in _ALLOWED[role]
