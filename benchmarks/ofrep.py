"""Evaluations on the server: OFREP beside unleash-server's frontend interface, in one run, per CPU second.

    npm install --prefix UNLEASH unleash-server        (Node 22 or newer)
    python -m benchmarks.ofrep --unleash UNLEASH [--node NODE] [--rounds 5] [--seconds 5] [--postgres]

100 flags, each a share of 25 % behind the rule `country in DE, FR`, asked by wrk over 16 connections for one user.
Unleash answers with the enabled flags alone, OFREP with all 100. Both servers run all the time and are asked in turn;
CPU is that of the asked server's one process. Unleash's PostgreSQL is not in it, nor is ours with `--postgres`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.serving import ADMIN, Controller, cpu_s
from controller.settings import child_environment
from tests.postgres import PostgresServer

FLAGS = 100
USER = "user-42"
_ADMIN = "*:*.admin-of-the-benchmark-000000000000000000000000"
_FRONTEND = "*:development.frontend-of-the-benchmark-0000000000"


class Unleash:
    """unleash-server on a port and a database of its own."""

    def __init__(self, folder: Path, node: str, database_url: str, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        server = folder / "node_modules" / "unleash-server" / "dist" / "server.js"
        environment = child_environment(
            DATABASE_URL=database_url,
            DATABASE_SSL="false",
            INIT_ADMIN_API_TOKENS=_ADMIN,
            INIT_FRONTEND_API_TOKENS=_FRONTEND,
            HTTP_PORT=str(port),
            HTTP_HOST="127.0.0.1",
            LOG_LEVEL="error",
            CHECK_VERSION="false",
            SEND_TELEMETRY="false",
            TOKEN_AUTHENTICATION_RATE_LIMIT_PER_MINUTE="100000000",
            SDK_API_RATE_LIMIT_PER_MINUTE="100000000",
        )
        self.process = subprocess.Popen([node, str(server)], env=environment, stdout=subprocess.DEVNULL)
        self.pid = self.process.pid

    def ready(self) -> None:
        while True:
            try:
                if httpx.get(f"{self.url}/health", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
            if self.process.poll() is not None:
                sys.exit("unleash-server ended by itself")

    def fill(self) -> None:
        with httpx.Client(base_url=self.url, headers={"Authorization": _ADMIN}, timeout=30) as http:
            for name in (f"checkout-flow-{number}" for number in range(FLAGS)):
                features = "/api/admin/projects/default/features"
                placed = f"{features}/{name}/environments/development"
                split = {"rollout": "25", "stickiness": "userId", "groupId": name}
                only = [{"contextName": "country", "operator": "IN", "values": ["DE", "FR"]}]
                strategy = {"name": "flexibleRollout", "parameters": split, "constraints": only}
                said(http.post(features, json={"name": name, "type": "release", "impressionData": False}))
                said(http.post(f"{placed}/strategies", json=strategy))
                said(http.post(f"{placed}/on", json={}))
        while not self.enabled():  # it answers from what it has read last
            time.sleep(0.5)

    def enabled(self) -> int:
        answer = httpx.get(self.asked, headers={"Authorization": _FRONTEND}, timeout=30)
        return len(answer.json()["toggles"])

    @property
    def asked(self) -> str:
        return f"{self.url}/api/frontend?userId={USER}&country=DE"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def said(answer: httpx.Response) -> Any:
    if answer.status_code >= 300:
        sys.exit(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:300]}")
    return answer.json() if answer.content else None


def fill(controller: Controller) -> str:
    """The same flags here; the token of an evaluator."""
    headers = {"Authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{controller.port}", headers=headers, timeout=30) as http:
        rule = {
            "name": "near",
            "when": {"attribute": "country", "in": ["DE", "FR"]},
            "serve": "on",
            "share": "25%",
        }
        for number in range(FLAGS):
            body = {"key": f"checkout-flow-{number}", "variants": {"off": False, "on": True}, "control": "off"}
            said(http.post("/api/v1/flags", json={**body, "targeting": {"rules": [rule]}}))
        return str(said(http.post("/api/v1/tokens", json={"role": "evaluator"}))["token"])


def wrk(url: str, seconds: int, method: str, headers: Mapping[str, str], body: str = "") -> tuple[int, str]:
    """Requests that were answered as they should be, and what wrk says of latencies; anything else ends the run."""
    lines = [
        f'wrk.method = "{method}"',
        *(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in headers.items()),
    ]
    lines += [f"wrk.body = {json.dumps(body)}"] if body else []
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write("\n".join(lines))
        script.flush()
        command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "--latency", "-s", script.name, url]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if odd := re.search(r"Non-2xx.*|Socket errors.*", out):
        sys.exit(f"{url}: {odd[0]}")
    p50, p99 = (re.search(rf"\n\s+{share}%\s+(\S+)", out) for share in (50, 99))
    found = re.search(r"(\d+) requests in", out)
    if not (found and p50 and p99):
        sys.exit(out)
    return int(found[1]), f"{p50[1]} / {p99[1]}"


def ways(unleash: Unleash, controller: Controller, token: str) -> dict[str, tuple[int, Any]]:
    """What is measured: the process whose CPU counts, and how wrk asks."""
    base = f"http://127.0.0.1:{controller.port}/ofrep/v1/evaluate/flags"
    asks = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"context": {"targetingKey": USER, "country": "DE"}})
    etag = httpx.post(base, content=body, headers=asks).headers["etag"]
    assert controller.process is not None
    ours = controller.process.pid
    return {
        "unleash GET /api/frontend": (unleash.pid, (unleash.asked, "GET", {"Authorization": _FRONTEND})),
        "OFREP bulk": (ours, (base, "POST", asks, body)),
        "OFREP bulk, unchanged (304)": (ours, (base, "POST", {**asks, "If-None-Match": etag}, body)),
        "OFREP single": (ours, (f"{base}/checkout-flow-7", "POST", asks, body)),
    }


def measure(options: argparse.Namespace, unleash: Unleash, controller: Controller, token: str) -> None:
    asked = ways(unleash, controller, token)
    for _, (url, *how) in asked.values():
        wrk(url, 2, *how)  # warm
    rates: dict[str, list[float]] = {name: [] for name in asked}
    latencies: dict[str, str] = {}
    for _ in range(options.rounds):
        for name, (pid, (url, *how)) in asked.items():
            before = cpu_s(pid)
            done, latencies[name] = wrk(url, options.seconds, *how)
            rates[name].append(done / (cpu_s(pid) - before))
    first = next(iter(rates.values()))
    print(
        "| | per CPU second | ratio in the same round, least to most | p50 / p99 of the last round |\n|---|---|---|---|"
    )
    for name, found in rates.items():
        ratios = sorted(mine / theirs for mine, theirs in zip(found, first, strict=True))
        shown = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {name} | {median(found):,.0f} | {shown} | {latencies[name]} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unleash", type=Path, required=True, help="where npm has installed unleash-server")
    parser.add_argument("--node", default="node")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--postgres", action="store_true", help="ours on PostgreSQL too, instead of SQLite")
    options = parser.parse_args()
    with PostgresServer() as server, tempfile.TemporaryDirectory() as folder:
        for name in ("unleash", "canary"):
            server.execute(f"CREATE DATABASE {name}")
        controller = Controller(server.url("canary") if options.postgres else f"sqlite:///{folder}/canary.db")
        unleash = Unleash(options.unleash, options.node, server.url("unleash"), controller.port + 1_000)
        controller.start()
        try:
            unleash.ready()
            unleash.fill()
            token = fill(controller)
            measure(options, unleash, controller, token)
        finally:
            controller.stop()
            unleash.stop()


if __name__ == "__main__":
    main()
