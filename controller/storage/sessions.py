"""Sessions and one-time links as rows (only hashes of their secrets are kept), and failed attempts to sign in."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from controller.storage import upserts
from controller.storage.tables import invitations, sessions, sign_in_failures


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody signed in, on one browser. `via` is password or oidc."""

    person: str
    via: str
    created_ms: int
    seen_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that lets somebody choose a password, once; the first admin also chooses a name."""

    person: str
    created_by: str
    created_ms: int
    expires_ms: int


_SESSION = [sessions.c[name] for name in ("person", "via", "created_ms", "seen_ms", "expires_ms")]
_INVITATION = [invitations.c[name] for name in ("person", "created_by", "created_ms", "expires_ms")]


def add(connection: Connection, digest: str, session: Session, most: int) -> None:
    """A new session; of one person's the oldest beyond `most` end."""
    connection.execute(delete(sessions).where(sessions.c.expires_ms <= session.created_ms))
    connection.execute(
        insert(sessions).values(
            digest=digest,
            person=session.person,
            via=session.via,
            created_ms=session.created_ms,
            seen_ms=session.seen_ms,
            expires_ms=session.expires_ms,
        )
    )
    newest = select(sessions.c.digest).where(sessions.c.person == session.person)
    kept = newest.order_by(sessions.c.created_ms.desc(), sessions.c.digest).limit(most)
    old = sessions.c.digest.not_in([row.digest for row in connection.execute(kept)])
    connection.execute(delete(sessions).where(sessions.c.person == session.person, old))


def find(connection: Connection, digest: str) -> Session | None:
    """The session with this hash, over or not."""
    row = connection.execute(select(*_SESSION).where(sessions.c.digest == digest)).one_or_none()
    return None if row is None else Session(*row)


def of(connection: Connection, person: str) -> list[Session]:
    """A person's sessions, the newest first."""
    statement = select(*_SESSION).where(sessions.c.person == person).order_by(sessions.c.created_ms.desc())
    return [Session(*row) for row in connection.execute(statement)]


def touch(connection: Connection, digest: str, seen_ms: int) -> None:
    """Remember that a session is in use."""
    connection.execute(update(sessions).where(sessions.c.digest == digest).values(seen_ms=seen_ms))


def end(connection: Connection, digest: str) -> None:
    """End a session."""
    connection.execute(delete(sessions).where(sessions.c.digest == digest))


def end_all(connection: Connection, person: str) -> int:
    """End all sessions of a person; how many there were."""
    return connection.execute(delete(sessions).where(sessions.c.person == person)).rowcount


def invite(connection: Connection, digest: str, invitation: Invitation) -> None:
    """A new link, which takes the place of an earlier one of the same person."""
    connection.execute(delete(invitations).where(invitations.c.person == invitation.person))
    connection.execute(
        insert(invitations).values(
            digest=digest,
            person=invitation.person,
            created_by=invitation.created_by,
            created_ms=invitation.created_ms,
            expires_ms=invitation.expires_ms,
        )
    )


def invitation(connection: Connection, digest: str) -> Invitation | None:
    """The link with this hash, expired or not."""
    row = connection.execute(select(*_INVITATION).where(invitations.c.digest == digest)).one_or_none()
    return None if row is None else Invitation(*row)


def use_invitation(connection: Connection, digest: str) -> bool:
    """Use a link up; False where somebody was faster."""
    return connection.execute(delete(invitations).where(invitations.c.digest == digest)).rowcount == 1


def forget_invitations(connection: Connection, person: str) -> None:
    """Links of a person open nothing any more."""
    connection.execute(delete(invitations).where(invitations.c.person == person))


def count_attempt(connection: Connection, subject: str, now_ms: int, since_ms: int) -> int:
    """One more attempt; how many there are. A count from before `since_ms` begins anew.

    Attempts are counted before they are looked at, so that many at the same time are not many at once.
    """
    connection.execute(delete(sign_in_failures).where(sign_in_failures.c.since_ms < since_ms))
    first = {"subject": subject, "failures": 1, "since_ms": now_ms}
    made = upserts.insert(connection.dialect.name, sign_in_failures).values(**first)
    grown = made.on_conflict_do_update(index_elements=["subject"], set_={"failures": sign_in_failures.c.failures + 1})
    return int(connection.execute(grown.returning(sign_in_failures.c.failures)).scalar_one())


def forget_failures(connection: Connection, subject: str) -> None:
    """Signing in has worked."""
    connection.execute(delete(sign_in_failures).where(sign_in_failures.c.subject == subject))
