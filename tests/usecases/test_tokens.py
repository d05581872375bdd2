from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from controller.domain.errors import Conflict, Invalid, NotFound
from controller.domain.principals import Principal, Role
from controller.storage import tokens as rows
from controller.storage.database import Database
from controller.storage.tables import audit, metadata
from controller.usecases import tokens
from controller.usecases.tokens import NewToken

NOW_MS = 1_760_000_000_000
CHOSEN = "a-token-of-our-own-choice"


def made(database: Database, role: str = "sdk", name: str = "backend") -> NewToken:
    return tokens.create(database, role, name, actor="tester", now_ms=NOW_MS)


def principal(database: Database, token: str) -> Principal | None:
    with database.read() as connection:
        return rows.authenticate(connection, token)


def listed(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        return [(token.name, token.role.value) for token in rows.every(connection)]


@pytest.mark.parametrize("role", list(Role))
def test_a_token_opens_what_its_role_allows(database: Database, role: Role) -> None:
    new = made(database, role.value)
    assert new.secret.startswith(f"cnry_{role.value[0]}_")
    assert len(new.secret) == 50
    assert principal(database, new.secret) == Principal("backend", role)


def test_the_secret_is_kept_nowhere(database: Database) -> None:
    new = made(database)
    with database.read() as connection:
        kept = [str(row) for table in metadata.sorted_tables for row in connection.execute(select(table))]
    assert not [row for row in kept if new.secret[len(new.stored.prefix) :] in row]
    assert [row for row in kept if new.stored.prefix in row]
    assert new.secret.startswith(new.stored.prefix)


@pytest.mark.parametrize("spoilt", ["", "cnry_s_", "wrong", "üñï"])
def test_anything_else_opens_nothing(database: Database, spoilt: str) -> None:
    new = made(database)
    assert principal(database, spoilt) is None
    assert principal(database, new.stored.prefix) is None
    assert principal(database, new.secret[:-1]) is None
    assert principal(database, new.secret + "x") is None


def test_a_revoked_token_opens_nothing(database: Database) -> None:
    new, other = made(database), made(database)
    tokens.revoke(database, new.stored.prefix, actor="tester", now_ms=NOW_MS)
    assert principal(database, new.secret) is None
    assert principal(database, other.secret) is not None
    with pytest.raises(NotFound, match=new.stored.prefix):
        tokens.revoke(database, new.stored.prefix, actor="tester", now_ms=NOW_MS)


def test_the_last_admin_cannot_be_shut_out(database: Database) -> None:
    first = made(database, "admin")
    with pytest.raises(Conflict, match="last admin"):
        tokens.revoke(database, first.stored.prefix, actor="tester", now_ms=NOW_MS)
    second = made(database, "admin")
    tokens.revoke(database, first.stored.prefix, actor="tester", now_ms=NOW_MS)
    assert principal(database, second.secret) is not None


def test_making_and_revoking_leaves_a_trail(database: Database) -> None:
    new = made(database)
    tokens.revoke(database, new.stored.prefix, actor="other", now_ms=NOW_MS + 1)
    with database.read() as connection:
        trail = [(row.at_ms, row.actor, row.action, row.subject) for row in connection.execute(select(audit))]
    subject = f"token/{new.stored.prefix}"
    assert trail == [
        (NOW_MS, "tester", "token.created", subject),
        (NOW_MS + 1, "other", "token.revoked", subject),
    ]


def test_a_role_that_does_not_exist_is_refused_with_those_that_do(database: Database) -> None:
    with pytest.raises(Invalid, match="viewer, evaluator, sdk, operator, admin") as found:
        made(database, "root")
    assert found.value.field == "role"
    with pytest.raises(Invalid, match="100 characters"):
        made(database, name="x" * 101)


def test_a_token_without_a_name_is_called_by_its_role(database: Database) -> None:
    made(database, "viewer", "")
    assert listed(database) == [("viewer", "viewer")]


def test_the_first_admin_gets_a_token_once(database: Database) -> None:
    token = tokens.ensure_admin(database, None, NOW_MS)
    assert token is not None
    assert principal(database, token) == Principal("first admin", Role.ADMIN)
    assert tokens.ensure_admin(database, None, NOW_MS) is None


def test_servers_that_start_together_make_one_admin(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        shown = list(pool.map(lambda _: tokens.ensure_admin(database, None, NOW_MS), range(8)))
    assert len([token for token in shown if token]) == 1
    assert listed(database) == [("first admin", "admin")]


def test_a_configured_token_is_the_admins_until_another_one_is_configured(database: Database) -> None:
    for _ in range(2):
        assert tokens.ensure_admin(database, CHOSEN, NOW_MS) is None
        assert principal(database, CHOSEN) == Principal("configured admin", Role.ADMIN)
    assert tokens.ensure_admin(database, CHOSEN + "-2", NOW_MS) is None
    assert principal(database, CHOSEN) is None
    assert principal(database, CHOSEN + "-2") is not None
    assert tokens.ensure_admin(database, None, NOW_MS) is None


@pytest.mark.parametrize("token", ["", "too-short", "x" * 201, "with a newline in it\n", "with-ümlauts-in-it-too"])
def test_a_configured_token_must_be_fit_for_a_header(database: Database, token: str) -> None:
    with pytest.raises(Invalid) as found:
        tokens.ensure_admin(database, token, NOW_MS)
    assert found.value.field == "CANARY_ADMIN_TOKEN"
    assert listed(database) == []


def test_a_token_of_a_lesser_role_is_not_made_an_admins(database: Database) -> None:
    new = made(database)
    with pytest.raises(Invalid, match="token of the sdk 'backend'"):
        tokens.ensure_admin(database, new.secret, NOW_MS)
