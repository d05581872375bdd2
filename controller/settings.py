"""Settings come in at the door: read once, typed, with units; a bad value stops the process and names itself."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

DEFAULT_URL = "http://127.0.0.1:8321"
#: What a process does: everything; serve and ingest; evaluate.
ROLES = ("all", "web", "scheduler")


_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/\-]*)?")
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")
_LEAST_KEY = 32


class BadSettingError(ValueError):
    """A setting cannot be used; the message names it and the fix."""


@dataclass(frozen=True)
class OidcSettings:
    """The OpenID provider that people may sign in by.

    Attributes:
        issuer: CANARY_OIDC_ISSUER, its address; what it can do is read from there.
        client_id, client_secret: CANARY_OIDC_CLIENT_ID and CANARY_OIDC_CLIENT_SECRET, as it knows this controller.
        groups: CANARY_OIDC_GROUPS, the claim that lists somebody's groups.
        roles: CANARY_OIDC_ROLES, roles by group, such as `sre=admin,release=operator,*=viewer`; whoever is in none of
            these may not sign in. Without it everybody of the provider may look, and admins give more here.
    """

    issuer: str
    client_id: str
    client_secret: str
    groups: str = "groups"
    roles: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Settings:
    """Everything `canary serve` can be told.

    Attributes:
        database_url: CANARY_DATABASE_URL; SQLite in the working directory by default, or postgresql://.
        host, port: CANARY_HOST and CANARY_PORT; loopback unless told otherwise.
        admin_token: CANARY_ADMIN_TOKEN, the first admin's; without it one is made and shown once.
        environment: CANARY_ENVIRONMENT, the name of what this controller serves; shown everywhere.
        log_format: CANARY_LOG_FORMAT, text or json.
        most_streams: CANARY_MOST_STREAMS, open event streams at a time.
        open_reading: CANARY_OPEN_READING, whether reading needs no token; by default only on loopback.
        host_names: CANARY_HOST_NAMES, further names under which reading needs no token where it is open, separated by
            commas: what a scraper calls this process by.
        origins: CANARY_ORIGINS, the web origins whose pages may evaluate flags over OFREP, separated by commas; any by
            default, since no page gets an answer without a token of its own.
        secret_keys: CANARY_SECRET_KEY, what channels' secrets are sealed with in the database; several, separated by
            commas, while one takes the place of another: the first seals, all open.
        traces: CANARY_TRACES, none or otlp: traces of ingest, tick and publish; needs the extra `otel`.
        evaluations_per_s: CANARY_EVALUATIONS_PER_S, OFREP requests of one token a second; 0 is no limit.
        role: CANARY_ROLE; all, web (serves and ingests, never evaluates) or scheduler (evaluates; serves its health).
        pool_size: CANARY_POOL_SIZE, connections kept open to PostgreSQL; as many again while all are in use.
        public_url: CANARY_PUBLIC_URL, what people open in their browsers (behind a proxy, say); by default they open
            what `serve` listens on. With https://, and wherever others can reach it unless this says http://, cookies
            go over TLS alone. Links in notifications begin with it.
        audit_archive: CANARY_AUDIT_ARCHIVE, a folder that the leader archives the audit trail into; none by default.
        oidc: the OpenID provider, where CANARY_OIDC_ISSUER names one.
    """

    database_url: str = "sqlite:///canary.db"
    host: str = "127.0.0.1"
    port: int = 8321
    admin_token: str | None = None
    environment: str = "default"
    log_format: str = "text"
    most_streams: int = 10_000
    open_reading: bool = True
    host_names: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset({"*"})
    evaluations_per_s: int = 0
    role: str = "all"
    pool_size: int = 8
    public_url: str = ""
    oidc: OidcSettings | None = None
    traces: str = "none"
    secret_keys: tuple[str, ...] = field(default=(), repr=False)
    audit_archive: Path | None = None

    @property
    def dashboard_url(self) -> str:
        """Where people open the dashboard: CANARY_PUBLIC_URL, else this server's own address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    @property
    def secure_cookies(self) -> bool:
        """Whether browsers keep cookies for TLS alone."""
        return self.public_url.startswith("https://") if self.public_url else not is_loopback(self.host)

    @staticmethod
    def load(
        *,
        host: str | None = None,
        port: int | None = None,
        database_url: str | None = None,
        role: str | None = None,
        dotenv: Path | None = None,
    ) -> Settings:
        """The settings of this process: arguments before the environment before the .env file before defaults.

        Raises:
            BadSettingError: a value cannot be used.
        """
        found = _environment(dotenv or Path(".env"))
        where = host or found.get("CANARY_HOST") or Settings.host
        return Settings(
            database_url=database_url or _secret(found, "CANARY_DATABASE_URL") or Settings.database_url,
            host=where,
            port=_port(port if port is not None else found.get("CANARY_PORT", Settings.port)),
            admin_token=_secret(found, "CANARY_ADMIN_TOKEN"),
            environment=_name(found.get("CANARY_ENVIRONMENT", Settings.environment)),
            log_format=_choice(found, "CANARY_LOG_FORMAT", ("text", "json")),
            most_streams=_natural(found, "CANARY_MOST_STREAMS", Settings.most_streams),
            open_reading=_open_reading(found, where),
            host_names=_host_names(found),
            origins=_origins(found),
            evaluations_per_s=_natural(found, "CANARY_EVALUATIONS_PER_S", Settings.evaluations_per_s, least=0),
            role=_choice({**found, **({"CANARY_ROLE": role} if role else {})}, "CANARY_ROLE", ROLES),
            pool_size=_natural(found, "CANARY_POOL_SIZE", Settings.pool_size),
            public_url=_url(found, "CANARY_PUBLIC_URL"),
            oidc=_oidc(found),
            traces=_choice(found, "CANARY_TRACES", ("none", "otlp")),
            secret_keys=_secret_keys(found),
            audit_archive=_folder(found, "CANARY_AUDIT_ARCHIVE"),
        )


