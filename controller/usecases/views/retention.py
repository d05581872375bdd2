"""Retention policies as they are shown: what holds for each flag, and where it comes from."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.domain.durations import duration_text
from controller.domain.retention import EVERY_FLAG, Kind, Policies
from controller.storage import flags, retention
from controller.wire.api.retention import PolicyView


def policy_views(connection: Connection) -> list[PolicyView]:
    """The policy of every flag, then that of each single one, by key."""
    policies = retention.policies(connection)
    keys = [EVERY_FLAG, *(flag.key for flag in flags.every(connection))]
    return [policy_view(policies, key) for key in keys]


def policy_view(policies: Policies, key: str) -> PolicyView:
    """What holds for one flag."""
    said = policies.by_flag.get(key)
    kept = {kind.value: duration_text(policies.keep_ms(key, kind)) for kind in Kind}
    own = sorted(kind.value for kind in said.keep_ms) if said else []
    return PolicyView(
        flag=key,
        **kept,
        detail=policies.detail(key).text,
        own=[*own, "detail"] if said and said.detail else own,
        version=said.version if said else 0,
        updated_ms=said.updated_ms if said else 0,
    )
