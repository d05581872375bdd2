"""WCAG 2.2 AA by axe-core, in light and dark, on a desktop and on a small phone; and nothing wider than the screen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page

from tests.dashboard.conftest import DESKTOP, PHONE
from tests.dashboard.desk import Desk
from tests.flow.site import Site
from tests.js.node import installed

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

LOOKS = {"light": {"viewport": DESKTOP}, "dark": {"viewport": PHONE, "color_scheme": "dark"}}
PLACES = (
    "/",
    "/rollouts/{busy}",
    "/rollouts/{gone}",
    "/rollouts/{busy}/act/rollback",
    "/rollouts/new?flag={busy}",
    "/flags",
    "/flags/{busy}?user=ann",
    "/flags/new",
    "/segments",
    "/instances",
    "/audit",
    "/freezes",
    "/schedules",
    "/handover",
    "/notifications",
    "/access",
    "/login",
)


@pytest.fixture(scope="module")
def scene(site: Site) -> dict[str, str]:
    """A rollout under way, one that was taken back, and something on every page."""
    desk = Desk(site)
    busy, gone = desk.rollout(), desk.rollout()
    desk.report(busy, delivered=60, failed=1)
    desk.report(gone, delivered=10)
    desk.act(gone, "rollback")
    desk.site.post(
        "/api/v1/freezes", {"key": "weekend", "reason": "nobody is here", "cron": "0 16 * * FRI", "lasts": "64h"}
    )
    plan = {"action": "set_share", "subject": busy, "value": "20%", "cron": "0 9 * * MON", "reason": "mornings"}
    desk.site.post("/api/v1/schedules", plan)
    desk.site.post("/api/v1/segments", {"key": "dach", "when": {"attribute": "country", "in": ["DE", "AT"]}})
    channel = {
        "name": "robots",
        "kind": "webhook",
        "address": "http://127.0.0.1:9/nobody?key=secret",
        "description": "CI",
    }
    desk.site.post("/api/v1/notifications/channels", channel)
    desk.site.post("/api/v1/notifications/subscriptions", {"channel": "robots", "flag": busy})
    desk.site.post("/api/v1/notifications/channels/robots/test", {})
    return {"busy": busy, "gone": gone}


@pytest.fixture(scope="module", params=list(LOOKS))
def admin(request: pytest.FixtureRequest, browser: Browser, site: Site) -> Page:
    """An admin's page in each look."""
    session = Desk(site).session(browser, "admin")
    look = {"locale": "en-GB", "reduced_motion": "reduce", "storage_state": session, **LOOKS[request.param]}
    return browser.new_context(base_url=site.url, **look).new_page()


@pytest.mark.parametrize("place", PLACES)
def test_axe_finds_nothing_serious(admin: Page, scene: dict[str, str], place: str) -> None:
    admin.goto(place.format(**scene))
    if "/login" not in place:
        admin.wait_for_selector("#connection.ok")
    admin.locator("details").evaluate_all("(all) => all.forEach((one) => { one.open = true; })")
    admin.evaluate((installed() / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found = admin.evaluate("(tags) => axe.run({runOnly: tags, resultTypes: ['violations']})", RULES)
    told = [
        f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:150] for node in one['nodes'][:3]]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert told == []
    assert admin.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than the screen"


def test_a_dialog_is_as_good_as_a_page(open_page: Callable[..., Page], scene: dict[str, str]) -> None:
    page = open_page("operator", viewport=PHONE, reduced_motion="reduce")
    page.goto(f"/rollouts/{scene['busy']}")
    page.locator("#stop").click()
    page.get_by_role("dialog").get_by_label("Reason").wait_for()
    page.evaluate((installed() / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("(tags) => axe.run('dialog', {runOnly: tags})", RULES)
    assert [one["id"] for one in found["violations"] if one["impact"] in ("serious", "critical")] == []
