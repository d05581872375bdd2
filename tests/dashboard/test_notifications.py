"""An admin sets up a channel on the page, with a real receiver behind it, and sees what arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import PHONE
from tests.notify.receivers import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody's webhook."""
    with receiving() as found:
        yield found


def test_a_channel_is_added_tested_and_seen_to_work_on_a_phone(
    open_page: Callable[..., Page], receiver: Receiver
) -> None:
    page = open_page("admin", viewport=PHONE)
    page.goto("/notifications")
    form = page.locator("#add-channel")
    form.get_by_label("Name", exact=True).fill("robots")
    form.get_by_label("Kind").select_option("webhook")
    form.get_by_label("Target").fill(receiver.url)
    form.get_by_label("Reason").fill("they mend what we break")
    form.get_by_role("button", name="Add the channel").click()
    page.get_by_role("link", name="Done").click()
    page.locator("#test-robots").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("is it there?")
    dialog.get_by_role("button", name="Send a test").click()
    delivered = page.get_by_role("region", name="Deliveries").get_by_text("delivered")
    expect(delivered).to_be_visible()
    assert receiver.types() == ["notify.test"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than the screen"
