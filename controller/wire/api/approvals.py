"""Approvals: what people have to agree to before a stage begins."""

from __future__ import annotations

import msgspec


class ApprovalView(msgspec.Struct):
    """A stage that does not begin before somebody other than who started the rollout has agreed.

    Attributes:
        stage: its place in the plan, from 0 on. share_percent: what the canary's share becomes.
        state: needed (it is not its turn yet, and may be approved), asked (proven: it waits for this alone), given, or
            late (nobody has agreed in time).
        started_by: who may not approve it.
        until_ms: when it is too late, once it was asked for. otherwise: what happens then.
    """

    rollout: str
    flag: str
    owner: str
    stage: int
    share_percent: float
    state: str
    started_by: str
    asked_ms: int | None
    until_ms: int | None
    otherwise: str
