"""Flags as they are shown."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.domain.flags import Flag
from controller.storage import flags, rollouts
from controller.usecases.views.paging import slice_page
from controller.wire.api import FlagView, Page


def flag_view(connection: Connection, key: str) -> FlagView:
    """One flag.

    Raises:
        UnknownFlag: there is none with this key.
    """
    return _view(flags.get(connection, key), _live(connection))


def flag_page(connection: Connection, after: int, limit: int) -> Page:
    """Flags by key."""
    live = _live(connection)
    return slice_page(flags.every(connection), after, limit, lambda flag: _view(flag, live))


def _live(connection: Connection) -> dict[str, str]:
    return {rollout.flag_key: rollout.key for rollout in rollouts.unfinished(connection)}


def _view(flag: Flag, live: dict[str, str]) -> FlagView:
    return FlagView(
        key=flag.key,
        variants=dict(flag.variants),
        control=flag.control,
        served=flag.served,
        enabled=flag.enabled,
        description=flag.description,
        version=flag.version,
        updated_ms=flag.updated_ms,
        rollout=live.get(flag.key),
    )
