"""Freeze windows as they are shown."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.domain.freezes import Freeze
from controller.storage import freezes
from controller.usecases.views.paging import slice_page
from controller.wire.api.common import Page
from controller.wire.api.freezes import FreezeView


def freeze_view(connection: Connection, key: str, now_ms: int) -> FreezeView:
    """One freeze.

    Raises:
        NotFound: there is none with this key.
    """
    return _view(freezes.get(connection, key), now_ms)


def freeze_page(
    connection: Connection, now_ms: int, after: int = 0, limit: int = 200, *, active: bool | None = None
) -> Page[FreezeView]:
    """Freezes: those that are on first, then by when they begin; those that are over last. `active` keeps one kind."""
    views = [_view(freeze, now_ms) for freeze in freezes.every(connection)]
    found = [view for view in views if active is None or active == (view.active_until_ms is not None)]
    return slice_page(sorted(found, key=_order), after, limit, lambda view: view)


def _order(view: FreezeView) -> tuple[bool, int, str]:
    begins = view.next_ms if view.next_ms is not None else 2**60
    return view.active_until_ms is None, view.active_until_ms or begins, view.key


def _view(freeze: Freeze, now_ms: int) -> FreezeView:
    present, following = freezes.present_window(freeze, now_ms), freezes.next_window(freeze, now_ms)
    return FreezeView(
        key=freeze.key,
        reason=freeze.reason,
        flags=list(freeze.scope.flags or ()),
        entering=freeze.entering.value,
        from_ms=freeze.window.starts_ms if freeze.window else None,
        until_ms=freeze.window.ends_ms if freeze.window else None,
        cron=freeze.cron,
        lasts_ms=freeze.lasts_ms,
        zone=freeze.zone,
        when=freeze.when,
        active_until_ms=present.ends_ms if present else None,
        next_ms=following.starts_ms if following else None,
        created_by=freeze.created_by,
        created_ms=freeze.created_ms,
        version=freeze.version,
    )
