"""The rollout manifest: the form that people write (YAML or JSON), and the plan it stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from controller.domain.durations import duration_ms, duration_text, parts_of, percent_text
from controller.domain.errors import Invalid
from controller.domain.flags import checked_key
from controller.domain.guards import PPM, Guard, GuardAction
from controller.domain.metrics import Metric, UnitKind
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.plans import DEFAULT_LEASE_MS, Approval, Breaker, Mode, Otherwise, Plan, Stage
from controller.wire.codec import convert

#: What msgspec says of what a newer release may have written.
_UNKNOWN_KEY = re.compile(r"^Object contains unknown field `(?P<key>.+?)`(?: - at `\$(?P<path>.*)`)?$")
_UNKNOWN_VALUE = re.compile(r"^Invalid enum value .* - at `\$(?P<path>.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_MOST_UNKNOWN = 50

Name = Annotated[str, Meta(min_length=1, max_length=128)]


class ApprovalForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`{within: 24h, otherwise: pause}`: how long a person has to agree, and what happens else."""

    within: str = duration_text(Approval().within_ms)
    otherwise: Literal["pause", "rollback", "advance"] = "pause"


class StageForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`{share: 10%, bake: 15m, approval: required}`."""

    share: str
    bake: str
    approval: ApprovalForm | Literal["required", "none"] = "none"


class GuardForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`{name: delivery, metric: delivery_success, at_least: 95%, floor: auto, action: rollback}`.

    Give `at_least`, or `margin_to_control`; a guard with neither asks for 95%.
    """

    name: Name = "delivery"
    metric: Literal["delivery_success", "delivered_within", "run_completeness"] = "delivery_success"
    at_least: str = ""
    margin_to_control: str = ""
    floor: str = "auto"
    deadline: str = ""
    opens: str = ""
    closes: str = ""
    action: Literal["rollback", "pause", "alert"] = "rollback"


