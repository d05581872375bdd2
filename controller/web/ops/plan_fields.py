"""The fields of the form for a plan: read from its document, and written back into it.

What the form has no field for (guards, units, patience and the like) stays in the document as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.web.ops.forms import Form

#: Plain texts, and their value where the document says nothing.
_LINES = {"rollout": "", "flag": "", "control": "", "canary": "", "mode": "enforce", "measure": "", "owner": "",
          "channel": "", "note": ""}  # fmt: skip
_NEEDED = ("rollout", "flag", "control", "canary")
_MOST_STAGES = 50


@dataclass(frozen=True, slots=True)
class StageFields:
    """One stage as the form shows it."""

    share: str
    bake: str
    approval: bool


@dataclass(frozen=True, slots=True)
class Fields:
    """A plan as the form shows it; `more` names the keys that only the text has."""

    rollout: str
    flag: str
    control: str
    canary: str
    mode: str
    measure: str
    owner: str
    channel: str
    note: str
    stages: list[StageFields]
    more: list[str]


def fields_of(document: dict[str, Any]) -> Fields:
    """The fields of a document, whatever is wrong with it."""
    raw = document.get("stages")
    stages = [_stage(one) for one in raw[:_MOST_STAGES]] if isinstance(raw, list) else []
    lines = {name: _text(document.get(name, default)) for name, default in _LINES.items()}
    return Fields(**lines, stages=stages, more=[str(key) for key in document if key not in {*_LINES, "stages"}])


def with_fields(document: dict[str, Any], form: Form, edited: str) -> dict[str, Any]:
    """The document with what the form says; `edited` may also add a stage or leave one out."""
    found = dict(document)
    for name, default in _LINES.items():
        value = form.text(f"f_{name}", most=2_000) if name == "note" else form.line(f"f_{name}")
        if name in _NEEDED or (value and value != default):
            found[name] = value
        else:
            found.pop(name, None)
    found["stages"] = _stages(document, form, edited)
    return {name: found[name] for name in _in_order(found)}


def _in_order(found: dict[str, Any]) -> list[str]:
    """Who and what first, then the stages, then everything else as it came."""
    first = [name for name in (*_NEEDED, "stages") if name in found]
    return first + [name for name in found if name not in first]


def _stages(document: dict[str, Any], form: Form, edited: str) -> list[dict[str, Any]]:
    shares, bakes, approvals = (form.several(f"stage_{name}") for name in ("share", "bake", "approval"))
    before = document.get("stages")
    stages = []
    for at, (share, bake) in enumerate(zip(shares, bakes, strict=False)):
        one: dict[str, Any] = {"share": _percent(share), "bake": bake}
        if at < len(approvals) and approvals[at] == "required":
            one["approval"] = _approval(before, at)
        stages.append(one)
    kind, _, number = edited.partition("-stage-")
    if kind == "remove" and number.isdecimal() and int(number) < len(stages) and len(stages) > 1:
        del stages[int(number)]
    if edited == "add-stage" and len(stages) < _MOST_STAGES:
        stages.append({"share": "100%", "bake": stages[-1]["bake"] if stages else "30m"})
    return stages


def _approval(before: Any, at: int) -> Any:
    """The approval as it was written, which may say more than that it is required."""
    one = before[at] if isinstance(before, list) and at < len(before) else None
    asked = one.get("approval") if isinstance(one, dict) else None
    return asked if asked not in (None, "none") else "required"


def _stage(raw: Any) -> StageFields:
    if not isinstance(raw, dict):
        return StageFields(_text(raw), "", approval=False)
    return StageFields(
        _text(raw.get("share")), _text(raw.get("bake")), raw.get("approval", "none") not in ("none", None)
    )


def _percent(text: str) -> str:
    bare = text.replace(" ", "")
    return f"{bare}%" if bare and not bare.endswith("%") else bare


def _text(value: Any) -> str:
    return "" if value is None else str(value)
