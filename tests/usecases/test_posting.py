"""From the outbox to the channels: who hears of what, once, and what is kept quiet."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, insert, select, update

from controller.domain.deliveries import CLAIM_MS, GIVE_UP_MS, MOST_REFUSALS, Result, State
from controller.domain.errors import Conflict, StaleTerm
from controller.domain.notices import CLEARED, RAISED
from controller.storage import alerts, leases
from controller.storage.tables import channels as channel_table
from controller.storage.tables import deliveries, outbox
from controller.storage.vault import Vault, is_sealed
from controller.usecases import notifications, posting
from controller.usecases import rollouts as commands
from controller.usecases.notifications import ChannelChange
from controller.usecases.views.notifications import notifications as shown
from tests.builders import FLAG, ROLLOUT, T0, a_draft, a_lease, a_live_rollout, a_second_rollout, order
from tests.notify.builders import a_channel

VAULT = Vault(("a key that is long enough for these tests",))
QUIET = 1_800_000
LATER = T0 + 1_000

#: Databases that a test runs on; the rest are about rules, and run on the quick one.
BOTH = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database(request, opened):
    """A fresh, migrated database."""
    return opened(request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url"))


@pytest.fixture(autouse=True)
def tests_own_time(monkeypatch):
    """On PostgreSQL leases and deliveries go by the server's clock, which no test can turn."""
    monkeypatch.setattr(leases, "now", lambda _connection, clock_ms: clock_ms)


class Post:
    """The leader's steps, by hand, at a time of the test's own."""

    def __init__(self, database):
        self.database = database
        self.lease = a_lease(database)
        self.now_ms = LATER

    def begin(self, hanging=()):
        posting.route(self.database, self.lease, self.now_ms)
        return posting.begin(self.database, VAULT, self.lease, hanging, self.now_ms)

    def deliver(self):
        """Everything that is due; what was told, in order."""
        told = []
        while jobs := self.begin():
            for job in jobs:
                told.append((job.channel.name, job.notice.kind, job.repeats))
                posting.settle(self.database, job, Result(), self.now_ms)
        return told

    def kinds(self):
        return [kind for _, kind, _ in self.deliver()]


@pytest.fixture
def post(database):
    return Post(database)


def says(database, kind, name="sample_ratio", rollout=ROLLOUT):
    raised, cleared = ({name: "why"}, ()) if kind == RAISED else ({}, (name,))
    with database.write() as connection:
        alerts.move(connection, rollout, raised, cleared, T0)


def states(database):
    with database.read() as connection:
        return list(connection.execute(select(deliveries.c.state).order_by(deliveries.c.id)).scalars())


@BOTH
def test_a_change_is_told_on_every_channel_that_is_subscribed_once(database, post):
    a_channel(database, VAULT, "http://a/", "one")
    a_channel(database, VAULT, "http://b/", "two")
    a_live_rollout(database)
    assert sorted(post.deliver()) == [
        (name, kind, 0) for name in ("one", "two") for kind in ("rollout.applied", "rollout.start")
    ]
    assert post.deliver() == []


def test_what_was_changed_before_there_was_a_channel_is_not_told_later(database, post):
    a_live_rollout(database)
    assert post.deliver() == []
    a_channel(database, VAULT, "http://a/")
    assert post.deliver() == []


def test_a_subscription_to_a_flag_hears_of_it_and_of_its_rollouts_alone(database, post):
    a_channel(database, VAULT, "http://a/")
    a_live_rollout(database)
    a_second_rollout(database, "other")
    post.deliver()
    number = shown_subscription(database)
    notifications.unsubscribe(database, number, order())
    notifications.subscribe(database, "ops", FLAG, ("flag.*", "rollout.pause"), order())
    commands.pause(database, ROLLOUT, order(LATER))
    commands.pause(database, "other", order(LATER))
    commands.resume(database, ROLLOUT, order(LATER))
    assert post.kinds() == ["rollout.pause"]


def shown_subscription(database):
    with database.read() as connection:
        return shown(connection, T0).subscriptions[0].id


def test_the_channel_that_a_plan_names_hears_of_it_without_a_subscription(database, post):
    a_channel(database, VAULT, "http://a/", "chat-team")
    notifications.unsubscribe(database, shown_subscription(database), order())
    a_draft(database, channel="chat-team")
    a_second_rollout(database, "other", channel="#somewhere-else")
    assert post.deliver() == [("chat-team", "rollout.applied", 0)]


def test_a_channel_that_is_switched_off_waits_and_goes_on(database, post):
    a_channel(database, VAULT, "http://a/")
    a_draft(database)
    posting.route(database, post.lease, post.now_ms)
    off(database, enabled=False)
    assert post.deliver() == []
    off(database, enabled=True)
    assert post.kinds() == ["rollout.applied"]


