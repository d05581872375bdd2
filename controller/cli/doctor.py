"""`canary doctor` and `canary db check`: what is well here, what is not, and what mends it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import msgspec
import typer

from controller.cli.failures import FAILED
from controller.cli.options import DatabaseUrl, Json
from controller.cli.output import emit, filled, show, table
from controller.cli.serving import opened
from controller.clock import system_clock
from controller.settings import BadSettingError, Settings, client_settings, is_loopback

if TYPE_CHECKING:
    from controller.usecases.checkup import Finding

#: Free room under which a disk is told of, and under which it is an emergency.
_WARN_FREE, _FAIL_FREE = 0.15, 0.05
_TIMEOUT_S = 5.0


class Told(msgspec.Struct):
    """One finding for programs: name, state (ok, warn, fail), what was found, and the fix."""

    name: str
    state: str
    found: str
    fix: str = ""


def doctor(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Check settings, database, clocks, lease, disk and reachability; exit code 1 if anything is broken."""
    from controller.usecases.checkup import check_archive, check_database  # noqa: PLC0415 - the server's libraries take a while

    try:
        settings = Settings.load(database_url=database_url)
    except BadSettingError as bad:
        return _tell([Told("settings", "fail", str(bad), "correct the setting that is named")], as_json=as_json)
    found = [*_settings(settings)]
    with opened(settings) as database:
        found += [_told(one) for one in check_database(database, system_clock)]
        if settings.audit_archive is not None and all(one.state != "fail" for one in found):
            found.append(_told(check_archive(database, settings.audit_archive, system_clock())))
        found += _disk(Path(database.url.database or ".")) if database.embedded else []
    return _tell([*found, _reachable(context.obj)], as_json=as_json)


def check(database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Say whether this release works on the database's schema, before it is started; exit code 1 if not."""
    from controller.usecases.checkup import check_schema  # noqa: PLC0415

    with opened(Settings.load(database_url=database_url)) as database:
        _tell([_told(check_schema(database))], as_json=as_json)


def _settings(settings: Settings) -> Iterator[Told]:
    yield Told("settings", "ok", f"environment {settings.environment}, role {settings.role}")
    if settings.open_reading and not is_loopback(settings.host):
        found = f"everybody who reaches {settings.host}:{settings.port} may read without a token"
        yield Told("reading", "warn", found, "set CANARY_OPEN_READING=0, or let only your own network reach it")
    if settings.admin_token is not None and len(settings.admin_token) < 24:
        yield Told("admin token", "warn", "CANARY_ADMIN_TOKEN is short", "use one of `openssl rand -hex 24`")


def _disk(path: Path) -> Iterator[Told]:
    folder = path.resolve().parent
    if not folder.is_dir():
        return
    usage = shutil.disk_usage(folder)
    free = usage.free / usage.total
    state = "fail" if free < _FAIL_FREE else "warn" if free < _WARN_FREE else "ok"
    fix = "" if state == "ok" else "make room, or keep less: `canary retention set --raw 1d`"
    yield Told("disk", state, f"{usage.free / 1e9:.1f} GB ({free:.0%}) free in {folder}", fix)


def _reachable(url: str | None) -> Told:
    where, _ = client_settings(url=url)
    try:
        answer = httpx.get(f"{where}/readyz", timeout=_TIMEOUT_S, trust_env=not is_loopback(httpx.URL(where).host))
        missing = answer.json().get("missing", ["it is no canary controller"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        fix = "start `canary serve`, or name the right one with --url or CANARY_URL"
        return Told("controller", "warn", f"nothing answers at {where}: {type(error).__name__}", fix)
    if missing:
        return Told("controller", "fail", f"{where} is not ready: {'; '.join(missing)}", "see its log")
    return Told("controller", "ok", f"{where} is ready")


def _told(finding: Finding) -> Told:
    return Told(finding.name, finding.state.value, finding.found, finding.fix)


def _tell(found: list[Told], *, as_json: bool) -> None:
    if as_json:
        emit(found)
    else:
        rows = ((one.state, one.name, one.found + (f"; {one.fix}" if one.fix else "")) for one in found)
        show(filled(table("", "what", "found"), rows, ""))
    if any(one.state == "fail" for one in found):
        raise typer.Exit(FAILED)
