"""What one user gets of a flag, and why, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.domain.bucketing import WHOLE, bucket
from controller.domain.durations import percent_text
from controller.domain.evaluation import Evaluation, Reason, evaluate
from controller.domain.snapshots import PublishedFlag, Snapshot
from controller.domain.targeting import share_salt


@dataclass(frozen=True, slots=True)
class Answer:
    """The variant, its value, OpenFeature's reason, and the way that led there."""

    variant: str
    value: Any
    reason: str
    why: str
    evidence: bool


def answer_for(flag: PublishedFlag, snapshot: Snapshot, user: str, attributes: Mapping[str, Any]) -> Answer:
    """What this user gets.

    Raises:
        Invalid: a rule names a segment that does not exist.
    """
    found = evaluate(flag, user or None, attributes, segments=snapshot.segments)
    return Answer(found.variant, found.value, found.reason.value, _why(flag, found, user), found.governed)


def _why(flag: PublishedFlag, found: Evaluation, user: str) -> str:
    match found.reason:
        case Reason.DISABLED:
            return "the flag is killed, so everybody gets the control"
        case Reason.TARGETING_MATCH if found.rule in ("deny", "allow"):
            return f"the {found.rule} list names this targeting key"
        case Reason.TARGETING_MATCH:
            return f"rule {found.rule} fits"
        case Reason.SPLIT if found.governed and flag.rollout is not None:
            rollout = flag.rollout
            return (
                f"rollout {rollout.key} splits the users: {_placed(rollout.salt, user, rollout.weight, rollout.canary)}"
            )
        case Reason.SPLIT:
            return f"rule {found.rule} fits, and {_rule_share(flag, found, user)}"
    if flag.rollout is not None and not user:
        return "users are split, and without a targeting key nobody can be held to a bucket: the control"
    fitting = "no list and no rule fits; " if flag.targeting else ""
    if flag.rollout is not None:
        return f"{fitting}rollout {flag.rollout.key} serves this to everybody now"
    return f"{fitting}it is what is served to everybody"


def _rule_share(flag: PublishedFlag, found: Evaluation, user: str) -> str:
    rules = {rule.name or f"#{at}": rule for at, rule in enumerate(flag.targeting.rules, 1)}
    rule = rules[found.rule]
    return _placed(share_salt(flag.key), user, rule.weight, rule.serve)


def _placed(salt: str, user: str, weight: int, variant: str) -> str:
    at = bucket(salt, user)
    side = "below" if at < weight else "not below"
    return f"bucket {at:,} of {WHOLE:,} is {side} {weight:,} ({percent_text(weight)} on {variant})"
