"""`canary rollout apply`: manifests are checked before anything is sent."""

from pathlib import Path

import pytest

from controller.wire.api.rollouts import StageView
from controller.wire.problems import Problem
from tests.cli.conftest import Run
from tests.cli.forms import draft
from tests.cli.stub import StubController

EXAMPLE = Path(__file__).parents[2] / "docs/examples/unified-emitter.yaml"
GOOD = """\
rollout: unified-emitter
flag: emitter
control: legacy
canary: unified
stages:
  - {share: 1%, bake: 10m}
  - {share: 100%, bake: 30m}
"""


def with_line(line: str, instead_of: str) -> str:
    """The good manifest with one line changed."""
    assert instead_of in GOOD
    return GOOD.replace(instead_of, line)


def test_the_example_of_the_documentation_is_accepted(run: Run, stub: StubController) -> None:
    stub.on("POST", "/api/v1/rollouts", draft())
    done = run("rollout", "apply", "-f", str(EXAMPLE))
    assert done.exit_code == 0, done.output
    assert stub.bodies("POST")[0]["rollout"] == "unified-emitter"
    assert done.stdout.splitlines()[0] == "rollout unified-emitter: draft created"
    assert done.stdout.splitlines()[-1] == "start it with: canary rollout start unified-emitter"


def test_a_manifest_comes_from_stdin_and_may_be_json(run: Run, stub: StubController) -> None:
    stub.on("POST", "/api/v1/rollouts", draft())
    text = '{"rollout": "r", "flag": "f", "control": "a", "canary": "b", "stages": [{"share": "100%", "bake": "1m"}]}'
    assert run("rollout", "apply", "-f", "-", stdin=text).exit_code == 0
    assert stub.bodies("POST")[0]["stages"] == [{"share": "100%", "bake": "1m"}]


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        (with_line("colour: blue\nflag: emitter", "flag: emitter"), 2, "colour"),
        (with_line("  - {share: 100%, bake: 30}", "  - {share: 100%, bake: 30m}"), 7, "stages[1].bake"),
        (with_line("  - {share: 100%, bake: 30min}", "  - {share: 100%, bake: 30m}"), 7, "stages[1].bake"),
        (with_line("  - {share: 100%, bake: 10m}", "  - {share: 1%, bake: 10m}"), 7, "stages[1].share"),
        (with_line("  - {share: 50%, bake: 30m}", "  - {share: 100%, bake: 30m}"), 7, "stages[1].share"),
        (with_line("canary: legacy", "canary: unified"), 4, "canary"),
        (with_line("", "canary: unified\n"), None, "canary"),
        (GOOD + "guards:\n  - {action: shrug}\n", 9, "guards[0].action"),
        (GOOD + "lease: 1s\n", 8, "lease"),
    ],
)
def test_a_field_that_does_not_fit_is_named_with_its_line(
    run: Run, stub: StubController, tmp_path: Path, text: str, line: int | None, field: str
) -> None:
    (tmp_path / "m.yaml").write_text(text)
    done = run("rollout", "apply", "-f", "m.yaml")
    assert (done.exit_code, done.stdout) == (1, "")
    where = "m.yaml" if line is None else f"m.yaml, line {line}"
    assert done.stderr.startswith(f"error: {where}: A field is not acceptable: ")
    assert done.stderr.endswith(f"({field})\n")
    assert stub.asked == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rollout: x\n  flag: y\n", "line 2, column 7"),
        ("stages: [1\n", "line 2, column 1"),
        (GOOD + "canary: legacy\n", "line 8, column 1: key 'canary' comes twice"),
        ("a: &x [*x]\n", "YAML"),
        ("when: 2026-13-41\n", "month"),
        ("a: !!python/object:os.system {}\n", "line 1"),
        ("a\x00b", "YAML"),
    ],
)
def test_bad_yaml_is_refused_with_its_place(run: Run, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    done = run("rollout", "apply", "-f", "m.yaml")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: m.yaml is not valid YAML: ")
    assert words in done.stderr


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "a manifest is a mapping"),
        (b"- 1\n", "a manifest is a mapping"),
        (b"\xff\xfe\xff", "is not UTF-8 text"),
        (b"#" * 1_000_001, "is too large"),
    ],
    ids=["empty", "list", "binary", "large"],
)
def test_a_file_that_is_no_manifest_is_refused(run: Run, tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "m.yaml").write_bytes(data)
    done = run("rollout", "apply", "-f", "m.yaml")
    assert done.exit_code == 1
    assert words in done.stderr


def test_a_file_that_is_not_there_is_refused(run: Run) -> None:
    done = run("rollout", "apply", "-f", "nowhere.yaml")
    assert (done.exit_code, done.stderr) == (1, "error: nowhere.yaml cannot be read: No such file or directory\n")


def test_a_refusal_of_the_controller_is_placed_in_the_file(run: Run, stub: StubController, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(GOOD)
    detail = "flag 'emitter' has no variant 'unified'; it has a, b"
    stub.on("POST", "/api/v1/rollouts", Problem("A field is not acceptable", 422, "invalid", detail, field="canary"))
    done = run("rollout", "apply", "-f", "m.yaml")
    assert done.stderr == f"error: m.yaml, line 4: A field is not acceptable: {detail} (canary)\n"
    assert done.exit_code == 1


def test_what_a_second_apply_changed_is_said(run: Run, stub: StubController, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(GOOD)
    stub.on("GET", "/api/v1/rollouts/unified-emitter", draft(owner=""))
    changed = draft(owner="chat", version=2, stages=[StageView(5.0, 60_000), StageView(100.0, 60_000)])
    stub.on("POST", "/api/v1/rollouts", changed)
    assert run("rollout", "apply", "-f", "m.yaml").stdout.splitlines() == [
        "rollout unified-emitter: draft replaced, now version 2",
        "  stages: 1% for 1m, 10% for 10m, 100% for 30m -> 5% for 1m, 100% for 1m",
        "  owner: nobody -> chat",
    ]


def test_the_same_manifest_again_changes_nothing_and_says_so(run: Run, stub: StubController, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(GOOD)
    stub.on("GET", "/api/v1/rollouts/unified-emitter", draft())
    stub.on("POST", "/api/v1/rollouts", draft())
    done = run("rollout", "apply", "-f", "m.yaml")
    assert done.stdout == "rollout unified-emitter: unchanged, m.yaml says the same\n"
