"""A new rollout: a form and its YAML side by side, each written from the other, and what the plan would do."""

from __future__ import annotations

import threading
import time
from typing import Any

import msgspec
from flask import Response, make_response, render_template, request

from controller.domain.durations import parts_of
from controller.domain.errors import Invalid, Refusal, TooFast
from controller.domain.flags import Flag
from controller.domain.guards import PPM
from controller.domain.metrics import UnitKind
from controller.domain.principals import Need
from controller.storage import flags as flag_rows
from controller.storage import rollouts as rows
from controller.storage import windows
from controller.usecases import rollouts
from controller.usecases.documents import parse, written
from controller.usecases.what_if.simulation import Traffic
from controller.usecases.what_if.sketch import sketch
from controller.web.access import needs, services
from controller.web.ops.forms import Form
from controller.web.ops.plan_fields import Fields, fields_of, with_fields
from controller.web.ops.site import blueprint, done, is_part, page
from controller.wire.manifests import Manifest, manifest_of, plan_of

#: A forecast stops repeating itself after this; one is made at a time, so that the judge keeps its processor.
_FORECAST_S = 2.0
_one_at_a_time = threading.Lock()
_DAY_MINUTES = 1_440
_DEFAULT_EVENTS = "3000"
_NEW: dict[str, Any] = {
    "rollout": "",
    "flag": "",
    "control": "",
    "canary": "",
    "stages": [
        {"share": "1%", "bake": "10m"},
        {"share": "10%", "bake": "15m"},
        {"share": "50%", "bake": "30m"},
        {"share": "100%", "bake": "30m"},
    ],
}


@blueprint.get("/rollouts/new")
@needs(Need.READ)
def new_rollout() -> str:
    """An empty plan, one for `?flag=`, or the plan of `?from=` to go on with."""
    here, source, flag_key = services(), request.args.get("from", ""), request.args.get("flag", "")
    document = dict(_NEW)
    with here.database.read() as connection:
        if source:
            document = msgspec.to_builtins(rows.manifest(rows.get(connection, source)))
        known = {flag.key: flag for flag in flag_rows.every(connection)}
    if flag_key in known and not source:
        document |= {"flag": flag_key, "rollout": flag_key}
    return page("draft.html", **_both(with_variants(document, known), known), **_extras(document, known))


@blueprint.post("/rollouts/new/sync")
@needs(Need.READ)
def sync_draft() -> Response:
    """The other side written anew from the one that was changed; nothing is saved."""
    form, known = Form(), _flags()
    return _drawn(_synced(form, known), known, form)


@blueprint.post("/rollouts/new/forecast")
@needs(Need.READ)
def forecast_draft() -> Response:
    """What the plan would do at the traffic that is given; nothing is saved."""
    form, known = Form(), _flags()
    values = _synced(form, known)
    found, problem = None, values["problem"]
    if not problem:
        try:
            found = _forecast(form)
        except Refusal as refusal:
            problem = f"{refusal.field}: {refusal.detail}" if refusal.field else refusal.detail
    if is_part():
        return make_response(render_template("_forecast.html", forecast=found, forecast_problem=problem))
    return _drawn(values, known, form, forecast=found, forecast_problem=problem)


@blueprint.post("/rollouts/new")
@needs(Need.OPERATE)
def save_draft() -> Response:
    """Save the plan as a draft: nothing is served by it until somebody starts it."""
    form, here = Form(), services()
    try:
        manifest = _manifest(form.text("manifest"))
        rollouts.apply(here.database, manifest, form.order())
    except Refusal as refusal:
        known = _flags()
        return _drawn(_synced(form, known), known, form, refusal=refusal)
    here.changed()
    return done(f"/rollouts/{manifest.rollout}?done=applied")


def with_variants(document: dict[str, Any], known: dict[str, Flag]) -> dict[str, Any]:
    """The document with a control and a canary that its flag has, where it names none of them."""
    flag = known.get(str(document.get("flag", "")))
    if flag is None:
        return document
    found = dict(document)
    if found.get("control") not in flag.variants:
        found["control"] = flag.control
    if found.get("canary") not in flag.variants or found["canary"] == found["control"]:
        found["canary"] = next(name for name in flag.variants if name != found["control"])
    return found


