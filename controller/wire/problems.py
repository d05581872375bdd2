"""RFC 9457 problems: the one form of every error."""

from __future__ import annotations

import msgspec

from controller.domain.errors import Refusal

CONTENT_TYPE = "application/problem+json"


class Problem(msgspec.Struct, omit_defaults=True):
    """An error that a person can act on and a program can recognise by `code`."""

    title: str
    status: int
    code: str
    detail: str = ""
    field: str = ""
    type: str = "about:blank"
    request_id: str = ""


def problem_of(refusal: Refusal, request_id: str = "") -> Problem:
    """The problem that stands for a refusal."""
    return Problem(
        title=refusal.title,
        status=refusal.status,
        code=refusal.code,
        detail=refusal.detail,
        field=refusal.field or "",
        request_id=request_id,
    )
