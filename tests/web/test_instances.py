"""Instances in the API and on their page: who is connected, with what, on which revision, and what is odd."""

import pytest

from controller.domain.instances import InstanceState
from tests.builders import an_instance
from tests.web.callers import FLAG, Caller, Door, report
from tests.web.pages import HOSTILE, page_of

SNAPSHOT = "/sdk/v1/snapshot"


def client(
    name: str, *, reports: str = "0", ahead_ms: int = 0, sdk: str = "python 0.1.0", now_ms: int = 0
) -> dict[str, str]:
    said = {"Canary-Instance": name, "Canary-Reports": reports, "Canary-SDK": sdk}
    return {**said, "Canary-Clock": str(now_ms + ahead_ms)}


def listed(viewer: Caller) -> dict[str, dict[str, object]]:
    return {item["id"]: item for item in viewer.get("/api/v1/instances").json["items"]}


def test_a_client_is_shown_with_its_sdk_revision_contact_and_clock(sdk: Caller, viewer: Caller, door: Door) -> None:
    sdk.get(SNAPSHOT, client("edge-1", ahead_ms=3_600_000, now_ms=door.clock()))
    found = listed(viewer)["edge-1"]
    assert (found["state"], found["reports"], found["sdk"]) == ("live", False, "python 0.1.0")
    assert (found["last_contact_ms"], found["clock_offset_ms"]) == (door.clock(), 3_600_000)
    assert (found["revision"], found["behind"], found["trips"]) == (1, False, 0)


def test_a_client_on_an_older_revision_is_behind(sdk: Caller, operator: Caller, viewer: Caller) -> None:
    sdk.get(SNAPSHOT, client("edge-1"))
    operator.post("/api/v1/flags", FLAG)
    assert listed(viewer)["edge-1"]["behind"] is True
    sdk.get(SNAPSHOT, client("edge-1"))
    assert listed(viewer)["edge-1"]["behind"] is False


def test_one_that_was_not_heard_for_its_lease_is_expired_and_one_that_said_goodbye_is_gone(
    sdk: Caller, viewer: Caller, door: Door
) -> None:
    sdk.get(SNAPSHOT, client("quiet"))
    sdk.post("/sdk/v1/reports", report(instance="polite", closing=True))
    door.clock.advance(125_001)
    states = {name: item["state"] for name, item in listed(viewer).items()}
    assert states == {"quiet": InstanceState.EXPIRED, "polite": InstanceState.GONE}


def test_the_page_shows_what_is_odd_first(viewer: Caller, door: Door) -> None:
    an_instance(door.database, "a-normal", door.clock(), revision=1, sdk="python 0.1.0")
    an_instance(door.database, "b-tripped", door.clock(), revision=1, trips=2)
    an_instance(door.database, "c-clock", door.clock(), revision=1, clock_offset_ms=-3_600_000)
    an_instance(door.database, "d-gone", door.clock(), closed_ms=door.clock())
    page = page_of(viewer, "/instances")
    where = {name: page.text.index(name) for name in ("a-normal", "b-tripped", "c-clock", "d-gone")}
    assert sorted(where, key=where.__getitem__) == ["b-tripped", "c-clock", "a-normal", "d-gone"]
    assert "-3600.0 s" in page.text
    assert "1 on python 0.1.0" in page.text


def test_an_empty_page_says_so(viewer: Caller) -> None:
    assert "No client has asked for a snapshot yet" in page_of(viewer, "/instances").text


def test_a_page_of_very_many_stays_a_page(viewer: Caller, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.usecases.views.instances.MOST_ROWS", 2)
    for name in "abcd":
        an_instance(door.database, name, door.clock())
    assert "2 more are in the API" in page_of(viewer, "/instances").text


def test_what_clients_call_themselves_is_only_ever_text(door: Door, viewer: Caller) -> None:
    an_instance(door.database, HOSTILE[:120], door.clock(), sdk=HOSTILE[:150], region=HOSTILE, app_version=HOSTILE)
    page = page_of(viewer, "/instances")
    assert "script" not in [tag for tag, attributes in page.elements if "src" not in attributes]
    assert "img" not in [tag for tag, _ in page.elements]


def test_the_live_part_is_sent_only_when_it_has_changed(viewer: Caller, door: Door) -> None:
    an_instance(door.database, "one", door.clock())
    first = viewer.get("/fragments/instances")
    seen = first.text.split('data-seen="')[1].split('"')[0]
    assert viewer.get(f"/fragments/instances?seen={seen}").status_code == 204
    an_instance(door.database, "two", door.clock())
    assert viewer.get(f"/fragments/instances?seen={seen}").status_code == 200
