"""The one place that names concrete classes: puts the controller together, runs it, and takes it apart again."""

from __future__ import annotations

import gc
import os
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from secrets import token_hex

import structlog
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from controller import __version__
from controller.clock import Clock, system_clock
from controller.domain.errors import Invalid
from controller.domain.outcomes import OutcomeClass
from controller.domain.principals import Need
from controller.notify.notifier import Notifier, read_address
from controller.scheduler.evaluator import Evaluator
from controller.scheduler.jobs import Scheduler
from controller.scheduler.keeping import Keeper
from controller.scheduler.leadership import Leadership
from controller.scheduler.planner import Planner
from controller.settings import Settings
from controller.storage import evidence, schema, snapshots
from controller.storage.batches import Batch, lags
from controller.storage.database import Database
from controller.storage.notices import Listener
from controller.storage.vault import Vault
from controller.storage.writer import IngestWriter
from controller.telemetry import Metrics, configure_logging, timed
from controller.tracing import start_tracing, stop_tracing
from controller.usecases import contacts
from controller.usecases.tokens import can_administer, ensure_admin
from controller.usecases.users import first_admin_link
from controller.web.access import Gate, gate_of
from controller.web.app import create_app
from controller.web.asgi import Problem
from controller.web.channels import Channels
from controller.web.contacts import ContactBook, contact_of
from controller.web.cors import cors_headers
from controller.web.evaluations import EVENTS
from controller.web.express import Express
from controller.web.headcount import Headcount
from controller.web.keeping import KnownPolicies
from controller.web.metrics import ProcessParts, StateCollector
from controller.web.pace import Pace
from controller.web.publisher import CHANGES, REFETCHES, SNAPSHOTS, Publisher
from controller.web.server import Shell, StreamRequest, StreamRoute, make_asgi
from controller.web.server import serve as serve_http
from controller.web.services import Services
from controller.web.state import FlagState
from controller.web.stream import Opening, StreamHub, StreamLimits
from controller.wire.reports import Receipt

log = structlog.get_logger(__name__)

#: While this process cannot ask its database, a client is better off with another replica, or with its lease.
_BLIND = Problem(
    503, "unavailable", "The database cannot be reached", "Nothing can be vouched for; retry.", (("Retry-After", "2"),)
)
_EXPIRED = Problem(403, "forbidden", "The channel is closed", "Evaluate all flags again: the answer names a new one.")
#: What is logged instead of a secret.
_FIRST_ADMIN = "run `canary user first-admin`, or `canary token create --role admin --local`, beside this process"
#: Objects made before the collector looks at the young ones: a few reports' worth.
_YOUNG = 50_000
#: How long a thread keeps the interpreter before it is asked to let another one go on.
_SWITCH_S = 0.02
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class CountingWriter(IngestWriter):
    """The ingest writer, which also counts outcomes for Prometheus once they are committed."""

    def __init__(
        self, database: Database, clock: Clock, metrics: Metrics, on_commit: Callable[[set[str]], None]
    ) -> None:
        super().__init__(database, clock, on_commit=on_commit)
        self._metrics = metrics

    def submit(self, batch: Batch) -> Receipt:
        """Write a report and count it."""
        with timed(self._metrics.acknowledged):
            receipt = super().submit(batch)
        self._metrics.batches.labels("duplicate" if receipt.duplicate else "accepted").inc()
        if not receipt.duplicate:
            self._metrics.rows.inc(batch.rows)
            self._count_outcomes(batch)
        return receipt

    def _count_outcomes(self, batch: Batch) -> None:
        for age_ms in lags(batch):
            self._metrics.lag.observe(age_ms / 1000)
        for key, counts in batch.windows.items():
            by_class = {name.value: getattr(counts, name.value) for name in OutcomeClass}
            self._metrics.count_outcomes(key.flag_key, key.variant, key.event_type, by_class)


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """How the first admin comes in: a token to show once, and the secret of a one-time link to the dashboard.

    Neither is made where standard error is a log that is collected: whoever reads logs could become the admin.
    `wanted` says that nobody can administer yet.
    """

    token: str | None
    link: str | None
    wanted: bool = False


