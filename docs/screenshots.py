"""Takes the pictures of the dashboard that the documentation shows: `make screenshots`.

A real controller serves a scene whose clock stands still to a real browser whose clock stands still as well, so the
pictures change when the pages do.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, expect, sync_playwright  # noqa: E402

from benchmarks.scene import TICK_MS, Scene  # noqa: E402
from controller.bootstrap import Controller  # noqa: E402
from controller.settings import Settings  # noqa: E402
from controller.usecases import rollouts as commands  # noqa: E402
from controller.web.server import serve_on  # noqa: E402
from controller.web.sockets import listen  # noqa: E402

#: 2026-03-10 02:47 UTC, a night like others.
NOW_MS = 1_773_110_820_000
MINUTES = 34
OUT = ROOT / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
TOKEN = "a token for pictures, known to everybody"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
#: Name of the picture, page, colour scheme, and size of the window.
PICTURES = [
    (f"{name}-{scheme}{'-phone' if size is PHONE else ''}", path, scheme, size)
    for name, path in (
        ("overview", "/"),
        ("rollout", "/rollouts/unified-emitter"),
        ("rollback", "/rollouts/checkout-v2"),
    )
    for scheme, size in (("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE), ("dark", PHONE))
]
CHAT = "unified-websocket-emitter"


def play(url: str) -> None:
    """A night with a few rollouts: one that broke a minute ago, one that waits for a person, one that goes well."""
    scene = Scene(url, NOW_MS - MINUTES * 60_000)
    scene.flag(CHAT, "which emitter sends the events of an agent run")
    for key, text in (
        ("checkout-path", "new payment provider"),
        ("search-ranking", "ranking by the new model"),
        ("image-resizer", "resizing in the edge network"),
        ("push-gateway", "push messages over HTTP/2"),
        ("billing-export", "nightly export"),
    ):
        scene.flag(key, text)
    scene.draft("unified-emitter", CHAT, owner="chat team", channel="#chat-oncall",
                note="Moves chat users to the unified emitter, legacy WebSocket path afterwards removed.")  # fmt: skip
    scene.draft("checkout-v2", "checkout-path", owner="payments", events=["authorized", "captured"],
                stages=[{"share": "10%", "bake": "10m"}, {"share": "50%", "bake": "30m"},
                        {"share": "100%", "bake": "30m"}])  # fmt: skip
    scene.draft("ranking-2026", "search-ranking", owner="search", events=["results_shown"], promotion_margin="5%",
                stages=[{"share": "5%", "bake": "5m"}, {"share": "50%", "bake": "30m", "approval": "required"},
                        {"share": "100%", "bake": "30m"}])  # fmt: skip
    scene.draft("edge-resize", "image-resizer", owner="media", events=["image_served"], mode="observe")
    scene.draft("push-http2", "push-gateway", owner="mobile", events=["push_accepted"])
    scene.draft("billing-2", "billing-export", owner="billing", events=["row_exported"])
    live = ["unified-emitter", "checkout-v2", "ranking-2026", "edge-resize", "push-http2"]
    flags = [CHAT, "checkout-path", "search-ranking", "image-resizer", "push-gateway"]
    for key in live:
        scene.start(key)
    ticks = MINUTES * 6
    for tick in range(1, ticks + 1):
        scene.now_ms = NOW_MS - (ticks - tick) * TICK_MS - 3_000
        _minute(scene, tick, ticks, live)
        scene.clients(flags, 12, behind=2 if tick > ticks - 6 else 0)
        scene.judge(live)
    scene.rest()
    scene.close()


def _minute(scene: Scene, tick: int, ticks: int, live: list[str]) -> None:
    broken = tick > ticks - 4
    scene.traffic("unified-emitter", 0.993, per_tick=90, slow=0.8)
    if not broken or tick == ticks - 3:
        scene.traffic("checkout-v2", 0.35 if broken else 0.998, per_tick=160, slow=1.6 if broken else 1.0)
    scene.traffic("ranking-2026", 0.999, per_tick=1_200)
    scene.traffic("edge-resize", 0.985, per_tick=120)
    scene.traffic("push-http2", 0.997, per_tick=80)
    if tick == ticks - 60:
        commands.pause(scene.database, live[4], scene.order("ben@example.org", "Android 16 crash reports, looking"))
    if tick == 66:
        commands.advance(scene.database, live[0], scene.order("ann@example.org", "went well in staging for a week"))


@contextmanager
def served(url: str) -> Iterator[str]:
    """The controller on a port of its own, its clock at NOW_MS."""
    controller = Controller(Settings(database_url=url, environment="production", admin_token=TOKEN), lambda: NOW_MS)
    controller.prepare()
    sock = listen("127.0.0.1", 0)
    ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        loop.run_until_complete(serve_on(controller.shell(), sock, stop, ready=lambda _port: ready.set()))

    port = sock.getsockname()[1]
    thread = threading.Thread(target=run)
    thread.start()
    if not ready.wait(30):
        raise RuntimeError("the controller did not begin to serve")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def take(browser: Browser, address: str, out: Path, wanted: str = "") -> None:
    """Every picture whose name contains `wanted`."""
    for name, path, scheme, size in PICTURES:
        if wanted not in name:
            continue
        context = browser.new_context(
            color_scheme=scheme, viewport=size, device_scale_factor=2 if size is PHONE else 1, reduced_motion="reduce",
            timezone_id="Europe/Berlin", locale="en-GB", extra_http_headers={"Authorization": f"Bearer {TOKEN}"},
        )  # fmt: skip
        page = context.new_page()
        page.clock.set_fixed_time(datetime.fromtimestamp(NOW_MS / 1000, UTC))
        page.goto(address + path)
        page.wait_for_selector("#connection.ok")
        expect(page.locator(".chart:empty")).to_have_count(0, timeout=30_000)
        # On a wide screen a rollout is shown to its end, or its charts would be below the edge.
        page.screenshot(path=out / f"{name}.png", full_page=size is DESKTOP and path != "/")
        context.close()
        print(f"{name}.png")


def main() -> None:
    """Play the scene and take the pictures."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        url = f"sqlite:///{folder}/scene.db"
        play(url)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--hide-scrollbars"])
        with served(url) as address:
            take(browser, address, OUT, sys.argv[1] if len(sys.argv) > 1 else "")
        browser.close()


if __name__ == "__main__":
    main()
