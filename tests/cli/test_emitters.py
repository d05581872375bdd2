"""`canary emitters validate`, on the package's own emitters and on those of an application."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run

APPLICATION = """
from controller.emitters import RolloutEmitterFactory, UnifiedWebSocketEmitter

class Old:
    async def create_user_emitter(self, user_id, thread_id, connection_id): ...

class Holder:
    factory = Old()

new = RolloutEmitterFactory(None)
"""


pytestmark = pytest.mark.usefixtures("application")


@pytest.fixture
def application(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "their_sockets.py").write_text(APPLICATION)
    (tmp_path / "their_broken_one.py").write_text("1 / 0")
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in ("their_sockets", "their_broken_one"):
        sys.modules.pop(name, None)


def test_without_a_name_it_checks_what_the_package_brings(run: Run) -> None:
    done = run("emitters", "validate")
    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        [name, "yes", "yes", "yes", "yes"]
        for name in ("UnifiedWebSocketEmitter", "WebSocketBridgeFactory", "AgentWebSocketBridge")
    ]


def test_factories_of_an_application_are_imported_from_the_working_directory(run: Run) -> None:
    done = run("emitters", "validate", "their_sockets:new", "their_sockets:UnifiedWebSocketEmitter")
    assert done.exit_code == 0, done.output


def test_a_mismatch_names_the_call_that_it_would_break_and_ends_with_one(run: Run) -> None:
    done = run("emitters", "validate", "their_sockets:Holder.factory")
    assert done.exit_code == 1
    assert "Old: create_auth_emitter is missing" in done.stdout
    assert "Old: create_user_emitter(user_context=...) does not fit" in done.stdout


def test_programs_get_the_reports_as_json(run: Run) -> None:
    done = run("emitters", "validate", "their_sockets:Old", "--json")
    report = json.loads(done.stdout)["Old"]
    assert (done.exit_code, report["has_create_user_emitter"], report["protocol_compliant"]) == (1, True, False)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("their_sockets", "is not MODULE:ATTR"),
        ("no_such_module:factory", "no module named 'no_such_module'"),
        ("their_sockets:nothing", "their_sockets has no nothing"),
        ("their_broken_one:factory", "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_found_is_wrong_usage_and_says_why(run: Run, target: str, words: str) -> None:
    done = run("emitters", "validate", target)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.replace("│", " ").split())