class Controller:
    """The whole controller of one process, not yet listening."""

    def __init__(self, settings: Settings, clock: Clock = system_clock) -> None:
        self.settings = settings
        self.clock = clock
        self.database = Database(settings.database_url, settings.pool_size)
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(StateCollector(self.database, clock))
        self.flags = FlagState(self.database)
        self.headcount = Headcount(self.database, clock)
        self.hub = StreamHub(
            limits=StreamLimits(streams=settings.most_streams),
            vouched=lambda: self.flags.vouched,
            instances=lambda: self.headcount.latest,
        )
        self.publisher = Publisher(self.flags, self.hub, clock, self.headcount)
        self.contacts = ContactBook(
            lambda found: contacts.note(self.database, found), clock, lambda part: self.hub.holders(SNAPSHOTS, part)
        )
        self.writer = CountingWriter(self.database, clock, self.metrics, self._committed)
        parts = ProcessParts(self.writer.stats, self.hub.stats, lambda: self.publisher.revision)
        self.registry.register(parts)
        self.leadership = Leadership(self.database, clock, f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}")
        evaluator = Evaluator(self.database, clock, self.leadership, self.metrics, self.publisher.changed)
        planner = Planner(self.database, clock, self.leadership, self.metrics, self.publisher.changed)
        keeper = Keeper(self.database, clock, self.leadership, settings.audit_archive)
        self.scheduler = Scheduler(self.leadership, evaluator, planner, self.metrics, keeper.sweep)
        self.vault = Vault(settings.secret_keys)
        self.notifier = Notifier(
            self.database,
            clock,
            lambda: self.leadership.lease,
            self.vault,
            self.metrics,
            public_url=settings.dashboard_url,
            told=self.publisher.counted,
        )
        self.listener = None if self.database.embedded else self._listener()
        self.services = self._services()

    @property
    def serves(self) -> bool:
        """Whether clients and people are served here."""
        return self.settings.role != "scheduler"

    @property
    def evaluates(self) -> bool:
        """Whether this process may take the leader lease."""
        return self.settings.role != "web"

    def prepare(self) -> FirstAdmin:
        """Bring the database up to date; returns how the first admin comes in, where there is none yet.

        Raises:
            SchemaTooOld: a PostgreSQL database that `canary db upgrade` has to bring up to date first.
        """
        schema.ensure(self.database, environment=self.settings.environment)
        with self.database.write() as connection:
            if snapshots.latest(connection) is None:
                snapshots.publish(connection, self.clock())
        if self.settings.log_format == "json":
            if self.settings.admin_token is not None:
                ensure_admin(self.database, self.settings.admin_token, self.clock())
            return FirstAdmin(None, None, wanted=not can_administer(self.database, self.clock()))
        token = ensure_admin(self.database, self.settings.admin_token, self.clock())
        return FirstAdmin(token, first_admin_link(self.database, self.clock()))

    def shell(self) -> Shell:
        """The ASGI application; starting it starts writer, publisher and scheduler."""
        if not self.serves:
            idle = create_app(self.services, health_alone=True)
            return make_asgi(idle, self.hub, {}, lambda _loop, _hub: self.start(), self.stop)
        app = create_app(self.services)
        gate = gate_of(app)
        routes = {
            "/sdk/v1/stream": StreamRoute(
                SNAPSHOTS, lambda request: self._admit_client(gate, request), self._arrived, _named
            ),
            EVENTS: StreamRoute(REFETCHES, self._admit_channel, opening=self._page),
            "/events": StreamRoute(CHANGES, lambda request: gate.check_stream(request, Need.READ)),
        }
        express = Express(self.services, gate)
        return make_asgi(app, self.hub, routes, lambda _loop, _hub: self.start(), self.stop, express=express)

    def start(self) -> None:
        """Begin to write, publish and evaluate, as far as this process's role goes."""
        if self.serves:
            self.writer.start()
            self.contacts.start()
        self.publisher.start()
        if self.listener is not None:
            self.listener.start()
        if self.evaluates:
            self.scheduler.start()
            self.notifier.start()

    def stop(self) -> None:
        """Finish what is running; nothing acknowledged is lost."""
        if self.evaluates:
            self.notifier.stop()
            self.scheduler.stop()
        if self.listener is not None:
            self.listener.stop()
        self.writer.stop()
        self.contacts.stop()
        self.publisher.stop()
        self.database.close()

    def _committed(self, failing: set[str]) -> None:
        self.publisher.counted()
        if failing:
            self.scheduler.wake()

    def _admit_client(self, gate: Gate, request: StreamRequest) -> Problem | None:
        problem = gate.check_stream(request, Need.REPORT)
        if problem is not None:
            return problem
        if not self.flags.vouched:
            return _BLIND
        try:
            contact_of(request.headers, 0, 0)
        except Invalid as refusal:
            return Problem(refusal.status, refusal.code, refusal.title, refusal.detail)
        return None

    def _arrived(self, request: StreamRequest) -> Future[None] | None:
        return self.contacts.note(contact_of(request.headers, self.publisher.revision, self.clock()))

    def _listener(self) -> Listener:
        def heard(channel: str) -> None:
            if channel == evidence.CHANNEL:
                self.scheduler.wake()
            self.publisher.changed()

        return Listener(self.database.url, (snapshots.CHANNEL, evidence.CHANNEL), heard)

    def _hash_key(self) -> bytes:
        with self.database.read() as connection:
            return snapshots.hash_key(connection)

    def _admit_channel(self, request: StreamRequest) -> Problem | None:
        return None if self.services.channels.lets_in(request.query.get("channel", "")) else _EXPIRED

    def _page(self, request: StreamRequest) -> Opening:
        said = cors_headers(request.headers.get("origin"), self.settings.origins)
        return Opening(headers=[(name.lower().encode(), value.encode()) for name, value in said.items()])

    def _services(self) -> Services:
        return Services(
            database=self.database,
            clock=self.clock,
            writer=self.writer,
            registry=self.registry,
            changed=self.publisher.changed,
            leader=lambda: self.leadership.lease,
            open_reading=self.settings.open_reading,
            hosts=_LOOPBACK_NAMES | {self.settings.host} | self.settings.host_names,
            flags=self.flags,
            contacts=self.contacts,
            takes_reports=self.serves,
            detail=KnownPolicies(self.database).detail,
            origins=self.settings.origins,
            address=self.settings.public_url,
            secure_cookies=self.settings.secure_cookies,
            oidc=self.settings.oidc,
            pace=Pace(self.settings.evaluations_per_s, time.monotonic),
            channels=Channels(self._hash_key, self.clock),
            headcount=self.headcount,
            vault=self.vault,
            read_address=read_address,
            refused=lambda code: self.metrics.batches.labels(code).inc(),
        )


