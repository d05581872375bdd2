"""Flags and segments on pages: the switch, the targeting editor, what a user would get and why, history and diff."""

import json

import pytest

from tests.web.callers import FLAG, MANIFEST, Caller
from tests.web.pages import HOSTILE, page_of, read, send

HERE = "/flags/emitter"
RULES = """deny: [user-7]
allow:
  unified: [user-1]
rules:
- name: staff
  when: {attribute: email, ends_with: '@example.org'}
  serve: unified
- name: half
  when: {attribute: country, equals: DE}
  serve: unified
  share: 50%
"""


@pytest.fixture
def ann(operator: Caller) -> Caller:
    """An operator, with a flag of two variants there."""
    assert operator.post("/api/v1/flags", FLAG).status_code == 201
    return operator


def saved(caller: Caller, text: str, version: str = "1") -> None:
    answer = send(caller, f"{HERE}/targeting", targeting=text, version=version, reason="for staff first")
    assert answer.status_code == 303, answer.text


def test_a_flag_is_made_from_a_form(operator: Caller) -> None:
    fields = {"key": "new-checkout", "variants": "off: false\non: true", "description": "the new checkout"}
    answer = send(operator, "/flags/new", **fields, reason="planned")
    assert answer.headers["Location"] == "/flags/new-checkout?done=created"
    page = page_of(operator, "/flags/new-checkout")
    assert "off = false control" in page.text
    assert "flag.created by operator of the tests" in page.text
    assert "new-checkout" in page_of(operator, "/flags").text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"key": "no spaces"}, "is not a key"),
        ({"variants": "off: false"}, "give 2 to 16 variants"),
        ({"variants": "off: [1"}, "line"),
        ({"variants": "just words"}, "write each variant once, one a line"),
        ({"variants": "a: 1\nb: two"}, "one type"),
        ({"variants": "a: 2026-01-01\nb: 1"}, "one type"),
        ({"reason": ""}, "say why"),
        ({"key": "emitter"}, "exist"),
    ],
)
def test_a_flag_that_does_not_fit_is_refused_and_what_was_written_stays(
    ann: Caller, fields: dict[str, str], words: str
) -> None:
    given = {"key": "other", "variants": "off: false\non: true", "reason": "planned", **fields}
    answer = send(ann, "/flags/new", **given)
    assert answer.status_code in {409, 422}
    page = read(answer, answer.status_code)
    assert words in page.text
    assert page.field("key") == given["key"]


def test_the_kill_switch_is_a_confirmation_with_a_reason(ann: Caller) -> None:
    page = page_of(ann, f"{HERE}/act/kill")
    assert "Everybody is served the control, legacy , at once" in page.text
    assert send(ann, f"{HERE}/act/kill", version="1", reason="").status_code == 422
    assert send(ann, f"{HERE}/act/kill", version="1", reason="outage").status_code == 303
    assert "killed" in page_of(ann, "/flags").text
    assert "since the flag is killed" in page_of(ann, f"{HERE}?user=user-1").text
    assert send(ann, f"{HERE}/act/enable", version="2", reason="over").status_code == 303


def test_the_loser_of_a_race_for_a_flag_is_told(ann: Caller) -> None:
    send(ann, f"{HERE}/act/kill", version="1", reason="outage")
    page = read(send(ann, f"{HERE}/act/kill", version="1", reason="outage, I think"), 409)
    assert "Somebody else changed this in the meantime" in page.text
    assert page.field("reason") == "outage, I think"


def test_what_is_served_and_its_description_change_with_a_reason(ann: Caller) -> None:
    assert send(ann, f"{HERE}/act/serve", version="1", served="unified", reason="done").status_code == 303
    assert send(ann, f"{HERE}/act/describe", version="2", description="emitters", reason="docs").status_code == 303
    text = page_of(ann, HERE).text
    assert "unified = true served" in text
    assert "emitters" in text


@pytest.mark.parametrize(
    ("user", "context", "words"),
    [
        ("user-7", "", "legacy (false) TARGETING_MATCH since the deny list names this targeting key"),
        ("user-1", "", "unified (true) TARGETING_MATCH since the allow list names this targeting key"),
        ("ann", "email: ann@example.org", "unified (true) TARGETING_MATCH since rule staff fits"),
        ("ann", "country: DE", "since rule half fits, and bucket"),
        ("ann", "", "legacy (false) DEFAULT since no list and no rule fits; it is what is served to everybody"),
        ("ann", "- 1", "write one attribute a line"),
    ],
)
def test_a_page_tells_what_a_user_gets_and_why(ann: Caller, user: str, context: str, words: str) -> None:
    saved(ann, RULES)
    answer = send(ann, f"{HERE}/try", targeting=RULES, user=user, context=context)
    assert words in read(answer).text
    assert words in read(ann.get(f"{HERE}?user={user}&context={context}")).text


def test_a_rollouts_split_is_explained_by_the_bucket(operator: Caller) -> None:
    operator.started()
    text = read(operator.get(f"{HERE}?user=ann")).text
    assert "since rollout unified-emitter splits the users: bucket" in text
    assert "below 1,000 (10% on unified)" in text
    assert "It counts as evidence" in text


