"""A kill switch reaches an open page: Chromium, a page of another origin, and the clients that pages use."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.flow.site import Site, until
from tests.js.node import bundled

KEY = "unified-websocket-emitter"


def chromium() -> str:
    """The browser of this machine; one that is missing fails the test, and says what to install."""
    found = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
    assert found, "no Chromium: apt-get install chromium"
    return found


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Iterator[str]:
    """A web site of its own, so that every request to the controller crosses origins."""
    folder = tmp_path_factory.mktemp("page")
    bundled("browser.mjs", folder / "page.js")
    (folder / "index.html").write_text("<script type=module src=page.js></script>", encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(origin: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        found = browser.new_page()
        found.goto(origin)
        found.wait_for_function("globalThis.Page !== undefined")
        yield found
        browser.close()


@pytest.fixture
def here(tmp_path: Path, new_site) -> Site:
    site: Site = new_site(f"sqlite:///{tmp_path / 'browser.db'}")
    variants = {"legacy": False, "unified": True}
    site.post("/api/v1/flags", {"key": KEY, "variants": variants, "control": "legacy", "served": "unified"})
    return site


@pytest.fixture
def token(here: Site) -> str:
    return str(here.post("/api/v1/tokens", {"role": "evaluator"})["token"])


def start(page: Page, here: Site, token: str, **options: Any) -> Any:
    page.evaluate("([url, token]) => { globalThis.mine = new Page(url, token); }", [here.url, token])
    return page.evaluate("(said) => mine.start(said)", {"context": {"targetingKey": "anna"}, **options})


def shown(page: Page) -> Any:
    return page.evaluate("(said) => mine.evaluate(said)", {"kind": "boolean", "flag": KEY, "fallback": True})


def heard(page: Page) -> Any:
    return page.evaluate("() => mine.heard()")


def kill(here: Site) -> None:
    version = here.http.get(f"/api/v1/flags/{KEY}").json()["version"]
    assert here.http.patch(f"/api/v1/flags/{KEY}", json={"version": version, "enabled": False}).is_success


def test_a_kill_switch_reaches_an_open_page(page: Page, here: Site, token: str) -> None:
    assert start(page, here, token) == "ready"
    assert (shown(page)["value"], shown(page)["reason"]) == (True, "STATIC")
    until(lambda: 304 in heard(page)["statuses"], "the stream is open")
    kill(here)
    until(lambda: shown(page)["value"] is False, "the kill switch arrived")
    assert (shown(page)["variant"], shown(page)["reason"]) == ("legacy", "DISABLED")


def test_a_page_that_comes_back_with_old_answers_is_put_right(page: Page, here: Site, token: str) -> None:
    """Pages keep their last answers; what they show at first may be old, and must not stay."""
    assert start(page, here, token, cacheMode="local-cache-first") == "ready"
    until(lambda: page.evaluate("() => localStorage.length") == 1, "the answers were kept")
    kill(here)
    page.reload()
    page.wait_for_function("globalThis.Page !== undefined")
    start(page, here, token, cacheMode="local-cache-first")
    until(lambda: shown(page)["reason"] == "DISABLED", "the background request put it right")


def test_a_page_that_asks_the_network_first_never_shows_an_old_answer(page: Page, here: Site, token: str) -> None:
    start(page, here, token, cacheMode="network-first")
    kill(here)
    page.reload()
    page.wait_for_function("globalThis.Page !== undefined")
    start(page, here, token, cacheMode="network-first")
    assert (shown(page)["value"], shown(page)["reason"]) == (False, "DISABLED")


def test_without_a_token_a_page_is_told_and_nothing_is_shown_of_the_flags(page: Page, here: Site) -> None:
    page.evaluate("([url]) => { globalThis.mine = new Page(url, ''); }", [here.url])
    page.evaluate("(said) => mine.start(said)", {"context": {"targetingKey": "anna"}})
    assert heard(page)["statuses"] == [401]  # the page could read the refusal, although it is of another origin
    assert shown(page)["errorCode"] in ("PROVIDER_FATAL", "PROVIDER_NOT_READY", "FLAG_NOT_FOUND")