def _named(request: StreamRequest) -> Opening:
    return Opening(name=request.headers.get("canary-instance", ""))


def _settle_memory() -> None:
    """What has been loaded stays: the collector need not look through it whenever reports fill its young space."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
    sys.setswitchinterval(_SWITCH_S)


def _say(settings: Settings, line: str) -> None:
    """Tell whoever has started this process: as a line, or in the form of the log for whatever collects that.

    What is secret is said in the former form alone.
    """
    if settings.log_format == "json":
        structlog.get_logger(__name__).info(line)
        return
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def serve(settings: Settings) -> None:
    """Run the controller until SIGTERM or SIGINT.

    Raises:
        Refusal: the schema is too old. CannotListen: the address is taken.
    """
    configure_logging(settings.log_format)
    tracing = start_tracing(settings.environment, __version__) if settings.traces == "otlp" else None
    controller = Controller(settings)
    first = controller.prepare()
    _settle_memory()

    def ready(port: int) -> None:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        _say(settings, f"canary-controller {__version__} serves http://{host}:{port} ({settings.environment})")
        if first.token is not None:
            _say(settings, f"admin token, shown this once: {first.token}")
        if first.link is not None:
            address = settings.public_url or f"http://{host}:{port}"
            _say(settings, f"first admin of the dashboard, works once and for a day: {address}/setup/{first.link}")
        if first.wanted:
            log.warning("nobody can administer yet", fix=_FIRST_ADMIN)

    try:
        serve_http(controller.shell(), settings.host, settings.port, ready)
    finally:
        if tracing is not None:
            stop_tracing(tracing)
