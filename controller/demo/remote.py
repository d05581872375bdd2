"""The demo as an operator: it speaks the same REST API as everybody."""

from __future__ import annotations

import time
from typing import Any, TypeVar

import httpx
import msgspec

from controller.domain.errors import Refusal
from controller.wire.api.judging import DecisionView, LedgerView
from controller.wire.api.people import InstanceView
from controller.wire.api.rollouts import RolloutView

T = TypeVar("T")

_PATIENCE_S = 20.0


class Operator:
    """One operator with an admin token."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=10)

    def close(self) -> None:
        """Give back the connection."""
        self._http.close()

    def wait_until_ready(self) -> bool:
        """Whether the controller answers in time."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            try:
                if self._http.get("/readyz").status_code == httpx.codes.OK:
                    return True
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        return False

    def post(self, path: str, body: object) -> dict[str, Any]:
        """Send a command.

        Raises:
            Refusal: the controller refused; the message is its own.
        """
        answer = self._http.post(path, json=body)
        if answer.is_error:
            raise Refusal(answer.text)
        return dict(answer.json())

    def rollout(self, key: str) -> RolloutView:
        """The rollout with everything that its page shows."""
        return self._get(f"/api/v1/rollouts/{key}", RolloutView)

    def decisions(self, key: str) -> list[DecisionView]:
        """All acts on a rollout, the oldest first."""
        page = self._http.get(f"/api/v1/rollouts/{key}/decisions").raise_for_status().json()
        found = msgspec.convert(page["items"], list[DecisionView])
        return sorted(found, key=lambda decision: decision.id)

    def instances(self) -> list[InstanceView]:
        """The client processes, the gone ones included."""
        page = self._http.get("/api/v1/instances").raise_for_status().json()
        return msgspec.convert(page["items"], list[InstanceView])

    def ledger(self, key: str) -> LedgerView:
        """The whole ledger of a rollout."""
        pages = [self._ledger_page(key, 0)]
        while (after := pages[-1].next_seq) is not None:
            pages.append(self._ledger_page(key, after))
        slots = [slot for page in pages for slot in page.slots]
        return LedgerView(key, pages[0].rounds, slots, None)

    def _ledger_page(self, key: str, after: int) -> LedgerView:
        return self._get(f"/api/v1/rollouts/{key}/ledger?after={after}&limit=500", LedgerView)

    def _get(self, path: str, form: type[T]) -> T:
        return msgspec.json.decode(self._http.get(path).raise_for_status().content, type=form)
