"""Targeting from files and on the screen."""

from __future__ import annotations

from typing import Any

from controller.cli.documents import Document, read_document
from controller.domain.conditions import check_condition
from controller.domain.errors import Invalid
from controller.wire.codec import convert
from controller.wire.targeting import ConditionForm, TargetingForm, condition_of, targeting_of


def read_targeting(name: str) -> Document[TargetingForm]:
    """Lists and rules from a file, checked as far as they can be without the flag.

    Raises:
        Failed: it cannot be read, or does not fit; the message names the line and the field.
    """
    return read_document(name, _targeting)


def read_condition(name: str) -> Document[ConditionForm]:
    """A segment's condition from a file, checked.

    Raises:
        Failed: it cannot be read, or does not fit; the message names the line and the field.
    """
    return read_document(name, _condition)


def _targeting(document: Any) -> TargetingForm:
    form = convert(_mapping(document, "deny, allow and rules"), TargetingForm)
    targeting = targeting_of(form, "")
    for at, rule in enumerate(targeting.rules):
        if rule.when is not None:
            check_condition(rule.when, f"rules[{at}].when")
    return form


def _condition(document: Any) -> ConditionForm:
    form = convert(_mapping(document, "an attribute with one comparison, or and, or, not"), ConditionForm)
    check_condition(condition_of(form, ""), "")
    return form


def _mapping(document: Any, keys: str) -> Any:
    if not isinstance(document, dict):
        raise Invalid(f"the document is a mapping with the keys {keys}")
    return document
