"""A PostgreSQL server that fails in every way, under a live rollout: what two replicas and their clients make of it.

    python -m tests.flow.outage [--only restart pause cut disk log] [--pause 60] [--json]

brings its own PostgreSQL. Applications evaluate and report all the time, and requests to each replica are sent all the
time. After the outages the canary breaks, and must be rolled back. Prints what was answered meanwhile, how long after
each outage everything worked again, and what was lost, doubled or wrong; the exit code is 1 if anything was. Filling a
disk takes root, who may mount a small one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from controller.clock import system_clock
from controller.usecases.replay import replay
from controller.wire.api.judging import LedgerView
from tests.builders import ROLLOUT
from tests.flow.application import CANARY, Application
from tests.flow.counts import asked, counts_of
from tests.flow.front import Front
from tests.flow.outages import Outage, mounted, outages
from tests.flow.probes import PROBE_FLAG, Probe, Probes, answers, probed
from tests.flow.site import Site, migrated, until
from tests.flow.traffic import evidence_of, ledger_of
from tests.flow.weathered import HEAD, Found, Weathered
from tests.postgres import PostgresServer

_NAMES = ("restart", "pause", "cut", "disk", "log")
_APPLICATIONS = 3
#: The longest that anything may take to work again.
_RECOVERY_S = 60.0
_WELL = "nothing lost, nothing doubled, nothing decided twice, nobody kept waiting, and everything recovered alone"
_SHARES = ("20%", "50%", "100%")


class Line:
    """Two replicas on one server, applications before them, and probes at each."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url = database_url
        self.folder = folder
        self.sites = [Site(database_url, folder, f"replica-{n}") for n in range(2)]
        self.applications: list[Application] = []
        self.probes: list[Probes] = []

    @contextlib.contextmanager
    def running(self, bake_s: float) -> Iterator[None]:
        """Everything started, with a rollout that goes from one stage to the next after `bake_s`."""
        try:
            for site in self.sites:
                site.start()
            bakes = (f"{round(bake_s)}s", "1h", "1h")
            stages = [{"share": share, "bake": bake} for share, bake in zip(_SHARES, bakes, strict=True)]
            first = self.sites[0]
            first.begin(stages=stages)
            variants = {"legacy": False, "unified": True}
            first.post("/api/v1/flags", {"key": PROBE_FLAG, "variants": variants, "control": "legacy"})
            with Front([site.port for site in self.sites]) as front:
                names = [f"app-{n}" for n in range(_APPLICATIONS)]
                self.applications = [Application(front.url, first.sdk_token(), name) for name in names]
                self.probes = [Probes(site, first.sdk_token(), f"probe-{n}") for n, site in enumerate(self.sites)]
                self.tell("come")
                yield
        finally:
            for one in (*self.applications, *self.sites):
                one.close()

    def tell(self, act: str) -> list[dict[str, Any]]:
        """All applications, one after the other."""
        return [one.ask(act) for one in self.applications]

    def served(self) -> int:
        """Users up to now."""
        return sum(sum(state["served"].values()) for state in self.tell("state"))

    def flushed(self) -> bool:
        """Whether everything that the applications had to say up to now is acknowledged."""
        return all(state["flushed"] for state in self.tell("flush"))

    @property
    def writing(self) -> list[Probe]:
        """What changes something, at both replicas."""
        return [probe for one in self.probes for probe in one.writing]

    @property
    def reading(self) -> list[Probe]:
        """What does not."""
        return [probe for one in self.probes for probe in one.all if not probe.insists]

    def judged_since(self, at_ms: int) -> bool:
        """Whether the judge has looked after a moment."""
        statement = "SELECT count(*) FROM judge_states WHERE rollout = :rollout AND evaluated_ms > :at_ms"
        return asked(self.database_url, statement, rollout=ROLLOUT, at_ms=at_ms)[0][0] > 0

    def tracebacks(self) -> list[str]:
        """The last lines of what no replica should have in its log."""
        logs = [path.read_text(errors="replace") for path in self.folder.glob("replica-*.log")]
        return [re.split(r"\n(?=\S)", found)[1][:200] for log in logs for found in log.split("Traceback (most")[1:]]


