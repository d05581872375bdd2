"""The client processes as they are shown: who is live, on which revision, with which runs open."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection

from controller.domain.instances import Instance, InstanceArm, InstanceState
from controller.domain.plans import DEFAULT_LEASE_MS
from controller.storage import instances, rollouts, snapshots
from controller.usecases.views.paging import slice_page
from controller.wire.api.common import Page
from controller.wire.api.people import InstanceView

_COUNTED = ("attempted", "delivered", "failed", "abandoned", "interrupted", "pending", "unreconciled")

#: Instances on the page; those that need a look come first.
MOST_ROWS = 500
#: A wall clock that is off by more than this is worth a look.
_ODD_CLOCK_MS = 60_000


@dataclass(frozen=True, slots=True)
class Board:
    """All instances on one page.

    Attributes:
        states: how many there are by state; `unverifiable` are those of the live ones that do not report.
        sdks: live ones by what they call their library.
    """

    revision: int
    states: dict[str, int]
    sdks: dict[str, int]
    rows: list[InstanceView]
    left_out: int


def instance_page(
    connection: Connection, now_ms: int, after: int, limit: int, *, state: str = ""
) -> Page[InstanceView]:
    """Instances by id, the gone ones included until they are forgotten; `state` keeps those in one."""
    lease_ms, revision = _lease_ms(connection), snapshots.latest_revision(connection)
    arms = instances.busy_arms(connection)

    def shown(instance: Instance) -> InstanceView:
        return _view(instance, now_ms, lease_ms, revision, arms.get(instance.id, []))

    found = [one for one in instances.every(connection) if state in ("", one.state(now_ms, lease_ms).value)]
    return slice_page(found, after, limit, shown)


def instance_board(connection: Connection, now_ms: int) -> Board:
    """The page of all instances as of now."""
    lease_ms, revision = _lease_ms(connection), snapshots.latest_revision(connection)
    arms = instances.busy_arms(connection)
    every = [_view(i, now_ms, lease_ms, revision, arms.get(i.id, [])) for i in instances.every(connection)]
    live = [view for view in every if view.state == InstanceState.LIVE]
    states = Counter(view.state for view in every)
    states["unverifiable"] = sum(not view.reports for view in live)
    every.sort(key=_rank)
    return Board(
        revision=revision,
        states={state: count for state, count in states.items() if count},
        sdks=dict(Counter(view.sdk or "unknown" for view in live).most_common()),
        rows=every[:MOST_ROWS],
        left_out=max(0, len(every) - MOST_ROWS),
    )


def _rank(view: InstanceView) -> tuple[bool, bool, str]:
    """The gone ones last; of the others, those first that something is odd about."""
    odd = view.behind or view.trips or bool(view.since_applied) or view.state == InstanceState.EXPIRED
    clock = abs(view.clock_offset_ms or 0) > _ODD_CLOCK_MS
    return view.state == InstanceState.GONE, not (odd or clock), view.id


def _lease_ms(connection: Connection) -> int:
    return max((found.plan.lease_ms for found in rollouts.unfinished(connection)), default=DEFAULT_LEASE_MS)


def _view(instance: Instance, now_ms: int, lease_ms: int, revision: int, arms: list[InstanceArm]) -> InstanceView:
    state = instance.state(now_ms, lease_ms)
    return InstanceView(
        id=instance.id,
        state=state.value,
        reports=instance.reports,
        revision=instance.revision,
        last_contact_ms=instance.last_contact_ms,
        app_version=instance.app_version,
        region=instance.region,
        sdk=instance.sdk,
        dropped=instance.dropped,
        open_runs={f"{arm.flag_key}/{arm.variant}": arm.open_runs for arm in arms if arm.open_runs},
        **{name: getattr(instance, name) for name in _COUNTED},
        unknown=instance.unknown(now_ms, lease_ms),
        since_applied={f"{arm.flag_key}/{arm.variant}": arm.since_applied for arm in arms if arm.since_applied},
        applied_ms=instance.applied_ms,
        first_seen_ms=instance.first_seen_ms,
        clock_offset_ms=instance.clock_offset_ms,
        trips=instance.trips,
        behind=state is InstanceState.LIVE and instance.revision < revision,
    )
