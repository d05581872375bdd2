"""What people are told of a change: what happened, why, what to do, and how urgent it is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from controller.domain.errors import Invalid

#: Notices that no change causes.
TEST = "notify.test"
RAISED = "alert.raised"
CLEARED = "alert.cleared"
#: After these nothing more is to be said of what was open about a rollout.
ENDINGS = frozenset({"rollout.rollback", "rollout.promote", "rollout.abort"})


class Severity(StrEnum):
    """How a channel shows a notice: told, good news, to be looked at, to be acted on."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Notice:
    """A row of the outbox: one change, written in the transaction of that change.

    Attributes:
        id: grows with each notice; two that were written at the same time may arrive in either order.
        kind: `rollout.rollback`, `alert.raised` and so on.
        subject: `rollout/KEY`, `flag/KEY`, `segment/KEY` or `channel/NAME`.
        message: the judge's sentence; reason: the actor's own words.
        alert: the alert's name, of the kinds `alert.*`.
    """

    id: int
    at_ms: int
    kind: str
    subject: str
    actor: str = ""
    reason: str = ""
    message: str = ""
    alert: str = ""

    @property
    def name(self) -> str:
        """The key of what it is about."""
        return self.subject.partition("/")[2] or self.subject

    @property
    def topic(self) -> str:
        """What it is about, as finely as repeats are kept quiet by: the subject, and the alert where it is one."""
        return f"{self.subject}#{self.alert}" if self.alert else self.subject


@dataclass(frozen=True, slots=True)
class Message:
    """A notice in words."""

    severity: Severity
    title: str
    why: str
    todo: str
    path: str


@dataclass(frozen=True, slots=True)
class _Template:
    severity: Severity
    title: str
    todo: str = ""


_I, _S, _W, _F = Severity.INFO, Severity.SUCCESS, Severity.WARNING, Severity.FAILURE
_LOOK = "`canary rollout explain {name}` shows the evidence."

#: Every kind that a channel can be subscribed to, and what is said of it.
KINDS: dict[str, _Template] = {
    "rollout.applied": _Template(_I, "{name}: a plan was applied", "`canary rollout start {name}` begins it."),
    "rollout.measure": _Template(_I, "{name}: the control is being measured"),
    "rollout.start": _Template(_I, "{name}: started", "`canary rollout watch {name}` follows it."),
    "rollout.pause": _Template(
        _W, "{name}: paused", _LOOK + " `canary rollout resume {name}` goes on, `rollback` goes back."
    ),
    "rollout.resume": _Template(_I, "{name}: resumed"),
    "rollout.set_share": _Template(_I, "{name}: the share was set by hand"),
    "rollout.ask": _Template(_W, "{name}: waits for an approval", "`canary rollout approve {name}` gives it."),
    "rollout.approve": _Template(_I, "{name}: the next stage was approved"),
    "rollout.advance": _Template(_S, "{name}: went on to its next stage"),
    "rollout.ramp_down": _Template(_W, "{name}: a freeze took the share back", "It goes on when the freeze is over."),
    "rollout.open_epoch": _Template(_I, "{name}: a new application version begins a new evidence epoch"),
    "rollout.retargeted": _Template(_I, "{name}: new targeting begins a new evidence epoch"),
    "rollout.promote": _Template(_S, "{name}: promoted, everybody is served the canary"),
    "rollout.rollback": _Template(
        _F,
        "{name}: rolled back, everybody is served the control",
        _LOOK + " It stays rolled back until somebody re-arms it.",
    ),
    "rollout.verified": _Template(
        _S, "{name}: the rollback is verified", "`canary rollout report {name}` tells the whole story."
    ),
    "rollout.abort": _Template(_W, "{name}: given up before anybody saw the canary"),
    "rollout.re_arm": _Template(_I, "{name}: armed again as a draft", "`canary rollout start {name}` begins it."),
    "flag.created": _Template(_I, "flag {name}: created"),
    "flag.changed": _Template(_I, "flag {name}: changed"),
    "flag.enabled": _Template(_I, "flag {name}: enabled"),
    "flag.killed": _Template(
        _W, "flag {name}: killed, everybody is served the control", "`canary flag enable {name}` is the way back."
    ),
    "flag.retargeted": _Template(_I, "flag {name}: has new targeting"),
    "segment.created": _Template(_I, "segment {name}: created"),
    "segment.changed": _Template(_I, "segment {name}: changed"),
    "segment.removed": _Template(_I, "segment {name}: removed"),
    RAISED: _Template(_W, "{name}: {alert}", _LOOK),
    CLEARED: _Template(_S, "{name}: {alert} is over"),
    TEST: _Template(_I, "A test of the channel {name}", "Nothing: this channel works."),
}

