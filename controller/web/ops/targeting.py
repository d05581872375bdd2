"""A flag's page: its targeting as text that is checked while it is written, and what any user would get, and why."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from flask import Response, make_response, render_template, request

from controller.domain.errors import Invalid, Refusal
from controller.domain.principals import Need
from controller.domain.snapshots import PublishedFlag, Snapshot
from controller.domain.targeting import Targeting, check_targeting, withdrawn
from controller.usecases.documents import Parsed, parse, written
from controller.usecases.flags import FlagChange
from controller.web.access import needs, services
from controller.web.ops.answers import Answer, answer_for
from controller.web.ops.flags import SAID, change_flag, flag_with_history
from controller.web.ops.forms import Form
from controller.web.ops.site import blueprint, done, is_part, page
from controller.wire.api.flags import FlagView
from controller.wire.codec import convert
from controller.wire.phrases import facts, listed
from controller.wire.targeting import ConditionForm, RuleForm, TargetingForm, targeting_of

COMPARISONS = (
    "equals", "in", "starts_with", "ends_with", "contains", "more_than", "at_least", "less_than", "at_most", "semver",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draft:
    """Targeting as somebody has written it.

    Attributes:
        form: what it says; None where it cannot be read, and `problem` says why.
        diff: lines of the difference from what is stored, each with its kind (added, removed or kept).
    """

    text: str
    form: TargetingForm | None
    problem: str
    facts: list[tuple[str, object]]
    diff: list[tuple[str, str]]


@blueprint.get("/flags/<key:key>")
@needs(Need.READ)
def show_flag(key: str) -> str:
    """One flag; `?user=` and `?context=` ask what that user would get."""
    found = flag_with_history(key)
    flag: FlagView = found["flag"]
    draft = _draft(flag, _text_of(flag.targeting))
    user, context = request.args.get("user", "")[:500], request.args.get("context", "")[:5_000]
    said = SAID.get(request.args.get("done", ""), "")
    return page("flag.html", **found, said=said, **_editor(flag, draft, user, context))


@blueprint.post("/flags/<key:key>/try")
@needs(Need.READ)
def try_targeting(key: str) -> Response:
    """What is written so far, in words, and what a user would get by it; nothing is saved."""
    form, found = Form(), flag_with_history(key)
    draft = _draft(found["flag"], form.text("targeting"))
    return _shown(found, draft, form)


@blueprint.post("/flags/<key:key>/add")
@needs(Need.READ)
def add_to_targeting(key: str) -> Response:
    """The written targeting with a rule or some users added; nothing is saved."""
    form, found = Form(), flag_with_history(key)
    draft = _draft(found["flag"], form.text("targeting"))
    if draft.form is None:
        return _shown(found, draft, form)
    try:
        longer = _with_users(draft.form, form) if form.line("add") == "users" else _with_rule(draft.form, form)
    except Invalid as invalid:
        return _shown(found, replace(draft, problem=f"{invalid.field}: {invalid.detail}"), form)
    return _shown(found, _draft(found["flag"], _text_of(longer)), form)


@blueprint.post("/flags/<key:key>/targeting")
@needs(Need.OPERATE)
def save_targeting(key: str) -> Response:
    """Save what is written, at the version that the page showed."""
    form = Form()
    text = form.text("targeting")
    try:
        change_flag(key, FlagChange(targeting=targeting_of(_read(text)[0])), form)
    except Refusal as refusal:
        found = flag_with_history(key)
        return _shown(found, _draft(found["flag"], text), form, refusal)
    return done(f"/flags/{key}?done=targeting")


def _shown(found: dict[str, Any], draft: Draft, form: Form, refusal: Refusal | None = None) -> Response:
    flag: FlagView = found["flag"]
    values = {**_editor(flag, draft, form.line("user"), form.text("context")), "refusal": refusal}
    values["reason"] = form.line("reason", most=10_000)
    drawn = (
        render_template("_editor.html", **found, **values)
        if is_part()
        else page("flag.html", **found, said="", **values)
    )
    return make_response(drawn, 200 if refusal is None else refusal.status)


def _editor(flag: FlagView, draft: Draft, user: str, context: str) -> dict[str, Any]:
    now, then, problem = _answers(flag, draft, user, context)
    return {
        "draft": draft,
        "user": user,
        "context": context,
        "now": now,
        "then": then,
        "answer_problem": problem,
        "comparisons": COMPARISONS,
        "refusal": None,
        "reason": "",
    }


def _answers(flag: FlagView, draft: Draft, user: str, context: str) -> tuple[Answer | None, Answer | None, str]:
    """What the user gets now, and what they would get by the draft (None where it is the same text)."""
    if not (user or context):
        return None, None, ""
    try:
        facts_of_user = _attributes(context)
    except Invalid as invalid:
        return None, None, invalid.detail
    snapshot: Snapshot = services().flags.fresh().snapshot
    published = snapshot.flags[flag.key]
    now = answer_for(published, snapshot, user, facts_of_user)
    if draft.form is None or draft.form == flag.targeting:
        return now, None, ""
    try:
        edited = _published(published, flag, targeting_of(draft.form))
        return now, answer_for(edited, snapshot, user, facts_of_user), ""
    except Invalid as invalid:
        return now, None, invalid.detail


def _published(published: PublishedFlag, flag: FlagView, targeting: Targeting) -> PublishedFlag:
    gone = flag.withdrawn
    return replace(published, targeting=withdrawn(targeting, gone, flag.control) if gone else targeting)


def _attributes(text: str) -> Mapping[str, Any]:
    found = parse(text).content if text else {}
    if not isinstance(found, dict):
        raise Invalid("write one attribute a line, such as `country: DE`")
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode({str(name): v for name, v in found.items()}))
    return plain


def _draft(flag: FlagView, text: str) -> Draft:
    stored = _text_of(flag.targeting)
    diff = _diff(stored, text)
    try:
        form, _ = _read(text)
        check_targeting(targeting_of(form), flag.variants)
    except Invalid as invalid:
        return Draft(text, None, _placed(text, invalid), [], diff)
    return Draft(text, form, "", facts(form), diff)


def _read(text: str) -> tuple[TargetingForm, Parsed]:
    parsed = parse(text)
    content = {} if parsed.content is None else parsed.content
    if not isinstance(content, dict):
        raise Invalid("the text is a mapping with the keys deny, allow and rules")
    return convert(content, TargetingForm), parsed


def _placed(text: str, invalid: Invalid) -> str:
    """The problem with its line, where one can be told."""
    field = (invalid.field or "").removeprefix("targeting").lstrip(".")
    try:
        line = parse(text).line_of(field) if field else None
    except Invalid:
        line = None
    return f"{f'line {line}, ' if line else ''}{f'{field}: ' if field else ''}{invalid.detail}"


def _text_of(form: TargetingForm) -> str:
    plain = msgspec.to_builtins(form)
    return written(plain) if plain else ""


def _diff(before: str, after: str) -> list[tuple[str, str]]:
    kinds = {"+ ": "added", "- ": "removed", "  ": "kept"}
    lines = difflib.ndiff(before.splitlines(), after.strip().splitlines())
    found = [(kinds[line[:2]], line[2:]) for line in lines if line[:2] in kinds]
    return found if any(kind != "kept" for kind, _ in found) else []


def _with_users(form: TargetingForm, said: Form) -> TargetingForm:
    users = [key for line in said.text("users").replace(",", "\n").splitlines() if (key := line.strip())]
    where = said.line("list")
    if not users:
        raise Invalid("write one targeting key a line", field="users")
    if where == "deny":
        return listed(form, users, deny=True)
    return listed(form, users, allow=where) if where else listed(form, users)


def _with_rule(form: TargetingForm, said: Form) -> TargetingForm:
    attribute, comparison, value = said.line("attribute"), said.line("comparison"), said.line("value")
    if attribute and comparison not in COMPARISONS:
        raise Invalid(f"compare with one of {', '.join(COMPARISONS)}", field="comparison")
    found: Any = parse(value).content if value else ""
    if comparison == "in" and not isinstance(found, list):
        found = [parse(part).content for part in value.split(",")]
    when = convert({"attribute": attribute, comparison: found}, ConditionForm) if attribute else None
    rule = RuleForm(said.line("serve"), when, said.line("rule_share") or "100%", said.line("rule_name"))
    longer: TargetingForm = msgspec.structs.replace(form, rules=[*form.rules, rule])
    targeting_of(longer)
    return longer
