"""Client processes, tokens and the audit trail."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta


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
    """Who changed what, when and why."""

    id: int
    at_ms: int
    actor: str
    action: str
    subject: str
    reason: str
    before: Any
    after: Any
    request_id: str


class TokenBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new token."""

    role: str
    name: Annotated[str, Meta(max_length=100)] = ""


class TokenView(msgspec.Struct):
    """A token; its secret is shown once, when it is made."""

    prefix: str
    role: str
    name: str
    created_ms: int
    token: str | None = None
