"""The report that clients send: `POST /sdk/v1/reports`.

A report has three parts. *Counts* are exact and make the windows that people read. *Evidence* is exact and goes to the
ledger that the judge reads. *Outcomes* are the raw events, kept as detail; under pressure a client drops those, says
how many, and loses nothing of the other two. A client that cannot count sends `counted_by: "server"` and outcomes
alone: the server then derives the counts, and (for rollouts judged by event) the evidence.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Key = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=200)]
Natural = Annotated[int, Meta(ge=0, le=2**53)]
Tag = Annotated[str, Meta(pattern="^[0-9a-f]{12}$")]
ShortTag = Annotated[str, Meta(pattern="^[0-9a-f]{8}$")]

#: Rows of one kind in one report.
MOST_ROWS = 5_000
#: Bytes of one report, after decompression.
MOST_BYTES = 4 * 1024 * 1024


class CountRow(msgspec.Struct, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """Counts of one event type on one variant that happened `age_ms` before the report was made."""

    flag: Key
    variant: Key
    event_type: Key
    age_ms: Natural = 0
    attempts: Natural = 0
    delivered: Natural = 0
    failed: Natural = 0
    abandoned: Natural = 0
    interrupted: Natural = 0
    latency_ms: Natural = 0


class EvidenceRow(msgspec.Struct, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """Milli-units of one stream of a rollout, under the evidence epoch they were assigned in.

    `users` names up to three who failed in it, by the first 8 digits of their keyed hash.
    """

    rollout: Key
    epoch: Natural
    arm: Literal["control", "canary"]
    stream: Key
    failed: Natural
    total: Natural
    users: Annotated[list[ShortTag], Meta(max_length=3)] = []


class UserRow(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Distinct users that this instance has seen for the first time under an evidence epoch: all, or its sample."""

    rollout: Key
    epoch: Natural
    arm: Literal["control", "canary"]
    tags: Annotated[list[Tag], Meta(max_length=MOST_ROWS)]


class OpenRow(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A gauge: units attempted without an outcome yet.

    The stream `active/TAG` is 1 while a user of the canary has been active in the last ten minutes (name up to four, so
    that one who is served by several processes counts once); `active` is a plain number of such users.
    One that is not named keeps its last value; say 0 to end it.
    """

    rollout: Key
    arm: Literal["control", "canary"]
    stream: Key
    open: Natural


class ArmRow(msgspec.Struct, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """What this instance does with one variant of a flag: gauges and totals since its start.

    A row that is not named keeps what it last said, so that a client may send what changed.

    `exposure_age_ms` is None when the variant was never exposed here.
    """

    flag: Key
    variant: Key
    open_runs: Natural = 0
    exposures: Natural = 0
    since_applied: Natural = 0
    exposure_age_ms: Natural | None = None


class OutcomeRow(msgspec.Struct, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """One attempt and what became of it. `user` is a hash made by the client, never an id in the clear."""

    flag: Key
    variant: Key
    event_type: Key
    outcome: Literal["delivered", "failed", "abandoned", "interrupted"]
    event_id: Text = ""
    age_ms: Natural = 0
    latency_ms: Natural | None = None
    status: Text = ""
    reason: Text = ""
    user: Text = ""
    run: Text = ""
    epoch: Natural = 0


class Report(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One batch of one instance.

    Attributes:
        batch: the idempotency key; a repeat is acknowledged and counted once.
        seq: grows by one with each batch of the instance; an older report never overwrites what a newer one said.
        age_ms: how long this batch has waited for its acknowledgement; added to every age in it.
        revision: the snapshot revision applied; `applied_age_ms` ago.
        closing: the instance stops cleanly and is gone after this.
        dropped: outcomes (details) that had to be dropped since the start; never counts or evidence.
        attempted ... pending: everything counted since the start, so that what is lost with an instance is known.
        trips: how often its own outcomes have convicted a canary since the start.
    """

    batch: Annotated[str, Meta(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
    instance: Annotated[str, Meta(min_length=1, max_length=128)]
    seq: Natural = 0
    age_ms: Natural = 0
    counted_by: Literal["client", "server"] = "server"
    revision: Natural = 0
    applied_age_ms: Natural | None = None
    app_version: Text = ""
    region: Text = ""
    sdk: Text = ""
    dropped: Natural = 0
    unadmitted: Natural = 0
    unproved: Natural = 0
    attempted: Natural = 0
    delivered: Natural = 0
    failed: Natural = 0
    abandoned: Natural = 0
    interrupted: Natural = 0
    pending: Natural = 0
    trips: Natural = 0
    closing: bool = False
    counts: Annotated[list[CountRow], Meta(max_length=MOST_ROWS)] = []
    evidence: Annotated[list[EvidenceRow], Meta(max_length=MOST_ROWS)] = []
    open_units: Annotated[list[OpenRow], Meta(max_length=MOST_ROWS)] = []
    users: Annotated[list[UserRow], Meta(max_length=MOST_ROWS)] = []
    arms: Annotated[list[ArmRow], Meta(max_length=MOST_ROWS)] = []
    outcomes: Annotated[list[OutcomeRow], Meta(max_length=MOST_ROWS)] = []


class Receipt(msgspec.Struct):
    """The acknowledgement: this batch is committed."""

    batch: str
    duplicate: bool
    revision: int
