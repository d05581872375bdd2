"""`canary db` and `canary token create --local`: on this machine, without a controller."""

import json
from pathlib import Path

import pytest

from controller.settings import BadSettingError, Settings
from controller.storage import schema, tokens
from controller.storage.database import Database
from tests.cli.conftest import Run


def test_a_database_goes_up_and_down_again(run: Run, tmp_path: Path) -> None:
    head, url = schema.head_revision(), f"sqlite:///{tmp_path}/c.db"
    assert run("db", "current", "--database-url", url).stdout == f"schema none (empty); this release brings {head}\n"
    assert run("db", "upgrade", "--database-url", url).stdout == f"schema none (empty) -> {head}\n"
    assert run("db", "upgrade", "--database-url", url).stdout == f"schema {head}: nothing to do\n"
    assert json.loads(run("db", "current", "--database-url", url, "--json").stdout) == {"revision": head, "head": head}
    down = run("db", "downgrade", "base", "--yes", "--database-url", url, "--json")
    assert json.loads(down.stdout) == {"before": head, "revision": None}


def test_a_downgrade_must_be_meant(run: Run, tmp_path: Path) -> None:
    done = run("db", "downgrade", "base")
    assert done.exit_code == 2
    assert "--yes" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_database_of_the_environment_is_used(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_DATABASE_URL", f"sqlite:///{tmp_path}/env.db")
    assert run("db", "upgrade").exit_code == 0
    assert (tmp_path / "env.db").exists()


@pytest.mark.parametrize("url", ["nonsense", "mysql+nothing://x/y"])
def test_an_address_of_no_database_is_wrong_usage(run: Run, url: str) -> None:
    done = run("db", "current", "--database-url", url)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: CANARY_DATABASE_URL cannot be used: ")


def test_a_database_that_cannot_be_opened_is_refused(run: Run, tmp_path: Path) -> None:
    done = run("db", "current", "--database-url", f"sqlite:///{tmp_path}/no/such/folder/c.db")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: The database cannot be reached or written right now: ")


def test_the_first_token_is_made_in_the_database_itself(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/c.db"
    done = run("token", "create", "--role", "admin", "--name", "kim", "--local", "--database-url", url)
    assert done.exit_code == 0, done.output
    database = Database(url)
    with database.read() as connection:
        principal = tokens.authenticate(connection, done.stdout.strip())
    database.close()
    assert principal is not None
    assert (principal.name, principal.role.value) == ("kim", "admin")


def test_a_local_token_of_a_long_name_is_refused_like_a_remote_one(run: Run) -> None:
    done = run("token", "create", "--role", "viewer", "--local", "--name", "x" * 101)
    assert done.exit_code == 1
    assert done.stderr == "error: A field is not acceptable: a name has at most 100 characters (name)\n"


def test_names_of_this_host_are_names_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CANARY_HOST_NAMES", "Controller-1, controller")
    assert Settings.load(dotenv=tmp_path / "none").host_names == {"controller", "controller-1"}
    monkeypatch.setenv("CANARY_HOST_NAMES", "http://controller:8321")
    with pytest.raises(BadSettingError, match="leave out scheme and port"):
        Settings.load(dotenv=tmp_path / "none")
