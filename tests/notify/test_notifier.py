"""The notifier's threads: nobody is told twice, nobody waits for another, and a crash loses nothing."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select, update

from controller.domain.deliveries import CLAIM_MS, Result
from controller.domain.leases import Lease
from controller.notify.notifier import Notifier
from controller.storage.tables import deliveries
from controller.storage.vault import Vault
from controller.telemetry import Metrics
from tests.builders import T0, a_draft, a_lease, a_live_rollout
from tests.flow.site import until
from tests.notify.builders import a_channel
from tests.notify.receivers import Receiver

#: Databases that a test runs on; the rest are about rules, and run on the quick one.
BOTH = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database(request, opened):
    """A fresh, migrated database."""
    return opened(request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url"))


class Post:
    """A notifier that leads, with a way of sending of the test's own or the real one."""

    def __init__(self, database, vault, clock, send=None, lease=None):
        self.registry, self.told = CollectorRegistry(), threading.Event()
        self.lease = lease or a_lease(database, "one", clock())
        self.notifier = Notifier(
            database,
            clock,
            lambda: self.lease,
            vault,
            Metrics(self.registry),
            public_url="http://c:8321/",
            told=self.told.set,
            send=send,
        )

    def counted(self, channel, result):
        labels = {"channel": channel, "result": result}
        return self.registry.get_sample_value("canary_notifications_total", labels) or 0

    def rounds_until(self, condition, what):
        def looked():
            self.notifier.round()
            return condition()

        until(looked, what)


def states(database):
    with database.read() as connection:
        return list(connection.execute(select(deliveries.c.state).order_by(deliveries.c.id)).scalars())


@BOTH
def test_a_change_arrives_signed_with_its_link(database, vault, clock, receiver: Receiver):
    post = Post(database, vault, clock)
    a_channel(database, vault, receiver.url)
    a_draft(database, clock())
    post.rounds_until(lambda: states(database) == ["delivered"], "it was delivered")
    assert receiver.types() == ["rollout.applied"]
    assert receiver.arrived[0].document["data"]["link"] == "http://c:8321/rollouts/unified-emitter"
    assert post.told.wait(30), "pages are told"
    assert post.counted("ops", "delivered") == 1


@BOTH
def test_a_channel_that_hangs_holds_up_neither_the_notifier_nor_another_channel(database, vault, clock):
    released, told = threading.Event(), []

    def send(job, _link):
        if job.channel.name == "hangs":
            released.wait(60)
        told.append(job.channel.name)
        return Result()

    post = Post(database, vault, clock, send)
    a_channel(database, vault, "http://a/", "hangs")
    a_channel(database, vault, "http://b/", "well")
    try:
        a_live_rollout(database, clock())
        post.rounds_until(lambda: told == ["well", "well"], "the other channel was told everything")
        expected = ["delivered", "delivered", "sending", "waiting"]
        until(lambda: sorted(states(database)) == expected, "what arrived was settled, what hangs was not")
    finally:
        released.set()
    post.rounds_until(lambda: states(database) == ["delivered"] * 4, "the first one caught up")


@BOTH
def test_two_replicas_that_both_believe_to_lead_tell_nobody_twice(database, vault, clock, receiver: Receiver):
    lease = a_lease(database, "one", clock())
    pair = [Post(database, vault, clock, lease=lease) for _ in range(2)]
    a_channel(database, vault, receiver.url)
    a_live_rollout(database, clock())
    threads = [threading.Thread(target=post.notifier.round) for post in pair for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pair[0].rounds_until(lambda: states(database) == ["delivered"] * 2, "all was delivered")
    assert Counter(receiver.ids()) == dict.fromkeys(receiver.ids(), 1)
    assert sorted(receiver.types()) == ["rollout.applied", "rollout.start"]


@BOTH
def test_what_a_crash_cut_off_is_sent_again_with_the_same_key_by_the_next_leader(
    database, vault, clock, receiver: Receiver
):
    a_channel(database, vault, receiver.url)
    post = Post(database, vault, clock)
    a_draft(database, clock())
    post.rounds_until(lambda: states(database) == ["delivered"], "it was delivered")
    with database.write() as connection:  # as if the process had died between the answer and its own commit
        lost = {"state": "sending", "claimed_ms": clock() - CLAIM_MS, "settled_ms": None}
        connection.execute(update(deliveries).values(**lost))
    if not database.embedded:  # leases and claims go by the server's clock there
        with database.write() as connection:
            connection.execute(update(deliveries).values(claimed_ms=0))
    successor = Post(database, vault, clock, lease=post.lease)
    successor.rounds_until(lambda: states(database) == ["delivered"], "the next leader delivered it")
    first, second = receiver.ids()
    assert first == second


def test_without_the_lease_nothing_is_sent(database, vault, clock, receiver: Receiver):
    post = Post(database, vault, clock)
    a_channel(database, vault, receiver.url)
    a_draft(database, clock())
    post.lease = None
    post.notifier.round()
    assert states(database) == []
    assert receiver.arrived == []


def test_failures_are_told_by_name_and_without_secrets(database, vault, clock, receiver: Receiver, capsys):
    receiver.answer = lambda _: (500, {}, b"out of order: T0SECRETPATH")
    post = Post(database, vault, clock)
    a_channel(database, vault, receiver.url)
    a_draft(database, clock())
    post.rounds_until(lambda: post.counted("ops", "failed") == 1, "it failed")
    with database.read() as connection:
        row = connection.execute(select(deliveries)).one()
    assert (row.state, row.attempts) == ("waiting", 1)
    assert row.error.startswith("answered 500 ")
    logged = capsys.readouterr()
    assert "T0SECRETPATH" not in row.error + logged.out + logged.err
    assert "not delivered" in logged.out + logged.err


def test_an_error_that_nobody_expected_is_a_failure_of_that_channel_alone(database, vault, clock, capsys):
    def send(*_):
        raise RuntimeError("https://hooks.example.com/T0SECRETPATH")

    post = Post(database, vault, clock, send)
    a_channel(database, vault, "http://a/")
    a_draft(database, clock())
    post.rounds_until(lambda: post.counted("ops", "failed") == 1, "it failed")
    logged = capsys.readouterr()
    assert "T0SECRETPATH" not in logged.out + logged.err


def test_a_database_that_is_away_is_waited_for(opened, vault, clock):
    away = opened("postgresql://nobody@127.0.0.1:9/nowhere")
    notifier = Notifier(
        away, clock, lambda: Lease("one", 1, T0), vault, Metrics(CollectorRegistry()), public_url="http://c"
    )
    notifier.round()


def test_it_stops_at_once_though_a_channel_hangs(sqlite_database, vault, clock):
    began, released = threading.Event(), threading.Event()

    def send(*_):
        began.set()
        released.wait(60)
        return Result()

    post = Post(sqlite_database, vault, clock, send)
    a_channel(sqlite_database, vault, "http://a/")
    a_draft(sqlite_database, clock())
    post.notifier.start()
    assert began.wait(30)
    post.notifier.stop(within_s=0.1)
    assert states(sqlite_database) == ["sending"]
    released.set()


@pytest.mark.parametrize("keys", [(), ("another key that is long enough",)])
def test_a_channel_that_cannot_be_opened_says_what_is_missing(database, vault, clock, keys):
    a_channel(database, vault, "http://a/")
    post = Post(database, Vault(keys), clock)
    a_draft(database, clock())
    post.rounds_until(lambda: post.counted("ops", "failed") == 1, "it failed")
    with database.read() as connection:
        assert "CANARY_SECRET_KEY" in connection.execute(select(deliveries.c.error)).scalar_one()
