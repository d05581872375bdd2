"""What waits for a person's agreement."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from controller.domain.decisions import Agreement, circumstances_of
from controller.domain.rollouts import Rollout
from controller.storage import rollouts
from controller.usecases.views.paging import slice_page
from controller.usecases.views.rollouts import percent
from controller.wire.api.approvals import ApprovalView
from controller.wire.api.common import Page

_ORDER = ("late", "asked", "needed", "given")


def approval_page(
    connection: Connection, now_ms: int, after: int, limit: int, *, state: str = ""
) -> Page[ApprovalView]:
    """The approvals that the next stages of live rollouts need, those that hold one first."""
    found = [view for view in _views(rollouts.unfinished(connection), now_ms) if state in ("", view.state)]
    found.sort(key=lambda view: (_ORDER.index(view.state), view.rollout))
    return slice_page(found, after, limit, lambda view: view)


def _views(unfinished: list[Rollout], now_ms: int) -> Iterator[ApprovalView]:
    for rollout in unfinished:
        following, approval = rollout.next_stage, rollout.approval
        agreement = circumstances_of(rollout, now_ms).agreement
        if not rollout.phase.live or following is None or approval is None or agreement is Agreement.NONE:
            continue
        asked_ms = rollout.approval_asked_ms
        yield ApprovalView(
            rollout=rollout.key,
            flag=rollout.flag_key,
            owner=rollout.plan.owner,
            stage=following,
            share_percent=percent(rollout.plan.weight_of(following)),
            state=agreement.value,
            started_by=rollout.started_by,
            asked_ms=asked_ms,
            until_ms=None if asked_ms is None else asked_ms + approval.within_ms,
            otherwise=approval.otherwise.value,
        )
