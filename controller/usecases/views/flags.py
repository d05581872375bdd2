"""Flags and segments as they are shown."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.domain.flags import Flag
from controller.domain.segments import Segment
from controller.storage import flags, rollouts, segments, snapshots
from controller.usecases.views.paging import slice_page
from controller.wire.api.common import Page
from controller.wire.api.flags import FlagView, SegmentView
from controller.wire.targeting import condition_form, form_of


def flag_view(connection: Connection, key: str) -> FlagView:
    """One flag.

    Raises:
        UnknownFlag: there is none with this key.
    """
    return _view(flags.get(connection, key), _live(connection), snapshots.withdrawn_variants(connection))


def flag_page(
    connection: Connection, after: int, limit: int, *, search: str = "", enabled: bool | None = None
) -> Page[FlagView]:
    """Flags by key; `search` is in the key or the description, `enabled` keeps one kind."""
    live, gone, text = _live(connection), snapshots.withdrawn_variants(connection), search.lower()
    found = [
        flag
        for flag in flags.every(connection)
        if text in f"{flag.key}\n{flag.description}".lower() and enabled in (None, flag.enabled)
    ]
    return slice_page(found, after, limit, lambda flag: _view(flag, live, gone))


def segment_view(connection: Connection, key: str) -> SegmentView:
    """One segment.

    Raises:
        UnknownSegment: there is none with this key.
    """
    return _segment(segments.get(connection, key), flags.every(connection))


def segment_page(connection: Connection, after: int, limit: int) -> Page[SegmentView]:
    """Segments by key."""
    known = flags.every(connection)
    return slice_page(segments.every(connection), after, limit, lambda segment: _segment(segment, known))


def _live(connection: Connection) -> dict[str, str]:
    return {rollout.flag_key: rollout.key for rollout in rollouts.unfinished(connection)}


def _view(flag: Flag, live: dict[str, str], gone: dict[str, frozenset[str]]) -> FlagView:
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
        targeting=form_of(flag.targeting),
        withdrawn=sorted(gone.get(flag.key, frozenset()) - {flag.served}),
    )


def _segment(segment: Segment, known: list[Flag]) -> SegmentView:
    return SegmentView(
        key=segment.key,
        when=condition_form(segment.when),
        description=segment.description,
        version=segment.version,
        updated_ms=segment.updated_ms,
        flags=[flag.key for flag in known if segment.key in flag.targeting.segments],
    )