def client_settings(url: str | None = None, token: str | None = None) -> tuple[str, str | None]:
    """Where the controller is (CANARY_URL) and the token to use (CANARY_TOKEN) for the command line and clients."""
    found = _environment(Path(".env"))
    return (url or found.get("CANARY_URL") or DEFAULT_URL).rstrip("/"), token or _secret(found, "CANARY_TOKEN")


def child_environment(**changes: str) -> dict[str, str]:
    """The environment for a process that this one starts: its own, with changes."""
    return {**os.environ, **changes}  # noqa: TID251 - this is the door


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _environment(dotenv: Path) -> Mapping[str, str]:
    own = dict(os.environ)  # noqa: TID251 - this is the door
    if not dotenv.is_file():
        return own
    from dotenv import dotenv_values  # noqa: PLC0415 - only needed where there is such a file

    return {**{key: value for key, value in dotenv_values(dotenv).items() if value is not None}, **own}


def _secret(found: Mapping[str, str], name: str) -> str | None:
    """A value, or the contents of the file that NAME_FILE names (container secrets)."""
    if found.get(name):
        return found[name]
    path = found.get(f"{name}_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except OSError as error:
        raise BadSettingError(f"{name}_FILE: cannot read {path}: {error.strerror}") from None


def _port(value: str | int) -> int:
    try:
        port = int(value)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise BadSettingError(f"CANARY_PORT: {value!r} is not a port; use 0 to 65535")
    return port


def _natural(found: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    text = found.get(name, str(default))
    if not text.isdecimal() or int(text) < least:
        raise BadSettingError(f"{name}: {text!r} is not a whole number from {least} on")
    return int(text)


def _host_names(found: Mapping[str, str]) -> frozenset[str]:
    names = [name.strip().lower() for name in found.get("CANARY_HOST_NAMES", "").split(",") if name.strip()]
    odd = [name for name in names if not _HOST_NAME.fullmatch(name)]
    if odd:
        raise BadSettingError(f"CANARY_HOST_NAMES: {odd[0]!r} is no name of a host; leave out scheme and port")
    return frozenset(names)


def _origins(found: Mapping[str, str]) -> frozenset[str]:
    texts = [text.strip().rstrip("/") for text in found.get("CANARY_ORIGINS", "*").split(",") if text.strip()]
    odd = [text for text in texts if text != "*" and not _ORIGIN.fullmatch(text)]
    if odd or not texts:
        raise BadSettingError(f"CANARY_ORIGINS: {(odd or [''])[0]!r} is no origin such as https://app.example.com")
    return frozenset(texts)


def _secret_keys(found: Mapping[str, str]) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in (_secret(found, "CANARY_SECRET_KEY") or "").split(",") if key.strip())
    if any(len(key) < _LEAST_KEY for key in keys):
        raise BadSettingError(f"CANARY_SECRET_KEY: use {_LEAST_KEY} random characters or more: openssl rand -hex 32")
    return keys


def _folder(found: Mapping[str, str], name: str) -> Path | None:
    text = found.get(name, "")
    if not text:
        return None
    if not Path(text).is_dir():
        raise BadSettingError(f"{name}: there is no folder {text}; make it, and let this process's user write there")
    return Path(text)


def _name(text: str) -> str:
    if not 1 <= len(text) <= 64 or not text.isprintable():
        raise BadSettingError(f"CANARY_ENVIRONMENT: {text[:80]!r} is not a name of 1 to 64 printable characters")
    return text


def _url(found: Mapping[str, str], name: str) -> str:
    """An address without anything behind its path; empty where none is given."""
    text = found.get(name, "").rstrip("/")
    if text and not _URL.fullmatch(text):
        raise BadSettingError(f"{name}: {text[:200]!r} is no address such as https://canary.example.com")
    return text


def _oidc(found: Mapping[str, str]) -> OidcSettings | None:
    issuer = _url(found, "CANARY_OIDC_ISSUER")
    if not issuer:
        return None
    given = found["CANARY_OIDC_ISSUER"]  # with its last slash, which is part of an issuer's name
    client_id, secret = found.get("CANARY_OIDC_CLIENT_ID", ""), _secret(found, "CANARY_OIDC_CLIENT_SECRET")
    if not client_id or not secret:
        raise BadSettingError("CANARY_OIDC_CLIENT_ID and CANARY_OIDC_CLIENT_SECRET: the provider gives you both")
    if not _url(found, "CANARY_PUBLIC_URL"):
        raise BadSettingError("CANARY_PUBLIC_URL: needed with CANARY_OIDC_ISSUER: the provider sends people there")
    return OidcSettings(given, client_id, secret, found.get("CANARY_OIDC_GROUPS", "groups"), _roles(found))


def _roles(found: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    pairs = [text.strip() for text in found.get("CANARY_OIDC_ROLES", "").split(",") if text.strip()]
    roles = []
    for pair in pairs:
        group, equals, role = pair.rpartition("=")
        if not equals or not group or role not in ("viewer", "operator", "admin"):
            raise BadSettingError(f"CANARY_OIDC_ROLES: {pair[:100]!r} is not GROUP=viewer, =operator or =admin")
        roles.append((group, role))
    return tuple(roles)


def _choice(found: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    text = found.get(name, allowed[0])
    if text not in allowed:
        raise BadSettingError(f"{name}: {text!r} is none of {', '.join(allowed)}")
    return text


def _open_reading(found: Mapping[str, str], host: str) -> bool:
    text = found.get("CANARY_OPEN_READING", "")
    if text not in ("", "0", "1"):
        raise BadSettingError(f"CANARY_OPEN_READING: {text!r} is neither 0 nor 1")
    return text == "1" if text else is_loopback(host)
