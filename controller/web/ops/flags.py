"""Flags: what each serves to whom, its switch, its history; and new ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from flask import Response, make_response, render_template, request

from controller.domain.errors import Invalid, NotFound, Refusal
from controller.domain.flags import Flag
from controller.domain.principals import Need
from controller.usecases import flags
from controller.usecases.documents import parse
from controller.usecases.flags import FlagChange
from controller.usecases.views.flags import flag_page, flag_view
from controller.web.access import needs, services
from controller.web.ops.forms import Form
from controller.web.ops.site import blueprint, done, is_part, page
from controller.web.ops.trail import history_of
from controller.wire.api.flags import FlagView

_MOST_FLAGS = 1_000
_NEW = "legacy: false\nunified: true"

SAID = {
    "created": "Created. Until a rollout moves users, everybody is served the control.",
    "kill": "Killed: everybody is served the control.",
    "enable": "Enabled: it serves what is written below.",
    "serve": "Changed what is served to everybody.",
    "describe": "Description changed.",
    "targeting": "Targeting saved.",
}


@blueprint.get("/flags")
@needs(Need.READ)
def show_flags() -> str:
    """All flags; `?q=` keeps those whose key or description contains it."""
    wanted = request.args.get("q", "").strip()[:200]
    with services().database.read() as connection:
        found = flag_page(connection, 0, _MOST_FLAGS).items
    words = wanted.casefold().split()
    shown = [flag for flag in found if all(word in f"{flag.key} {flag.description}".casefold() for word in words)]
    return page("flags.html", found=shown, wanted=wanted, in_all=len(found))


@blueprint.get("/flags/new")
@needs(Need.OPERATE)
def new_flag() -> str:
    """The form for a new flag."""
    return page("flag_new.html", given={"variants": _NEW}, refusal=None)


@blueprint.post("/flags/new")
@needs(Need.OPERATE)
def create_flag() -> Response:
    """A new flag; whoever is refused keeps what was written."""
    form, here = Form(), services()
    try:
        flag = _flag(form, here.clock())
        order = form.order()
        flags.create(
            here.database,
            flag,
            actor=order.actor,
            reason=order.reason,
            request_id=order.request_id,
            scope=order.scope,
        )
    except Refusal as refusal:
        given = {name: form.text(name) for name in ("key", "variants", "control", "description", "reason")}
        return make_response(page("flag_new.html", given=given, refusal=refusal), refusal.status)
    here.changed()
    return done(f"/flags/{flag.key}?done=created")


@blueprint.get("/flags/<key:key>/act/<verb>")
@needs(Need.READ)
def ask_flag(key: str, verb: str) -> Response:
    """The confirmation of a change of a flag."""
    return _confirmation(key, verb)


@blueprint.post("/flags/<key:key>/act/<verb>")
@needs(Need.OPERATE)
def act_on_flag(key: str, verb: str) -> Response:
    """Change a flag at the version that the page showed."""
    form = Form()
    try:
        change_flag(key, _known(verb)(form), form)
    except Refusal as refusal:
        return _confirmation(key, verb, refusal, form)
    return done(f"/flags/{key}?done={verb}")


def change_flag(key: str, wanted: FlagChange, form: Form) -> None:
    """Change a flag at the version that the page showed, with the reason that its form gives."""
    here, given = services(), form.order()
    flags.change(
        here.database,
        key,
        -1 if given.version is None else given.version,
        wanted,
        actor=given.actor,
        now_ms=given.now_ms,
        reason=given.reason,
        request_id=given.request_id,
        scope=given.scope,
    )
    here.changed()


def flag_with_history(key: str) -> dict[str, Any]:
    """What a flag's page shows of it."""
    with services().database.read() as connection:
        return {"flag": flag_view(connection, key), "entries": history_of(connection, f"flag/{key}")}


_ACTS: dict[str, Callable[[Form], FlagChange]] = {
    "kill": lambda _: FlagChange(enabled=False),
    "enable": lambda _: FlagChange(enabled=True),
    "serve": lambda form: FlagChange(served=form.needed("served", "choose a variant")),
    "describe": lambda form: FlagChange(description=form.text("description", most=500)),
}


def _known(verb: str) -> Callable[[Form], FlagChange]:
    if verb not in _ACTS:
        raise NotFound(f"a flag has no act {verb[:40]!r}", field="act")
    return _ACTS[verb]


def _confirmation(key: str, verb: str, refusal: Refusal | None = None, form: Form | None = None) -> Response:
    _known(verb)
    with services().database.read() as connection:
        flag: FlagView = flag_view(connection, key)
    given = {name: form.text(name, most=10_000)[:500] for name in ("reason", "served", "description")} if form else {}
    values = {"flag": flag, "verb": verb, "refusal": refusal, "given": given}
    drawn = render_template("_flag_act.html", **values) if is_part() else page("flag_act.html", **values)
    return make_response(drawn, 200 if refusal is None else refusal.status)


def _flag(form: Form, now_ms: int) -> Flag:
    variants = _variants(form.text("variants", most=10_000))
    control = form.line("control") or next(iter(variants), "")
    return Flag(
        key=form.needed("key", "give it a key, such as new-checkout"),
        variants=variants,
        control=control,
        served=control,
        description=form.text("description", most=500),
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def _variants(text: str) -> dict[str, Any]:
    """One variant a line. Names are taken as they are written: to YAML `off` and `on` would be false and true."""
    found: dict[str, Any] = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or name.strip() in found:
            raise Invalid(
                f"write each variant once, one a line, such as `unified: true`: {line[:80]!r}", field="variants"
            )
        try:
            found[name.strip()] = parse(value).content
        except Invalid as invalid:
            raise Invalid(f"{name.strip()}: {invalid.detail}", field="variants") from None
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return plain  # dates, which YAML knows and JSON does not, are text by now
