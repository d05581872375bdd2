"""What files declare: flags, segments and rollouts, compared with what the controller has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import yaml
from msgspec import UNSET, Meta, UnsetType

from controller.cli.documents import Document, read_document
from controller.cli.failures import Failed
from controller.cli.remote import Remote, flag_path, rollout_path
from controller.domain.conditions import check_condition
from controller.domain.errors import Invalid
from controller.wire.api.flags import FlagBody, FlagPatch, FlagView, SegmentBody, SegmentPatch, SegmentView
from controller.wire.api.rollouts import RolloutView
from controller.wire.codec import convert
from controller.wire.manifests import Manifest, manifest_from_plan, manifest_of, plan_of
from controller.wire.targeting import ConditionForm, TargetingForm, condition_of, targeting_of

_SUFFIXES = {".yaml", ".yml", ".json"}
_MOST_FILES = 2_000


class FlagFile(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A flag as a file declares it; what it does not name stays as it is."""

    flag: str
    variants: dict[str, Any]
    control: str
    served: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=500)] | UnsetType = UNSET
    targeting: TargetingForm | UnsetType = UNSET


class SegmentFile(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A segment as a file declares it."""

    segment: str
    when: ConditionForm
    description: Annotated[str, Meta(max_length=500)] | UnsetType = UNSET


Declaration = FlagFile | SegmentFile | Manifest


class Verdict(StrEnum):
    """What becomes of a declaration."""

    UNCHANGED = "unchanged"
    CREATED = "created"
    CHANGED = "changed"
    REFUSED = "refused"

    def said(self, *, dry_run: bool) -> str:
        """In words: what was done, or what would be."""
        would = {Verdict.CREATED: "to create", Verdict.CHANGED: "to change", Verdict.REFUSED: "would be refused"}
        return would.get(self, self.value) if dry_run else self.value

    @property
    def style(self) -> str:
        """How it is set off."""
        return {Verdict.UNCHANGED: "dim", Verdict.REFUSED: "bold red"}.get(self, "bold")


@dataclass(frozen=True, slots=True)
class Declared:
    """One declaration and the file it stands in."""

    name: str
    document: Document[Declaration]

    @property
    def content(self) -> Declaration:
        """What is declared."""
        return self.document.content

    @property
    def title(self) -> str:
        """`flag new-search`."""
        match self.content:
            case FlagFile(flag=key):
                return f"flag {key}"
            case SegmentFile(segment=key):
                return f"segment {key}"
            case Manifest(rollout=key):
                return f"rollout {key}"


@dataclass(frozen=True, slots=True)
class Change:
    """A declaration beside what there is; both as lines of YAML. `version` is that it was read at."""

    declared: Declared
    verdict: Verdict
    before: list[str]
    after: list[str]
    version: int = 0
    refusal: str = ""

    def plain(self) -> dict[str, Any]:
        """The machine form."""
        kind, _, key = self.declared.title.partition(" ")
        told = {"kind": kind, "key": key, "file": self.declared.name, "verdict": self.verdict.value}
        return {**told, "before": "\n".join(self.before), "after": "\n".join(self.after), "refusal": self.refusal}


def declared_in(where: Path) -> list[Declared]:
    """Everything that a folder (with its folders) or a file declares: segments, then flags, then rollouts.

    Raises:
        Failed: a file cannot be read, does not fit, or declares what another one declares too.
    """
    found = [Declared(str(path), read_document(str(path), _declaration)) for path in _files(where)]
    by_title: dict[str, Declared] = {}
    for one in found:
        if (other := by_title.setdefault(one.title, one)) is not one:
            raise Failed(f"{one.name} declares what {other.name} declares too", one.title)
    order = (SegmentFile, FlagFile, Manifest)
    return sorted(found, key=lambda one: (order.index(type(one.content)), one.title))


def change_of(api: Remote, declared: Declared) -> Change:
    """What applying a declaration would change."""
    match declared.content:
        case FlagFile() as flag:
            return _flag_change(api, declared, flag)
        case SegmentFile() as segment:
            return _segment_change(api, declared, segment)
        case Manifest() as manifest:
            return _rollout_change(api, declared, manifest)


def done(api: Remote, change: Change, reason: str) -> Change:
    """The change, made; one that the controller refuses says why."""
    if change.verdict in (Verdict.UNCHANGED, Verdict.REFUSED):
        return change
    try:
        match change.declared.content:
            case FlagFile() as flag:
                _apply_flag(api, flag, change, reason)
            case SegmentFile() as segment:
                _apply_segment(api, segment, change, reason)
            case Manifest() as manifest:
                api.post("/api/v1/rollouts", manifest, RolloutView)
    except Failed as failed:
        if failed.status not in (403, 409, 422):
            raise
        return replace(change, verdict=Verdict.REFUSED, refusal=str(change.declared.document.placed(failed)))
    return change


def _files(where: Path) -> list[Path]:
    if where.is_dir():
        found = sorted(path for path in where.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
        if len(found) > _MOST_FILES:
            raise Failed(f"{where} has too many files", f"{len(found):,}; at most {_MOST_FILES:,}")
        return found
    if not where.exists():
        raise Failed(f"{where} cannot be read", "there is no such file or folder")
    return [where]


def _declaration(document: Any) -> Declaration:
    kinds = [name for name in ("rollout", "segment", "flag") if isinstance(document, dict) and name in document]
    if not kinds:
        raise Invalid("a file declares one flag, segment or rollout: it begins with `flag: KEY`, say")
    if kinds[0] == "rollout":
        manifest = manifest_of(document)
        plan_of(manifest)
        return manifest
    if kinds[0] == "segment":
        segment = convert(document, SegmentFile)
        check_condition(condition_of(segment.when, "when"), "when")
        return segment
    _quoted(document)
    flag = convert(document, FlagFile)
    if flag.targeting is not UNSET:
        targeting_of(flag.targeting)
    return flag


def _quoted(document: dict[str, Any]) -> None:
    """Refuse names that YAML takes for something else: `on`, `off`, `yes` and `no` are booleans to it."""
    variants = document.get("variants")
    names = [("variants", name) for name in variants] if isinstance(variants, dict) else []
    names += [(field, document[field]) for field in ("control", "served") if field in document]
    for field, name in names:
        if not isinstance(name, str):
            raise Invalid(f'YAML reads a name here as {name!r}; put quotes around it, as in "off"', field=field)


def _flag_change(api: Remote, declared: Declared, flag: FlagFile) -> Change:
    now = _there(api, flag_path(flag.flag), FlagView)
    after = msgspec.to_builtins(flag)
    if now is None:
        return Change(declared, Verdict.CREATED, [], _lines(after))
    known = {"flag": now.key, **msgspec.to_builtins(now)}
    before = {name: known[name] for name in after}
    if flag.targeting is not UNSET:
        before["targeting"] = msgspec.to_builtins(now.targeting)
    change = _compared(declared, before, after, now.version)
    fixed = [name for name in ("variants", "control") if before[name] != after[name]]
    if not fixed:
        return change
    return replace(change, verdict=Verdict.REFUSED, refusal=f"{' and '.join(fixed)} of a flag cannot change")


def _segment_change(api: Remote, declared: Declared, segment: SegmentFile) -> Change:
    now = _there(api, _segment_path(segment.segment), SegmentView)
    after = msgspec.to_builtins(segment)
    if now is None:
        return Change(declared, Verdict.CREATED, [], _lines(after))
    known = {"segment": now.key, **msgspec.to_builtins(now)}
    return _compared(declared, {name: known[name] for name in after}, after, now.version)


def _rollout_change(api: Remote, declared: Declared, manifest: Manifest) -> Change:
    now = _there(api, rollout_path(manifest.rollout, "manifest"), Manifest)
    after = msgspec.to_builtins(_normal(manifest))
    if now is None:
        return Change(declared, Verdict.CREATED, [], _lines(after))
    change = _compared(declared, msgspec.to_builtins(_normal(now)), after, 0)
    if change.verdict is Verdict.UNCHANGED:
        return change
    phase = api.get(rollout_path(manifest.rollout), RolloutView).phase
    if phase == "draft":
        return change
    return replace(change, verdict=Verdict.REFUSED, refusal=f"it is {phase}; only a draft can change")


def _apply_flag(api: Remote, flag: FlagFile, change: Change, reason: str) -> None:
    served, enabled, words, targeting = (
        None if value is UNSET else value for value in (flag.served, flag.enabled, flag.description, flag.targeting)
    )
    if change.verdict is Verdict.CHANGED:
        patch = FlagPatch(change.version, enabled, served, words, reason, targeting)  # type: ignore[arg-type]
        api.patch(flag_path(flag.flag), patch, FlagView)
        return
    body = FlagBody(flag.flag, flag.variants, flag.control, served or "", words or "")  # type: ignore[arg-type]
    body.enabled = enabled is not False
    if targeting is not None:
        body.targeting = targeting  # type: ignore[assignment]
    api.post("/api/v1/flags", body, FlagView)


def _apply_segment(api: Remote, segment: SegmentFile, change: Change, reason: str) -> None:
    words = None if segment.description is UNSET else segment.description
    if change.verdict is Verdict.CHANGED:
        patch = SegmentPatch(change.version, segment.when, words, reason)
        api.patch(_segment_path(segment.segment), patch, SegmentView)
        return
    api.post("/api/v1/segments", SegmentBody(segment.segment, segment.when, words or ""), SegmentView)


def _there(api: Remote, path: str, form: type[Any]) -> Any:
    try:
        return api.get(path, form)
    except Failed as failed:
        if failed.status == 404:
            return None
        raise


def _compared(declared: Declared, before: dict[str, Any], after: dict[str, Any], version: int) -> Change:
    verdict = Verdict.UNCHANGED if before == after else Verdict.CHANGED
    return Change(declared, verdict, _lines(before), _lines(after), version)


def _normal(manifest: Manifest) -> Manifest:
    """The manifest with its defaults filled in and its figures in their shortest form."""
    return manifest_from_plan(manifest.rollout, manifest.flag, manifest.control, manifest.canary, plan_of(manifest))


def _lines(document: dict[str, Any]) -> list[str]:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100).splitlines()


def _segment_path(key: str) -> str:
    return f"/api/v1/segments/{quote(key, safe='')}"
