"""What all commands share: help, version, errors, exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller import __version__
from controller.cli.app import build
from controller.wire.problems import Problem
from tests.cli.conftest import Run
from tests.cli.forms import flag, listed
from tests.cli.stub import StubController

COMMANDS = {
    (): (
        "serve demo db token flag segment export rollout plan backtest replay alerts quarantines judge emitters "
        "instances audit"
    ),
    ("db",): "upgrade downgrade current",
    ("emitters",): "validate",
    ("token",): "create list revoke",
    ("flag",): "list show create enable disable set target allow deny unlist",
    ("export",): "flagd",
    ("segment",): "list show create set remove",
    ("rollout",): "apply list show status watch start pause resume promote rollback abort decisions",
}


def test_the_version_is_told(run: Run) -> None:
    done = run("--version")
    assert (done.exit_code, done.stdout) == (0, f"canary-controller {__version__}\n")


@pytest.mark.parametrize("group", COMMANDS, ids=" ".join)
def test_help_lists_every_command(run: Run, group: tuple[str, ...]) -> None:
    done = run(*group, "--help")
    assert done.exit_code == 0
    assert [name for name in COMMANDS[group].split() if f" {name} " not in done.stdout] == []


def test_every_command_explains_itself(run: Run) -> None:
    for group, names in COMMANDS.items():
        for name in names.split():
            done = run(*group, name, "-h")
            assert done.exit_code == 0, (group, name)
            assert "Usage: " in done.stdout, (group, name)


def test_the_command_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "controller", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"canary-controller {__version__}\n"


def test_an_install_without_the_server_says_what_is_missing() -> None:
    code = "import sys; sys.modules['typer'] = None; from controller.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "typer is missing; pip install 'canary-controller[server]'" in done.stderr


def test_shell_completion_is_there(run: Run) -> None:
    assert "--install-completion" in run("--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("rollout", "start"),
        ("rollout", "fly", "x"),
        ("token", "create", "--role", "king"),
        ("serve", "--port", "70000"),
        ("audit", "--limit", "0"),
        ("flag", "set", "emitter"),
        ("flag", "create", "emitter", "--variant", "legacy", "--control", "legacy"),
        ("replay",),
        ("emitters", "validate", "app"),
        ("rollout", "watch", "x", "--timeout", "soon"),
        ("token", "create", "--role", "viewer", "--database-url", "sqlite://"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_two_and_says_so_on_stderr(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Error" in done.stderr


def test_a_problem_is_one_line_on_stderr_with_title_detail_and_field(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/flags/x", Problem("A field is not acceptable", 422, "invalid", "use 1 to 9", field="limit"))
    done = run("flag", "show", "x", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "error: A field is not acceptable: use 1 to 9 (limit)\n"


def test_a_controller_that_does_not_answer_is_named_with_the_fix(run: Run) -> None:
    done = run("--url", "http://127.0.0.1:1", "flag", "list")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: The controller cannot be reached: nothing answers at http://127.0.0.1:1 ")
    assert "canary serve" in done.stderr
    assert "CANARY_URL" in done.stderr


@pytest.mark.parametrize("url", ["localhost:8321", "ftp://somewhere", "http://127.0.0.1:port", "http://"])
def test_an_address_of_the_wrong_form_is_refused(run: Run, url: str) -> None:
    done = run("--url", url, "flag", "list")
    assert done.exit_code == 1
    assert "http://HOST:PORT" in done.stderr


def test_something_else_at_the_address_is_noticed(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/flags", b"<html>welcome</html>")
    done = run("flag", "list")
    assert done.exit_code == 1
    assert "is a canary controller of this release there?" in done.stderr


def test_items_of_another_form_are_noticed(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/flags", listed({"key": 1}))
    done = run("flag", "list")
    assert done.exit_code == 1
    assert "The answer makes no sense" in done.stderr


def test_the_token_is_sent_and_a_missing_one_is_explained(
    run: Run, stub: StubController, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.on("GET", "/api/v1/flags", listed())
    run("flag", "list")
    assert stub.asked[-1].headers["Authorization"] == "Bearer secret-of-a-test"

    monkeypatch.delenv("CANARY_TOKEN")
    stub.on("GET", "/api/v1/flags", Problem("A valid bearer token is needed", 401, "unauthenticated"))
    done = run("flag", "list")
    assert "Authorization" not in stub.asked[-1].headers
    assert done.stderr.startswith("error: A valid bearer token is needed: the token is taken from CANARY_TOKEN; ")


def test_an_environment_that_cannot_be_used_is_wrong_usage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_PORT", "many")
    done = run("db", "current")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: A setting cannot be used: CANARY_PORT: ")


def test_lists_are_read_to_their_last_page(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/flags", listed(flag(key="a"), following=1), listed(flag(key="b")))
    done = run("flag", "list")
    assert [asked.query for asked in stub.asked] == [{}, {"after": "1"}]
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["flag", "a", "b"]


def test_the_demo_gets_what_it_was_told_and_its_exit_code_counts() -> None:
    told: list[dict[str, object]] = []

    def play(**options: object) -> int:
        told.append(options)
        return 1

    done = CliRunner().invoke(build(play), ["demo", "--fault", "one-type", "--users", "50", "--seed", "3", "--keep"])
    assert done.exit_code == 1
    assert told == [{"fault": "one-type", "users": 50, "seed": 3, "keep": True, "port": 0, "plain": False}]


def test_the_faults_on_offer_are_those_that_the_demo_knows() -> None:
    from controller.cli.playing import Fault  # noqa: PLC0415 - the two sides of one list
    from controller.demo.options import Fault as Known  # noqa: PLC0415

    assert [fault.value for fault in Fault] == [fault.value for fault in Known]


def test_serve_hands_its_options_to_the_settings(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from controller import bootstrap  # noqa: PLC0415 - the module that the command loads lazily

    served: list[object] = []
    monkeypatch.setattr(bootstrap, "serve", served.append)
    url = f"sqlite:///{tmp_path}/x.db"
    done = run("serve", "--host", "127.0.0.1", "--port", "0", "--database-url", url)
    assert done.exit_code == 0, done.output
    (settings,) = served
    assert (settings.host, settings.port, settings.database_url) == ("127.0.0.1", 0, url)  # type: ignore[attr-defined]
