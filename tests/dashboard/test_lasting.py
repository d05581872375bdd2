"""A page that stays open: sessions that end, and controllers that restart."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.dashboard.desk import PASSWORD, Desk


def test_a_session_that_ends_takes_neither_the_page_nor_the_reason(open_page: Callable[..., Page], desk: Desk) -> None:
    key, name = desk.rollout(), desk.person("operator")
    page = open_page()
    desk.sign_in(page, name)
    page.goto(f"/rollouts/{key}")
    page.locator("#act-pause").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("odd latencies")
    page.context.clear_cookies()
    dialog.get_by_role("button", name="Pause").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Your session has ended, and nothing was done")
    expect(dialog.get_by_label("Reason")).to_have_value("odd latencies")
    again = page.context.new_page()
    again.goto("/login")
    again.get_by_label("Name").fill(name)
    again.get_by_label("Password").fill(PASSWORD)
    again.get_by_role("button", name="Sign in").click()
    again.wait_for_selector("#connection.ok")
    assert desk.get(f"rollouts/{key}")["phase"] == "progressing"


def test_who_is_not_signed_in_reads_and_is_led_through_the_way_in(open_page: Callable[..., Page], desk: Desk) -> None:
    key = desk.rollout()
    name = desk.person("operator")
    desk.sign_in(open_page(), name)
    page = open_page()
    page.goto(f"/rollouts/{key}")
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    expect(page.get_by_role("group", name="Acts")).to_have_count(0)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**/rollouts/{key}**")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")


def test_a_page_finds_back_to_a_controller_that_has_restarted(page: Page, desk: Desk) -> None:
    key = desk.rollout()
    page.goto(f"/rollouts/{key}")
    page.wait_for_selector("#connection.ok")
    desk.site.kill()
    expect(page.locator("#connection")).to_contain_text("disconnected since", timeout=30_000)
    desk.site.start()
    expect(page.locator("#connection")).to_have_text("live", timeout=30_000)
    desk.act(key, "pause")
    expect(page.locator(".heading .badge")).to_have_text("paused", timeout=30_000)