#: The page of each kind of subject.
_PAGES = {
    "rollout": "/rollouts/{name}",
    "flag": "/flags/{name}",
    "segment": "/segments/{name}",
    "channel": "/notifications#channel-{name}",
}

#: What to do about an alert, by the first part of its name.
_ALERTS: dict[str, str] = {
    "sequential": "The judge acts by itself where the guard's action says so. " + _LOOK,
    "block": "The judge acts by itself where the guard's action says so. " + _LOOK,
    "recent": "The judge acts by itself where the guard's action says so. " + _LOOK,
    "margin": "One arm does worse than the other. Compare them before the next stage; `canary rollout pause {name}`"
    " holds the share.",
    "not_reporting": "Canary instances fell silent. `canary instances` names them: are they up, can they reach the"
    " controller?",
    "blind": "Attempts come and no outcomes do. Look at the application's acknowledgements and at its reporter.",
    "no_canary_traffic": "Nobody uses the canary. Do the applications evaluate the flag, and with a targeting key?",
    "sample_ratio": "The users do not fit the share, so the comparison cannot be trusted. Look for a cache in front of"
    " the flag, or for clients with another targeting key.",
    "judge_error": "The judge cannot judge, and has paused the rollout. The controller's log has the error;"
    " `canary rollout rollback {name}` is always possible.",
    "lost_instance": "Instances vanished in the middle of attempts. Look for crashes of the application.",
    "unreconciled": "A client's figures contradict each other. Is its version known to count well?",
    "control_below_floor": "The control itself is worse than the floor. Mend it first, or set the guard's floor to what"
    " is true today.",
    "would": "Only observed, nothing was moved. Take `mode: observe` out of the plan when you trust it.",
}


def compose(notice: Notice, environment: str) -> Message:
    """The notice in words, with the environment in its title; a kind from a newer release is told as it is."""
    template = KINDS.get(notice.kind, _Template(Severity.INFO, f"{notice.subject}: {notice.kind}"))
    words = {"name": notice.name, "alert": notice.alert}
    todo = _ALERTS.get(notice.alert.partition("/")[0], template.todo) if notice.kind == RAISED else template.todo
    said = [notice.message] if notice.message else []
    if notice.reason and notice.reason != notice.message:
        said.append(notice.reason)
    by = f" (by {notice.actor})" if notice.actor and notice.actor != "judge" else ""
    return Message(
        severity=template.severity,
        title=f"[{environment}] {template.title.format(**words)}{by}",
        why="; ".join(said),
        todo=todo.format(**words),
        path=_path(notice),
    )


def _path(notice: Notice) -> str:
    """The page of what a notice is about; of a segment that is gone, the list that it is missing from."""
    if notice.kind == "segment.removed":
        return "/segments"
    area = _PAGES.get(notice.subject.partition("/")[0])
    return "/" if area is None else area.format(name=notice.name)


def check_kinds(kinds: Collection[str], field: str) -> tuple[str, ...]:
    """Patterns of kinds, sorted; `rollout.*` stands for all that begin so, `*` for everything.

    Raises:
        Invalid: there are none, or one fits no kind.
    """
    if not kinds:
        raise Invalid(f"name kinds of notices, such as {', '.join(DEFAULT_KINDS)}", field=field)
    for at, pattern in enumerate(kinds):
        if not any(matches((pattern,), kind) for kind in KINDS):
            known = ", ".join(sorted({f"{kind.partition('.')[0]}.*" for kind in KINDS}))
            raise Invalid(f"{pattern!r} fits no kind; write one of {known}, or a single kind", field=f"{field}[{at}]")
    return tuple(sorted(set(kinds)))


def matches(patterns: Collection[str], kind: str) -> bool:
    """Whether a kind is among these."""
    return any(
        pattern in ("*", kind) or (pattern.endswith(".*") and kind.startswith(pattern[:-1])) for pattern in patterns
    )


#: What a subscription is to without any word on it: what happens to rollouts, and what somebody should look at.
DEFAULT_KINDS = ("alert.*", "rollout.*")


def may_be_quiet(kind: str) -> bool:
    """Whether repeats of a kind are kept quiet: an act on a rollout is always told, a test as well."""
    return not kind.startswith("rollout.") and kind != TEST


def opposite(kind: str) -> str | None:
    """What undoes a notice of this kind, where something does."""
    return {RAISED: CLEARED, CLEARED: RAISED}.get(kind)
