"""The demo's processes: started, spoken to on their standard input, and ended whatever happens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from controller.settings import child_environment

_PATIENCE_S = 15.0


class DemoProcessError(RuntimeError):
    """A process of the demo did not start or ended on its own; the message quotes the end of its log."""


class Child:
    """One process: its JSON lines are kept (the newest), its standard error goes to a file."""

    def __init__(self, name: str, module: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._errors = self.log.open("ab")
        self._process = subprocess.Popen(  # noqa: S603 - our own modules, no shell
            [sys.executable, "-m", *module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=child_environment(**environment),
            cwd=folder,
        )
        self._first = threading.Event()
        self.said: dict[str, int] = {}
        self._reader = threading.Thread(target=self._read, name=f"demo-{name}", daemon=True)
        self._reader.start()

    def first_words(self) -> dict[str, int]:
        """The first JSON line.

        Raises:
            DemoProcessError: nothing came in time.
        """
        if not self._first.wait(_PATIENCE_S) or not self.said:
            raise DemoProcessError(f"{self.name} did not start: {self.last_words()}")
        return self.said

    def tell(self, order: str) -> None:
        """Send one line."""
        if self._process.stdin is not None and self.alive:
            self._process.stdin.write(order.encode() + b"\n")
            self._process.stdin.flush()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end, wait, and make sure."""
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def last_words(self) -> str:
        """The end of its log."""
        self._errors.flush()
        return self.log.read_text(errors="replace").strip()[-800:] or "it said nothing"

    def _read(self) -> None:
        for line in self._process.stdout or ():
            try:
                self.said = json.loads(line)
            except ValueError:
                continue
            self._first.set()
        self._first.set()