class Manifest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A rollout as a document. Unknown keys are refused."""

    rollout: Name
    flag: Name
    control: Name
    canary: Name
    stages: Annotated[list[StageForm], Meta(min_length=1, max_length=50)]
    guards: Annotated[list[GuardForm], Meta(min_length=1, max_length=10)] = msgspec.field(
        default_factory=lambda: [GuardForm()]
    )
    mode: Literal["enforce", "observe"] = "enforce"
    breaker: Literal["report", "when_blind", "trip"] = "when_blind"
    measure: str = "0s"
    unit: Literal["user/10m", "run", "event"] = "user/10m"
    events: Annotated[list[Name], Meta(max_length=100)] = msgspec.field(default_factory=lambda: list(CRITICAL_EVENTS))
    alpha: str = "1%"
    min_users: Annotated[int, Meta(ge=0)] = 0
    min_samples: Annotated[int, Meta(ge=0)] = 0
    patience: str = "3d"
    holdback: str = "0%"
    cool_down: str = "10m"
    lease: str = duration_text(DEFAULT_LEASE_MS)
    promotion_margin: str = "1%"
    allow_overlap: bool = False
    owner: Annotated[str, Meta(max_length=200)] = ""
    channel: Annotated[str, Meta(max_length=200)] = ""
    note: Annotated[str, Meta(max_length=2000)] = ""


def manifest_of(document: object) -> Manifest:
    """Read a parsed YAML or JSON document.

    Raises:
        Invalid: a key is unknown or missing, or a value does not fit; the error names it.
    """
    if not isinstance(document, dict):
        raise Invalid("a manifest is a mapping with the keys rollout, flag, control, canary and stages")
    return convert(document, Manifest)


def stored_manifest(document: dict[str, Any]) -> tuple[Manifest, tuple[str, ...]]:
    """A manifest that a release wrote down, maybe a newer one; also what of it this release does not know.

    What is not known is left out of the manifest, so that the rollout can be shown, served and rolled back. It must not
    be judged by what is left.

    Raises:
        Invalid: it is no manifest even without that.
    """
    unknown: list[str] = []
    while True:
        try:
            return msgspec.convert(document, Manifest), tuple(unknown)
        except msgspec.ValidationError as error:
            named = _UNKNOWN_KEY.search(str(error)) or _UNKNOWN_VALUE.search(str(error))
            if named is None or len(unknown) == _MOST_UNKNOWN:
                raise Invalid(f"a stored manifest cannot be read: {error}", field="manifest") from None
            path = [part or int(number) for part, number in _STEP.findall(named["path"] or "")]
            path += [named["key"]] if named.re is _UNKNOWN_KEY else []
            document = _without(document, path)
            unknown.append(".".join(str(part) for part in path))


def _without(document: Any, path: Sequence[str | int]) -> Any:
    """A copy that lacks what is at a path."""
    step, *rest = path
    kept: Any = dict(document) if isinstance(document, dict) else list(document)
    if rest:
        kept[step] = _without(kept[step], rest)
    else:
        del kept[step]
    return kept


def plan_of(manifest: Manifest) -> Plan:
    """The plan of a manifest, checked as a whole.

    Raises:
        Invalid: a share, a duration or their order does not fit; the error names the field.
    """
    checked_key(manifest.rollout, "rollout")
    checked_key(manifest.flag, "flag")
    if manifest.canary == manifest.control:
        raise Invalid("the canary is another variant than the control", field="canary")
    return Plan(
        stages=tuple(_stage(form, f"stages[{at}]") for at, form in enumerate(manifest.stages)),
        guards=tuple(_guard(form, f"guards[{at}]") for at, form in enumerate(manifest.guards)),
        unit=UnitKind(manifest.unit),
        events=tuple(manifest.events),
        mode=Mode(manifest.mode),
        breaker=Breaker(manifest.breaker),
        alpha_ppm=parts_of(manifest.alpha, "alpha", PPM),
        lease_ms=duration_ms(manifest.lease, "lease"),
        promotion_margin_ppm=parts_of(manifest.promotion_margin, "promotion_margin", PPM),
        min_users=manifest.min_users,
        min_samples=manifest.min_samples,
        patience_ms=duration_ms(manifest.patience, "patience"),
        holdback=parts_of(manifest.holdback, "holdback"),
        measure_ms=duration_ms(manifest.measure, "measure"),
        cool_down_ms=duration_ms(manifest.cool_down, "cool_down"),
        allow_overlap=manifest.allow_overlap,
        owner=manifest.owner,
        channel=manifest.channel,
        note=manifest.note,
    )


def _stage(form: StageForm, field: str) -> Stage:
    asked = form.approval
    approval = Approval() if asked == "required" else None
    if isinstance(asked, ApprovalForm):
        approval = Approval(duration_ms(asked.within, f"{field}.approval.within"), Otherwise(asked.otherwise))
    return Stage(parts_of(form.share, f"{field}.share"), duration_ms(form.bake, f"{field}.bake"), approval)


def _guard(form: GuardForm, field: str) -> Guard:
    at_least = form.at_least or ("" if form.margin_to_control else "95%")
    return Guard(
        name=form.name,
        metric=Metric(form.metric),
        at_least_ppm=parts_of(at_least, f"{field}.at_least", PPM) if at_least else None,
        margin_ppm=(
            parts_of(form.margin_to_control, f"{field}.margin_to_control", PPM) if form.margin_to_control else None
        ),
        floor_ppm=None if form.floor == "auto" else parts_of(form.floor, f"{field}.floor", PPM),
        deadline_ms=duration_ms(form.deadline, f"{field}.deadline") if form.deadline else 0,
        opens=form.opens,
        closes=form.closes,
        action=GuardAction(form.action),
    )


def manifest_from_plan(key: str, flag_key: str, control: str, canary: str, plan: Plan) -> Manifest:
    """The document that stands for a plan; reading it again gives the same plan."""
    return Manifest(
        rollout=key,
        flag=flag_key,
        control=control,
        canary=canary,
        stages=[_stage_form(stage) for stage in plan.stages],
        guards=[_guard_form(guard) for guard in plan.guards],
        mode=plan.mode.value,
        breaker=plan.breaker.value,
        measure=duration_text(plan.measure_ms),
        unit=plan.unit.value,
        events=list(plan.events),
        alpha=percent_text(plan.alpha_ppm, PPM),
        min_users=plan.min_users,
        min_samples=plan.min_samples,
        patience=duration_text(plan.patience_ms),
        holdback=percent_text(plan.holdback),
        cool_down=duration_text(plan.cool_down_ms),
        lease=duration_text(plan.lease_ms),
        promotion_margin=percent_text(plan.promotion_margin_ppm, PPM),
        allow_overlap=plan.allow_overlap,
        owner=plan.owner,
        channel=plan.channel,
        note=plan.note,
    )


def _stage_form(stage: Stage) -> StageForm:
    if stage.approval is None:
        return StageForm(percent_text(stage.weight), duration_text(stage.bake_ms))
    approval: ApprovalForm | Literal["required"] = "required"
    if stage.approval != Approval():
        approval = ApprovalForm(duration_text(stage.approval.within_ms), stage.approval.otherwise.value)
    return StageForm(percent_text(stage.weight), duration_text(stage.bake_ms), approval)


def _guard_form(guard: Guard) -> GuardForm:
    return GuardForm(
        name=guard.name,
        metric=guard.metric.value,  # type: ignore[arg-type]
        at_least="" if guard.at_least_ppm is None else percent_text(guard.at_least_ppm, PPM),
        margin_to_control="" if guard.margin_ppm is None else percent_text(guard.margin_ppm, PPM),
        floor="auto" if guard.floor_ppm is None else percent_text(guard.floor_ppm, PPM),
        deadline=duration_text(guard.deadline_ms) if guard.deadline_ms else "",
        opens=guard.opens,
        closes=guard.closes,
        action=guard.action.value,
    )
