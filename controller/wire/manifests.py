"""The rollout manifest: the form that people write (YAML or JSON), and the plan it stands for."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from controller.domain.durations import duration_ms, duration_text, parts_of, percent_text
from controller.domain.errors import Invalid
from controller.domain.flags import checked_key
from controller.domain.outcomes import CRITICAL_EVENTS
from controller.domain.plans import DEFAULT_LEASE_MS, Guard, GuardAction, Plan, Stage
from controller.domain.units import UnitKind
from controller.wire.codec import convert

Name = Annotated[str, Meta(min_length=1, max_length=128)]


class StageForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`{share: 10%, bake: 15m}`."""

    share: str
    bake: str


class GuardForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`{name: delivery, metric: delivery_success, at_least: 95%, floor: auto, action: rollback}`."""

    name: Name = "delivery"
    metric: str = "delivery_success"
    at_least: str = "95%"
    floor: str = "auto"
    action: Literal["rollback", "pause"] = "rollback"


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
    unit: Literal["user/10m", "run", "event"] = "user/10m"
    events: Annotated[list[Name], Meta(max_length=20)] = msgspec.field(default_factory=lambda: list(CRITICAL_EVENTS))
    lease: str = duration_text(DEFAULT_LEASE_MS)
    promotion_margin: str = "1%"
    allow_overlap: bool = False
    owner: Annotated[str, Meta(max_length=200)] = ""
    note: Annotated[str, Meta(max_length=2000)] = ""


def manifest_of(document: object) -> Manifest:
    """Read a parsed YAML or JSON document.

    Raises:
        Invalid: a key is unknown or missing, or a value does not fit; the error names it.
    """
    if not isinstance(document, dict):
        raise Invalid("a manifest is a mapping with the keys rollout, flag, control, canary and stages")
    return convert(document, Manifest)


def plan_of(manifest: Manifest) -> Plan:
    """The plan of a manifest, checked as a whole.

    Raises:
        Invalid: a share, a duration or their order does not fit; the error names the field.
    """
    checked_key(manifest.rollout, "rollout")
    checked_key(manifest.flag, "flag")
    if manifest.canary == manifest.control:
        raise Invalid("the canary is another variant than the control", field="canary")
    stages = tuple(
        Stage(parts_of(form.share, f"stages[{at}].share"), duration_ms(form.bake, f"stages[{at}].bake"))
        for at, form in enumerate(manifest.stages)
    )
    return Plan(
        stages=stages,
        guards=tuple(_guard(form, f"guards[{at}]") for at, form in enumerate(manifest.guards)),
        unit=UnitKind(manifest.unit),
        events=tuple(manifest.events),
        lease_ms=duration_ms(manifest.lease, "lease"),
        promotion_margin_permille=parts_of(manifest.promotion_margin, "promotion_margin", 1000),
        allow_overlap=manifest.allow_overlap,
        owner=manifest.owner,
        note=manifest.note,
    )


def _guard(form: GuardForm, field: str) -> Guard:
    return Guard(
        name=form.name,
        metric=form.metric,
        at_least_permille=parts_of(form.at_least, f"{field}.at_least", 1000),
        floor_permille=None if form.floor == "auto" else parts_of(form.floor, f"{field}.floor", 1000),
        action=GuardAction(form.action),
    )


def manifest_from_plan(key: str, flag_key: str, control: str, canary: str, plan: Plan) -> Manifest:
    """The document that stands for a plan; reading it again gives the same plan."""
    return Manifest(
        rollout=key,
        flag=flag_key,
        control=control,
        canary=canary,
        stages=[StageForm(percent_text(s.weight), duration_text(s.bake_ms)) for s in plan.stages],
        guards=[_guard_form(guard) for guard in plan.guards],
        unit=plan.unit.value,
        events=list(plan.events),
        lease=duration_text(plan.lease_ms),
        promotion_margin=percent_text(plan.promotion_margin_permille, 1000),
        allow_overlap=plan.allow_overlap,
        owner=plan.owner,
        note=plan.note,
    )


def _guard_form(guard: Guard) -> GuardForm:
    floor = "auto" if guard.floor_permille is None else percent_text(guard.floor_permille, 1000)
    at_least = percent_text(guard.at_least_permille, 1000)
    return GuardForm(guard.name, guard.metric, at_least, floor, guard.action.value)
