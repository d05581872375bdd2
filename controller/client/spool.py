"""Reports that could not be sent before a process ended, on disk, for the next one that starts."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from controller.client.batches import Frozen
from controller.clock import Clock, system_clock
from controller.wire.codec import encode
from controller.wire.reports import Report

logger = logging.getLogger(__name__)

_SUFFIX = ".report"
#: What is older says nothing any more that anybody waits for, and a controller may have forgotten its batch ids.
_LONGEST_MS = 24 * 3_600_000


class _Kept(msgspec.Struct):
    """A report in a file: how old it was, and when by the wall clock it was written."""

    wall_ms: int
    age_ms: int
    report: Report


class Spool:
    """A folder of unsent reports.

    Several processes may share one: whoever starts sends what lies there, and since each report keeps its batch id, one
    that two of them send counts once. Files are readable by their owner alone, and hold no user id in the clear.

    Args:
        folder: made when missing.
        most_bytes: what all files may take together. Beyond it reports lose the details of their outcomes first; one
            that still does not fit is dropped and counted.
        clock: wall clock, milliseconds since the Unix epoch.

    Raises:
        OSError: the folder cannot be made or written to.
        ValueError: `most_bytes` is less than 1.
    """

    def __init__(self, folder: Path | str, *, most_bytes: int = 64 * 1024 * 1024, clock: Clock = system_clock) -> None:
        if most_bytes < 1:
            raise ValueError(f"most_bytes must be at least 1, not {most_bytes}")
        self.folder = Path(folder)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(f"the spool {self.folder} cannot be read and written: choose another folder")
        self.dropped = 0
        self._most_bytes = most_bytes
        self._clock = clock

    def keep(self, reports: Iterable[Frozen], now_ms: int) -> None:
        """Write them; one that is there already stays as it is. Trouble with the disk is logged, and loses them.

        `now_ms` is the monotonic clock that `Frozen.made_ms` was read from.
        """
        for frozen in reports:
            path = self._path(frozen.report.batch)
            if path.exists():
                continue
            try:
                self._write(path, frozen, max(0, now_ms - frozen.made_ms))
            except OSError:
                self.dropped += 1
                logger.exception("a report could not be spooled to %s", path)

    def load(self, instance: str, now_ms: int) -> list[Frozen]:
        """What lies there, in the order of writing, to be sent by a process of this name."""
        found: list[tuple[int, Frozen]] = []
        for path in self.folder.glob(f"*{_SUFFIX}"):
            kept = self._read(path)
            if kept is None:
                continue
            age_ms = kept.age_ms + max(0, self._clock() - kept.wall_ms)
            if age_ms > _LONGEST_MS:
                self.dropped += 1
                logger.error("a spooled report of %s is older than a day and is dropped", kept.report.instance)
                path.unlink(missing_ok=True)
                continue
            found.append((kept.report.seq, Frozen(_of_the_past(kept.report, instance), now_ms - age_ms)))
        return [frozen for _, frozen in sorted(found, key=lambda entry: entry[0])]

    def done(self, batch: str) -> None:
        """This report is acknowledged, or refused for good."""
        self._path(batch).unlink(missing_ok=True)

    def _path(self, batch: str) -> Path:
        return self.folder / f"{batch}{_SUFFIX}"

    def _write(self, path: Path, frozen: Frozen, age_ms: int) -> None:
        taken = sum(file.stat().st_size for file in self.folder.glob(f"*{_SUFFIX}"))
        for report in (frozen.report, _without_details(frozen.report)):
            body = encode(_Kept(self._clock(), age_ms, report))
            if taken + len(body) <= self._most_bytes:
                break
        else:
            self.dropped += 1
            logger.error("the spool %s is full (%d bytes): a report is dropped", self.folder, self._most_bytes)
            return
        # Whole or not at all: a process may die at any moment, and another one may be reading.
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _read(self, path: Path) -> _Kept | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return None  # another process has just sent it
        except (OSError, msgspec.MsgspecError):
            self.dropped += 1
            logger.exception("the spooled report %s cannot be read and is put aside", path)
            path.replace(path.with_suffix(".unreadable"))
            return None


def _of_the_past(report: Report, instance: str) -> Report:
    """The report as what it is: the last words of a process that has ended, so that nothing of it is open any more."""
    return msgspec.structs.replace(
        report,
        closing=report.instance != instance,
        arms=[msgspec.structs.replace(row, open_runs=0) for row in report.arms],
        open_units=[msgspec.structs.replace(row, open=0) for row in report.open_units],
    )


def _without_details(report: Report) -> Report:
    return msgspec.structs.replace(report, outcomes=[], dropped=report.dropped + len(report.outcomes))
