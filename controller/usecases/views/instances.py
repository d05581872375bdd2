"""The client processes as they are shown: who is live, on which revision, with which runs open."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.domain.instances import Instance, InstanceArm
from controller.domain.plans import DEFAULT_LEASE_MS
from controller.storage import instances, rollouts
from controller.usecases.views.paging import slice_page
from controller.wire.api.common import Page
from controller.wire.api.people import InstanceView

_COUNTED = ("attempted", "delivered", "failed", "abandoned", "interrupted", "pending", "unreconciled")


def instance_page(
    connection: Connection, now_ms: int, after: int, limit: int, *, state: str = ""
) -> Page[InstanceView]:
    """Instances by id, the gone ones included until they are forgotten; `state` keeps those in one."""
    lease_ms = max((found.plan.lease_ms for found in rollouts.unfinished(connection)), default=DEFAULT_LEASE_MS)
    arms = instances.busy_arms(connection)

    def shown(instance: Instance) -> InstanceView:
        return _view(instance, now_ms, lease_ms, arms.get(instance.id, []))

    found = [one for one in instances.every(connection) if state in ("", one.state(now_ms, lease_ms).value)]
    return slice_page(found, after, limit, shown)


def _view(instance: Instance, now_ms: int, lease_ms: int, arms: list[InstanceArm]) -> InstanceView:
    return InstanceView(
        id=instance.id,
        state=instance.state(now_ms, lease_ms).value,
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
    )
