"""Our client for a harness that compares flag clients: `make` for the provider, `make_native` for `CanaryClient`.

`make(n_flags, keys)` returns an OpenFeature provider, `make_native(n_flags, keys)` a callable `user_id -> value`, each
as an application has it: connected to a controller in another process, with leases, exposure counting and reporting on.
`make_bare` is the formula of the bucket alone, written out, to compare with.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mmh3
from openfeature.evaluation_context import EvaluationContext

from controller.client import CanaryClient, CanaryProvider

_SERVER = Path(__file__).with_name("snapshot_server.py")
_PAD = "0" * 120
#: Kept so that the servers end when this process does, and not before.
_servers: list[subprocess.Popen[str]] = []


def _controller(n_flags: int) -> str:
    command = [sys.executable, str(_SERVER), str(n_flags)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _servers.append(server)
    assert server.stdout is not None
    return f"http://127.0.0.1:{server.stdout.readline().strip()}"


def make(n_flags: int, keys: list[str]) -> CanaryProvider:
    provider = CanaryProvider(_controller(n_flags), "benchmark")
    provider.initialize(EvaluationContext())
    assert provider.snapshot is not None
    assert keys[0] in provider.snapshot.flags
    return provider


def make_native(n_flags: int, keys: list[str]) -> Callable[[str], str]:
    client = CanaryClient(_controller(n_flags), "benchmark")
    assert client.start()
    value, key = client.value, keys[0]
    return lambda user: value(key, user, "legacy")


def make_bare(_n_flags: int, _keys: list[str]) -> Callable[[str], str]:
    salt, weight = "0123456789abcdef", 5_000

    def call(user: str) -> str:
        s = (_PAD + salt + "/" + user)[-120:].encode()
        n = len(s)
        head = bytes((0x78, n)) if n < 256 else b"\x79" + n.to_bytes(2, "big")
        return "unified" if (mmh3.hash(head + s, 0, False) * 10_000) >> 32 < weight else "legacy"

    return call
