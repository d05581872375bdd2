"""Signing in and out with a browser: cookies, the token of forms, one-time links, and too many attempts."""

import re
from collections.abc import Callable

import pytest
from flask import Flask, render_template_string

from controller.domain.orders import Order
from controller.domain.principals import Need, Role
from controller.storage.database import Database
from controller.usecases import users
from controller.usecases.sessions import IDLE_MS, LIFE_MS
from controller.usecases.users import LINK_MS, UserChange
from controller.web.access import MEMORY_MS, _enter
from controller.web.app import create_app
from tests.web.browsers import PASSWORD, Browser, a_user
from tests.web.callers import FLAG, Caller, Door

FLAGS = "/api/v1/flags"


@pytest.fixture
def browser(app: Flask) -> Browser:
    """A browser that nobody has signed in with."""
    return Browser(app)


@pytest.fixture
def token_of(app: Flask, browser: Browser) -> Callable[[], str]:
    """What a page would show as the token of its forms."""

    def ask() -> str:
        [cookie] = browser.client._cookies.values()
        with app.test_request_context("/", headers={"Cookie": f"{cookie.key}={cookie.value}"}):
            from controller.domain.principals import Need  # noqa: PLC0415
            from controller.web.access import _enter  # noqa: PLC0415 - what a page's guard does

            _enter(Need.READ)
            return render_template_string("{{ csrf_token() }}")

    return ask


def test_whoever_signs_in_comes_to_the_page_that_they_asked_for(browser: Browser, door: Door) -> None:
    a_user(door.database, "ann")
    asked = browser.get("/rollouts/one?tab=2")
    assert (asked.status_code, asked.headers["Location"]) == (303, "/login?next=/rollouts/one%3Ftab%3D2")
    form = browser.get(asked.headers["Location"])
    assert 'name="next" value="/rollouts/one?tab=2"' in form.text
    done = browser.sign_in("Ann ", next="/rollouts/one?tab=2")
    assert (done.status_code, done.headers["Location"]) == (303, "/rollouts/one?tab=2")
    assert browser.get("/").status_code == 200


def test_the_cookie_is_out_of_the_reach_of_scripts_and_other_sites(browser: Browser, door: Door) -> None:
    a_user(door.database, "ann")
    cookie = browser.sign_in("ann").headers["Set-Cookie"]
    assert cookie.startswith("canary_session=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={LIFE_MS // 1000}"} <= set(cookie.split("; "))
    assert "Secure" not in cookie  # http on loopback


def test_where_others_can_reach_it_the_cookie_goes_over_tls_alone(door: Door) -> None:
    a_user(door.database, "ann")
    browser = Browser(create_app(door.services(secure_cookies=True)), "https://canary.example")
    cookie = browser.sign_in("ann").headers["Set-Cookie"]
    assert cookie.startswith("__Host-canary=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert browser.get("/").status_code == 200
    plain = Browser(create_app(door.services(secure_cookies=True)), "http://canary.example")
    assert "CANARY_PUBLIC_URL" in plain.get("/login").text


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:x"])
def test_nobody_is_sent_to_another_site_after_signing_in(browser: Browser, door: Door, elsewhere: str) -> None:
    a_user(door.database, "ann")
    assert browser.sign_in("ann", next=elsewhere).headers["Location"] == "/"


def test_a_wrong_password_and_an_unknown_name_look_alike(browser: Browser, door: Door) -> None:
    a_user(door.database, "ann")
    wrong, unknown = browser.sign_in("ann", "not it at all"), browser.sign_in("zoe", "not it at all")
    assert (wrong.status_code, unknown.status_code) == (422, 422)
    assert wrong.text.replace("ann", "") == unknown.text.replace("zoe", "")
    assert "Set-Cookie" not in wrong.headers


def test_who_tries_too_often_waits_even_with_the_right_password(browser: Browser, door: Door) -> None:
    a_user(door.database, "ann")
    for _ in range(5):
        assert browser.sign_in("ann", "a guess, a guess").status_code == 422
    refused = browser.sign_in("ann")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "900")
    door.clock.advance(900_001)
    assert browser.sign_in("ann").status_code == 303


def test_guessing_at_one_name_does_not_lock_out_another(browser: Browser, door: Door) -> None:
    a_user(door.database, "ann"), a_user(door.database, "bob")
    for _ in range(6):
        browser.sign_in("ann", "a guess, a guess")
    assert browser.sign_in("bob").status_code == 303


def test_a_script_with_a_session_needs_the_token_of_its_page(
    browser: Browser, door: Door, token_of: Callable[[], str]
) -> None:
    a_user(door.database, "ann")
    browser.sign_in("ann")
    assert browser.call("GET", FLAGS).status_code == 200
    refused = browser.call("POST", FLAGS, json=FLAG)
    assert (refused.status_code, refused.json["code"]) == (403, "bad_csrf_token")
    assert browser.call("POST", FLAGS, json=FLAG, headers={"X-CSRF-Token": "0" * 64}).status_code == 403
    assert browser.call("POST", FLAGS, json=FLAG, headers={"X-CSRF-Token": token_of()}).status_code == 201


