"""Batches that the controller will never take: counted, and told to people once each."""

from __future__ import annotations

import logging

import msgspec

from controller.wire.problems import Problem
from controller.wire.reports import Report

logger = logging.getLogger(__name__)

_MOST_TOLD = 50


class RefusalLog:
    """Counts refused batches and logs each kind once."""

    def __init__(self) -> None:
        self.rejected = 0
        self._told: set[tuple[int, str, str]] = set()

    def note(self, report: Report, status: int, body: bytes) -> None:
        """A batch is lost."""
        self.rejected += 1
        problem = _problem(status, body)
        subject = ", ".join(sorted({row.flag for row in report.counts} | {row.rollout for row in report.evidence}))
        kind = (status, problem.code, subject[:200])
        if kind in self._told or len(self._told) >= _MOST_TOLD:
            return
        self._told.add(kind)
        logger.error(
            "the controller refused a report of %s for good (%d %s): %s. It is dropped; check that the flag exists",
            subject[:200] or "no flag",
            status,
            problem.code,
            problem.detail[:500],
        )


def _problem(status: int, body: bytes) -> Problem:
    try:
        return msgspec.json.decode(body, type=Problem)
    except msgspec.MsgspecError:
        return Problem("", status, "", body[:200].decode("utf-8", "replace"))
