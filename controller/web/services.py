"""What the routes work with, handed in once at the door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from controller.clock import Clock
from controller.domain.leases import Lease
from controller.domain.retention import ALL, Detail
from controller.settings import OidcSettings
from controller.storage.database import Database
from controller.storage.vault import Vault
from controller.storage.writer import IngestWriter
from controller.usecases.notifications import ReadAddress
from controller.web.channels import Channels
from controller.web.contacts import ContactBook
from controller.web.headcount import Headcount
from controller.web.pace import Pace
from controller.web.state import FlagState


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the controller that routes call.

    Attributes:
        changed: to be called after a commit that may have published a snapshot: wakes streams and pages.
        leader: the leader lease as this process sees it, or None.
        open_reading: pages, `/metrics` and reads of the API need no token (only ever when bound to loopback).
        hosts: host names that a browser may call an open server by (others are refused: DNS rebinding).
        flags: the newest snapshot; contacts: who has asked for it; headcount: how many there are.
        origins: web origins whose pages may evaluate flags over OFREP; `*` is any.
        vault: seals what is secret of notification channels; read_address: checks a channel's address.
        refused: counts a report that was refused, by the refusal's code.
        takes_reports: whether this process ingests; one that only evaluates does not.
        detail: which raw outcomes of a flag are stored.
        address: what people open in their browsers; empty: whatever they have opened.
        secure_cookies: cookies are sent over TLS alone. oidc: the provider that people may sign in by.
        pace: how often one token may evaluate over OFREP; channels: what opens its event streams.
    """

    database: Database
    clock: Clock
    writer: IngestWriter
    registry: CollectorRegistry
    changed: Callable[[], None]
    leader: Callable[[], Lease | None]
    open_reading: bool
    hosts: frozenset[str]
    flags: FlagState
    contacts: ContactBook
    pace: Pace
    channels: Channels
    headcount: Headcount
    vault: Vault
    read_address: ReadAddress
    refused: Callable[[str], None]
    address: str = ""
    secure_cookies: bool = False
    oidc: OidcSettings | None = None
    origins: frozenset[str] = frozenset({"*"})
    takes_reports: bool = True
    detail: Callable[[str], Detail] = lambda _flag: ALL