def test_a_page_of_another_site_does_nothing_even_with_the_token(
    browser: Browser, door: Door, token_of: Callable[[], str]
) -> None:
    a_user(door.database, "ann")
    browser.sign_in("ann")
    token = token_of()
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = browser.call("POST", FLAGS, json=FLAG, headers={"X-CSRF-Token": token, **headers})
        assert (answer.status_code, answer.json["code"]) == (403, "bad_csrf_token")
    assert browser.submit("/login", origin="https://evil.example", name="ann", password=PASSWORD).status_code == 403


def test_a_bearer_token_needs_no_token_of_a_page(operator: Caller) -> None:
    assert operator.post(FLAGS, FLAG).status_code == 201


def test_signing_out_ends_the_session_for_the_cookie_too(
    browser: Browser, door: Door, token_of: Callable[[], str]
) -> None:
    a_user(door.database, "ann")
    browser.sign_in("ann")
    [kept] = browser.client._cookies.values()
    refused = browser.submit("/logout")
    assert refused.status_code == 403
    done = browser.submit("/logout", csrf_token=token_of())
    assert (done.status_code, done.headers["Location"]) == (303, "/login")
    assert browser.get("/").status_code == 303
    stolen = browser.call("GET", FLAGS, headers={"Cookie": f"{kept.key}={kept.value}"})
    assert stolen.status_code == 401


def test_a_session_ends_by_idling_and_at_any_rate_after_a_week(browser: Browser, door: Door) -> None:
    a_user(door.database, "ann")
    browser.sign_in("ann")
    door.clock.advance(IDLE_MS - 1)
    assert browser.call("GET", FLAGS).status_code == 200
    door.clock.advance(IDLE_MS)
    assert browser.call("GET", FLAGS).status_code == 401
    browser.sign_in("ann")
    for _ in range(LIFE_MS // (IDLE_MS - 1) + 1):
        door.clock.advance(IDLE_MS - 1)
        last = browser.call("GET", FLAGS).status_code
    assert last == 401


def test_whoever_is_disabled_is_out_within_seconds(browser: Browser, door: Door) -> None:
    a_user(door.database, "ann"), a_user(door.database, "boss", Role.ADMIN)
    browser.sign_in("ann")
    assert browser.call("GET", FLAGS).status_code == 200
    users.change(door.database, "ann", UserChange(enabled=False), Order("boss", door.clock()))
    door.clock.advance(MEMORY_MS)
    assert browser.call("GET", FLAGS).status_code == 401
    assert browser.sign_in("ann").status_code == 422


def test_the_first_admin_chooses_name_and_password_by_a_link_that_works_once(browser: Browser, door: Door) -> None:
    secret = users.first_admin_link(door.database, door.clock())
    assert "The first admin" in browser.get(f"/setup/{secret}").text
    short = browser.submit(f"/setup/{secret}", name="boss", password="short", again="short")
    assert (short.status_code, "12 to 200 characters" in short.text) == (422, True)
    unlike = browser.submit(f"/setup/{secret}", name="boss", password=PASSWORD, again=PASSWORD + "!")
    assert (unlike.status_code, "differ" in unlike.text) == (422, True)
    done = browser.submit(f"/setup/{secret}", name="boss", password=PASSWORD, again=PASSWORD)
    assert (done.status_code, done.headers["Location"]) == (303, "/")
    assert browser.call("GET", "/api/v1/tokens").status_code == 200
    again = browser.submit(f"/setup/{secret}", name="thief", password=PASSWORD, again=PASSWORD)
    assert (again.status_code, "Set-Cookie" in again.headers) == (410, False)
    assert users.first_admin_link(door.database, door.clock()) is None


def test_a_link_runs_out(browser: Browser, door: Door) -> None:
    secret = users.first_admin_link(door.database, door.clock())
    door.clock.advance(LINK_MS)
    assert browser.get(f"/setup/{secret}").status_code == 410


def test_a_name_that_is_markup_is_shown_as_text(browser: Browser) -> None:
    hostile = '"><script>alert(1)</script>'
    page = browser.sign_in(hostile, "whatever it is")
    assert "<script>" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'; ")


def test_without_a_provider_there_is_no_way_to_one(browser: Browser) -> None:
    assert browser.get("/login/oidc").status_code == 404
    assert "organisation" not in browser.get("/login").text


def test_pages_know_who_is_signed_in_and_nobody_where_reading_is_open(app: Flask, database: Database) -> None:
    a_user(database, "ann")
    browser = Browser(app)
    browser.sign_in("ann")
    [cookie] = browser.client._cookies.values()
    shown = "{{ principal().name if principal() else 'nobody' }}{{ csrf_field() }}"
    with app.test_request_context("/", headers={"Cookie": f"{cookie.key}={cookie.value}"}):
        _enter(Need.READ)
        assert re.fullmatch(r'ann<input type="hidden" name="csrf_token" value="[0-9a-f]{64}">', _drawn(shown))
    with app.test_request_context("/"):
        assert _drawn(shown) == 'nobody<input type="hidden" name="csrf_token" value="">'


def _drawn(template: str) -> str:
    return render_template_string(template)
