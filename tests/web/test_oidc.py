"""Signing in by a real OpenID provider, in a process of its own, with a browser that follows every redirect."""

from collections.abc import Iterator
from typing import Any

import pytest

from controller.domain.orders import Order
from controller.domain.people import Person
from controller.domain.principals import Role
from controller.settings import OidcSettings
from controller.storage import people
from controller.storage.database import Database
from controller.usecases import users
from controller.web.app import create_app
from tests.web.browsers import Browser, a_user
from tests.web.callers import Door
from tests.web.providers import ADDRESS, Provider, provided

ANN = {"email": "Ann@Example.com", "email_verified": True, "preferred_username": "ann", "groups": ["release"]}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """One provider for these tests."""
    with provided() as found:
        yield found


def a_browser(door: Door, settings: OidcSettings) -> Browser:
    return Browser(create_app(door.services(oidc=settings, address=ADDRESS)), ADDRESS)


def come_back(browser: Browser, provider: Provider, subject: str, path: str = "/login/oidc") -> Any:
    asked = browser.get(path)
    assert asked.status_code == 302, asked.text
    back = provider.vouch(asked.headers["Location"], subject)
    return browser.get(back.removeprefix(ADDRESS))


def person(database: Database, name: str) -> Person:
    with database.read() as connection:
        return people.get(connection, name)


def test_somebody_new_signs_in_and_may_look(door: Door, provider: Provider) -> None:
    provider.knows(a1=ANN)
    browser = a_browser(door, provider.settings())
    assert "organisation" in browser.get("/login").text
    done = come_back(browser, provider, "a1", "/login/oidc?next=/rollouts/one")
    assert (done.status_code, done.headers.get("Location")) == (303, "/rollouts/one"), done.text
    assert browser.get("/").status_code == 200
    found = person(door.database, "ann@example.com")
    assert (found.role, found.subject, found.has_password) == (Role.VIEWER, f"{provider.issuer} a1", False)
    again = come_back(a_browser(door, provider.settings()), provider, "a1")
    assert again.status_code == 303


def test_groups_at_the_provider_make_roles_each_time(door: Door, provider: Provider) -> None:
    provider.knows(a1=ANN)
    settings = provider.settings(("sre", "admin"), ("release", "operator"))
    assert come_back(a_browser(door, settings), provider, "a1").status_code == 303
    assert person(door.database, "ann@example.com").role is Role.OPERATOR
    provider.knows(a1={**ANN, "groups": ["release", "sre"]})
    assert come_back(a_browser(door, settings), provider, "a1").status_code == 303
    assert person(door.database, "ann@example.com").role is Role.ADMIN


def test_whoever_is_in_no_group_that_may_sign_in_stays_out(door: Door, provider: Provider) -> None:
    provider.knows(a1={**ANN, "groups": ["sales"]})
    refused = come_back(a_browser(door, provider.settings(("sre", "admin"))), provider, "a1")
    assert (refused.status_code, "none of your groups" in refused.text) == (403, True)
    assert "canary_session" not in refused.headers.get("Set-Cookie", "")


def test_an_admin_can_name_somebody_beforehand(door: Door, provider: Provider) -> None:
    provider.knows(a1=ANN)
    users.create(door.database, Person("ann@example.com", Role.OPERATOR), Order("boss", door.clock()))
    assert come_back(a_browser(door, provider.settings()), provider, "a1").status_code == 303
    assert person(door.database, "ann@example.com").role is Role.OPERATOR


@pytest.mark.parametrize("claims", [{"email_verified": False, "preferred_username": "Ann@example.com"}, {}])
def test_nobody_becomes_somebody_else_by_claiming_their_address(
    door: Door, provider: Provider, claims: dict[str, Any]
) -> None:
    a_user(door.database, "ann@example.com", Role.ADMIN)
    provider.knows(m1={**ANN, **claims})
    refused = come_back(a_browser(door, provider.settings()), provider, "m1")
    assert (refused.status_code, "somebody here who signs in otherwise" in refused.text) == (403, True)
    assert person(door.database, "ann@example.com").subject == ""


def test_an_unverified_address_does_not_take_what_an_admin_has_prepared(door: Door, provider: Provider) -> None:
    users.create(door.database, Person("ann@example.com", Role.ADMIN), Order("boss", door.clock()))
    provider.knows(m1={**ANN, "email_verified": False, "preferred_username": "ann@example.com"})
    assert come_back(a_browser(door, provider.settings()), provider, "m1").status_code == 403


def test_an_answer_that_was_not_asked_for_is_refused(door: Door, provider: Provider) -> None:
    provider.knows(a1=ANN)
    victim, attacker = a_browser(door, provider.settings()), a_browser(door, provider.settings())
    back = provider.vouch(attacker.get("/login/oidc").headers["Location"], "a1").removeprefix(ADDRESS)
    assert victim.get(back).status_code == 422  # the attacker's answer, in a browser that has not asked
    victim.get("/login/oidc")
    assert victim.get(back).status_code == 422  # nor in one that has asked for another
    assert attacker.get(back).status_code == 303
    assert attacker.get(back).status_code == 422  # and only once


def test_a_provider_that_refuses_or_cannot_be_reached_is_a_page_and_no_crash(door: Door, provider: Provider) -> None:
    provider.knows(a1=ANN)
    wrong = come_back(a_browser(door, provider.settings(secret="another secret altogether")), provider, "a1")
    assert (wrong.status_code, "Signing in did not work" in wrong.text) == (422, True)
    gone = OidcSettings("http://127.0.0.1:9", "canary", "secret")
    assert a_browser(door, gone).get("/login/oidc").status_code == 422


def test_whoever_is_disabled_here_stays_out_whatever_the_provider_says(door: Door, provider: Provider) -> None:
    provider.knows(a1=ANN)
    a_user(door.database, "boss", Role.ADMIN)
    come_back(a_browser(door, provider.settings()), provider, "a1")
    users.change(door.database, "ann@example.com", users.UserChange(enabled=False), Order("boss", door.clock()))
    assert come_back(a_browser(door, provider.settings()), provider, "a1").status_code == 403
