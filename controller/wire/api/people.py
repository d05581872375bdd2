"""Client processes, tokens, people and the audit trail."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from controller.wire.api.common import Flags, Reason, Version

_Name = Annotated[str, Meta(max_length=100)]
_Role = Literal["viewer", "evaluator", "sdk", "operator", "admin"]
_PersonRole = Literal["viewer", "operator", "admin"]
_Duration = Annotated[str, Meta(max_length=20, description="Such as 90d.")]


class InstanceView(msgspec.Struct):
    """One client process.

    `clock_offset_ms` is its wall clock minus ours, `trips` how often its own breaker went back to the control, `behind`
    that it is live and has not applied the newest revision.
    """

    id: str
    state: str
    reports: bool
    revision: int
    last_contact_ms: int
    app_version: str
    region: str
    sdk: str
    dropped: int
    open_runs: dict[str, int]
    since_applied: dict[str, int] = {}
    attempted: int = 0
    delivered: int = 0
    failed: int = 0
    abandoned: int = 0
    interrupted: int = 0
    pending: int = 0
    unknown: int = 0
    unreconciled: int = 0
    applied_ms: int | None = None
    first_seen_ms: int = 0
    clock_offset_ms: int | None = None
    trips: int = 0
    behind: bool = False


class AuditView(msgspec.Struct):
    """Who changed what, when and why; and the entry's place in the chain (none for a moment, until it has one)."""

    id: int
    at_ms: int
    actor: str
    action: str
    subject: str
    reason: str
    before: Any
    after: Any
    request_id: str
    seq: int | None = None
    previous: str | None = None
    digest: str | None = None


class AuditCheck(msgspec.Struct):
    """Whether the audit trail is as it was written.

    Attributes:
        entries: that fitted, from the first one on.
        head: the last of them; noted elsewhere, it proves later that nothing before it was changed.
        fault: what does not fit; empty where everything does.
        unchained: entries of an earlier release that the next change takes into the chain.
    """

    intact: bool
    entries: int
    head: str
    fault: str
    unchained: int


class TokenBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A new token; `lasts` is how long it opens anything (empty: until it is revoked), `flags` what it may change."""

    role: _Role
    name: _Name = ""
    lasts: _Duration = ""
    flags: Flags = []


class RotateBody(msgspec.Struct, forbid_unknown_fields=True):
    """Another token in the place of one, which goes on working for the overlap."""

    overlap: _Duration = "24h"


class TokenView(msgspec.Struct):
    """A token; its secret is shown once, when it is made."""

    prefix: str
    role: str
    name: str
    created_ms: int
    token: str | None = None
    flags: list[str] = []
    expires_ms: int | None = None
    last_used_ms: int | None = None
    created_by: str = ""


class UserBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new user."""

    name: _Name
    role: _PersonRole = "viewer"
    flags: Flags = []
    reason: Reason = ""


class UserPatch(msgspec.Struct, forbid_unknown_fields=True):
    """A change of a user, at the version it was read at."""

    version: Version
    role: _PersonRole | None = None
    flags: Flags | None = None
    enabled: bool | None = None
    reason: Reason = ""


class ReasonBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why."""

    reason: Reason = ""


class SessionView(msgspec.Struct):
    """A browser in which a user is signed in."""

    via: str
    created_ms: int
    seen_ms: int
    expires_ms: int


class UserView(msgspec.Struct):
    """A user; `link` is shown once, when they are made or invited: whoever opens it chooses the password."""

    name: str
    role: str
    flags: list[str]
    enabled: bool
    signs_in_by: list[str]
    version: int
    created_ms: int
    seen_ms: int | None
    sessions: list[SessionView] = []
    link: str | None = None


class WhoView(msgspec.Struct):
    """Whoever asks."""

    name: str
    role: str
    flags: list[str]
    rights: list[str]
