"""The notifier: while this process leads, it puts notices into the channels' lines and sends what is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from controller.clock import Clock
from controller.domain.deliveries import Result, State
from controller.domain.errors import Invalid, StaleTerm, Unavailable
from controller.domain.leases import Lease
from controller.notify import services, webhook
from controller.storage.database import Database
from controller.storage.vault import Vault
from controller.telemetry import Metrics
from controller.usecases import posting
from controller.usecases.posting import Job

log = structlog.get_logger(__name__)

#: The rows are the truth, whoever wrote them: they are looked at this often.
_EVERY_S = 1.0
#: A lane that has not come back after this is given up, and its channel gets another one.
_HANGS_S = 120.0
#: So many lanes of one channel may hang before it is left alone until one of them comes back.
_MOST_HANGING = 3
_TIDY_EVERY_S = 3_600.0
Send = Callable[[Job, str], Result]


@dataclass(eq=False, slots=True)
class _Lane:
    """One attempt under way on a thread of its own."""

    channel: str
    thread: threading.Thread
    began_s: float


class Notifier:
    """Routes and delivers on threads of its own, so that no channel holds up the judge, and none another channel.

    A channel has one message under way at a time. Threads are daemons: a channel that hangs does not hold up the end
    of the process either; its delivery is begun again by whoever leads then, with the same idempotency key.

    Args:
        lease: the leader lease while this process holds it; every transaction checks its term again.
        public_url: where people open the dashboard; links begin with it.
        told: called after each attempt that was settled; pages show it.
        send: one attempt, for tests.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        database: Database,
        clock: Clock,
        lease: Callable[[], Lease | None],
        vault: Vault,
        metrics: Metrics,
        *,
        public_url: str,
        told: Callable[[], None] = lambda: None,
        send: Send | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._lease = lease
        self._vault = vault
        self._metrics = metrics
        self._told = told
        self._public_url = public_url.rstrip("/")
        self._send = send or self._by_kind
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._lanes: list[_Lane] = []
        self._tidied_s = -_TIDY_EVERY_S
        self._thread = threading.Thread(target=self._run, name="canary-notifier", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self, within_s: float = 5.0) -> None:
        """Begin nothing more, and wait a little for what is under way."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(within_s)
        deadline = time.monotonic() + within_s
        for lane in self._lanes:
            lane.thread.join(max(0.0, deadline - time.monotonic()))

    def round(self) -> None:
        """One look: route what is new, begin what is due, and once in a while tidy up."""
        lease = self._lease()
        if lease is None:
            return
        try:
            self._tidy(lease)
            hanging = self._hanging()
            if not posting.busy(self._database, hanging, self._clock()):
                return
            while posting.route(self._database, lease, self._clock()):
                continue
            for job in posting.begin(self._database, self._vault, lease, hanging, self._clock()):
                self._open_lane(job)
        except StaleTerm:
            log.info("somebody else delivers notices by now")
        except Unavailable as error:
            log.warning("notices wait", error=error.detail)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait(_EVERY_S)
            self._woken.clear()
            if self._stopping.is_set():
                return
            try:
                self.round()
            except Exception:  # the next round may well work
                log.exception("notices could not be looked at")

    def _open_lane(self, job: Job) -> None:
        thread = threading.Thread(
            target=self._deliver, args=(job,), name=f"canary-lane-{job.channel.name}", daemon=True
        )
        self._lanes.append(_Lane(job.channel.name, thread, time.monotonic()))
        thread.start()

    def _hanging(self) -> set[str]:
        """The channels that take nothing now: one attempt is under way, or several have never come back."""
        self._lanes = [lane for lane in self._lanes if lane.thread.is_alive()]
        now_s = time.monotonic()
        found = {lane.channel for lane in self._lanes if now_s - lane.began_s < _HANGS_S}
        many = [lane.channel for lane in self._lanes]
        return found | {channel for channel in many if many.count(channel) >= _MOST_HANGING}

    def _deliver(self, job: Job) -> None:
        result = self._attempt(job)
        try:
            state = posting.settle(self._database, job, result, self._clock())
        except Unavailable as error:  # it is begun again, with the same idempotency key
            log.warning("a delivery was not settled", channel=job.channel.name, error=error.detail)
            return
        if state is None:
            return
        kept = {State.DELIVERED: "delivered", State.DEAD: "dead"}.get(state, "failed")
        self._metrics.count_notification(job.channel.name, kept)
        if result.error:
            tell = log.error if state is State.DEAD else log.warning
            tell("not delivered", channel=job.channel.name, notice=job.notice.id, state=state.value, why=result.error)
        self._told()
        self._woken.set()

    def _attempt(self, job: Job) -> Result:
        if job.unusable:
            return Result(job.unusable)
        try:
            return self._send(job, self._public_url + job.message.path)
        except Exception as error:  # noqa: BLE001 - whatever it is: nothing of it is told, since it may hold a secret
            kind = type(error).__name__
            log.error("a channel failed in a way nobody expected", channel=job.channel.name, kind=kind)  # noqa: TRY400
            return Result(f"{type(error).__name__} while sending")

    def _by_kind(self, job: Job, link: str) -> Result:
        if job.channel.kind == "webhook":
            return webhook.send(job, link, self._clock() // 1000)
        return services.send(job, link)

    def _tidy(self, lease: Lease) -> None:
        if time.monotonic() - self._tidied_s < _TIDY_EVERY_S:
            return
        self._tidied_s = time.monotonic()
        while posting.tidy(self._database, self._vault, lease, self._clock()):
            continue


def read_address(kind: str, address: str) -> str:
    """Check a channel's address; returns it without what is secret in it.

    Raises:
        Invalid: it cannot be used.
    """
    if kind == "webhook":
        return webhook.read_address(address)
    if kind == "apprise":
        return services.read_address(address)
    raise Invalid(f"{kind!r} is no kind of channel", field="kind")
