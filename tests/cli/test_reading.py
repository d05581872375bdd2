"""`canary instances`, `canary audit` and `canary token`."""

import json

from controller.wire.api.people import AuditView, InstanceView, TokenView
from controller.wire.problems import Problem
from tests.cli.conftest import Run
from tests.cli.forms import NOW, listed
from tests.cli.stub import StubController


def test_instances_show_who_confirms_and_who_cannot(run: Run, stub: StubController) -> None:
    chat = InstanceView("chat-a", "live", True, 9, NOW, "2.0.0", "eu", "python/1", 0, {"unified": 2, "legacy": 1})
    flagd = InstanceView("flagd", "live", False, 9, NOW, "", "", "", 0, {})
    stub.on("GET", "/api/v1/instances", listed(chat, flagd))
    lines = run("instances").stdout.splitlines()
    assert lines[1].split()[:4] == ["chat-a", "live", "9", "3"]
    assert "live, unverifiable" in lines[2]
    assert json.loads(run("instances", "--json").stdout)[0]["open_runs"] == {"unified": 2, "legacy": 1}


def test_instances_show_what_their_attempts_came_to(run: Run, stub: StubController) -> None:
    counts = {"attempted": 12_000, "delivered": 11_000, "failed": 40, "unknown": 7, "unreconciled": 3}
    lost = InstanceView("chat-b", "expired", True, 9, NOW, "2.0.0", "eu", "python/1", 5, {"unified": 7}, **counts)
    stub.on("GET", "/api/v1/instances", listed(lost))
    assert run("instances").stdout.splitlines()[1].split()[:8] == (
        ["chat-b", "expired", "9", "7", "12,000", "40", "7", "3"]
    )


def test_the_audit_trail_is_read_newest_first_up_to_the_limit(run: Run, stub: StubController) -> None:
    def entry(number: int) -> AuditView:
        return AuditView(number, NOW, "kim", "flag.killed", "flag/emitter", "errors", None, None, "r1")

    stub.on("GET", "/api/v1/audit", listed(entry(9), entry(8), following=8), listed(entry(7), following=7))
    done = run("audit", "--limit", "3", "--json")
    assert [found["id"] for found in json.loads(done.stdout)] == [9, 8, 7]
    assert [asked.query for asked in stub.asked] == [{"limit": "3"}, {"limit": "3", "before": "8"}]
    assert "flag.killed" in run("audit", "-n", "1").stdout


def test_a_token_goes_to_stdout_alone_and_the_warning_to_stderr(run: Run, stub: StubController) -> None:
    stub.on("POST", "/api/v1/tokens", TokenView("cnry_o_abc", "operator", "kim", NOW, "cnry_o_abcdef"))
    done = run("token", "create", "--role", "operator", "--name", "kim")
    assert done.stdout == "cnry_o_abcdef\n"
    assert done.stderr == "operator token kim: shown this once, keep it like a password\n"
    assert stub.bodies("POST") == [{"role": "operator", "name": "kim"}]
    assert json.loads(run("token", "create", "--role", "operator", "--json").stdout)["token"] == "cnry_o_abcdef"


def test_a_token_needs_an_admin(run: Run, stub: StubController) -> None:
    stub.on("POST", "/api/v1/tokens", Problem("This token's role does not allow that", 403, "forbidden"))
    done = run("token", "create", "--role", "viewer")
    assert (done.exit_code, done.stderr) == (1, "error: This token's role does not allow that\n")


def test_tokens_are_listed_without_their_secrets(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/tokens", listed(TokenView("cnry_a_abc", "admin", "", NOW)))
    assert run("token", "list").stdout.splitlines()[1].split()[:3] == ["cnry_a_abc", "admin", "-"]
    assert json.loads(run("token", "list", "--json").stdout)[0]["token"] is None


def test_a_token_is_revoked_by_its_prefix(run: Run, stub: StubController) -> None:
    stub.on("DELETE", "/api/v1/tokens/cnry_a_abc", b"")
    assert run("token", "revoke", "cnry_a_abc").stdout == "token cnry_a_abc revoked\n"
    assert json.loads(run("token", "revoke", "cnry_a_abc", "--json").stdout) == {"revoked": "cnry_a_abc"}


def test_the_last_admin_token_cannot_be_revoked(run: Run, stub: StubController) -> None:
    stub.on("DELETE", "/api/v1/tokens/cnry_a_abc", Problem("Conflict", 409, "conflict", "make another one first"))
    done = run("token", "revoke", "cnry_a_abc")
    assert (done.exit_code, done.stderr) == (1, "error: Conflict: make another one first\n")
