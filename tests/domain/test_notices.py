"""What people are told."""

import re

import pytest

from controller.domain.alerts import CONTROL_BELOW_FLOOR, JUDGE_ERROR, LOST_INSTANCE, UNRECONCILED, WOULD
from controller.domain.errors import Invalid
from controller.domain.judge.findings import Rule
from controller.domain.notices import KINDS, RAISED, Notice, Severity, check_kinds, compose, matches
from controller.domain.rollouts import Action


def notice(kind: str, subject: str = "rollout/chat", **more: str) -> Notice:
    return Notice(1, 0, kind, subject, **more)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_says_what_happened_in_which_environment(kind: str) -> None:
    found = compose(notice(kind, alert="sample_ratio" if kind.startswith("alert") else ""), "prod")
    assert found.title.startswith("[prod] ")
    assert "chat" in found.title
    assert "{" not in found.title + found.todo


@pytest.mark.parametrize("action", sorted(set(Action) - {Action.HOLD, Action.VERIFY}))
def test_every_act_on_a_rollout_has_a_kind(action: Action) -> None:
    assert f"rollout.{action.value}" in KINDS


@pytest.mark.parametrize("name", [*Rule, JUDGE_ERROR, LOST_INSTANCE, UNRECONCILED, CONTROL_BELOW_FLOOR, WOULD])
def test_every_alert_says_what_to_do(name: str) -> None:
    found = compose(notice(RAISED, alert=f"{name}/delivery", message="why"), "prod")
    assert found.severity is Severity.WARNING
    assert len(found.todo) > 20
    assert found.why == "why"


def test_a_rollback_says_why_what_to_do_and_where() -> None:
    found = compose(notice("rollout.rollback", actor="judge", reason="r", message="chunk: 12 of 40 failed"), "prod")
    assert found.title == "[prod] chat: rolled back, everybody is served the control"
    assert found.why == "chunk: 12 of 40 failed; r"
    assert "canary rollout explain chat" in found.todo
    assert found.path == "/rollouts/chat"
    assert found.severity is Severity.FAILURE


@pytest.mark.parametrize(
    ("kind", "subject", "path"),
    [
        ("alert.raised", "rollout/chat", "/rollouts/chat"),
        ("flag.killed", "flag/chat.typing", "/flags/chat.typing"),
        ("segment.changed", "segment/staff", "/segments/staff"),
        ("segment.removed", "segment/staff", "/segments"),
        ("notify.test", "channel/ops", "/notifications#channel-ops"),
        ("planet.moved", "planet/mars", "/"),
    ],
)
def test_the_link_opens_the_page_of_what_it_is_about(kind: str, subject: str, path: str) -> None:
    assert compose(notice(kind, subject), "prod").path == path


def test_what_a_person_did_names_the_person() -> None:
    assert compose(notice("rollout.pause", actor="ann", reason="lunch"), "prod").title == "[prod] chat: paused (by ann)"


def test_a_kind_of_a_newer_release_is_told_as_it_is() -> None:
    found = compose(notice("rollout.celebrated", message="hooray"), "prod")
    assert (found.title, found.why) == ("[prod] rollout/chat: rollout.celebrated", "hooray")


@pytest.mark.parametrize(
    ("patterns", "kind", "fits"),
    [
        (("rollout.*",), "rollout.pause", True),
        (("rollout.pause",), "rollout.pause", True),
        (("rollout.pause",), "rollout.paused", False),
        (("rollout.*",), "rollouts", False),
        (("*",), "flag.killed", True),
        ((), "flag.killed", False),
    ],
)
def test_patterns_fit_whole_kinds(patterns: tuple[str, ...], kind: str, fits: bool) -> None:
    assert matches(patterns, kind) is fits


def test_a_kind_that_fits_nothing_is_named_with_what_there_is() -> None:
    with pytest.raises(Invalid, match=re.escape("kinds[1]: 'rolout.*' fits no kind; write one of alert.*, flag.*")):
        check_kinds(["alert.*", "rolout.*"], "kinds")
    with pytest.raises(Invalid, match="name kinds"):
        check_kinds([], "kinds")
