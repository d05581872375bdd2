"""A controller as a process, a real browser, and people who sign in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.dashboard.desk import Desk
from tests.flow.site import Site
from tests.flow.test_browser import chromium

#: What a browser and htmx say when the controller does not answer, or refuses.
_LOST_LINE = ("Failed to load resource", "htmx:sendError", "htmx:afterRequest", "htmx:responseError")
expect.set_options(timeout=30_000)  # a busy machine is no finding
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One controller for the tests of a file; each makes flags and rollouts of its own."""
    folder: Path = tmp_path_factory.mktemp("dashboard")
    found = Site(f"sqlite:///{folder / 'canary.db'}", folder)
    found.start()
    yield found
    found.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, once for a file: while it is there, no test can run an event loop."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def desk(site: Site) -> Desk:
    """What a test asks of the controller besides its pages."""
    return Desk(site)


@pytest.fixture
def open_page(browser: Browser, site: Site, desk: Desk) -> Iterator[Callable[..., Page]]:
    """Opens browsers of their own, signed in if a role is named.

    Whatever a page complains about, or a script that runs where none should, fails the test.
    """
    complaints: list[str] = []
    contexts = []

    def begin(role: str = "", **options: Any) -> Page:
        if role:
            options["storage_state"] = desk.session(browser, role)
        context = browser.new_context(**{"viewport": DESKTOP, "base_url": site.url, "locale": "en-GB", **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a script ran: {dialog.message}"))
        page.on("console", lambda message: _note(complaints, message.type, message.text))
        return page

    yield begin
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """An operator's desktop, signed in."""
    return open_page("operator")


def _note(complaints: list[str], kind: str, text: str) -> None:
    """Refusals that a test provokes are in the console as well; a broken policy is worth a failure."""
    if "Content Security Policy" in text or (kind == "error" and not text.startswith(_LOST_LINE)):
        complaints.append(text)