def test_a_draft_is_tried_before_it_is_saved(ann: Caller) -> None:
    page = read(send(ann, f"{HERE}/try", targeting="allow: {unified: [ann]}", user="ann"))
    assert "Now legacy (false)" in page.text
    assert "Once saved unified (true)" in page.text
    assert "+ allow:" in page.text
    assert "allowed unified ann" in page.text
    assert ann.get("/api/v1/flags/emitter").json["targeting"] == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [", "line 1, column"),
        ("rules:\n- serve: purple", "line 2, rules[0].serve: 'purple' is not one of the variants"),
        ("rules:\n- {serve: unified, when: {attribute: a}}", "write an attribute with one comparison"),
        ("deny: [a, a]", "is listed twice"),
        ("nonsense", "a mapping with the keys deny, allow and rules"),
        ("deny: [x]\ndeny: [y]", "comes twice"),
        ("rules:\n- {serve: unified, when: {segment: none-such}}", ""),
    ],
)
def test_a_draft_that_cannot_be_read_says_where_and_is_not_saved(ann: Caller, text: str, words: str) -> None:
    assert words in read(send(ann, f"{HERE}/try", targeting=text, user="ann")).text
    answer = send(ann, f"{HERE}/targeting", targeting=text, version="1", reason="why not")
    assert answer.status_code == 422
    assert text.splitlines()[0] in answer.text.replace("&#39;", "'")
    assert ann.get("/api/v1/flags/emitter").json["version"] == 1


def test_a_rule_and_users_are_added_without_writing_yaml(ann: Caller) -> None:
    fields = {"add": "rule", "attribute": "country", "comparison": "in", "value": "DE, AT", "serve": "unified"}
    page = read(send(ann, f"{HERE}/add", targeting="deny: [user-7]", rule_share="20%", rule_name="dach", **fields))
    assert "rule dach 20% of country in DE, AT -> unified" in page.text
    assert "denied user-7" in page.text
    users = {"add": "users", "users": "user-7\nuser-8", "list": "unified"}
    page = read(send(ann, f"{HERE}/add", targeting="deny: [user-7]", **users))
    assert "allowed unified user-7, user-8" in page.text
    wrong = read(send(ann, f"{HERE}/add", targeting="", add="rule", attribute="x", comparison="like", serve="unified"))
    assert "compare with one of equals" in wrong.text


def test_saved_targeting_is_in_the_history_with_its_difference(ann: Caller) -> None:
    saved(ann, RULES)
    page = page_of(ann, HERE)
    assert "flag.retargeted by operator of the tests" in page.text
    assert "for staff first" in page.text
    assert "targeting.deny" in page.text
    assert '["user-7"]' in page.text


def test_a_live_rollouts_new_epoch_is_told_before_saving(operator: Caller) -> None:
    operator.started()
    text = read(send(operator, f"{HERE}/try", targeting="deny: [ann]")).text
    assert "is live: saving begins a new evidence epoch" in text


def test_flags_are_found_by_key_and_description(ann: Caller) -> None:
    assert "emitter" in page_of(ann, "/flags?q=EMIT").text
    assert "No flag fits payments" in page_of(ann, "/flags?q=payments").text


@pytest.mark.usefixtures("ann")
def test_who_only_reads_tries_but_does_not_save(viewer: Caller) -> None:
    page = read(send(viewer, f"{HERE}/try", targeting="deny: [ann]", user="ann"))
    assert "Once saved" in page.text
    assert "Save targeting" not in page.text
    assert send(viewer, f"{HERE}/targeting", targeting="deny: [ann]", version="1", reason="x").status_code == 403
    assert send(viewer, f"{HERE}/act/kill", version="1", reason="x").status_code == 403


def test_hostile_targeting_is_only_ever_text(ann: Caller) -> None:
    page = read(
        send(
            ann,
            f"{HERE}/try",
            targeting=f"deny: [{json.dumps(HOSTILE)}]",
            user=HOSTILE,
            context=f"a: {json.dumps(HOSTILE)}",
        )
    )
    assert not page.all("img")
    assert len(page.all("script")) == 1


def test_segments_are_made_changed_and_removed_with_reasons(ann: Caller) -> None:
    new = {"key": "dach", "when": "attribute: country\nin: [DE, AT, CH]", "description": "three countries"}
    assert send(ann, "/segments/new", **new, reason="for rules").status_code == 303
    assert "country in DE, AT, CH" in page_of(ann, "/segments").text
    changed = {"when": "attribute: country\nequals: DE", "description": "one country", "version": "1"}
    assert send(ann, "/segments/dach", **changed, reason="shrunk").status_code == 303
    page = page_of(ann, "/segments/dach")
    assert 'country equals "DE"' in page.text
    assert "segment.changed by operator of the tests" in page.text
    lost = read(send(ann, "/segments/dach", **changed, reason="again"), 409)
    assert "Somebody else changed this" in lost.text
    assert send(ann, "/segments/dach", act="remove", version="2", reason="unused").status_code == 303
    assert "No segment yet" in page_of(ann, "/segments").text


@pytest.mark.parametrize("when", ["", "nonsense", "attribute: a", "and: ["])
def test_a_condition_that_cannot_be_read_is_kept_and_refused(operator: Caller, when: str) -> None:
    answer = send(operator, "/segments/new", key="dach", when=when, reason="for rules")
    page = read(answer, 422)
    assert page.field("key") == "dach"


def test_a_rollout_is_planned_from_its_flag(ann: Caller) -> None:
    assert f"/rollouts/new?flag={MANIFEST['flag']}" in page_of(ann, HERE).links
