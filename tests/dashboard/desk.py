"""What tests of the dashboard ask of the controller besides its pages."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, StorageState

from tests.builders import EVENTS, manifest_document
from tests.flow.site import Site

PASSWORD = "correct horse battery staple"
_numbers = itertools.count(1)
_tokens: dict[str, str] = {}
_sessions: dict[tuple[str, str], StorageState] = {}


class Desk:
    """The controller's other interfaces: admins, applications and the command line use these."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def person(self, role: str) -> str:
        """Somebody new, who has a link to choose a password by; returns the name."""
        return f"{role}-{next(_numbers)}"

    def sign_in(self, page: Page, name: str, role: str = "") -> None:
        """Let somebody choose a password by their link, which signs them in."""
        made = self.site.post("/api/v1/users", {"name": name, "role": role or name.partition("-")[0]})
        page.goto(made["link"])
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("Once more").fill(PASSWORD)
        page.get_by_role("button", name="Set it and sign in").click()
        page.wait_for_selector("#connection.ok")

    def session(self, browser: Browser, role: str) -> StorageState:
        """The cookies of somebody of that role, who signed in once for all tests of a file."""
        mine = self.site.url, role
        if mine not in _sessions:
            with browser.new_context(base_url=self.site.url) as context:
                self.sign_in(context.new_page(), self.person(role))
                _sessions[mine] = context.storage_state()
        return _sessions[mine]

    def rollout(self, *, started: bool = True, **changes: Any) -> str:
        """A flag and a rollout of it, each with a name of its own; returns the name of both."""
        key = f"emitter-{next(_numbers)}"
        self.site.post(
            "/api/v1/flags", {"key": key, "variants": {"legacy": False, "unified": True}, "control": "legacy"}
        )
        stages = [{"share": share, "bake": "1h"} for share in ("10%", "50%", "100%")]
        document = manifest_document(rollout=key, flag=key, allow_overlap=True, **{"stages": stages, **changes})
        self.site.post("/api/v1/rollouts", document)
        if started:
            self.act(key, "start")
        return key

    def act(self, key: str, verb: str) -> None:
        """Somebody else acts on a rollout, on the command line."""
        self.site.post(f"/api/v1/rollouts/{key}/{verb}", {"reason": "by somebody else"})

    def get(self, path: str) -> dict[str, Any]:
        """What the interface says."""
        return dict(self.site.http.get(f"/api/v1/{path}").raise_for_status().json())

    def report(self, key: str, *, failed: int = 0, delivered: int = 0, **more: Any) -> None:
        """An application reports, from an instance of its own for each rollout."""
        rollout = self.get(f"rollouts/{key}")
        tally = {"rollout": key, "epoch": rollout["epoch"], "arm": "canary"}
        counts = {"flag": key, "variant": "unified", "attempts": failed + delivered}
        body = {
            "batch": f"batch-{next(_numbers):06}",
            "instance": f"chat-of-{key}",
            "seq": next(_numbers),
            "counted_by": "client",
            "arms": [{"flag": key, "variant": "unified", "open_runs": 0}],
            "evidence": [
                {**tally, "stream": event, "failed": 1000 * failed, "total": 1000 * (failed + delivered)}
                for event in EVENTS
            ]
            if failed + delivered
            else [],
            "counts": [{**counts, "event_type": event, "delivered": delivered, "failed": failed} for event in EVENTS]
            if failed + delivered
            else [],
            **more,
        }
        with self._application() as application:
            answer = application.post("/sdk/v1/reports", json=body)
        assert answer.is_success, answer.text

    def confirm(self, key: str) -> None:
        """The application has applied the newest revision, and nobody is on the canary any more."""
        with self._application() as application:
            newest = int(application.get("/sdk/v1/snapshot").headers["Canary-Revision"])
        self.report(key, revision=newest)

    def _application(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.site.url, headers={"Authorization": f"Bearer {_token(self.site)}"}, timeout=10
        )


def _token(site: Site) -> str:
    """The application's token, made once for each controller."""
    if site.url not in _tokens:
        _tokens[site.url] = site.sdk_token()
    return _tokens[site.url]
