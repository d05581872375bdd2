"""The leader lease."""

from __future__ import annotations

import threading

import pytest

from controller.domain.errors import StaleTerm
from controller.domain.leases import LEASE_MS, SETTLED_MS
from controller.storage import leases
from controller.storage.presence import Presence
from tests.storage.gates import wait_until


def taken(database, holder, now_ms):
    with database.write() as connection:
        return leases.acquire(connection, holder, now_ms)


@pytest.fixture
def sign(database):
    """The holder's sign of life, on PostgreSQL."""
    if database.embedded:
        yield None
        return
    presence = Presence(database.url)
    assert presence.show()
    yield presence
    presence.withdraw()


@pytest.mark.usefixtures("sign")
def test_one_holder_at_a_time(database):
    first = taken(database, "one", 1_000)
    assert first is not None
    assert taken(database, "two", 1_000 + LEASE_MS - 1) is None
    second = taken(database, "two", 1_000 + LEASE_MS)
    assert second is not None
    assert second.term == first.term + 1


def test_a_holder_whose_session_has_ended_is_followed_before_its_lease_runs_out(postgresql_database):
    presence = Presence(postgresql_database.url)
    first = taken(postgresql_database, "one", 1_000)
    assert presence.show()
    assert taken(postgresql_database, "two", 1_000 + SETTLED_MS) is None
    presence.withdraw()
    assert taken(postgresql_database, "two", 1_000 + SETTLED_MS - 1) is None  # it may not have shown it yet
    second = taken(postgresql_database, "two", 1_000 + SETTLED_MS)
    assert first is not None
    assert second is not None
    assert second.term == first.term + 1


def test_one_process_at_a_time_shows_its_sign(postgresql_database):
    one, two = Presence(postgresql_database.url), Presence(postgresql_database.url)
    assert one.show()
    assert not two.show()
    one.withdraw()
    wait_until(two.show)  # the server ends a session a moment after its client has left
    two.withdraw()


def test_renewing_keeps_the_term(database):
    first = taken(database, "one", 1_000)
    again = taken(database, "one", 4_000)
    assert first is not None
    assert again is not None
    assert (again.term, again.expires_ms) == (first.term, 4_000 + LEASE_MS)


def test_the_same_holder_gets_a_new_term_after_its_lease_ran_out(database):
    first = taken(database, "one", 1_000)
    later = taken(database, "one", 1_000 + 2 * LEASE_MS)
    assert first is not None
    assert later is not None
    assert later.term == first.term + 1


def test_a_released_lease_is_free_at_once(database):
    taken(database, "one", 1_000)
    with database.write() as connection:
        leases.release(connection, "one")
    assert taken(database, "two", 1_001) is not None


def test_a_stale_term_is_refused(database):
    first = taken(database, "one", 1_000)
    taken(database, "two", 1_000 + LEASE_MS)
    assert first is not None
    with database.write() as connection, pytest.raises(StaleTerm):
        leases.check(connection, "one", first.term)


def test_of_many_who_ask_at_once_one_gets_it(database):
    found = []
    together = threading.Barrier(6)

    def ask(name):
        together.wait()
        found.append(taken(database, name, 1_000))

    racers = [threading.Thread(target=ask, args=(f"p{n}",)) for n in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sum(lease is not None for lease in found) == 1
