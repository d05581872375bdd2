"""An on-call engineer, woken up: on a phone, in the dark, by keyboard, without a script, with a bad line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import PHONE
from tests.dashboard.desk import Desk

NIGHT = {"viewport": PHONE, "color_scheme": "dark", "has_touch": True, "timezone_id": "Europe/Berlin"}


@pytest.fixture
def phone(open_page: Callable[..., Page]) -> Page:
    """An operator's phone at night, signed in."""
    return open_page("operator", **NIGHT)


def test_the_night_shift_rolls_back_and_sees_it_verified(phone: Page, desk: Desk) -> None:
    key = desk.rollout()
    desk.report(key, delivered=50)
    phone.goto(f"/rollouts/{key}")
    phone.get_by_role("link", name="Roll back now").tap()
    dialog = phone.get_by_role("dialog")
    expect(dialog).to_contain_text("Everybody is served legacy at once")
    dialog.get_by_role("button", name="users complain").tap()
    dialog.get_by_role("button", name="Roll back now").tap()
    panel = phone.locator(".countdown")
    expect(panel).to_contain_text("not verified yet")
    expect(panel.locator(".huge").first).to_have_text("1")
    desk.confirm(key)
    expect(panel).to_contain_text("Zero exposures to the canary", timeout=30_000)
    expect(panel.locator(".huge").first).to_have_text("0")
    decision = desk.get(f"rollouts/{key}/decisions")["items"][-2]
    assert (decision["action"], decision["reason"]) == ("rollback", "users complain")


def test_the_judges_decision_appears_on_an_open_page_by_itself(phone: Page, desk: Desk) -> None:
    key = desk.rollout()
    phone.goto("/")
    row = phone.locator(f"#rollout-{key}")
    expect(row).to_contain_text("progressing")
    desk.report(key, failed=40)
    expect(row).to_contain_text("rolling back", timeout=30_000)
    expect(phone.locator("section.attention")).to_contain_text(key)


def test_from_any_page_it_is_one_tap_to_the_choice_and_one_to_the_confirmation(phone: Page, desk: Desk) -> None:
    keys = [desk.rollout(), desk.rollout()]
    phone.goto("/audit")
    phone.get_by_role("link", name="Roll back now").tap()
    dialog = phone.get_by_role("dialog")
    expect(dialog).to_contain_text("Roll back which?")
    dialog.get_by_role("link", name=keys[1]).tap()
    expect(dialog).to_contain_text("Roll back now?")
    dialog.get_by_label("Reason").fill("to be safe")
    dialog.get_by_role("button", name="Roll back now").tap()
    phone.wait_for_url(f"**/rollouts/{keys[1]}?done=rollback")
    assert desk.get(f"rollouts/{keys[0]}")["phase"] == "progressing"


def test_what_is_taken_back_already_leads_on_to_the_others(phone: Page, desk: Desk) -> None:
    gone, other = desk.rollout(), desk.rollout()
    desk.act(gone, "rollback")
    phone.goto(f"/rollouts/{gone}")
    phone.locator("#stop").tap()
    dialog = phone.get_by_role("dialog")
    expect(dialog).to_contain_text("taken back already")
    dialog.get_by_role("link", name="Another rollout").tap()
    expect(dialog.get_by_role("link", name=other)).to_be_visible()


def test_everything_works_by_keyboard(page: Page, desk: Desk) -> None:
    key = desk.rollout()
    page.goto(f"/rollouts/{key}")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.locator("#stop").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator(":focus")).to_have_id("stop")
    page.keyboard.press("Enter")
    dialog.get_by_label("Reason").press_sequentially("typed")
    page.keyboard.press("Enter")
    page.wait_for_url("**?done=rollback")


def test_without_a_script_the_same_is_a_form_on_a_page(open_page: Callable[..., Page], desk: Desk) -> None:
    key = desk.rollout()
    plain = open_page("operator", java_script_enabled=False)
    plain.goto(f"/rollouts/{key}")
    expect(plain.locator("#connection")).to_have_text("refreshed every 10 s", use_inner_text=True)
    expect(plain.locator("time").first).to_contain_text("UTC")
    plain.get_by_role("link", name="Roll back now").click()
    plain.get_by_label("Reason").fill("no script here")
    plain.get_by_role("button", name="Roll back now").click()
    expect(plain.locator(".said")).to_contain_text("Rolling back")
    expect(plain.locator(".countdown")).to_contain_text("canary runs left")


def test_what_a_reader_does_goes_on_while_the_page_changes(page: Page, desk: Desk) -> None:
    key = desk.rollout()
    desk.report(key, delivered=20)
    page.goto(f"/rollouts/{key}")
    page.locator("#clients-all[open] summary").click()
    page.locator("#act-pause").focus()
    page.evaluate("document.querySelector('.chart').dataset.mine = 'yes'")
    desk.site.post(f"/api/v1/rollouts/{key}/set-share", {"share": "20%", "reason": "by somebody else"})
    expect(page.locator(".now .figure")).to_have_text("20 %")
    expect(page.locator("#clients-all")).not_to_have_attribute("open", "")
    expect(page.locator(":focus")).to_have_id("act-pause")
    expect(page.locator(".chart").first).to_have_attribute("data-mine", "yes")


def test_times_are_in_the_readers_zone_with_utc_on_hover(phone: Page, desk: Desk) -> None:
    key = desk.rollout()
    phone.goto(f"/rollouts/{key}")
    shown = phone.locator(".timeline time").first
    expect(shown).not_to_contain_text("UTC")
    title = str(shown.get_attribute("title"))
    assert title.endswith("UTC")
    utc, local = title.split()[1], shown.inner_text()[-8:]
    assert utc[2:] == local[2:]
    assert utc[:2] != local[:2]


def test_a_lost_line_loses_no_reason(page: Page, desk: Desk) -> None:
    key = desk.rollout()
    page.goto(f"/rollouts/{key}")
    page.locator("#stop").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("in a tunnel")
    page.route("**/act/rollback", lambda route: route.abort())
    dialog.get_by_role("button", name="Roll back now").click()
    expect(dialog.get_by_role("alert")).to_contain_text("could not be reached")
    expect(dialog.get_by_label("Reason")).to_have_value("in a tunnel")
    page.unroute("**/act/rollback")
    dialog.get_by_role("button", name="Roll back now").click()
    page.wait_for_url("**?done=rollback")
