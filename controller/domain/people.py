"""People who sign in: who they are, what they may do, and what their passwords must be like."""

from __future__ import annotations

import re
from dataclasses import dataclass

from controller.domain.errors import Invalid
from controller.domain.principals import Principal, Role
from controller.domain.scopes import EVERYWHERE, Scope

#: Roles of people; the others are for programs.
ROLES = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
_LEAST_PASSWORD, _MOST_PASSWORD = 12, 200


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signs in.

    Attributes:
        name: what they sign in by and the audit trail shows; in lower case, often an address.
        enabled: somebody who left is disabled, not forgotten: their name stays in the audit trail.
        has_password: whether they may sign in with one.
        subject: issuer and subject of their account at the OpenID provider; empty where they have none.
        version: grows by one with each change.
        seen_ms: when they last did something.
    """

    name: str
    role: Role
    scope: Scope = EVERYWHERE
    enabled: bool = True
    has_password: bool = False
    subject: str = ""
    version: int = 1
    created_ms: int = 0
    seen_ms: int | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        check_role(self.role, self.scope)
        if self.role not in ROLES:
            raise Invalid(f"people are {', '.join(ROLES)}; {self.role.value} is for programs", field="role")

    @property
    def principal(self) -> Principal:
        """What they may do."""
        return Principal(self.name, self.role, self.scope)


def check_name(name: str) -> None:
    """Refuse a name that nobody could type.

    Raises:
        Invalid: it is none.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{name[:120]!r} is no name: 1 to 100 lower-case letters, digits and . _ @ + -, such as ann@example.com",
            field="name",
        )


def check_role(role: Role, scope: Scope) -> None:
    """Refuse a scope where it would limit nothing.

    Raises:
        Invalid: the role is none that changes flags, or one that may do everything.
    """
    if not scope.everything and role is not Role.OPERATOR:
        raise Invalid(f"a scope limits what an operator may change; a {role.value} has none", field="flags")


def check_password(password: str, name: str) -> None:
    """Refuse a password that is too short, too long or the name; length is what makes one strong (NIST SP 800-63B).

    Raises:
        Invalid: it is.
    """
    if not _LEAST_PASSWORD <= len(password) <= _MOST_PASSWORD:
        raise Invalid(f"a password has {_LEAST_PASSWORD} to {_MOST_PASSWORD} characters", field="password")
    if name and name.split("@", maxsplit=1)[0] in password.lower() and len(password) < 2 * _LEAST_PASSWORD:
        raise Invalid("the password contains the name; choose another, or a much longer one", field="password")
    if len(set(password)) < 5:
        raise Invalid("the password is a few characters over and over", field="password")