def off(database, *, enabled):
    with database.read() as connection:
        version = connection.execute(select(channel_table.c.version)).scalar_one()
    wanted = ChannelChange(enabled=enabled)
    notifications.change(database, VAULT, lambda *_: "", "ops", wanted, order(version=version))


@BOTH
def test_a_removed_channel_leaves_nothing_behind(database, post):
    a_channel(database, VAULT, "http://a/")
    a_draft(database)
    posting.route(database, post.lease, post.now_ms)
    notifications.remove(database, "ops", order())
    assert states(database) == []
    assert post.deliver() == []


@BOTH
def test_a_flapping_alert_is_told_once_in_a_quiet_time_with_its_newest_state(database, post):
    a_live_rollout(database)
    a_channel(database, VAULT, "http://a/")
    told = []
    for minute in range(20):  # raised and cleared each minute
        post.now_ms = T0 + minute * 60_000
        says(database, RAISED if minute % 2 == 0 else CLEARED)
        told += post.deliver()
    assert [kind for _, kind, _ in told if kind.startswith("alert")] == [RAISED, CLEARED]
    says(database, RAISED)
    assert post.deliver() == []
    post.now_ms = T0 + QUIET
    assert post.deliver() == [("ops", RAISED, 9)]


def test_what_undoes_a_quiet_repeat_is_quiet_as_well(database, post):
    a_live_rollout(database)
    a_channel(database, VAULT, "http://a/")
    for kind in (RAISED, CLEARED, RAISED, CLEARED):
        says(database, kind)
        post.deliver()
    post.now_ms = T0 + 10 * QUIET
    assert post.deliver() == []
    assert states(database)[-4:] == ["delivered", "delivered", "quiet", "quiet"]


def test_alerts_of_other_names_and_rollouts_are_no_repeats(database, post):
    a_live_rollout(database)
    a_second_rollout(database, "other")
    a_channel(database, VAULT, "http://a/")
    says(database, RAISED)
    says(database, RAISED, "blind")
    says(database, RAISED, rollout="other")
    assert [kind for kind in post.kinds() if kind == RAISED] == [RAISED] * 3


def test_acts_on_a_rollout_are_always_told(database, post):
    a_live_rollout(database)
    post.deliver()
    a_channel(database, VAULT, "http://a/")
    for _ in range(3):
        commands.pause(database, ROLLOUT, order(LATER))
        commands.resume(database, ROLLOUT, order(LATER))
    assert post.kinds() == ["rollout.pause", "rollout.resume"] * 3


@BOTH
def test_when_a_rollout_is_over_nothing_deferred_is_said_of_it_any_more(database, post):
    a_live_rollout(database)
    a_channel(database, VAULT, "http://a/")
    for kind in (RAISED, CLEARED, RAISED):
        says(database, kind)
        post.deliver()
    commands.rollback(database, ROLLOUT, order(LATER))
    assert post.kinds() == ["rollout.rollback"]
    post.now_ms = T0 + 10 * QUIET
    assert post.deliver() == []


def test_a_failure_is_tried_again_later_and_a_new_notice_does_not_wait_behind_it(database, post):
    a_channel(database, VAULT, "http://a/")
    a_draft(database)
    (job,) = post.begin()
    assert posting.settle(database, job, Result("no answer"), post.now_ms) is State.WAITING
    assert post.begin() == []
    a_second_rollout(database, "other")
    post.now_ms += 5_000
    (job,) = post.begin()
    assert (job.notice.name, job.delivery.attempts) == ("other", 1)


@BOTH
def test_after_a_day_it_is_a_dead_letter_that_somebody_can_try_again(database, post):
    a_channel(database, VAULT, "http://a/")
    a_draft(database)
    (job,) = post.begin()
    late = post.now_ms + GIVE_UP_MS
    assert posting.settle(database, job, Result("no answer"), late) is State.DEAD
    with database.read() as connection:
        (dead,) = shown(connection, late).dead
    assert (dead.title, dead.error) == ("[default] unified-emitter: a plan was applied (by ann)", "no answer")
    post.now_ms = late
    assert post.deliver() == []
    notifications.retry(database, dead.id, order(late))
    assert post.kinds() == ["rollout.applied"]
    with pytest.raises(Conflict, match="is delivered"):
        notifications.retry(database, dead.id, order(late))


@BOTH
def test_a_dead_letter_tried_again_has_as_many_attempts_as_a_new_one(database, post):
    a_channel(database, VAULT, "http://a/")
    a_draft(database)

    def refused() -> list[State]:
        states = []
        while State.DEAD not in states:
            (job,) = post.begin()
            states.append(posting.settle(database, job, Result("answered 410", refused=True), post.now_ms))
            post.now_ms += GIVE_UP_MS // 10
        return states

    first = refused()
    assert len(first) == MOST_REFUSALS
    with database.read() as connection:
        (dead,) = shown(connection, post.now_ms).dead
    notifications.retry(database, dead.id, order(post.now_ms))
    assert refused() == first


