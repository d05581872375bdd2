"""A release engineer: a flag, its targeting, a plan with its forecast, and the ramp; and two who act at once."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.dashboard.desk import Desk

HOSTILE = "</td><script>alert('x')</script>\"'><img src=x onerror=alert(1)>"


def test_from_a_new_flag_to_a_ramp(page: Page, desk: Desk) -> None:
    page.goto("/flags")
    page.get_by_role("link", name="New flag").click()
    page.get_by_label("Key").fill("new-checkout")
    page.get_by_label("Variants").fill("off: false\non: true")
    page.get_by_label("Reason").fill("planned")
    page.get_by_role("button", name="Create flag").click()
    expect(page.locator(".said")).to_contain_text("Created")
    page.get_by_role("link", name="Plan a rollout").click()
    _plan(page)
    page.get_by_label("Reason").fill("as agreed")
    page.get_by_role("button", name="Save draft").click()
    expect(page.locator(".said")).to_contain_text("Saved")
    _act(page, "Start")
    expect(page.locator(".now .figure")).to_have_text("5 %")
    _act(page, "Pause")
    expect(page.locator(".heading .badge")).to_have_text("paused")
    _act(page, "Resume")
    _act(page, "Advance")
    expect(page.locator(".now .figure")).to_have_text("10 %")
    expect(page.locator(".timeline")).to_contain_text("advance by")
    assert desk.get("rollouts/new-checkout")["share_percent"] == 10


def _plan(page: Page) -> None:
    """The form and the text follow each other, and the forecast follows both."""
    manifest = page.locator("#manifest")
    expect(page.locator("#f_canary")).to_have_value("on")
    page.locator("#share-1").fill("5%")
    page.locator("#f_owner").fill("checkout team")
    expect(manifest).to_have_value(_containing("share: 5%", "owner: checkout team"))
    text = manifest.input_value().replace("share: 50%", "share: 40%")
    manifest.fill(text)
    expect(page.locator("#share-3")).to_have_value("40%")
    page.get_by_role("button", name="Remove stage 3").click()
    expect(page.locator("#share-4")).to_have_count(0)
    page.get_by_label("Events a minute").fill("60000")
    page.get_by_role("button", name="Forecast").click()
    expect(page.locator("#forecast")).to_contain_text("A healthy canary is promoted after about", timeout=60_000)


def test_targeting_is_tried_while_it_is_written(page: Page, desk: Desk) -> None:
    key = desk.rollout(started=False)
    page.goto(f"/flags/{key}")
    page.get_by_label("Targeting key", exact=True).fill("ann")
    expect(page.locator("#answer")).to_contain_text("served to everybody")
    page.locator("#targeting").fill("allow:\n  unified: [ann")
    expect(page.locator("#problem")).to_contain_text("line")
    page.locator("#targeting").fill("allow:\n  unified: [ann]\n")
    expect(page.locator("#answer")).to_contain_text("the allow list names this targeting key")
    expect(page.locator(".difflines .added").first).to_contain_text("allow")
    page.locator("#add summary").click()
    page.get_by_label("Attribute (empty: everybody)").fill("country")
    page.get_by_label("Value").fill("DE")
    page.get_by_role("button", name="Add the rule").click()
    expect(page.locator(".facts")).to_contain_text('country equals "DE"')
    page.get_by_label("Reason").fill("staff first")
    page.get_by_role("button", name="Save targeting").click()
    expect(page.locator(".said")).to_contain_text("Targeting saved")
    assert desk.get(f"flags/{key}")["targeting"]["allow"] == {"unified": ["ann"]}


def test_of_two_who_act_at_once_the_loser_is_told(open_page: Callable[..., Page], desk: Desk) -> None:
    key = desk.rollout()
    ann, ben = open_page("operator"), open_page("admin")
    for one in (ann, ben):
        one.goto(f"/rollouts/{key}")
        one.locator("#act-set-share").click()
        one.get_by_role("dialog").get_by_label("Reason").fill("looks fine")
    ann.get_by_label("Share of the users").fill("20")
    ben.get_by_label("Share of the users").fill("30")
    ann.get_by_role("dialog").get_by_role("button", name="Set share").click()
    ann.wait_for_url("**?done=set-share")
    ben.get_by_role("dialog").get_by_role("button", name="Set share").click()
    told = ben.get_by_role("dialog")
    expect(told.get_by_role("alert").first).to_contain_text("Somebody else changed this in the meantime")
    expect(told.get_by_label("Reason")).to_have_value("looks fine")
    expect(told).to_contain_text("20 % on unified")
    assert desk.get(f"rollouts/{key}")["share_percent"] == 20


def test_an_approval_is_given_by_somebody_else(open_page: Callable[..., Page], desk: Desk) -> None:
    stages = [{"share": "10%", "bake": "1h"}, {"share": "100%", "bake": "1h", "approval": "required"}]
    key = desk.rollout(started=False, stages=stages)
    ann, ben = open_page("operator"), open_page("admin")
    ann.goto(f"/rollouts/{key}")
    _act(ann, "Start")
    ann.locator("#act-approve").click()
    ann.get_by_role("dialog").get_by_label("Reason").fill("mine")
    ann.get_by_role("dialog").get_by_role("button", name="Approve").click()
    expect(ann.get_by_role("dialog").get_by_role("alert").first).to_contain_text("cannot approve")
    ben.goto(f"/rollouts/{key}")
    _act(ben, "Approve")
    expect(ben.locator(".timeline")).to_contain_text("approve by")


def test_hostile_names_and_reasons_run_no_script(page: Page, desk: Desk) -> None:
    key = desk.rollout(owner=HOSTILE, note=HOSTILE, events=[HOSTILE[:100]])
    page.goto(f"/rollouts/{key}")
    page.locator("#act-pause").click()
    page.get_by_role("dialog").get_by_label("Reason").fill(HOSTILE)
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    page.wait_for_url("**?done=pause")
    for path in (f"/rollouts/{key}", "/", "/audit", f"/flags/{key}?user={HOSTILE}", "/handover", f"/?q={HOSTILE}"):
        page.goto(path)
        page.wait_for_selector("#connection.ok")
        assert page.locator("img").count() == 0
    expect(page.locator(f"#rollout-{key}")).to_contain_text(HOSTILE)
    page.goto(f"/?q=nothing{HOSTILE}")
    expect(page.locator(".empty")).to_contain_text(HOSTILE)


def _act(page: Page, name: str) -> None:
    page.get_by_role("group", name="Acts").get_by_role("link", name=name, exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("as planned")
    dialog.get_by_role("button", name=name, exact=True).click()
    expect(dialog).to_be_hidden()
    page.wait_for_selector("#connection.ok")


def _containing(*parts: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in parts), re.DOTALL)