def weather(line: Line, outage: Outage) -> Weathered:
    """One outage, and the time that everything takes to work again by itself.

    Raises:
        AssertionError: something does not.
    """
    before, began = line.served(), time.monotonic()
    outage.strike()
    over, over_ms = time.monotonic(), system_clock()
    evaluated = line.served() - before
    after_s = _recovered(line, outage.name, over, over_ms)
    until_s = over + max(after_s.values())
    heard = [one for probe in line.writing + line.reading for one in probe.heard]
    return Weathered(
        name=outage.name,
        what=outage.what,
        lasted_s=round(over - began, 1),
        evaluated=evaluated,
        writes=dict(answers(line.writing, began, until_s)),
        reads=dict(answers(line.reading, began, until_s)),
        slowest_s=round(max(one.took_s for one in heard if began <= one.at_s + one.took_s and one.at_s < until_s), 1),
        after_s=after_s,
    )


def _recovered(line: Line, name: str, over: float, over_ms: int) -> dict[str, float]:
    """Wait until everything works again; seconds by what works."""
    signs: dict[str, Callable[[], bool]] = {
        "writes": lambda: all(probe.works_since(over) for probe in line.writing),
        "reads": lambda: all(probe.works_since(over) for probe in line.reading),
        "judged": lambda: line.judged_since(over_ms),
        "reported": line.flushed,
        "followed": lambda: not any(state["stale"] for state in line.tell("state")),
    }
    found: dict[str, float] = {}
    while len(found) < len(signs):
        late = time.monotonic() - over > _RECOVERY_S
        assert not late, f"{name}: {_RECOVERY_S:g} s later not everything works: {found}"
        for sign, holds in signs.items():
            if sign not in found and holds():
                found[sign] = round(time.monotonic() - over, 1)
        time.sleep(0.05)
    for sign, probes in (("writes", line.writing), ("reads", line.reading)):  # when they were answered, not seen
        found[sign] = round(max(probe.works_since(over) or 0.0 for probe in probes) - over, 1)
    return found


def under_outages(
    database_url: str,
    folder: Path,
    struck: list[Outage],
    bake_s: float,
    tell: Callable[[Weathered], None] | None = None,
) -> Found:
    """All outages in turn, then a canary that breaks; `tell` hears of each outage when it is over."""
    line = Line(database_url, folder)
    with line.running(bake_s):
        weathered = []
        with probed(line.probes):
            until(lambda: line.judged_since(0), "the judge looks")
            everyone = line.writing + line.reading
            until(
                lambda: all(probe.works_since(0) for probe in everyone), "everything is answered before anything fails"
            )
            for outage in struck:
                weathered.append(weather(line, outage))
                if tell is not None:
                    tell(weathered[-1])
            until(lambda: line.sites[0].rollout()["stage"] == 1, "the rollout goes on", bake_s + _RECOVERY_S)
        line.tell("pause")
        until(line.flushed, "everything is reported", _RECOVERY_S)
        ledger, states = _ledger(line)
        line.tell("break")
        line.tell("come")
        broken = lambda: line.sites[1].rollout()["phase"] == "rolled_back"  # noqa: E731
        with contextlib.suppress(AssertionError):  # it is told with everything else
            until(broken, "the broken canary is rolled back", _RECOVERY_S)
        line.tell("pause")
        until(line.flushed, "everything is reported", _RECOVERY_S)
        return _counted(line, weathered, ledger, states)


def _ledger(line: Line) -> tuple[LedgerView, list[dict[str, Any]]]:
    """The evidence, once it is all there, and what the applications say of it."""
    states, found = line.tell("state"), []

    def complete() -> bool:
        found[:] = [ledger_of(line.sites[1])]
        return evidence_of(found[0]) >= _sum(states, "sent")

    with contextlib.suppress(AssertionError):
        until(complete, "the evidence reached the ledger", 25)
    return found[0], states


