"""`canary export flagd`."""

import itertools
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from controller.cli.exporting import follow, replace
from controller.cli.failures import Failed
from controller.cli.remote import Remote
from controller.wire.problems import Problem
from tests.cli.conftest import Run
from tests.cli.stub import StubController

PATH = "/flagd/flags.json"
AWAY = Problem("Busy", 503, "busy", "retry")


def document(weight: int = 1, **metadata: str) -> dict[str, Any]:
    return {"flags": {"f": {"weight": weight}}, "metadata": {"flagSetId": "prod", **metadata}}


def test_definitions_go_to_stdout_as_they_are(run: Run, stub: StubController) -> None:
    stub.on("GET", PATH, document())
    done = run("export", "flagd")
    assert (done.exit_code, json.loads(done.stdout)) == (0, document())


def test_what_cannot_be_exported_is_told_and_fails_where_that_was_asked(run: Run, stub: StubController) -> None:
    stub.on("GET", PATH, document(notExported="listed: a variant is a list"))
    done = run("export", "flagd")
    assert (done.exit_code, done.stderr) == (0, "not exported: listed: a variant is a list\n")
    strict = run("export", "flagd", "--strict")
    assert (strict.exit_code, strict.stdout) == (1, "")
    assert "Not every flag can be exported: listed" in strict.stderr


def test_a_file_is_written_once(run: Run, stub: StubController, tmp_path: Path) -> None:
    stub.on("GET", PATH, document())
    assert run("export", "flagd", "-o", "flags.json").exit_code == 0
    assert json.loads((tmp_path / "flags.json").read_text()) == document()
    assert run("export", "flagd", "-o", "no/such/folder.json").exit_code == 1
    assert run("export", "flagd", "-o", "a", "--watch", "b").exit_code == 2


def test_a_watched_file_follows_and_outlives_the_controllers_absence(
    stub: StubController, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.on("GET", PATH, document(1), AWAY, AWAY, document(2))
    file, seen = tmp_path / "flags.json", []
    turns = itertools.count()

    def pause(_: float) -> None:
        seen.append(json.loads(file.read_text())["flags"]["f"]["weight"])

    with Remote(stub.url, "secret") as api:
        follow(api, file, 1.0, pause=pause, goes_on=lambda: next(turns) < 4)
    assert seen == [1, 1, 1, 2]
    assert capsys.readouterr().err == "Busy: retry; the last file stays, trying on\nin contact again\n"


def test_a_refusal_for_good_ends_the_watch(stub: StubController, tmp_path: Path) -> None:
    stub.on("GET", PATH, Problem("This token may not", 403, "forbidden"))
    with Remote(stub.url, "secret") as api, pytest.raises(Failed, match="may not"):
        follow(api, tmp_path / "flags.json", 1.0)


def test_a_file_is_replaced_whole_keeps_its_rights_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text("old")
    file.chmod(0o640)
    with file.open() as reader:
        replace(file, b"new")
        assert reader.read() == "old"  # whoever reads sees the old one to its end
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [found.name for found in tmp_path.iterdir()] == ["flags.json"]
