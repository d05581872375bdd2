"""The client processes as they are shown: who is live, on which revision, with which runs open."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.domain.instances import Instance
from controller.domain.plans import DEFAULT_LEASE_MS
from controller.storage import instances, rollouts
from controller.usecases.views.paging import slice_page
from controller.wire.api import InstanceView, Page


def instance_page(connection: Connection, now_ms: int, after: int, limit: int) -> Page:
    """Instances by id, the gone ones included until they are forgotten."""
    lease_ms = max((found.plan.lease_ms for found in rollouts.unfinished(connection)), default=DEFAULT_LEASE_MS)
    open_runs = instances.open_runs(connection)

    def shown(instance: Instance) -> InstanceView:
        return _view(instance, now_ms, lease_ms, open_runs.get(instance.id, {}))

    return slice_page(instances.every(connection), after, limit, shown)


def _view(instance: Instance, now_ms: int, lease_ms: int, open_runs: dict[str, int]) -> InstanceView:
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
        open_runs=open_runs,
    )
