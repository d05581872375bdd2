"""Who was here: clients that fetch a snapshot or hold a stream, by the name they give. Written in groups.

After a restart everybody comes back at once: a transaction for each would take the controller longer than the clients
are patient.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future

from controller.clock import Clock
from controller.domain.errors import Invalid, Refusal
from controller.domain.instances import Contact
from controller.web.stream import PARTS

_log = logging.getLogger(__name__)

_MOST_NAME = 128
_MOST_SDK = 200
_MOST_KNOWN = 50_000
#: A contact that moves the last one by less than this is not worth a row.
_STEP_MS = 2_000
#: The instances that hold a stream are written down twice a minute, well within any contact lease, a part at a time.
_STREAMS_EVERY_S = 2.0
#: A clock that is off by more than this is told as being off by this.
_MOST_OFFSET_MS = 10 * 365 * 86_400_000
#: A database that takes longer than this has other worries; the client is served.
_PATIENCE_S = 2.0

Done = Future[None]


def contact_of(headers: Mapping[str, str], revision: int, now_ms: int) -> Contact | None:
    """The contact behind a request's headers (names in lower case); None where it gives no name.

    Raises:
        Invalid: the name is too long.
    """
    instance, reports = headers.get("canary-instance"), headers.get("canary-reports")
    if not instance or reports not in {"0", "1"}:
        return None
    if len(instance) > _MOST_NAME:
        raise Invalid(f"an instance has a name of at most {_MOST_NAME} characters", field="Canary-Instance")
    sdk = "".join(c for c in headers.get("canary-sdk", "")[:_MOST_SDK] if c.isprintable())
    return Contact(instance, reports == "1", revision, now_ms, sdk, _offset(headers.get("canary-clock", ""), now_ms))


class ContactBook:
    """One thread that writes contacts as they come, as many in one transaction as have come meanwhile.

    Whoever is new to this process waits until it is known: else a rollback could be called verified while a client that
    nobody has heard of still serves the canary. Everybody else is written down in passing.
    """

    def __init__(
        self,
        write: Callable[[list[Contact]], None],
        clock: Clock,
        streaming: Callable[[int], Iterable[tuple[str, int]]] = lambda _part: (),
    ) -> None:
        self._write = write
        self._clock = clock
        self._streaming = streaming
        self._turn = threading.Condition()
        self._waiting: dict[str, tuple[Contact, list[Done]]] = {}
        self._known: dict[str, Contact] = {}
        self._stopping = False
        self._streams_due = 0.0
        self._part = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write in groups; before that each contact is written by itself."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="canary-contacts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        if self._thread is None:
            return
        with self._turn:
            self._stopping = True
            self._turn.notify_all()
        self._thread.join()
        self._thread = None

    def note(self, contact: Contact | None) -> Done | None:
        """Remember a contact; a future where the instance is new here, done when it is written down (or cannot be)."""
        if contact is None or self._is_fresh(contact):
            return None
        if self._thread is None:
            self._flush([contact])
            return None
        with self._turn:
            new = contact.instance not in self._known
            _, waiters = self._waiting.get(contact.instance, (contact, []))
            done: Done | None = None
            if new:
                done = Future()
                waiters = [*waiters, done]
            self._waiting[contact.instance] = (contact, waiters)
            self._turn.notify_all()
        return done

    def noted(self, contact: Contact | None) -> None:
        """The same, waited for."""
        done = self.note(contact)
        if done is not None:
            try:
                done.result(_PATIENCE_S)
            except TimeoutError:
                _log.warning("a contact was not written down in time")

    def _is_fresh(self, contact: Contact) -> bool:
        known = self._known.get(contact.instance)
        if known is None or not 0 <= contact.at_ms - known.at_ms < _STEP_MS or known.reports != contact.reports:
            return False
        return contact.reports or known.revision >= contact.revision

    def _run(self) -> None:
        while not self._stopping:
            with self._turn:
                self._turn.wait_for(lambda: self._waiting or self._stopping, self._streams_due - time.monotonic())
                taken, self._waiting = self._waiting, {}
            self._flush([contact for contact, _ in taken.values()])
            for _, waiters in taken.values():
                for waiter in waiters:
                    waiter.set_result(None)
            if time.monotonic() >= self._streams_due:
                self._streams_due = time.monotonic() + _STREAMS_EVERY_S
                self._flush(self._of_streams())

    def _of_streams(self) -> list[Contact]:
        """A part of those that hold a stream and report nothing: they are still there, and were sent this revision."""
        now_ms, known = self._clock(), self._known
        self._part = (self._part + 1) % PARTS
        held = [(known[name], revision) for name, revision in self._streaming(self._part) if name in known]
        return [Contact(c.instance, c.reports, revision, now_ms) for c, revision in held if not c.reports]

    def _flush(self, contacts: list[Contact]) -> None:
        """Write; what a client is told matters more than what is remembered of it, so trouble costs the note alone."""
        if not contacts:
            return
        try:
            self._write(contacts)
        except Refusal as error:
            _log.warning("%d contacts were not written: %s", len(contacts), error.detail)
            return
        except Exception:  # noqa: BLE001 - the thread must outlive anything, or nobody would be let in any more
            _log.exception("%d contacts were not written", len(contacts))
            return
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known |= {contact.instance: contact for contact in contacts}


def _offset(text: str, now_ms: int) -> int | None:
    if not (text.isascii() and text.isdecimal() and len(text) <= 16):
        return None
    return max(-_MOST_OFFSET_MS, min(_MOST_OFFSET_MS, int(text) - now_ms))
