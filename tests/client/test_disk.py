"""The snapshot on disk: what a restart without a controller begins with, and what it refuses."""

from __future__ import annotations

import json
import stat

import pytest
from openfeature.evaluation_context import EvaluationContext

from controller.client import CanaryClient
from controller.client.disk import DiskSnapshot, Kept
from controller.wire.snapshots import to_wire
from tests.client.fake_controller import TOKEN, flag, rollout, snapshot, wait_until

BODY = to_wire(snapshot(5, flag(live=rollout(10_000))))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "flags.snapshot"


@pytest.fixture
def disk_of(path, clock):
    def open_disk(token=TOKEN, boot="this start"):
        return DiskSnapshot(path, token, clock, boot=lambda: boot)

    return open_disk


def test_what_was_saved_is_loaded_with_the_last_contact(disk_of, clock):
    disk_of().save(BODY, clock.now, 12)
    assert disk_of().load() == Kept(BODY, clock.now, 12)


def test_nothing_is_loaded_where_nothing_was_saved(disk_of, path):
    assert disk_of().load() is None
    path.mkdir()
    assert disk_of().load() is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:10],
        lambda _: b"",
        lambda raw: raw.replace(b'"weight":10000', b'"weight":9999 '),
        lambda raw: raw.replace(b'"revision":5', b'"revision":6'),
        lambda raw: b"x" + raw,
        lambda raw: raw + b" ",
        lambda _: BODY,
        lambda raw: raw.replace(b"canary-snapshot 1", b"canary-snapshot 2"),
        lambda raw: bytes(255 - byte for byte in raw),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused(disk_of, path, clock, damage, caplog):
    disk_of().save(BODY, clock.now)
    path.write_bytes(damage(path.read_bytes()))
    assert disk_of().load() is None
    assert "not as it was written" in caplog.text


def test_a_file_of_another_token_is_refused(disk_of, clock):
    disk_of().save(BODY, clock.now)
    assert disk_of(token="another").load() is None


@pytest.mark.parametrize("boot", ["another start", ""])
def test_after_a_restart_of_the_machine_nobody_knows_the_last_contact(disk_of, clock, boot):
    disk_of(boot=boot and "this start").save(BODY, clock.now)
    assert disk_of(boot=boot).load() == Kept(BODY, None)


@pytest.mark.parametrize(
    "change",
    [
        lambda said: {**said, "at": said["at"] + 600},
        lambda said: {**said, "boot": "another start"},
        lambda said: {**said, "seal": "\u00e9"},
        lambda _: [],
        lambda _: {},
    ],
)
def test_a_contact_that_was_edited_is_none(disk_of, path, clock, change):
    disk_of().save(BODY, clock.now)
    contact = path.with_name(path.name + ".contact")
    contact.write_text(json.dumps(change(json.loads(contact.read_text()))))
    clock.now += 1_000
    assert disk_of().load() == Kept(BODY, None)


def test_a_contact_vouches_for_its_own_snapshot_alone(disk_of, path, clock):
    disk_of().save(BODY, clock.now)
    contact = path.with_name(path.name + ".contact")
    old = contact.read_bytes()
    disk_of().save(to_wire(snapshot(6, flag(live=rollout(0)))), clock.now)
    contact.write_bytes(old)
    found = disk_of().load()
    assert found is not None
    assert found[1] is None


def test_the_files_are_for_this_user_alone_and_nothing_else_is_left(disk_of, path, clock):
    disk = disk_of()
    for number in range(3):
        disk.save(BODY + b" " * number, clock.now)
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, path.name + ".contact"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_is_not_there_costs_the_file_alone(tmp_path, clock, caplog):
    disk = DiskSnapshot(tmp_path / "missing" / "file", TOKEN, clock)
    disk.save(BODY, clock.now)
    assert disk.load() is None
    assert "was not written" in caplog.text


# --- the client with it ---------------------------------------------------------------------------------------------


@pytest.fixture
def client_of(path, provider_of):
    def make(**but):
        provider = provider_of(snapshot_path=path, init_timeout=0.2, **but)
        provider.initialize(EvaluationContext())
        return provider.client

    return make


def served(client: CanaryClient):
    found = client.details("emitter", "anna", None or False)
    return found.value, found.reason


@pytest.fixture
def saved(controller, client_of):
    """A process has run, with the canary at revision 5, and has ended; the controller is away now."""
    controller.publish(snapshot(5, flag(live=rollout(10_000)), flag("steady", served="unified")))
    first = client_of()
    wait_until(lambda: served(first) == (True, "STATIC"))
    first.close()
    controller.stop()


@pytest.mark.usefixtures("saved")
def test_a_restart_without_a_controller_begins_with_it_while_the_lease_lasts(client_of, clock):
    clock.now += 100
    client = client_of()
    assert served(client) == (True, "STATIC")
    clock.now += 21
    assert served(client) == (False, "STALE")
    assert client.value("steady", None, False) is True
    assert client.stale


@pytest.mark.usefixtures("saved")
def test_a_restart_after_the_lease_serves_the_control_at_once(client_of, clock):
    clock.now += 121
    client = client_of()
    assert served(client) == (False, "STALE")
    assert client.value("steady", None, False) is True


@pytest.mark.usefixtures("saved")
def test_the_controllers_word_replaces_it(controller, client_of):
    controller.start()
    controller.publish(snapshot(6, flag(live=rollout(0))))
    client = client_of()
    wait_until(lambda: client.snapshot.revision == 6)
    assert served(client) == (False, "STATIC")


@pytest.mark.usefixtures("saved")
def test_a_snapshot_of_another_environment_is_not_begun_with(client_of, caplog):
    client = client_of(environment="staging")
    assert client.snapshot is None
    assert "this client serves 'staging'" in caplog.text


@pytest.mark.usefixtures("saved")
def test_a_tampered_file_leaves_callers_their_controls(client_of, path):
    path.write_bytes(path.read_bytes().replace(b'"weight":10000', b'"weight":10001'))
    client = client_of(controls={"emitter": False})
    assert client.value("emitter", "anna", True) is False


@pytest.mark.usefixtures("saved")
def test_a_snapshot_older_than_the_one_on_disk_is_refused(controller, client_of):
    """A controller that came back with an older database must not bring a canary back."""
    controller.start()
    controller.publish(snapshot(4, flag(live=rollout(0))))
    client = client_of()
    wait_until(lambda: client.holder.refused)
    assert client.snapshot.revision == 5
