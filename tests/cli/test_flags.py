"""`canary flag`."""

import json

from controller.wire.problems import Problem
from tests.cli.conftest import Run
from tests.cli.forms import flag, listed
from tests.cli.stub import StubController

MEANWHILE = Problem("Somebody else changed this in the meantime", 409, "changed_meanwhile", "at version 4")


def test_flags_are_listed_for_people_and_for_programs(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/flags", listed(flag(), flag(key="search", enabled=False, rollout="r1")))
    text = run("flag", "list").stdout
    assert "emitter" in text
    assert "killed" in text
    found = json.loads(run("flag", "list", "--json").stdout)
    assert [(f["key"], f["enabled"]) for f in found] == [("emitter", True), ("search", False)]


def test_no_flags_are_said_to_be_none(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/flags", listed())
    assert run("flag", "list").stdout == "no flags yet\n"
    assert json.loads(run("flag", "list", "--json").stdout) == []


def test_a_flag_is_created_with_typed_variants(run: Run, stub: StubController) -> None:
    stub.on("POST", "/api/v1/flags", flag())
    variants = ["--variant", "legacy=false", "--variant", "unified=true"]
    done = run("flag", "create", "emitter", *variants, "--control", "legacy", "--description", "which emitter")
    assert done.exit_code == 0, done.output
    assert "legacy=false, unified=true" in done.stdout
    body = stub.bodies("POST")[0]
    assert body["variants"] == {"legacy": False, "unified": True}
    assert (body["control"], body["description"], body["enabled"]) == ("legacy", "which emitter", True)
    assert len(stub.asked[0].headers["Idempotency-Key"]) == 32


def test_a_variant_that_is_no_json_is_text(run: Run, stub: StubController) -> None:
    stub.on("POST", "/api/v1/flags", flag())
    run("flag", "create", "c", "--variant", "a=blue", "--variant", 'b={"x": 1}', "--control", "a", "--disabled")
    assert stub.bodies("POST")[0]["variants"] == {"a": "blue", "b": {"x": 1}}
    assert stub.bodies("POST")[0]["enabled"] is False


def test_the_kill_switch_names_the_version_it_read(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/flags/emitter", flag())
    stub.on("PATCH", "/api/v1/flags/emitter", flag(enabled=False, version=4))
    done = run("flag", "disable", "emitter", "--reason", "errors")
    assert "killed" in done.stdout
    (body,) = stub.bodies("PATCH")
    assert (body["version"], body["enabled"], body["reason"], body["served"]) == (3, False, "errors", None)


def test_the_kill_switch_reads_again_when_somebody_else_was_faster(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/flags/emitter", flag(), flag(version=4))
    stub.on("PATCH", "/api/v1/flags/emitter", MEANWHILE, flag(enabled=False, version=5))
    assert run("flag", "disable", "emitter").exit_code == 0
    assert [body["version"] for body in stub.bodies("PATCH")] == [3, 4]


def test_the_kill_switch_gives_up_in_the_end(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/flags/emitter", flag())
    stub.on("PATCH", "/api/v1/flags/emitter", MEANWHILE)
    done = run("flag", "enable", "emitter")
    assert done.exit_code == 1
    assert len(stub.bodies("PATCH")) == 3
    assert done.stderr == "error: Somebody else changed this in the meantime: at version 4\n"


def test_a_version_that_is_named_is_insisted_on(run: Run, stub: StubController) -> None:
    stub.on("PATCH", "/api/v1/flags/emitter", MEANWHILE)
    assert run("flag", "enable", "emitter", "--if-version", "2").exit_code == 1
    assert [body["version"] for body in stub.bodies("PATCH")] == [2]


def test_setting_what_is_served_does_not_touch_the_rest(run: Run, stub: StubController) -> None:
    stub.on("GET", "/api/v1/flags/emitter", flag())
    stub.on("PATCH", "/api/v1/flags/emitter", flag(served="unified", version=4))
    done = run("flag", "set", "emitter", "--served", "unified", "--json")
    assert json.loads(done.stdout)["served"] == "unified"
    (body,) = stub.bodies("PATCH")
    assert (body["served"], body["enabled"], body["description"]) == ("unified", None, None)


def test_a_key_with_a_slash_stays_one_key(run: Run, stub: StubController) -> None:
    done = run("flag", "show", "a/b")
    assert done.exit_code == 1
    assert stub.asked[0].path == "/api/v1/flags/a%2Fb"
