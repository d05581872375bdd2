"""The command line against a stub controller."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from controller.cli.app import build
from tests.cli.stub import StubController, serving

Run = Callable[..., Result]


@pytest.fixture
def stub() -> Iterator[StubController]:
    """A controller that answers what a test tells it."""
    made = StubController()
    stop = serving(made)
    yield made
    stop()


@pytest.fixture
def run(stub: StubController, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Call the command in an empty directory: `run("flag", "list")`."""
    monkeypatch.chdir(tmp_path)
    for name in ("CANARY_DATABASE_URL", "CANARY_HOST", "CANARY_PORT", "CANARY_ADMIN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CANARY_URL", stub.url)
    monkeypatch.setenv("CANARY_TOKEN", "secret-of-a-test")

    def call(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(build(lambda **_: 0), list(arguments), input=stdin, catch_exceptions=False)

    return call
