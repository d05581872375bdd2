"""Applications under test that count what they send, and the ledger as a controller shows it."""

from __future__ import annotations

import threading

from openfeature.evaluation_context import EvaluationContext

from controller.client import CanaryProvider, DeliveryReporter
from controller.wire.api.judging import LedgerView
from controller.wire.codec import decode
from tests.builders import FLAG, ROLLOUT
from tests.flow.site import Site

EVENTS = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")


class Traffic:
    """An application process: users keep coming, and every outcome is counted on this side too."""

    def __init__(
        self,
        site: Site,
        failing: frozenset[str] = frozenset(),
        *,
        url: str | None = None,
        instance: str = "app-1",
        pause_s: float = 0.002,
    ) -> None:
        token, where = site.sdk_token(), url or site.url
        self.instance = instance
        self.reporter = DeliveryReporter(where, token, instance=instance, flush_interval=0.05)
        self.provider = CanaryProvider(where, token, reporter=self.reporter, instance=instance)
        self.failing = failing
        self._pause_s = pause_s
        self.users = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self.provider.initialize(None)
        self.reporter.start()
        self._thread.start()

    def pause(self) -> None:
        """No more users; reporter and provider go on."""
        self._stop.set()
        self._thread.join()

    def serves(self, variant: str) -> bool:
        """Whether a user who comes now is given this variant."""
        return self.provider.resolve_boolean_details(FLAG, False, EvaluationContext("user-0")).variant == variant

    def finish(self) -> bool:
        self.pause()
        complete = self.reporter.close(30)
        self.provider.shutdown()
        return complete

    def _run(self) -> None:
        while not self._stop.wait(self._pause_s):
            self.users += 1
            user = f"{self.instance}-user-{self.users}"
            details = self.provider.resolve_boolean_details(FLAG, False, EvaluationContext(user))
            for event in EVENTS:
                attempt = self.reporter.attempt(
                    flag=FLAG,
                    variant=details.variant or "legacy",
                    event_type=event,
                    user_id=user,
                    rollout=details.flag_metadata.get("rollout"),
                    epoch=details.flag_metadata.get("epoch", 0),
                )
                if details.variant in self.failing:
                    attempt.failed("on purpose")
                else:
                    attempt.delivered(1.0)


def ledger_of(site: Site) -> LedgerView:
    pages, after = [], 0
    while after is not None:
        answer = site.http.get(f"/api/v1/rollouts/{ROLLOUT}/ledger?after={after}&limit=500").raise_for_status()
        pages.append(decode(answer.content, LedgerView))
        after = pages[-1].next_seq
    return LedgerView(ROLLOUT, pages[-1].rounds, [slot for page in pages for slot in page.slots], None)


def evidence_of(found: LedgerView) -> int:
    """Whole units of first outcomes; users are new each time, so there is one for each user and event type."""
    return sum(row[4] for slot in found.slots for row in slot.rows if row[2] in EVENTS) // 1000
