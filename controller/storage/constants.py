"""Judges' constants as rows: stored once under their digest, never changed."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from sqlalchemy import Connection, select

from controller.domain.judge.constants import Constants, UnknownConstants, from_canonical
from controller.storage import upserts
from controller.storage.tables import constants

_kept: dict[str, str] = {}
_MOST_KEPT = 2_048


def keep(connection: Connection, frozen: Constants) -> str:
    """Store constants; returns the digest that they are known by."""
    statement = upserts.insert(connection.dialect.name, constants).on_conflict_do_nothing()
    connection.execute(statement, {"digest": frozen.digest(), "canonical": frozen.canonical()})
    return frozen.digest()


def canonical(connection: Connection, digest: str) -> str:
    """The canonical text of constants.

    Raises:
        UnknownConstants: there are none of this digest.
    """
    statement = select(constants.c.canonical).where(constants.c.digest == digest)
    text = connection.execute(statement).scalar_one_or_none()
    if text is None:
        raise UnknownConstants(f"the constants {digest} are not in the database")
    return str(text)


def get(connection: Connection, digest: str) -> Constants:
    """Constants by digest; kept in memory, since every tick asks for them and they never change.

    Raises:
        UnknownConstants: they are missing, of a form that this release does not know, or not what their digest says.
    """
    if digest not in _kept:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[digest] = canonical(connection, digest)
    return _checked(digest, _kept[digest])


def load(connection: Connection, digests: Collection[str]) -> None:
    """Take those of these constants into memory that are not there yet, with one query instead of one for each."""
    missing = sorted(set(digests) - _kept.keys())[:_MOST_KEPT]
    if not missing:
        return
    if len(_kept) + len(missing) > _MOST_KEPT:
        _kept.clear()
    _kept.update(
        (row.digest, row.canonical)
        for row in connection.execute(select(constants).where(constants.c.digest.in_(missing)))
    )


@lru_cache(maxsize=_MOST_KEPT)
def _checked(digest: str, text: str) -> Constants:
    frozen = from_canonical(text)
    if frozen.digest() != digest:
        raise UnknownConstants(f"the constants stored as {digest} have the digest {frozen.digest()}: they were changed")
    return frozen
