"""A Prometheus of the tests' own: Debian's program, the project's rules, real controllers as its targets."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Self

import httpx

from tests.flow.site import free_port, until
from tests.house.tree import ROOT

RULES = ROOT / "dashboards/prometheus/rules.yml"
_NAMED = re.compile(r"\{\{\s*(\w+)\s*\}\}")

#: Values by label set, in the order of the answer.
Found = list[tuple[dict[str, str], float]]


class Prometheus:
    """Scrapes each second, and is gone when the block ends."""

    def __init__(self, folder: Path, targets: list[str], path: str = "/metrics") -> None:
        self._folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [
                {"job_name": "canary-controller", "metrics_path": path, "static_configs": [{"targets": targets}]}
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")

    def __enter__(self) -> Self:
        command = [
            "prometheus",
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            "--enable-feature=exemplar-storage",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]
        with (self._folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until(self._ready, f"prometheus is ready: {self._folder / 'prometheus.log'}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def ask(self, expression: str, ahead_s: float = 0) -> Found:
        """An expression now, or as if so many seconds had passed without a scrape."""
        params: dict[str, Any] = {"query": expression}
        if ahead_s:
            params["time"] = float(self._get("query", query="time()")["result"][1]) + ahead_s
        result = self._get("query", **params)
        if result["resultType"] == "scalar":
            return [({}, float(result["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in result["result"]]

    def helped(self, prefix: str) -> dict[str, str]:
        """The help text of each family that begins so."""
        found = self._get("metadata")
        return {name: said[0]["help"] for name, said in found.items() if name.startswith(prefix)}

    def exemplars(self, expression: str) -> set[str]:
        """The traces that are kept beside the figures of an expression."""
        params = {"query": expression, "start": "0", "end": "9999999999"}
        found = self._get("query_exemplars", **params)
        return {one["labels"]["trace_id"] for series in found for one in series["exemplars"]}

    def value(self, expression: str) -> float | None:
        """The only value of an expression, or None where there is none."""
        found = self.ask(expression)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def series(self, metric: str) -> set[str]:
        """All names that begin so."""
        names = httpx.get(f"{self.url}/api/v1/label/__name__/values").raise_for_status().json()["data"]
        return {name for name in names if name.startswith(metric)}

    def targets(self) -> list[dict[str, Any]]:
        """What is scraped, and how the last scrape went."""
        return list(httpx.get(f"{self.url}/api/v1/targets").raise_for_status().json()["data"]["activeTargets"])

    def rules(self) -> list[dict[str, Any]]:
        """All rules, with how their last evaluation went."""
        groups = httpx.get(f"{self.url}/api/v1/rules").raise_for_status().json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _get(self, what: str, **params: Any) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{what}", params=params, timeout=10)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "prometheus.log").read_text(encoding="utf-8")
        try:
            return httpx.get(f"{self.url}/-/ready").is_success
        except httpx.TransportError:
            return False


def legend_of(text: str, labels: dict[str, str]) -> str:
    """A legend as Grafana writes it; a label that is not there stays to be seen."""
    return _NAMED.sub(lambda match: labels.get(match[1], match[0]), text)
