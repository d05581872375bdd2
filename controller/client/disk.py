"""The snapshot on disk: a process that starts while the controller is away begins with it.

Two small files, each replaced by renaming: the snapshot, and beside it (`.contact`) when the controller last vouched
for it. Both are sealed with a key made from the token, so that a file that was cut off, edited, or written under
another token is refused. Contact is told in seconds since the machine was started, together with the name of that
start: no wall clock is trusted, and after a restart of the machine a live rollout has no lease left.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import os
import tempfile
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec

from controller.client.pace import Clock
from controller.wire.snapshots import MOST_BYTES

logger = logging.getLogger(__name__)

_FORMAT = b"canary-snapshot 1\n"
_SEAL = 64
#: Contact is written down this often at most; a restart loses no more than this of a lease.
_EVERY_S = 5.0


class _Contact(msgspec.Struct):
    boot: str
    at: float
    instances: int
    seal: str


class Kept(NamedTuple):
    """What lay on disk.

    Attributes:
        contact: the last one; None: nobody knows.
        instances: how many clients there were then; 0: nobody knows.
    """

    body: bytes
    contact: float | None = None
    instances: int = 0


def boot_name() -> str:
    """The name of the machine's present start; empty where the system has none."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


class DiskSnapshot:
    """One file of one application; several of its processes on a machine may share it.

    Args:
        path: of the snapshot; its folder exists.
        token: what the seal is made from.
        clock: seconds since the machine was started.
    """

    def __init__(self, path: str | Path, token: str, clock: Clock, boot: Callable[[], str] = boot_name) -> None:
        self._path = Path(path)
        self._contact_path = self._path.with_name(self._path.name + ".contact")
        self._key = blake2b(token.encode(), digest_size=32, person=b"canary-disk").digest()
        self._clock = clock
        self._boot = boot()
        self._seal = ""
        self._written_at = -_EVERY_S

    def load(self) -> Kept | None:
        """The snapshot and the last contact; None where there is no file that can be trusted."""
        raw = self._read(self._path)
        if raw is None:
            return None
        seal, body = raw[len(_FORMAT) : len(_FORMAT) + _SEAL], raw[len(_FORMAT) + _SEAL + 1 :]
        sealed = self._seal_of(body)
        if not raw.startswith(_FORMAT) or not hmac.compare_digest(seal, sealed.encode()):
            logger.warning("%s is not as it was written (or under another token) and is not used", self._path)
            return None
        self._seal = sealed
        return self._last_contact(sealed, Kept(body))

    def save(self, body: bytes | bytearray | None, at: float, instances: int = 0) -> None:
        """Write down a snapshot (None: it is the same as before) and the contact that vouches for it."""
        try:
            if body is not None:
                self._seal = self._seal_of(body)
                self._replace(self._path, _FORMAT + self._seal.encode() + b"\n" + body)
                self._written_at = -_EVERY_S
            if self._seal and at - self._written_at >= _EVERY_S:
                self._written_at = at
                sealed = self._seal_of_contact(self._seal, self._boot, at, instances)
                self._replace(self._contact_path, msgspec.json.encode(_Contact(self._boot, at, instances, sealed)))
        except OSError as error:
            logger.warning("the snapshot was not written to %s: %s", self._path, error)

    def _last_contact(self, seal: str, kept: Kept) -> Kept:
        raw = self._read(self._contact_path)
        try:
            found = msgspec.json.decode(raw or b"", type=_Contact)
        except msgspec.MsgspecError:
            return kept
        sealed = self._seal_of_contact(seal, found.boot, found.at, found.instances)
        if not hmac.compare_digest(found.seal.encode(), sealed.encode()):
            return kept
        same_start = bool(self._boot) and found.boot == self._boot and found.at <= self._clock()
        return kept._replace(contact=found.at if same_start else None, instances=found.instances)

    def _seal_of_contact(self, seal: str, boot: str, at: float, instances: int) -> str:
        return self._seal_of(f"{seal} {boot} {at!r} {instances}".encode())

    def _seal_of(self, body: bytes | bytearray) -> str:
        return blake2b(body, key=self._key, digest_size=_SEAL // 2).hexdigest()

    def _read(self, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                return file.read(MOST_BYTES + 1024)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("%s cannot be read and is not used: %s", path, error)
            return None

    def _replace(self, path: Path, content: bytes) -> None:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # readable by this user alone
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
