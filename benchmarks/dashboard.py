"""The dashboard with many rollouts: what its first page costs, when it is painted, and how soon a decision is seen.

    python -m benchmarks.dashboard               # 200 rollouts of five events each; --rollouts N

A real `canary serve`, which judges all of them meanwhile, and Debian's Chromium with an empty cache for every visit.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.scene import TICK_MS, Scene
from benchmarks.serving import ADMIN, Controller, percentile
from controller.clock import system_clock

CHROMIUM = "/usr/bin/chromium"
MINUTES = 4
EVENTS = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"]
AUTHORIZED = {"Authorization": f"Bearer {ADMIN}"}
#: Resolves with the milliseconds since 1970 at which an element has begun to say something.
_SEEN = """([selector, text]) => new Promise((resolve) => {
  const look = () => document.querySelector(selector)?.textContent.includes(text) && (resolve(Date.now()), true);
  look() || new MutationObserver((_, me) => look() && me.disconnect())
    .observe(document.body, {subtree: true, childList: true, characterData: true});
})"""
_PAINT = """() => ({
  first: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0,
  loaded: performance.getEntriesByType('navigation')[0].loadEventEnd,
  script: performance.getEntriesByType('resource').filter((one) => one.name.includes('.js'))
    .reduce((sum, one) => sum + one.decodedBodySize, 0),
})"""


def play(url: str, count: int) -> list[str]:
    """Rollouts under way, with some minutes of traffic and one look of the judge."""
    scene = Scene(url, system_clock() - MINUTES * 60_000)
    keys = [f"rollout-{at:03}" for at in range(count)]
    for key in keys:
        scene.flag(f"flag-of-{key}")
        scene.draft(key, f"flag-of-{key}", owner="a team", events=EVENTS)
        scene.start(key)
    for _ in range(MINUTES * 60_000 // TICK_MS):
        scene.now_ms += TICK_MS
        for key in keys:
            scene.traffic(key, 0.996, per_tick=20)
    scene.clients([f"flag-of-{key}" for key in keys], 20)
    scene.judge(keys)
    scene.rest()
    scene.close()
    return keys


def server_times(client: httpx.Client, path: str, times: int = 40) -> list[float]:
    """Milliseconds from request to the last byte, one request after the other on an open connection."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        client.get(path).raise_for_status()
        found.append((time.perf_counter() - began) * 1000)
    return found


def cpu_ms(controller: Controller, client: httpx.Client, path: str, times: int = 40) -> float:
    """Milliseconds of CPU that the controller spends on one answer, less what it spends on judging meanwhile."""
    resting, began = controller.cpu_s(), time.monotonic()
    time.sleep(5)
    background = (controller.cpu_s() - resting) / (time.monotonic() - began)
    before, began = controller.cpu_s(), time.monotonic()
    server_times(client, path, times)
    spent = controller.cpu_s() - before - background * (time.monotonic() - began)
    return 1000 * spent / times


def visit(browser: Browser, address: str) -> tuple[dict[str, float], Page]:
    """A first visit: nothing is cached."""
    page = browser.new_context(extra_http_headers=AUTHORIZED).new_page()
    page.goto(address, wait_until="load")
    page.wait_for_selector("#connection.ok")
    return page.evaluate(_PAINT), page


def until_seen(page: Page, decide: Callable[[], httpx.Response], selector: str, text: str) -> float:
    """Milliseconds from the order until the open page shows it."""
    page.evaluate(f"() => {{ window.seen = ({_SEEN})(['{selector}', '{text}']); }}")
    began = system_clock()  # the browser has the same
    decide().raise_for_status()
    return float(page.evaluate("() => window.seen")) - began


def table(title: str, values: list[float], unit: str = "ms") -> None:
    print(f"| {title} | {percentile(values, 0.5):,.0f} {unit} | {percentile(values, 0.95):,.0f} {unit} |")


def measure(controller: Controller, keys: list[str]) -> None:
    address = f"http://127.0.0.1:{controller.port}"
    print("| | median | p95 |\n|---|---|---|")
    with httpx.Client(base_url=address, headers=AUTHORIZED, timeout=30) as client, sync_playwright() as playwright:
        server_times(client, "/", 3)
        for name, path in (("overview", "/"), ("a rollout", f"/rollouts/{keys[0]}"), ("/healthz, beside", "/healthz")):
            table(f"{name}: answered", server_times(client, path))
            print(f"| {name}: CPU of the controller per answer | {cpu_ms(controller, client, path):,.1f} ms | |")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, path in (("overview", "/"), ("a rollout", f"/rollouts/{keys[0]}")):
            found = [visit(browser, address + path) for _ in range(7)]
            table(f"{name}: first painted", [one["first"] for one, _ in found])
            table(f"{name}: loaded", [one["loaded"] for one, _ in found])
            size = found[0][0]["script"]
            page = found[-1][1]
            for _, other in found[:-1]:
                other.context.close()
            table(f"{name}: decision seen", _decisions(client, page, path, keys[0]))
            page.context.close()
        browser.close()
        print(f"\nThe pages' script: {size / 1000:.0f} kB.")


def _decisions(client: httpx.Client, page: Page, path: str, key: str) -> list[float]:
    selector = ".heading .badge" if path != "/" else f"#rollout-{key}"
    found = []
    for verb, text in [("pause", "paused"), ("resume", "progressing")] * 5:
        order = partial(client.post, f"/api/v1/rollouts/{key}/{verb}", json={"reason": "benchmark"})
        found.append(until_seen(page, order, selector, text))
        page.wait_for_timeout(1_000)  # a person does not decide twice in a second
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rollouts", type=int, default=200)
    count = options.parse_args().rollouts
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/canary.db"
        keys = play(url, count)
        print(f"{count} rollouts under way, {len(EVENTS)} events each; load average {os.getloadavg()[0]:.1f}\n")
        controller = Controller(url)
        controller.start()
        try:
            measure(controller, keys)
        finally:
            controller.stop()


if __name__ == "__main__":
    main()