@BOTH
def test_an_attempt_that_never_came_back_is_made_again_with_the_same_key(database, post):
    a_channel(database, VAULT, "http://a/")
    a_draft(database)
    (lost,) = post.begin()
    post.now_ms += CLAIM_MS - 1
    assert post.begin() == []
    post.now_ms += 1
    (again,) = post.begin()
    assert again.key == lost.key
    assert posting.settle(database, lost, Result("too late"), post.now_ms) is None
    assert posting.settle(database, again, Result(), post.now_ms) is State.DELIVERED
    assert posting.settle(database, lost, Result("too late"), post.now_ms) is None
    assert states(database) == ["delivered"]


def test_keys_differ_by_notice_and_channel(database, post):
    a_channel(database, VAULT, "http://a/", "one")
    a_channel(database, VAULT, "http://b/", "two")
    a_live_rollout(database)
    keys = set()
    while jobs := post.begin():
        for job in jobs:
            keys.add(job.key)
            posting.settle(database, job, Result(), post.now_ms)
    assert len(keys) == 4


@BOTH
def test_a_leader_that_was_followed_routes_and_begins_nothing(database, post):
    a_channel(database, VAULT, "http://a/")
    a_draft(database)
    with database.write() as connection:
        leases.release(connection, "one")
    a_lease(database, "two", LATER)
    for step in (
        lambda: posting.route(database, post.lease, LATER),
        lambda: posting.begin(database, VAULT, post.lease, (), LATER),
        lambda: posting.tidy(database, VAULT, post.lease, LATER),
    ):
        with pytest.raises(StaleTerm):
            step()
    assert states(database) == []


@BOTH
def test_a_channel_that_is_busy_is_left_alone(database, post):
    a_channel(database, VAULT, "http://a/", "one")
    a_channel(database, VAULT, "http://b/", "two")
    a_draft(database)
    assert [job.channel.name for job in post.begin({"one"})] == ["two"]
    assert not posting.busy(database, {"one", "two"}, LATER)
    assert posting.busy(database, (), LATER)


@BOTH
def test_the_oldest_notice_that_should_have_been_told_is_known(database, post):
    a_channel(database, VAULT, "http://a/")
    a_draft(database)
    with database.read() as connection:
        assert shown(connection, LATER).oldest_ms == T0
    post.deliver()
    says(database, RAISED)
    post.deliver()
    says(database, CLEARED)
    says(database, RAISED)
    post.deliver()
    with database.read() as connection:
        assert shown(connection, LATER).oldest_ms is None  # the deferred repeat waits on purpose


@BOTH
def test_what_was_delivered_long_ago_is_forgotten_and_dead_letters_stay(database, post):
    a_channel(database, VAULT, "http://a/")
    a_live_rollout(database)
    post.deliver()
    commands.pause(database, ROLLOUT, order(LATER))
    (job,) = post.begin()
    posting.settle(database, job, Result("no"), post.now_ms + GIVE_UP_MS)
    later = post.now_ms + posting.KEPT_MS + GIVE_UP_MS + 1
    assert posting.tidy(database, VAULT, post.lease, later) > 0
    assert states(database) == ["dead"]
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(outbox)).scalar_one() == 1


def test_secrets_are_sealed_and_sealed_anew_with_a_new_key(database, post):
    a_channel(database, Vault(), "http://a/")
    posting.tidy(database, VAULT, post.lease, LATER)
    with database.read() as connection:
        row = connection.execute(select(channel_table)).one()
    assert is_sealed(row.address)
    assert is_sealed(row.secret)
    a_draft(database)
    (job,) = post.begin()
    assert job.address == "http://a/"


def test_a_secret_that_cannot_be_opened_says_so_instead_of_being_sent(database, post):
    a_channel(database, Vault(("another key that is long enough",)), "http://a/")
    a_draft(database)
    (job,) = post.begin()
    assert "CANARY_SECRET_KEY" in job.unusable
    assert job.address == ""


def test_notices_written_by_an_older_release_are_told_too(database, post):
    a_channel(database, VAULT, "http://a/")
    row = {"at_ms": T0, "kind": "rollout.start", "subject": "rollout/gone", "body": {"message": "m"}}
    with database.write() as connection:
        connection.execute(insert(outbox).values(**row))
    assert post.kinds() == ["rollout.start"]


def test_a_very_long_reason_is_cut(database, post):
    a_channel(database, VAULT, "http://a/")
    a_draft(database)
    with database.write() as connection:
        connection.execute(update(outbox).values(body={"message": "x" * 100_000}))
    (job,) = post.begin()
    assert len(job.message.why) == 2_000


def test_a_lease_of_the_wrong_term_is_stale(database, post):
    with pytest.raises(StaleTerm):
        posting.route(database, replace(post.lease, term=post.lease.term + 1), LATER)
