"""Ledgers to replay: page by page from the controller, or from a file that `canary replay --save` wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from controller.cli.failures import Failed
from controller.cli.remote import Remote, rollout_path
from controller.wire.api.judging import DecisionView, LedgerView
from controller.wire.api.rollouts import RolloutView

#: Slots asked for at a time.
_PAGE = 500


class Page(LedgerView):
    """A page of a ledger; the first one of an export also brings what the slots must account for.

    Attributes:
        decisions: the rollout's decisions, read before the ledger; None where they are not known.
        last_seq: the newest slot there was when the reading began: an export that ends before it has lost slots.
    """

    decisions: list[DecisionView] | None = None
    last_seq: int = 0


def fetched(api: Remote, key: str) -> Iterator[Page]:
    """The ledger of a rollout, page by page. Decisions come first, so that each one's slot must be in the ledger."""
    decisions: list[DecisionView] | None = api.items(rollout_path(key, "decisions"), DecisionView)
    analysis = api.get(rollout_path(key), RolloutView).analysis
    last_seq, after = analysis.seq if analysis else 0, 0
    while True:
        page = api.get(rollout_path(key, "ledger"), Page, after=after, limit=_PAGE)
        page.decisions, page.last_seq = decisions, last_seq
        yield page
        if page.next_seq is None:
            return
        if not page.slots or page.slots[-1].seq <= after:
            raise Failed("The ledger cannot be read", f"the page after slot {after} leads nowhere")
        after, decisions, last_seq = page.slots[-1].seq, None, 0


def saved(path: Path) -> Iterator[Page]:
    """The ledger in a file: one page a line, or a single page as the API gives it.

    Raises:
        Failed: it cannot be read, or holds something else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Failed(f"{path} cannot be read", error.strerror or str(error)) from None
    lines = [line for line in data.splitlines() if line.strip()]
    if not lines:
        raise Failed(f"{path} is no export of a ledger", "it is empty")
    for number, line in enumerate([data] if _is_one_document(data) else lines, start=1):
        try:
            yield msgspec.json.decode(line, type=Page)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Failed(f"{path} is no export of a ledger", f"document {number}: {error}") from None


def keeping(pages: Iterable[Page], path: Path) -> Iterator[Page]:
    """The same pages, each written to a new file as it goes by; there is no file if there is no page."""
    if path.exists():
        raise Failed(f"{path} is there already", "name another file")
    for number, page in enumerate(pages):
        with path.open("ab" if number else "xb") as file:
            file.write(msgspec.json.encode(page) + b"\n")
        yield page


def _is_one_document(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