def _flags() -> dict[str, Flag]:
    with services().database.read() as connection:
        return {flag.key: flag for flag in flag_rows.every(connection)}


def _synced(form: Form, known: dict[str, Flag]) -> dict[str, Any]:
    """Both sides; where the text cannot be read it stays as it is, and the fields say why they do not follow."""
    text, edited = form.text("manifest"), form.line("edited") or "yaml"
    try:
        document = _mapping(text)
    except Invalid as invalid:
        return {"fields": fields_of(_NEW), "manifest": text, "problem": invalid.detail, "stale": True}
    if edited != "yaml":
        document = with_variants(with_fields(document, form, edited), known)
        text = written(document)
    return _both(document, known, text)


def _mapping(text: str) -> dict[str, Any]:
    document = parse(text).content or {}
    if not isinstance(document, dict):
        raise Invalid("a manifest is a mapping with the keys rollout, flag, control, canary and stages")
    return document


def _both(document: dict[str, Any], known: dict[str, Flag], text: str | None = None) -> dict[str, Any]:
    text = written(document) if text is None else text
    fields: Fields = fields_of(document)
    flag = known.get(fields.flag)
    return {"fields": fields, "manifest": text, "problem": _problem(text, flag), "stale": False}


def _problem(text: str, flag: Flag | None) -> str:
    """What speaks against the document as it is, with its line."""
    try:
        manifest = _manifest(text)
    except Invalid as invalid:
        line = parse(text).line_of(invalid.field or "") if invalid.field else None
        return f"{f'line {line}, ' if line else ''}{f'{invalid.field}: ' if invalid.field else ''}{invalid.detail}"
    return "" if flag is not None else f"flag: there is no flag {manifest.flag!r} yet; create it first"


def _manifest(text: str) -> Manifest:
    manifest = manifest_of(parse(text).content)
    plan_of(manifest)
    return manifest


def _drawn(values: dict[str, Any], known: dict[str, Flag], form: Form, **more: Any) -> Response:
    refusal: Refusal | None = more.get("refusal")
    said = {name: form.line(name, most=10_000)[:500] for name in ("events_per_minute", "control_success", "reason")}
    everything = {**values, "known": known, "said": said, "refusal": None, "forecast": None, "forecast_problem": ""}
    drawn = {**everything, **more}
    status = 200 if refusal is None else refusal.status
    return make_response(render_template("_draft.html", **drawn) if is_part() else page("draft.html", **drawn), status)


def _extras(document: dict[str, Any], known: dict[str, Flag]) -> dict[str, Any]:
    events, success = _traffic(str(document.get("flag", "")))
    said = {"events_per_minute": events, "control_success": success, "reason": ""}
    return {"known": known, "said": said, "refusal": None, "forecast": None, "forecast_problem": ""}


def _traffic(flag_key: str) -> tuple[str, str]:
    """Events a minute and the success of all variants of a flag over the last day, as a first guess."""
    here = services()
    with here.database.read() as connection:
        found = windows.health(connection, flag_key, here.clock() - _DAY_MINUTES * 60_000)
    total = sum(counts.delivered + counts.failed for counts in found.values())
    if not total:
        return _DEFAULT_EVENTS, "99.5%"
    rate = sum(counts.delivered for counts in found.values()) / total
    return f"{max(1, round(total / _DAY_MINUTES))}", f"{max(50.0, int(10_000 * rate) / 100):g}%"


def _forecast(form: Form) -> Any:
    plan = plan_of(_manifest(form.text("manifest")))
    try:
        events = float(form.needed("events_per_minute", "give the events of all judged types in a minute"))
    except ValueError:
        raise Invalid("write a number, such as 3000", field="events_per_minute") from None
    success = parts_of(form.line("control_success") or "99.5%", "control_success", PPM) / PPM
    traffic = Traffic(events, 1.0 if plan.unit is UnitKind.EVENT else float(len(plan.events)), success)
    if not _one_at_a_time.acquire(timeout=_FORECAST_S):
        raise TooFast("somebody else's forecast is being made; try again in a few seconds")
    try:
        until = time.monotonic() + _FORECAST_S
        return sketch(plan, traffic, lambda: time.monotonic() < until)
    finally:
        _one_at_a_time.release()
