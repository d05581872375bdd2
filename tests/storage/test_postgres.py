"""The tests' own server is tested too: it must not depend on what one machine happens to have."""

from pathlib import Path

import psycopg
import pytest

from tests.postgres import BINARIES, PostgresServer, server_user, usable, wheel_binaries


def test_the_wheels_binaries_serve_where_debian_has_none() -> None:
    with PostgresServer(wheel_binaries()) as server, psycopg.connect(server.url("postgres")) as connection:
        answer = connection.execute("SHOW server_version").fetchone()
        assert answer is not None
        assert answer[0].startswith("18.")


def test_binaries_that_the_servers_user_cannot_reach_are_copied(tmp_path: Path) -> None:
    refused = tmp_path / "home" / "package" / "pginstall" / "bin"
    refused.mkdir(parents=True)
    (tmp_path / "home" / "package.libs").mkdir()
    (refused / "postgres").write_text("#!/bin/sh\n")  # not executable by anybody
    copied = usable(refused, server_user(), tmp_path)
    assert copied == tmp_path / "package" / "pginstall" / "bin"
    assert (copied / "postgres").exists()


def test_the_environment_names_other_binaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BINARIES, str(wheel_binaries()))
    with PostgresServer() as server, psycopg.connect(server.url("postgres")) as connection:
        assert connection.info.server_version // 10_000 == 18


def test_a_folder_without_them_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(BINARIES, str(tmp_path))
    with pytest.raises(RuntimeError, match=BINARIES):
        PostgresServer()
