"""A new rollout: form and YAML follow each other, the forecast, and saving."""

import json
from typing import Any

import pytest
import yaml

from tests.web.callers import FLAG, MANIFEST, Caller
from tests.web.pages import HOSTILE, Page, page_of, read, send

TEXT = """rollout: unified-emitter
flag: emitter
control: legacy
canary: unified
stages:
- {share: 10%, bake: 1m}
- {share: 100%, bake: 1m, approval: required}
patience: 2h
"""


@pytest.fixture(autouse=True)
def _flag(operator: Caller) -> None:
    operator.post("/api/v1/flags", FLAG)


def written(html: str) -> Any:
    """The manifest in the text field."""
    at = html.index('id="manifest"')
    text = html[html.index(">", at) + 1 : html.index("</textarea>", at)]
    return yaml.safe_load(text.replace("&#39;", "'").replace("&#34;", '"'))


def synced(caller: Caller, **fields: str | list[str]) -> tuple[Page, Any]:
    answer = send(caller, "/rollouts/new/sync", **fields)
    page = read(answer)
    return page, written(answer.text)


def test_the_form_follows_the_text(operator: Caller) -> None:
    page, _ = synced(operator, edited="yaml", manifest=TEXT)
    assert page.field("f_rollout") == "unified-emitter"
    assert [found["value"] for found in page.all("input", name="stage_share")] == ["10%", "100%"]
    assert "In the text alone: patience" in page.text
    assert "It can be saved as it is" in page.text


def test_the_text_follows_the_form_and_keeps_what_the_form_does_not_know(operator: Caller) -> None:
    fields = {"f_rollout": "other", "f_flag": "emitter", "f_owner": "chat team", "f_mode": "observe"}
    stages = {"stage_share": ["5", "50 %"], "stage_bake": ["10m", "1h"], "stage_approval": ["none", "required"]}
    _, document = synced(operator, edited="fields", manifest=TEXT, **fields, **stages)
    assert document == {
        "rollout": "other",
        "flag": "emitter",
        "control": "legacy",
        "canary": "unified",
        "stages": [{"share": "5%", "bake": "10m"}, {"share": "50%", "bake": "1h", "approval": "required"}],
        "patience": "2h",
        "mode": "observe",
        "owner": "chat team",
    }


def test_choosing_a_flag_fills_in_its_variants(operator: Caller) -> None:
    operator.post("/api/v1/flags", {"key": "colour", "variants": {"red": "r", "blue": "b"}, "control": "red"})
    fields = {"f_rollout": "x", "f_flag": "colour", "f_control": "legacy", "f_canary": "unified"}
    _, document = synced(operator, edited="fields", manifest=TEXT, stage_share="10%", stage_bake="1m", **fields)
    assert (document["control"], document["canary"]) == ("red", "blue")


def test_stages_are_added_and_removed(operator: Caller) -> None:
    fields = {"f_rollout": "x", "f_flag": "emitter", "stage_share": ["10%", "50%"], "stage_bake": ["1m", "2m"]}
    _, longer = synced(operator, edited="add-stage", manifest=TEXT, **fields)
    assert longer["stages"][2] == {"share": "100%", "bake": "2m"}
    _, shorter = synced(operator, edited="remove-stage-0", manifest=TEXT, **fields)
    assert shorter["stages"] == [{"share": "50%", "bake": "2m"}]


def test_an_approval_that_says_more_is_kept(operator: Caller) -> None:
    text = TEXT.replace("approval: required", "approval: {within: 2h, otherwise: rollback}")
    fields = {"stage_share": ["10%", "100%"], "stage_bake": ["1m", "1m"], "stage_approval": ["none", "required"]}
    _, document = synced(operator, edited="fields", manifest=text, f_rollout="x", f_flag="emitter", **fields)
    assert document["stages"][1]["approval"] == {"within": "2h", "otherwise": "rollback"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT.replace("bake: 1m}\n", "bake: soon}\n", 1), "line 6, stages[0].bake"),
        (TEXT.replace("emitter\ncontrol", "none-such\ncontrol"), "there is no flag 'none-such' yet"),
        (f"{TEXT}surprise: 1\n", "surprise"),
        ("stages: [", "line 1, column"),
        ("- a list", "a manifest is a mapping"),
    ],
)
def test_what_is_wrong_with_the_text_is_said_with_its_line(operator: Caller, text: str, words: str) -> None:
    answer = send(operator, "/rollouts/new/sync", edited="yaml", manifest=text)
    assert words in read(answer).text
    assert text.strip().splitlines()[-1] in answer.text  # what was written stays


