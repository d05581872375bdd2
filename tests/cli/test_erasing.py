"""`canary erase`: ids stay on this machine, their hashes are sent."""

from __future__ import annotations

from pathlib import Path

from controller.cli.failures import USAGE
from controller.client.privacy import Pseudonyms
from controller.wire.api.erasure import ErasedView
from tests.cli.conftest import Run
from tests.cli.stub import StubController


def test_ids_from_stdin_are_hashed_under_each_token(run: Run, stub: StubController, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).write_text(f"token-{name}\n")
    stub.on("POST", "/api/v1/erasures", ErasedView(raw=1200, samples=2, gauges=0))
    files = ["--token-file", str(tmp_path / "old"), "--token-file", str(tmp_path / "new")]
    ended = run("erase", *files, stdin="ann\nbob\n")
    assert "1,200 raw outcomes" in ended.stdout
    [sent] = stub.bodies("POST")
    expected = [Pseudonyms(token).of(user) for token in ("token-old", "token-new") for user in ("ann", "bob")]
    assert sent["pseudonyms"] == expected


def test_nobody_to_erase_is_wrong_usage(run: Run) -> None:
    assert run("erase").exit_code == USAGE