def _counted(line: Line, weathered: list[Weathered], ledger: LedgerView, before: list[dict[str, Any]]) -> Found:
    states, counts = line.tell("state"), counts_of(line.database_url)
    told = [state["reporter"] for state in states]
    site, url = line.sites[0], line.database_url
    actions = site.http.get(f"/api/v1/rollouts/{ROLLOUT}/decisions?limit=500").raise_for_status().json()["items"]
    rounds = site.http.get(f"/api/v1/rollouts/{ROLLOUT}/rounds").raise_for_status().json()["items"]
    acknowledged = Counter({name: sum(p.acknowledged for p in line.writing if p.name == name) for name in _SAID})
    sent = _sum(states, "sent")
    dropped = sum(one["dropped"] for one in told)
    return Found(
        outages=weathered,
        sent={"windows": sent, "failed": _sum(states, "failed"), "raw": sent - dropped, "distinct": sent - dropped},
        stored={"windows": counts.windows, "failed": counts.failed, "raw": counts.raw, "distinct": counts.distinct},
        evidence=(_sum(before, "sent") - sum(s["reporter"]["unadmitted"] for s in before), evidence_of(ledger)),
        batches=(sum(one["sent"] for one in told), asked(url, _BATCHES, name="app-%")[0][0]),
        reports=(acknowledged["report"], asked(url, _REPORTS, flag=PROBE_FLAG)[0][0]),
        changes=(acknowledged["change"], asked(url, _CHANGES, name="flag/probe-%-flag-%")[0][0]),
        decisions=dict(Counter(one["action"] for one in actions if one["actor"] == "judge")),
        terms=counts.term,
        gap_s=_gap_s(ledger, weathered),
        differing=sum(bool(one.differs) for one in replay(ledger.rounds, ledger.slots)),
        phase=str(site.rollout()["phase"]),
        verified=rounds[-1]["verified_ms"] is not None,
        slowest_ms=max(state["slowest_ms"] for state in states),
        ofrep=_ofrep(line),
        faults=[*_faults(line, states)],
    )


_SAID = ("report", "change")
_BATCHES = "SELECT count(*) FROM batches WHERE instance LIKE :name"
_REPORTS = "SELECT sum(attempts) FROM windows WHERE flag_key = :flag"
_CHANGES = "SELECT count(*) FROM audit WHERE subject LIKE :name"


def _ofrep(line: Line) -> tuple[int, float]:
    heard = [one for probe in line.reading if probe.from_memory for one in probe.heard]
    return len(heard), round(max(one.took_s for one in heard), 1)


def _sum(states: list[dict[str, Any]], name: str) -> int:
    return sum(int(state[name]) for state in states)


def _gap_s(ledger: LedgerView, weathered: list[Weathered]) -> float:
    """The longest time between two analyses, less the longest outage where it is one of those."""
    closed = sorted(slot.closed_ms for slot in ledger.slots)
    gaps = sorted((after - before for before, after in pairwise(closed)), reverse=True)
    lasted = sorted((1000 * one.lasted_s for one in weathered), reverse=True)
    return max((gap - (lasted[at] if at < len(lasted) else 0) for at, gap in enumerate(gaps)), default=0) / 1000


def _faults(line: Line, states: list[dict[str, Any]]) -> Iterator[str]:
    for state in states:
        yield from (f"an evaluation raised {error}" for error in state["errors"][:3])
        yield from (f"{name}: {state['reporter'][name]}" for name in ("rejected", "pending") if state["reporter"][name])
        if state["now"] == CANARY:
            yield "an application serves the canary in the end"
        if set(state["served"]) - {"legacy", CANARY}:
            yield f"served: {state['served']}"
    for probe in line.writing + line.reading:
        wrong = Counter(probe.wrong())
        yield from (f"{probe.name}: {words} ({times} times)" for words, times in wrong.most_common(3))
    yield from (f"in a log: {words}" for words in line.tracebacks()[:5])


def main() -> None:
    """The long run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=_NAMES, default=_NAMES, metavar="OUTAGE", help=", ".join(_NAMES))
    parser.add_argument("--pause", type=float, default=60.0, help="seconds that the server stands still")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    filling = {"disk", "log"} & set(chosen.only)
    with contextlib.ExitStack() as stack:
        volume = stack.enter_context(mounted()) if filling else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(PostgresServer(quick=False, volume=volume))
        struck = [one for one in outages(server, volume, pause_s=chosen.pause) if one.name in chosen.only]
        bake_s = chosen.pause + 30 * len(struck)
        if not chosen.json:
            print(HEAD)
        found = under_outages(migrated(server), folder, struck, bake_s, None if chosen.json else print)
        wrong = found.wrong()
    if chosen.json:
        print(json.dumps(asdict(found) | {"wrong": wrong}))
    else:
        print("\n".join(found.lines()), "", *(wrong or [_WELL]), sep="\n")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