def test_a_draft_is_saved_with_a_reason_and_can_be_changed(operator: Caller) -> None:
    assert send(operator, "/rollouts/new", manifest=TEXT, reason="").status_code == 422
    answer = send(operator, "/rollouts/new", manifest=TEXT, reason="planned")
    assert answer.headers["Location"] == "/rollouts/unified-emitter?done=applied"
    page = page_of(operator, "/rollouts/unified-emitter")
    assert {"/rollouts/unified-emitter/act/start", "/rollouts/new?from=unified-emitter"} <= page.links
    again = page_of(operator, "/rollouts/new?from=unified-emitter")
    assert again.field("f_rollout") == "unified-emitter"
    longer = TEXT.replace("bake: 1m}", "bake: 2m}")
    assert send(operator, "/rollouts/new", manifest=longer, reason="slower").status_code == 303
    stages = operator.get("/api/v1/rollouts/unified-emitter").json["stages"]
    assert stages[0]["bake_ms"] == 120_000


def test_a_plan_of_a_started_rollout_is_refused_and_kept(operator: Caller) -> None:
    operator.post("/api/v1/rollouts", MANIFEST)
    operator.post("/api/v1/rollouts/unified-emitter/start")
    page = read(send(operator, "/rollouts/new", manifest=TEXT, reason="late"), 409)
    assert "The key is taken" in page.text
    assert page.field("reason") == "late"


def test_the_forecast_tells_what_the_plan_would_do(operator: Caller) -> None:
    fields = {"manifest": TEXT, "events_per_minute": "60000", "control_success": "99.5%"}
    answer = send(operator, "/rollouts/new/forecast", part=True, **fields)
    page = read(answer)
    assert "<html" not in answer.text
    assert "10 % 10 s" in page.text
    assert "A healthy canary is promoted after about" in page.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"events_per_minute": "many"}, "write a number"),
        ({"events_per_minute": "nan"}, "give more than 0"),
        ({"events_per_minute": "0"}, "give more than 0"),
        ({"control_success": "20%"}, "50% to 100%"),
        ({"manifest": "stages: ["}, "line 1"),
    ],
)
def test_a_forecast_that_cannot_be_made_says_why(operator: Caller, fields: dict[str, str], words: str) -> None:
    given = {"manifest": TEXT, "events_per_minute": "600", "control_success": "99%", **fields}
    assert words in read(send(operator, "/rollouts/new/forecast", part=True, **given)).text


def test_who_only_reads_plans_but_does_not_save(viewer: Caller) -> None:
    page = page_of(viewer, "/rollouts/new")
    assert "Saving it needs the right to operate" in page.text
    assert send(viewer, "/rollouts/new", manifest=TEXT, reason="x").status_code == 403


def test_hostile_manifests_are_only_ever_text(operator: Caller) -> None:
    text = TEXT + f"owner: {json.dumps(HOSTILE)}\n"
    page = read(send(operator, "/rollouts/new/sync", edited="yaml", manifest=text))
    assert page.field("f_owner") == HOSTILE
    assert not page.all("img")


def test_odd_documents_crash_nothing(operator: Caller) -> None:
    for text in ("stages: 7", "stages: [1, [2], {share: {a: b}}]", "rollout: {a: 1}\nflag: [x]", "? [a]\n: b", "1: 2"):
        for edited in ("yaml", "fields", "add-stage", "remove-stage-9"):
            answer = send(operator, "/rollouts/new/sync", edited=edited, manifest=text, f_flag="emitter")
            assert answer.status_code == 200, (text, edited, answer.text[:300])
