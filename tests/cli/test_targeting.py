"""`canary flag target`, allow, deny and unlist; `canary segment`."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controller.wire.api.flags import SegmentView
from controller.wire.problems import Problem
from controller.wire.targeting import ConditionForm, TargetingForm
from tests.cli.conftest import Run
from tests.cli.forms import NOW, flag, listed
from tests.cli.stub import StubController

TARGETING = """
deny: [dora]
rules:
  - name: staff
    when: {attribute: email, ends_with: "@example.com"}
    serve: unified
  - when: {and: [{attribute: version, semver: ">= 2.1.0"}, {not: {segment: banks}}]}
    serve: unified
    share: 20%
"""
MEANWHILE = Problem("Somebody else changed this in the meantime", 409, "changed_meanwhile", "at version 4")


def segment(**changed: Any) -> SegmentView:
    facts: dict[str, Any] = {
        "key": "german",
        "when": ConditionForm(attribute="country", equals="DE"),
        "description": "",
        "version": 3,
        "updated_ms": NOW,
        "flags": ["emitter"],
    }
    return SegmentView(**{**facts, **changed})


def form(**fields: Any) -> TargetingForm:
    return msgspec.convert(fields, TargetingForm)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "targeting.yaml"
    path.write_text(TARGETING, encoding="utf-8")
    return path


def test_targeting_is_read_from_a_file_and_shown_in_its_order(run: Run, stub: StubController, file: Path) -> None:
    stub.on("GET", "/api/v1/flags/emitter", flag())
    stub.on("PATCH", "/api/v1/flags/emitter", lambda asked: flag(targeting=form(**asked.body["targeting"])))
    done = run("flag", "target", "emitter", "-f", str(file), "--reason", "try it")
    assert done.exit_code == 0, done.output
    (body,) = stub.bodies("PATCH")
    assert (body["version"], body["reason"], body["targeting"]["deny"]) == (3, "try it", ["dora"])
    shown = " ".join(done.stdout.split())
    assert 'denied dora rule staff email ends_with "@example.com" -> unified' in shown
    assert 'rule #2 20% of (version semver ">= 2.1.0") and (not (segment banks)) -> unified' in shown


def test_a_withdrawn_variant_is_shown(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/flags/emitter", flag(withdrawn=["unified"]))
    assert "a rollback took it from everybody" in run("flag", "show", "emitter").stdout


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("deny: [a]\nrules:\n  - serve: x\n    when: {attribute: a b, equals: 1}\n", 4, "rules[0].when.attribute"),
        ("rules:\n  - serve: x\n    share: half\n", 3, "rules[0].share"),
        ("prerequisites: [other]\n", 1, "prerequisites"),
        ("rules:\n  - serve: x\n    when: {attribute: a}\n", 3, "rules[0].when"),
        ("deny: [a]\nallowed: {}\n", 2, "allowed"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line(
    run: Run, stub: StubController, tmp_path: Path, text: str, line: int, field: str
) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text, encoding="utf-8")
    done = run("flag", "target", "emitter", "-f", str(path))
    assert done.exit_code == 1
    assert f"t.yaml, line {line}: " in done.stderr
    assert f"({field})" in done.stderr
    assert stub.asked == []


def test_a_refusal_of_the_controller_names_the_line(run: Run, stub: StubController, file: Path) -> None:
    stub.on("GET", "/api/v1/flags/emitter", flag())
    problem = Problem("A field is not acceptable", 422, "invalid", "no such variant", "targeting.rules[1].serve")
    stub.on("PATCH", "/api/v1/flags/emitter", problem)
    done = run("flag", "target", "emitter", "-f", str(file))
    assert done.exit_code == 1
    assert "targeting.yaml, line 8" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("allow", "emitter", "z", "z", "--variant", "unified"), {"deny": ["dora"], "allow": {"unified": ["u", "z"]}}),
        (("allow", "emitter", "dora", "--variant", "legacy"), {"allow": {"unified": ["u"], "legacy": ["dora"]}}),
        (("deny", "emitter", "u", "v"), {"deny": ["dora", "u", "v"]}),
        (("unlist", "emitter", "u", "dora"), {}),
    ],
)
def test_a_key_is_on_one_list_at_a_time(
    run: Run, stub: StubController, arguments: tuple[str, ...], expected: dict[str, Any]
) -> None:
    stub.on("GET", "/api/v1/flags/emitter", flag(targeting=form(deny=["dora"], allow={"unified": ["u"]})))
    stub.on("PATCH", "/api/v1/flags/emitter", flag())
    assert run("flag", *arguments).exit_code == 0
    assert stub.bodies("PATCH")[0]["targeting"] == expected


def test_lists_are_read_again_when_somebody_else_was_faster(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/flags/emitter", flag(), flag(version=4, targeting=form(deny=["bob"])))
    stub.on("PATCH", "/api/v1/flags/emitter", MEANWHILE, flag())
    assert run("flag", "deny", "emitter", "dora").exit_code == 0
    assert stub.bodies("PATCH")[1]["targeting"] == {"deny": ["bob", "dora"]}


def test_a_segment_is_created_shown_changed_and_removed(run: Run, stub: StubController, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text('{"attribute": "country", "equals": "DE"}', encoding="utf-8")
    stub.on("POST", "/api/v1/segments", segment())
    stub.on("GET", "/api/v1/segments/german", segment())
    stub.on("PATCH", "/api/v1/segments/german", segment(version=4))
    stub.on("DELETE", "/api/v1/segments/german", {})
    done = run("segment", "create", "german", "-f", str(path), "--description", "by country")
    assert done.exit_code == 0, done.output
    assert 'country equals "DE"' in done.stdout
    assert stub.bodies("POST")[0]["when"] == {"attribute": "country", "equals": "DE"}
    assert run("segment", "set", "german", "--file", str(path)).exit_code == 0
    assert stub.bodies("PATCH")[0]["version"] == 3
    assert run("segment", "remove", "german").stdout == "segment german: removed\n"
    assert stub.asked[-1].query == {"version": "3"}


def test_segments_are_listed_for_people_and_for_programs(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/segments", listed(segment(), segment(key="empty", flags=[])))
    assert "emitter" in run("segment", "list").stdout
    assert [found["key"] for found in json.loads(run("segment", "list", "--json").stdout)] == ["german", "empty"]


def test_a_condition_that_cannot_be_read_is_told_before_anything_is_sent(
    run: Run, stub: StubController, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("attribute: country\nequal: DE\n", encoding="utf-8")
    done = run("segment", "create", "german", "-f", str(path))
    assert done.exit_code == 1
    assert "(equal)" in done.stderr
    assert stub.asked == []
    assert run("segment", "set", "german").exit_code == 2
